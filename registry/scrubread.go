package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// readTries is how often content is read before it is called damaged: what a cable or a full memory did once is not on the medium.
const readTries = 3

// readPause is before another try.
const readPause = 20 * time.Millisecond

// decay is what is wrong with some content.
type decay struct{ what, detail string }

// examine reads content and tells what is wrong with it; nil: nothing. A size below zero is not known. An error says that nothing can be told.
func (s *scrub) examine(ctx context.Context, d digest.Digest, size int64, open func() (io.ReadCloser, error)) (bad *decay, err error) {
	for try := range readTries {
		if try > 0 {
			if err := pause(ctx, readPause); err != nil {
				return nil, err
			}
		}
		if bad, err = s.readOnce(ctx, d, size, open); err != nil || bad == nil || bad.what == DamageMissing {
			return bad, err
		}
	}
	if bad.what == DamageUnreadable {
		if err := s.r.trial(ctx); err != nil {
			return nil, fmt.Errorf("%s; and the store does not do its work otherwise: %w", bad.detail, err)
		}
	}
	return bad, nil
}

func (s *scrub) readOnce(ctx context.Context, d digest.Digest, size int64, open func() (io.ReadCloser, error)) (*decay, error) {
	rc, err := open()
	if errors.Is(err, blob.ErrNotFound) {
		return &decay{DamageMissing, "the store has nothing under this digest"}, nil
	}
	var n int64
	h := d.Algorithm().Hash()
	if err == nil {
		defer rc.Close()
		var src io.Reader = s.pace.reader(ctx, rc)
		if size >= 0 {
			src = io.LimitReader(src, size+1) // one more shows that there is more
		}
		n, err = io.Copy(h, src)
	}
	switch got := digest.NewDigest(d.Algorithm(), h); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return &decay{DamageUnreadable, clip(err.Error())}, nil
	case size >= 0 && n > size:
		return &decay{DamageSize, fmt.Sprintf("it has more than %d bytes", size)}, nil
	case size >= 0 && n < size:
		return &decay{DamageSize, fmt.Sprintf("it has %d bytes instead of %d", n, size)}, nil
	case got != d:
		return &decay{DamageDigest, fmt.Sprintf("its bytes have the digest %s", got)}, nil
	}
	return nil, nil
}

// trial stores a little content, reads it and deletes it. What a crash leaves of it is an orphan.
func (r *Registry) trial(ctx context.Context) error {
	body := []byte("a trial of the store: " + newUUID())
	d := digest.FromBytes(body)
	if err := r.store(ctx, d, body); err != nil {
		return err
	}
	rc, err := r.blobs.Open(ctx, d, 0)
	if err != nil {
		return err
	}
	defer rc.Close()
	got, err := io.ReadAll(io.LimitReader(rc, int64(len(body))+1))
	if err == nil && !bytes.Equal(got, body) {
		err = errors.New("it returns other bytes than it was given")
	}
	if err != nil {
		return err
	}
	return r.blobs.Delete(ctx, d)
}

// pace lets so many bytes pass in a second, of all its readers together.
type pace struct {
	rate  int64
	began time.Time
	bytes int64
	due   int64  // bytes that the time since began has to allow for
	tell  func() // called after each Read; may be nil
}

// paceMost is how many seconds' worth of bytes may be made up for.
const paceMost = time.Second

func newPace(rate int64) *pace { return &pace{rate: rate, began: time.Now()} }

func (p *pace) reader(ctx context.Context, src io.Reader) io.Reader { return &paced{p, ctx, src} }

type paced struct {
	*pace
	ctx context.Context
	src io.Reader
}

func (p *paced) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.src.Read(b)
	p.bytes += int64(n)
	if p.tell != nil {
		p.tell()
	}
	if p.rate <= 0 {
		return n, err
	}
	p.due += int64(n)
	wait := time.Duration(float64(p.due)/float64(p.rate)*float64(time.Second)) - time.Since(p.began)
	if wait < -paceMost { // it was slow by itself: that is not made up for later
		p.began, p.due = time.Now(), 0
	}
	if wait > 0 && err == nil {
		err = pause(p.ctx, wait)
	}
	return n, err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
