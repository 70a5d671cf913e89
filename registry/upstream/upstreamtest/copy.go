package upstreamtest

import "maps"

// CopyTo makes a repository of another upstream the same as this one's.
func (u *Upstream) CopyTo(other *Upstream, name string) {
	u.mu.Lock()
	from := u.repo(name)
	same := &repo{maps.Clone(from.manifests), maps.Clone(from.tags), maps.Clone(from.blobs)}
	u.mu.Unlock()
	other.mu.Lock()
	defer other.mu.Unlock()
	other.repos[name] = same
}
