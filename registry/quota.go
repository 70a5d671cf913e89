package registry

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// Everywhere is the path of a quota for the whole registry.
const Everywhere = "**"

// Quota bounds what the repositories at and below a path hold together. A limit of 0 is none.
//
// What would take more than that is refused with QuotaExceeded when it is about to be recorded, or earlier where that can be known; nothing of it is kept then. What makes
// less of it, or leaves it as it is, always passes, also where a quota that was lowered is exceeded already. What this registry fetches by itself counts, but is never
// refused: a limit for that is set where its upstream is.
type Quota struct {
	Path string
	Max  Usage
}

// Usage is what repositories hold together.
type Usage struct {
	// Bytes are those of blobs, each of which counts once however many of the repositories hold it, and of the manifests of each of them.
	Bytes        int64 `json:"bytes"`
	Manifests    int64 `json:"manifests"`
	Tags         int64 `json:"tags"`
	Repositories int64 `json:"repositories"` // that have manifests
}

// dimensions are the parts of a usage, in the order of its row.
var dimensions = [...]struct {
	name string
	of   func(*Usage) *int64
}{
	{"bytes", func(u *Usage) *int64 { return &u.Bytes }},
	{"manifests", func(u *Usage) *int64 { return &u.Manifests }},
	{"tags", func(u *Usage) *int64 { return &u.Tags }},
	{"repositories", func(u *Usage) *int64 { return &u.Repositories }},
}

func (u *Usage) add(more Usage) {
	for _, d := range dimensions {
		*d.of(u) += *d.of(&more)
	}
}

// quotas are those that are configured, by their paths.
type quotas map[string]Usage

func newQuotas(all []Quota) (quotas, error) {
	q := quotas{}
	for _, each := range all {
		if each.Path != Everywhere && !ValidName(each.Path) {
			return nil, fmt.Errorf("quota of %q: this is no path of repositories", clip(each.Path))
		}
		if _, twice := q[each.Path]; twice {
			return nil, fmt.Errorf("quota of %s: there is another one", each.Path)
		}
		for _, d := range dimensions {
			if *d.of(&each.Max) < 0 {
				return nil, fmt.Errorf("quota of %s: %s must not be negative", each.Path, d.name)
			}
		}
		q[each.Path] = each.Max
	}
	return q, nil
}

// over returns the paths with quotas that a repository comes under, the nearest first.
func (q quotas) over(repo string) (paths []string) {
	if len(q) == 0 {
		return nil
	}
	for path := repo; path != ""; {
		if _, found := q[path]; found {
			paths = append(paths, path)
		}
		path = path[:max(0, strings.LastIndexByte(path, '/'))]
	}
	if _, found := q[Everywhere]; found {
		paths = append(paths, Everywhere)
	}
	return paths
}

// used is the row of a quota: what is used of it, as far as that was counted.
type used struct {
	Usage
	counted bool  // false: only what has changed since counting began
	counts  int64 // how often it was counted anew
}

func (u used) row() []byte {
	b := make([]byte, 0, 48)
	for _, d := range dimensions {
		b = append(strconv.AppendInt(b, *d.of(&u.Usage), 10), '\t')
	}
	b = append(strconv.AppendBool(b, u.counted), '\t')
	return strconv.AppendInt(b, u.counts, 10)
}

func parseUsed(row []byte) (u used, err error) {
	f := fields(string(row))
	for i, d := range dimensions {
		if *d.of(&u.Usage), err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return u, errRow
		}
	}
	u.counted = f[len(dimensions)] == "true"
	u.counts, err = strconv.ParseInt(f[len(dimensions)+1], 10, 64)
	if err != nil {
		return u, errRow
	}
	return u, nil
}

// usedOf reads what is used of a quota. found is false where nobody has begun to count.
func usedOf(ctx context.Context, view kv.View, path string) (u used, found bool, err error) {
	row, err := view.Get(ctx, keyQuota(path))
	if errors.Is(err, kv.ErrNotFound) {
		return u, false, nil
	}
	if err != nil {
		return u, false, err
	}
	u, err = parseUsed(row)
	return u, true, err
}

// QuotaState is a quota and what is used of it.
type QuotaState struct {
	Path string `json:"path"`
	Max  Usage  `json:"max"`  // 0: no limit
	Used Usage  `json:"used"` // nothing, until it was counted
	// Counted is false until all that was there was counted, soon after the start: nothing is refused before.
	Counted bool `json:"counted"`
}

// Quotas returns all quotas and what is used of them, by path.
func (r *Registry) Quotas(ctx context.Context) ([]QuotaState, error) {
	return r.quotaStates(ctx, slices.Sorted(maps.Keys(r.quotas)))
}

// QuotasOver returns the quotas that a path of repositories comes under, by path: the nearest is the last.
func (r *Registry) QuotasOver(ctx context.Context, path string) ([]QuotaState, error) {
	if err := checkName(path); err != nil {
		return nil, err
	}
	paths := r.quotas.over(path)
	slices.Sort(paths)
	return r.quotaStates(ctx, paths)
}

func (r *Registry) quotaStates(ctx context.Context, paths []string) ([]QuotaState, error) {
	all := make([]QuotaState, 0, len(paths))
	for _, path := range paths {
		u, _, err := usedOf(ctx, r.index, path)
		if err != nil {
			return nil, fault(err, "read what is used of the quota of %s", path)
		}
		s := QuotaState{Path: path, Max: r.quotas[path]}
		if u.counted {
			s.Used, s.Counted = u.Usage, true
		}
		all = append(all, s)
	}
	return all, nil
}

// quotaExceeded refuses what would bring a dimension of a path's usage to would.
func quotaExceeded(path, dimension string, most, would int64) error {
	return &Error{Code: QuotaExceeded, Detail: map[string]any{"path": path, "limit": dimension, "max": most, "would": would,
		"hint": fmt.Sprintf("the quota of %s is %d %s, and this would make it %d; delete what is not needed any more, or ask who runs the registry for more", path, most, dimension, would)}}
}

// room refuses a blob that does not fit, before its bytes are received.
func (r *Registry) room(ctx context.Context, repo string, d digest.Digest, size int64) error {
	for _, path := range r.quotas.over(repo) {
		most := r.quotas[path].Bytes
		if most == 0 {
			continue
		}
		u, _, err := usedOf(ctx, r.index, path)
		if err != nil {
			return fault(err, "read what is used of the quota of %s", path)
		}
		if !u.counted || u.Bytes+size <= most {
			continue
		}
		held, err := heldBelow(ctx, r.index, prefixBlob, path, d, nil)
		if err != nil {
			return fault(err, "look who holds %s", d)
		}
		if !held {
			return quotaExceeded(path, "bytes", most, u.Bytes+size)
		}
	}
	return nil
}

// bound is how large content may be of which nothing else is known yet: larger than what is left of a quota only if it may be held already, and so no larger than all
// that is held. Nil is no bound.
type bound struct {
	path              string
	limit, used, most int64 // bytes
}

func (r *Registry) bound(ctx context.Context, repo string) (least *bound, err error) {
	for _, path := range r.quotas.over(repo) {
		limit := r.quotas[path].Bytes
		if limit == 0 {
			continue
		}
		u, _, err := usedOf(ctx, r.index, path)
		if err != nil {
			return nil, fault(err, "read what is used of the quota of %s", path)
		}
		if most := max(limit-u.Bytes, u.Bytes); u.counted && (least == nil || most < least.most) {
			least = &bound{path, limit, u.Bytes, most}
		}
	}
	return least, nil
}

func (b *bound) check(size int64) error {
	if b == nil || size <= b.most {
		return nil
	}
	return quotaExceeded(b.path, "bytes", b.limit, b.used+size)
}

// receiveBounded is receive for what a client sends. What can never fit is refused as soon as that shows.
func (r *Registry) receiveBounded(ctx context.Context, repo string, u *upload, length int64, src io.Reader) (hash.Hash, error) {
	b, err := r.bound(ctx, repo)
	if err != nil {
		return nil, err
	}
	if err := b.check(u.Size + max(length, 0)); err != nil {
		return nil, err
	}
	if b != nil && src != nil {
		src = io.LimitReader(src, b.most-u.Size+1) // one more shows that there is more
	}
	h, err := r.receive(ctx, u, length, src)
	if refused := b.check(u.Size); refused != nil {
		return nil, refused
	}
	return h, err
}

// heldBelow tells whether a repository at or below the path holds d, besides those of which but is true. but may be nil.
func heldBelow(ctx context.Context, view kv.View, prefix, path string, d digest.Digest, but map[string]bool) (bool, error) {
	base := of(prefix, string(d))
	if path != Everywhere {
		if !but[path] {
			_, err := view.Get(ctx, base+path)
			if err == nil || !errors.Is(err, kv.ErrNotFound) {
				return err == nil, err
			}
		}
		path += "/"
	} else {
		path = ""
	}
	from, to := kv.Prefix(base + path)
	for pair, err := range view.Scan(ctx, from, to) {
		if err != nil {
			return false, err
		}
		if !but[pair.Key[len(base):]] {
			return true, nil
		}
	}
	return false, nil
}

type unlimitedKey struct{}

// withoutQuotas returns a context under which quotas count, but refuse nothing: for what no client asks to have stored.
func withoutQuotas(ctx context.Context) context.Context {
	return context.WithValue(ctx, unlimitedKey{}, true)
}

func unlimited(ctx context.Context) bool { return ctx.Value(unlimitedKey{}) != nil }
