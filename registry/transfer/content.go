package transfer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// The steps of a transfer, as Progress names them.
const (
	stepContent = "content"
	stepIndex   = "index"
	stepCheck   = "check"
)

// tellEvery is how often somebody is told how far it is.
const tellEvery = 500 * time.Millisecond

// copying copies contents, several at once.
type copying struct {
	Config
	step   string
	vanish bool            // content may go while it is copied
	told   map[string]bool // problems

	mu    sync.Mutex
	state Progress
}

// errSource says that content cannot be had from the source, which is no reason not to copy the rest.
type errSource struct{ error }

func (e errSource) Unwrap() error { return e.error }

// run copies what all yields. It goes through it once before, to know how much there is.
func (w *copying) run(ctx context.Context, all func(context.Context) iter.Seq2[Content, error]) error {
	began := w.Now()
	w.state = Progress{Step: w.step}
	var known Count
	for content, err := range all(ctx) {
		if err != nil {
			return err
		}
		known.add(content.Size)
	}
	w.mu.Lock()
	w.state.Known = known
	w.mu.Unlock()
	defer w.watch(began)()

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	queue := make(chan Content)
	var workers sync.WaitGroup
	for range w.Workers {
		workers.Go(func() {
			for content := range queue {
				if err := w.one(ctx, content); err != nil {
					stop(fmt.Errorf("copy content %s: %w", content.Digest, err))
				}
			}
		})
	}
	err := w.feed(ctx, all, queue)
	close(queue)
	workers.Wait()
	return firstOf(context.Cause(ctx), err)
}

func (w *copying) feed(ctx context.Context, all func(context.Context) iter.Seq2[Content, error], queue chan<- Content) error {
	for content, err := range all(ctx) {
		if err != nil {
			return err
		}
		select {
		case queue <- content:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// watch tells how far it is until the returned function is called.
func (w *copying) watch(began time.Time) (end func()) {
	tell := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.state.Took = w.Now().Sub(began)
		w.Tell(w.state)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-time.After(tellEvery):
				tell()
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		tell()
	}
}

// one copies a content, unless it is there. What is wrong in the source is told; the error says that it cannot go on.
func (w *copying) one(ctx context.Context, content Content) error {
	same, err := w.there(ctx, content)
	if err != nil {
		return err
	}
	var n int64
	if !same {
		n, err = w.copy(ctx, content)
	}
	gone := (w.vanish || content.Spare) && errors.Is(err, blob.ErrNotFound)
	var wrong errSource
	if err != nil && !gone && (ctx.Err() != nil || errors.Is(err, blob.ErrUnavailable) || !errors.As(err, &wrong)) {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case gone:
	case err != nil:
		w.state.Wrong++
		w.found(fmt.Sprintf("content %s: %v", content.Digest, err))
	case same:
		w.state.Same.add(content.Size)
	default:
		w.state.Copied.add(n)
	}
	return nil
}

// found tells of a problem once.
func (w *copying) found(problem string) {
	if !w.told[problem] {
		w.told[problem] = true
		w.Found(problem)
	}
}

// there tells whether the target has a content already.
func (w *copying) there(ctx context.Context, content Content) (bool, error) {
	info, err := w.To.Stat(ctx, content.Digest)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look it up in the target: %w", err)
	}
	size := content.Size
	if size < 0 {
		if from, err := w.From.Stat(ctx, content.Digest); err == nil {
			size = from.Size
		} else if !errors.Is(err, blob.ErrNotFound) {
			return false, fmt.Errorf("look it up in the source: %w", err)
		}
	}
	if size >= 0 && size != info.Size {
		return false, nil
	}
	if !w.Verify {
		return true, nil
	}
	rc, err := w.To.Open(ctx, content.Digest, 0)
	if err != nil {
		return false, fmt.Errorf("read it in the target: %w", err)
	}
	defer rc.Close()
	_, err = io.Copy(io.Discard, judge(rc, content))
	if errors.As(err, new(errSource)) {
		return false, ctx.Err()
	}
	return err == nil, err
}

// copy copies a content and returns its size.
func (w *copying) copy(ctx context.Context, content Content) (int64, error) {
	rc, err := w.From.Open(ctx, content.Digest, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return 0, errSource{fmt.Errorf("it is missing: %w", err)}
	}
	if err != nil {
		return 0, errSource{fmt.Errorf("it cannot be read: %w", err)}
	}
	defer rc.Close()
	src := judge(rc, content)
	if placer, ok := w.To.(blob.Placer); ok {
		return placer.Place(ctx, content.Digest, src)
	}
	upload := blob.Named("transfer-"+strings.ToLower(rand.Text()), content.Digest)
	n, err := w.To.Append(ctx, upload, 0, src)
	if err == nil {
		err = w.To.Commit(ctx, upload, content.Digest)
	}
	if err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if lost := w.To.Abort(last, upload); lost != nil {
			w.Log.Warn("remove what was received of content; the registry does so later", "digest", content.Digest, "err", lost)
		}
	}
	return n, err
}

// judged is content that is compared with its digest and its size while it is read.
type judged struct {
	io.Reader
	content Content
	hash    digest.Digester
	n       int64
}

// judge returns src with an error in place of its end if it is not what it should be. That, like any failure to read, is an errSource.
func judge(src io.Reader, content Content) io.Reader {
	return &judged{src, content, content.Digest.Algorithm().Digester(), 0}
}

func (j *judged) Read(p []byte) (int, error) {
	n, err := j.Reader.Read(p)
	_, _ = j.hash.Hash().Write(p[:n])
	j.n += int64(n)
	switch {
	case j.content.Size >= 0 && j.n > j.content.Size:
		return n, errSource{fmt.Errorf("it has more than its %d bytes; it is not copied", j.content.Size)}
	case err == nil:
		return n, nil
	case err != io.EOF:
		return n, errSource{fmt.Errorf("it cannot be read: %w", err)}
	case j.content.Size >= 0 && j.n != j.content.Size:
		return n, errSource{fmt.Errorf("it has %d bytes instead of %d; it is not copied", j.n, j.content.Size)}
	case j.hash.Digest() != j.content.Digest:
		return n, errSource{fmt.Errorf("its bytes have the digest %s; it is not copied", j.hash.Digest())}
	}
	return n, io.EOF
}
