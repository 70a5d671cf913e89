// Package upstream shows other registries through this one.
//
//	through, err := upstream.New(upstream.Config{Local: reg, Below: reg, Index: db, Upstreams: []upstream.Upstream{{Remote: hub, TagTTL: 5 * time.Minute}}})
//	through.Manifest(ctx, "docker.io/library/alpine", "3.20")   // from here while it is fresh, else from the hub
//
// [Through] is a [registry.Source]: whoever serves it need not know where content comes from. A repository below the name of an upstream (docker.io/…) is that
// upstream's; every other one is served by what lies below.
//
//   - What is here under a digest is served from here, without a question to anybody. A tag is, while it is fresh; after that the upstream is asked once, by a
//     HEAD, for all who wait.
//   - One request for each object, however many clients want it. A blob goes out to all of them while it comes in, and is kept when its digest is right; what
//     breaks off is fetched on from where it stood, whether or not anybody still waits.
//   - If the upstream does not answer, or wants fewer requests, what is kept is served at once, and [registry.Notes] say so.
//   - Everything that was fetched is in the journal: what, from where, for whom.
//
// It leaves to others: talking to an upstream (package remote), rights (the door's), and when content goes again.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// Config is what a Through stands on.
type Config struct {
	Local     *registry.Registry // keeps what was fetched
	Below     registry.Source    // serves every other repository
	Index     kv.DB
	Upstreams []Upstream
	Log       *slog.Logger     // default: none
	Now       func() time.Time // default time.Now
}

// Upstream is one registry that is seen through.
type Upstream struct {
	Remote  *remote.Remote
	TagTTL  time.Duration // for how long nobody asks again what a tag names
	Allow   []string      // patterns of repositories, * within one part of a name, ** at the end for all below; empty: all
	Deny    []string      // those that are not, although they would be
	Offline bool          // nothing is asked: what is kept is all there is
}

// forgetMissing is for how long it is remembered that an upstream does not have something.
const forgetMissing = 20 * time.Second

// askTime bounds one question for a manifest that many wait for.
const askTime = time.Minute

// Through is this registry with others seen through it.
type Through struct {
	local *registry.Registry
	below registry.Source
	index kv.DB
	by    map[string]*Upstream // by name
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	asking  map[string]*question
	filling map[string]*registry.Filling
	missing map[string]time.Time

	stale atomic.Int64
}

// Remotes returns the clients of the upstreams, by name.
func (t *Through) Remotes() (all []*remote.Remote) {
	for _, name := range slices.Sorted(maps.Keys(t.by)) {
		all = append(all, t.by[name].Remote)
	}
	return all
}

// Stale tells how often what is kept was served because an upstream did not answer.
func (t *Through) Stale() int64 { return t.stale.Load() }

var _ registry.Source = (*Through)(nil)

// New returns a registry with its upstreams.
func New(c Config) (*Through, error) {
	t := &Through{
		local: c.Local, below: c.Below, index: c.Index, log: c.Log, now: c.Now, by: map[string]*Upstream{},
		asking: map[string]*question{}, filling: map[string]*registry.Filling{}, missing: map[string]time.Time{},
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.now == nil {
		t.now = time.Now
	}
	for _, u := range c.Upstreams {
		name := u.Remote.Name()
		if !registry.ValidName(name) || strings.Contains(name, "/") || !strings.Contains(name, ".") {
			return nil, fmt.Errorf("upstream %q: its name is the first part of repositories' names, in lower-case letters, with a full stop in it, as docker.io", name)
		}
		if t.by[name] != nil {
			return nil, fmt.Errorf("upstream %q is there twice", name)
		}
		t.by[name] = &u
	}
	return t, nil
}

// Known tells whether there is an upstream of this name.
func (t *Through) Known(name string) bool { return t.by[name] != nil }

// Closed refuses pushes into repositories of an upstream.
func (t *Through) Closed(repo string) error {
	if u, _, _ := t.of(repo); u != nil {
		return &registry.Error{Code: registry.Denied, Detail: map[string]string{"name": repo, "hint": "this is pulled through from " + u.Remote.Name() + "; push under another name"}}
	}
	return nil
}

// of returns the upstream of a repository, how that one calls it, and how it is called here. Nil: it is none's.
func (t *Through) of(repo string) (u *Upstream, there, here string) {
	name, rest, ok := strings.Cut(repo, "/")
	if u = t.by[name]; u == nil || !ok {
		return nil, "", repo
	}
	there = remote.CanonicalRepo(name, rest)
	return u, there, name + "/" + there
}

// allows tells whether a repository of the upstream may be pulled through.
func (u *Upstream) allows(there string) bool {
	fits := func(p string) bool {
		if below, ok := strings.CutSuffix(p, "/**"); ok {
			return strings.HasPrefix(there, below+"/")
		}
		ok, _ := path.Match(p, there)
		return ok || p == "**"
	}
	for _, p := range u.Deny {
		if fits(p) {
			return false
		}
	}
	for _, p := range u.Allow {
		if fits(p) {
			return true
		}
	}
	return len(u.Allow) == 0
}

// Resolve returns what ref names. It says nothing that Manifest could not serve.
func (t *Through) Resolve(ctx context.Context, repo, ref string) (ocispec.Descriptor, error) {
	u, there, here := t.of(repo)
	if u == nil {
		return t.below.Resolve(ctx, repo, ref)
	}
	if err := t.have(ctx, u, there, here, ref); err != nil {
		return ocispec.Descriptor{}, err
	}
	return t.local.Resolve(ctx, here, ref)
}

// Manifest returns what ref names, with its bytes.
func (t *Through) Manifest(ctx context.Context, repo, ref string) (ocispec.Descriptor, []byte, error) {
	u, there, here := t.of(repo)
	if u == nil {
		return t.below.Manifest(ctx, repo, ref)
	}
	if err := t.have(ctx, u, there, here, ref); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return t.local.Manifest(ctx, here, ref)
}

// have sees to it that a manifest is here, and that a tag names what it should.
func (t *Through) have(ctx context.Context, u *Upstream, there, here, ref string) error {
	if !u.allows(there) {
		return denied(u, here)
	}
	was, err := t.local.Stored(ctx, here, ref)
	kept := err == nil
	if err != nil && registry.Code(err) != registry.ManifestUnknown && registry.Code(err) != registry.NameUnknown {
		return err
	}
	tagged := !strings.Contains(ref, ":")
	if kept && (!tagged || u.Offline) {
		return nil
	}
	if kept {
		fresh, err := t.fresh(ctx, u, here, ref)
		if fresh || err != nil {
			return err
		}
	}
	name := here + " " + ref
	if t.isMissing(name) {
		return unknown(here, ref)
	}
	if u.Offline {
		return &registry.Error{Code: registry.UpstreamDown, Detail: map[string]string{"name": here, "hint": "nothing is asked of " + u.Remote.Name() + ", and this is not kept here"}}
	}
	err = t.ask(ctx, name, func(ctx context.Context) error { return t.fetch(ctx, u, there, here, ref, was, kept) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, remote.ErrNotFound):
		t.noteMissing(name)
		return unknown(here, ref)
	case kept && !errors.Is(err, remote.ErrDenied):
		t.stale.Add(1)
		registry.Note(ctx, "what "+u.Remote.Name()+" said before is served, for it does not answer now")
		t.log.Warn("an upstream does not answer; what is kept is served", "repo", here, "ref", ref, "err", err)
		return nil
	}
	return t.refusal(u, here, err)
}

// fresh tells whether nobody need ask what a tag names.
func (t *Through) fresh(ctx context.Context, u *Upstream, here, tag string) (bool, error) {
	row, err := t.index.Get(ctx, keyChecked(here, tag))
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	at, err := strconv.ParseInt(string(row), 10, 64)
	age := t.now().Sub(time.UnixMicro(at))
	return err == nil && age >= 0 && age < u.TagTTL, nil
}

// fetch asks the upstream what ref names, and stores that if it is not here.
func (t *Through) fetch(ctx context.Context, u *Upstream, there, here, ref string, was registry.Stored, kept bool) error {
	want, tag := ref, ""
	if !strings.Contains(ref, ":") {
		tag = ref
		if kept {
			d, err := u.Remote.Head(ctx, there, tag)
			if err != nil {
				return err
			}
			if d.Digest == was.Digest {
				return t.touch(ctx, here, tag)
			}
			want = string(d.Digest)
		}
	}
	d, body, err := u.Remote.Manifest(ctx, there, want)
	if errors.Is(err, remote.ErrNotFound) && want != ref {
		d, body, err = u.Remote.Manifest(ctx, there, ref) // it has moved once more
	}
	if err != nil {
		return err
	}
	if _, err := t.local.Adopt(ctx, here, tag, d.MediaType, body); err != nil || tag == "" {
		return err
	}
	return t.touch(ctx, here, tag)
}

func (t *Through) touch(ctx context.Context, here, tag string) error {
	return t.index.Update(ctx, func(tx kv.Tx) error {
		tx.Put(keyChecked(here, tag), strconv.AppendInt(nil, micros(t.now()), 10))
		return nil
	})
}

func (t *Through) isMissing(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now().Before(t.missing[name])
}

// maxMissing bounds what is remembered not to be there.
const maxMissing = 10_000

func (t *Through) noteMissing(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.missing) >= maxMissing {
		clear(t.missing)
	}
	t.missing[name] = t.now().Add(forgetMissing)
}

// Blob tells of a blob.
func (t *Through) Blob(ctx context.Context, repo string, d digest.Digest) (info blob.Info, err error) {
	u, there, here := t.of(repo)
	if u == nil {
		return t.below.Blob(ctx, repo, d)
	}
	if !u.allows(there) {
		return info, denied(u, here)
	}
	if info, err = t.local.Blob(ctx, here, d); err == nil || !absent(err) || u.Offline {
		return info, err
	}
	if f := t.under(here, d); f != nil {
		size, err := f.Size(ctx)
		return blob.Info{Digest: d, Size: size}, t.refusal(u, here, err)
	}
	body, err := u.Remote.Blob(ctx, there, d, 0)
	if err != nil {
		return info, t.blobRefusal(u, here, d, err)
	}
	body.Close()
	return blob.Info{Digest: d, Size: max(0, body.Size)}, nil
}

// Tags yields the upstream's tags, or, if it does not answer, those that are kept.
func (t *Through) Tags(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	u, there, here := t.of(repo)
	if u == nil {
		return t.below.Tags(ctx, repo, after)
	}
	return func(yield func(string, error) bool) {
		if !u.allows(there) {
			yield("", denied(u, here))
			return
		}
		last := after
		if !registry.ValidTag(last) {
			last = "" // what is no tag could be read as something else upstream
		}
		first := last
		for !u.Offline {
			tags, next, err := u.Remote.Tags(ctx, there, last, 1000)
			switch {
			case err != nil && last == first && !errors.Is(err, remote.ErrNotFound) && !errors.Is(err, remote.ErrDenied):
				t.log.Warn("an upstream does not list its tags; those that are kept are listed", "repo", here, "err", err)
			case errors.Is(err, remote.ErrNotFound):
				yield("", &registry.Error{Code: registry.NameUnknown, Detail: map[string]string{"name": here}})
				return
			case err != nil:
				yield("", t.refusal(u, here, err))
				return
			default:
				for _, tag := range tags {
					if !yield(tag, nil) {
						return
					}
				}
				if last = next; next == "" {
					return
				}
				continue
			}
			break
		}
		for tag, err := range t.local.Tags(ctx, here, after) {
			if !yield(tag, err) {
				return
			}
		}
	}
}
