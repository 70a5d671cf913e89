package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Fetch opens content that lies elsewhere, from an offset on, and tells its whole size; -1 if that is not known.
type Fetch func(ctx context.Context, offset int64) (content io.ReadCloser, size int64, err error)

// Filling is a blob on its way from elsewhere into a repository. Any number of readers follow it while it comes, each at its own speed.
type Filling struct {
	r    *Registry
	repo string
	d    digest.Digest
	id   string // of the upload

	mu    sync.Mutex
	size  int64 // -1 while it is not known
	have  int64 // bytes that a reader may find
	ended bool
	err   error
	next  chan struct{} // closed with every change
}

const (
	fillPause   = 100 * time.Millisecond // before what brought nothing more is tried again; it doubles
	fillLongest = 5 * time.Second
)

// Fill brings the blob d into repo. It goes on when ctx ends, until the blob is here or cannot be had: what broke off is fetched on from where it stood, and
// content that is not that of d is not kept.
func (r *Registry) Fill(ctx context.Context, repo string, d digest.Digest, fetch Fetch) *Filling {
	f := &Filling{r: r, repo: repo, d: d, id: blob.Named(newUUID(), d), size: -1, next: make(chan struct{})}
	go func() {
		err := f.run(context.WithoutCancel(withoutQuotas(ctx)), fetch)
		f.change(func() { f.ended, f.err = true, err })
	}()
	return f
}

func (f *Filling) change(do func()) {
	f.mu.Lock()
	do()
	close(f.next)
	f.next = make(chan struct{})
	f.mu.Unlock()
}

// progress is how far a filling is.
type progress struct {
	size, have int64
	ended      bool
	err        error
	next       <-chan struct{} // closed with the next change
}

func (f *Filling) look() progress {
	f.mu.Lock()
	defer f.mu.Unlock()
	return progress{f.size, f.have, f.ended, f.err, f.next}
}

func (f *Filling) run(ctx context.Context, fetch Fetch) error {
	if err := checkName(f.repo); err != nil {
		return err
	}
	if err := checkDigest(f.d); err != nil {
		return err
	}
	u := &upload{Upload: Upload{ID: f.id}, algorithm: f.d.Algorithm(), inRow: true, fetched: true}
	defer func() {
		if !u.inRow {
			f.r.abort(ctx, u.ID)
		}
	}()
	for tries := 0; ; tries++ {
		had := u.Size
		done, err := f.fetch(ctx, u, fetch)
		if done {
			return err
		}
		if u.Size > had {
			tries = 0
		}
		if u.Size == 0 || tries == f.r.fillTries {
			return err // nobody has read anything yet, and gets to know why; or it was tried for long enough
		}
		select {
		case <-time.After(min(fillPause<<tries, fillLongest)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fetch takes what comes now, and tells whether that was all, or will never be right.
func (f *Filling) fetch(ctx context.Context, u *upload, fetch Fetch) (done bool, err error) {
	content, size, err := fetch(ctx, u.Size)
	if err != nil {
		return false, err
	}
	defer content.Close()
	known := f.look().size
	if known >= 0 && size >= 0 && size != known {
		return true, f.wrong("it had %d bytes, and has %d now", known, size)
	}
	if known < 0 && size >= 0 {
		f.change(func() { f.size = size })
		known = size
	}
	var src io.Reader = &growing{f: f, src: content, at: u.Size}
	if known >= 0 {
		src = io.LimitReader(src, known-u.Size+1) // one more shows that there is more
	}
	h, err := f.r.receive(ctx, u, -1, src)
	if err != nil {
		return !Interrupted(err), err
	}
	if known >= 0 && u.Size < known {
		return false, f.wrong("it broke off at byte %d of %d", u.Size, known)
	}
	if h == nil {
		if h, err = f.r.rehash(ctx, u, f.d.Algorithm()); err != nil {
			return true, err
		}
	}
	if got := digest.NewDigest(f.d.Algorithm(), h); got != f.d || known >= 0 && u.Size != known {
		return true, f.wrong("what came was %s, of %d bytes", got, u.Size)
	}
	err = f.r.keep(ctx, f.repo, f.d, u)
	if err == nil {
		f.change(func() { f.size, f.have = u.Size, u.Size })
	}
	return true, err
}

// wrong is that the source sends something else than what was asked for.
func (f *Filling) wrong(format string, args ...any) error {
	return &Error{
		Code: UpstreamDown, After: 10 * time.Second, Err: fmt.Errorf("fetch blob %s: %w", f.d, fmt.Errorf(format, args...)),
		Detail: map[string]string{"name": f.repo, "digest": string(f.d), "hint": "what the upstream registry sends is not what the digest names, and nothing of it is kept; try again later"},
	}
}

// growing tells those who follow how far the content has come: what was read before has been written when the next is asked for. The last byte is held back until
// all of it was found right: nobody gets the whole of something else.
type growing struct {
	f   *Filling
	src io.Reader
	at  int64
}

func (g *growing) Read(p []byte) (int, error) {
	if g.at > smallBlob {
		g.f.change(func() { g.f.have = max(g.f.have, min(g.at, g.f.size-1)) })
	}
	n, err := g.src.Read(p)
	g.at += int64(n)
	return n, err
}

// Size waits until the size is known, and returns it. Of a small blob nobody sees anything before all of it was found right: then that is known, too.
func (f *Filling) Size(ctx context.Context) (int64, error) {
	for {
		now := f.look()
		if now.ended && now.err != nil {
			return 0, now.err
		}
		if now.size > smallBlob || now.size >= 0 && now.ended {
			return now.size, nil
		}
		select {
		case <-now.next:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Wait waits until the blob is here, or returns why it cannot be.
func (f *Filling) Wait(ctx context.Context) error {
	for {
		now := f.look()
		if now.ended {
			return now.err
		}
		select {
		case <-now.next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Open returns the content as it comes; the size must be known. Reading waits for what is not here yet, and fails if it never will be.
func (f *Filling) Open(ctx context.Context) io.ReadSeekCloser {
	return &following{f: f, ctx: ctx, size: f.look().size}
}

type following struct {
	f    *Filling
	ctx  context.Context
	size int64
	pos  int64
	rc   io.ReadCloser // what is here from pos on; nil: not opened
	last bool          // whether that is all there will be
}

func (o *following) Read(p []byte) (int, error) {
	for o.pos < o.size {
		now := o.f.look()
		if now.ended && now.err != nil {
			return 0, now.err
		}
		if o.rc == nil && (now.ended || now.have > o.pos) {
			if err := o.open(now.ended); err != nil {
				return 0, err
			}
		}
		if o.rc != nil {
			more := int64(len(p))
			if !o.last {
				more = max(0, min(more, now.have-o.pos))
			}
			n, err := o.rc.Read(p[:more])
			if o.pos += int64(n); n > 0 {
				return n, nil
			}
			o.rc.Close()
			o.rc = nil
			switch {
			case err != nil && err != io.EOF && !errors.Is(err, blob.ErrUploadUnknown): // see open
				return 0, err
			case o.last:
				return 0, io.ErrUnexpectedEOF
			case now.ended:
				continue
			}
		}
		select {
		case <-now.next:
		case <-o.ctx.Done():
			return 0, o.ctx.Err()
		}
	}
	return 0, io.EOF
}

// open opens what is here: of the upload, or of the blob that it became. An upload that is becoming the blob just now is nothing.
func (o *following) open(ended bool) (err error) {
	o.last = ended
	if !ended {
		o.rc, err = o.f.r.blobs.Resume(o.ctx, o.f.id, o.pos)
		if errors.Is(err, blob.ErrUploadUnknown) {
			o.rc, err = nil, nil
		}
		return err
	}
	_, content, err := o.f.r.OpenBlob(o.ctx, o.f.repo, o.f.d)
	if err != nil {
		return err
	}
	if _, err := content.Seek(o.pos, io.SeekStart); err != nil {
		content.Close()
		return err
	}
	o.rc = content
	return nil
}

func (o *following) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.pos
	case io.SeekEnd:
		offset += o.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	if offset != o.pos && o.rc != nil {
		o.rc.Close()
		o.rc = nil
	}
	o.pos = offset
	return offset, nil
}

func (o *following) Close() error {
	if o.rc == nil {
		return nil
	}
	return o.rc.Close()
}

// Adopt stores a manifest that was fetched from elsewhere, whose blobs may come later or never, and lets a tag name it, unless that is empty. No admission is
// asked: it is not ours. record, which may be nil, writes in the same transaction, and may be called more than once.
func (r *Registry) Adopt(ctx context.Context, repo, tag, mediaType string, body []byte, record func(kv.Tx)) (Stored, error) {
	if err := checkName(repo); err != nil {
		return Stored{}, err
	}
	if tag != "" {
		if err := checkTag(tag); err != nil {
			return Stored{}, err
		}
	}
	m, err := ParseManifest(mediaType, digest.FromBytes(body), body)
	if err != nil {
		return Stored{}, err
	}
	now := Stored{Descriptor: m.Descriptor, Pushed: r.now().Truncate(time.Millisecond), By: journal.Who(ctx).Name}
	stored := false
	err = r.index.Update(withoutQuotas(ctx), func(tx kv.Tx) error {
		fresh, err := putRevision(ctx, tx, repo, m, now, body)
		if err != nil {
			return err
		}
		stored = fresh
		if record != nil {
			record(tx)
		}
		e := journal.Event{Repo: repo, Digest: string(now.Digest), MediaType: now.MediaType, Size: now.Size, Result: "ok"}
		if fresh {
			e.Action = "manifest.fetch"
			journal.Append(ctx, tx, e)
		}
		if tag == "" {
			return nil
		}
		before, moved, err := moveTag(ctx, tx, repo, tag, now, anyTag)
		if err == nil && moved {
			e.Action, e.Tag, e.From = "tag.fetch", tag, string(before)
			journal.Append(ctx, tx, e)
		}
		return err
	})
	if err == nil && stored {
		r.noteUnsettled()
	}
	return now, fault(err, "store manifest %s of %s", now.Digest, repo)
}
