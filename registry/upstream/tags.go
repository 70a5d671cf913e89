package upstream

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/storage/kv"
)

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

// wanted is a manifest that somebody wants to have here.
type wanted struct {
	u           *Upstream
	there, here string
	tag         string           // empty: it is wanted by digest
	digest      digest.Digest    // what it is wanted by, or what the tag is pinned to; empty: the upstream has to say
	kept        *registry.Stored // what is here under that name; nil: nothing
}

func (u *Upstream) wants(there, here, ref string) wanted {
	w := wanted{u: u, there: there, here: here}
	if strings.Contains(ref, ":") {
		w.digest = digest.Digest(ref)
	} else {
		w.tag, w.digest = ref, u.Pins[there+":"+ref]
	}
	return w
}

func (w wanted) ref() string {
	if w.tag != "" {
		return w.tag
	}
	return string(w.digest)
}

func (w wanted) unknown() error {
	return &registry.Error{Code: registry.ManifestUnknown, Detail: map[string]string{"name": w.here, "reference": w.ref()}}
}

// look finds out what is kept.
func (t *Through) look(ctx context.Context, w *wanted) error {
	was, err := t.local.Stored(ctx, w.here, w.ref())
	switch registry.Code(err) {
	case registry.ManifestUnknown, registry.NameUnknown:
		return nil
	}
	if err == nil {
		w.kept = &was
	}
	return err
}

// have sees to it that a manifest is here, and that a tag names what it should.
func (t *Through) have(ctx context.Context, u *Upstream, there, here, ref string) error {
	if !u.allows(there) {
		return denied(u, here)
	}
	w := u.wants(there, here, ref)
	if err := t.look(ctx, &w); err != nil {
		return err
	}
	if w.kept != nil && w.digest != "" && w.kept.Digest == w.digest {
		return nil
	}
	var checked time.Time
	if w.kept != nil && w.digest == "" {
		at, as, err := t.checked(ctx, here, w.tag)
		switch {
		case err != nil:
			return err
		case u.Offline, u.Writable && as != w.kept.Digest:
			return nil
		}
		if age := t.now().Sub(at); age >= 0 && age < u.TagTTL {
			return nil
		}
		checked = at
	}
	name := here + " " + ref
	if t.isMissing(name) {
		return w.unknown()
	}
	if err := t.limited(u); err != nil && w.kept != nil {
		return t.settle(ctx, w, checked, err)
	}
	err := t.ask(ctx, name, func(ctx context.Context) error { return t.fetch(ctx, w) })
	t.noteLimited(u, err)
	return t.settle(ctx, w, checked, err)
}

// settle decides what is to be said when the upstream's answer was err: nil if what is kept may be served.
func (t *Through) settle(ctx context.Context, w wanted, checked time.Time, err error) error {
	var held *heldBack
	serve := w.kept != nil && w.digest == ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errStale):
		t.stale.Add(1)
		registry.Note(ctx, w.u.Remote.Name()+" says that what it serves may not be the newest")
		return nil
	case errors.Is(err, remote.ErrNotFound):
		t.noteMissing(w.here + " " + w.ref())
		return w.unknown()
	case errors.As(err, &held):
		if serve {
			registry.Note(ctx, "a newer image is held back until "+held.until.UTC().Format(time.RFC3339))
			return nil
		}
		return held.refusal(w)
	case serve && !errors.Is(err, remote.ErrDenied) && (w.u.StaleFor == 0 || t.now().Sub(checked) < w.u.StaleFor):
		t.stale.Add(1)
		registry.Note(ctx, "what "+w.u.Remote.Name()+" said before is served, for it does not answer now")
		t.log.Warn("an upstream does not answer; what is kept is served", "repo", w.here, "ref", w.ref(), "err", err)
		return nil
	}
	return t.refusal(w.u, w.here, err)
}

// errStale says that all is well, but that the upstream, itself in front of another one, has warned: what it serves may not be the newest. It is asked again soon.
var errStale = errors.New("the upstream's answer may be stale")

// fetch asks the upstream what is wanted, and stores that if it is not here.
func (t *Through) fetch(ctx context.Context, w wanted) error {
	ctx, notes := registry.WithNotes(ctx)
	want := w.ref()
	if w.digest != "" {
		want = string(w.digest)
	} else if w.kept != nil && !w.u.Offline {
		d, err := w.u.client(ctx).Head(ctx, w.there, w.tag)
		if err != nil {
			return err
		}
		if d.Digest == w.kept.Digest {
			if notes.Stale != "" {
				return errStale
			}
			return t.touch(ctx, w, d.Digest)
		}
		want = string(d.Digest)
	}
	d, body, err := t.manifest(ctx, w, want)
	if errors.Is(err, remote.ErrNotFound) && w.digest == "" && want != w.tag {
		d, body, err = t.manifest(ctx, w, w.tag) // it has moved once more
	}
	if err != nil {
		return err
	}
	if err := t.ripe(ctx, w, d, body); err != nil {
		if w.kept != nil && w.digest == "" {
			err = errors.Join(err, t.touch(ctx, w, w.kept.Digest)) // it names that for one more while
		}
		return err
	}
	_, err = t.local.Adopt(ctx, w.here, w.tag, d.MediaType, body, func(tx kv.Tx) {
		if w.tag != "" {
			at := t.now()
			if notes.Stale != "" {
				at = time.UnixMicro(0)
			}
			tx.Put(keyChecked(w.here, w.tag), row(at, string(d.Digest)))
		}
		if w.u.MinAge > 0 {
			tx.Delete(keySeen(w.here, d.Digest))
		}
	})
	if err == nil && w.tag != "" && notes.Stale != "" {
		err = errStale
	}
	return err
}

// manifest returns a manifest from here if it is, else from the upstream.
func (t *Through) manifest(ctx context.Context, w wanted, ref string) (ocispec.Descriptor, []byte, error) {
	if strings.Contains(ref, ":") {
		if d, body, err := t.local.Manifest(ctx, w.here, ref); err == nil || !absent(err) {
			return d, body, err
		}
	}
	if w.u.Offline {
		return ocispec.Descriptor{}, nil, &registry.Error{Code: registry.UpstreamDown, Detail: map[string]string{"name": w.here,
			"hint": "nothing is asked of " + w.u.Remote.Name() + ", and this is not kept here"}}
	}
	return w.u.client(ctx).Manifest(ctx, w.there, ref)
}

// checked tells when the upstream last said what a tag names, and as what it is served since; long ago, if never.
func (t *Through) checked(ctx context.Context, here, tag string) (time.Time, digest.Digest, error) {
	b, err := t.index.Get(ctx, keyChecked(here, tag))
	if errors.Is(err, kv.ErrNotFound) {
		return time.Time{}, "", nil
	}
	at, as := parseRow(b)
	return at, digest.Digest(as), err
}

// touch records that the tag goes on naming what it names here.
func (t *Through) touch(ctx context.Context, w wanted, d digest.Digest) error {
	return t.index.Update(ctx, func(tx kv.Tx) error {
		tx.Put(keyChecked(w.here, w.tag), row(t.now(), string(d)))
		return nil
	})
}

// limitedMost is for how long an upstream that has said 429 is believed: its quota may be another one sooner than it says.
const limitedMost = time.Minute

// noteLimited remembers that the upstream wants fewer requests. Until then, those that it can be spared are.
func (t *Through) noteLimited(u *Upstream, err error) {
	var e *remote.Error
	if !errors.Is(err, remote.ErrLimited) || !errors.As(err, &e) || e.RetryAfter <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wanting[u] = fewer{t.now().Add(min(e.RetryAfter, limitedMost)), err}
}

// fewer is an upstream's answer that it wants fewer requests.
type fewer struct {
	until time.Time
	err   error
}

// limited returns that answer while it holds.
func (t *Through) limited(u *Upstream) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.wanting[u]; t.now().Before(f.until) {
		return f.err
	}
	return nil
}

// maxMissing bounds what is remembered not to be there.
const maxMissing = 10_000

func (t *Through) isMissing(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now().Before(t.missing[name])
}

func (t *Through) noteMissing(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.missing) >= maxMissing {
		clear(t.missing)
	}
	t.missing[name] = t.now().Add(forgetMissing)
}
