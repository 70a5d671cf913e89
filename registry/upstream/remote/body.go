package remote

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// steady is how much has to come within the stall timeout.
const steady = 1 << 10

// body reads a blob: paced, watched for standing still, and as long as it was announced.
type body struct {
	call    *call
	src     io.ReadCloser
	release func() // set once the body is handed out

	at, end int64 // where it is, and where it must end; end is -1 if that is not known
	room    int64 // the most that is taken
	fresh   int64 // bytes since the clock was set anew
	left    time.Duration
	timer   *time.Timer
	err     error
	once    sync.Once
}

func (b *body) prepare() {
	b.timer = b.call.within(b.call.config.Timeouts.Stall, "the body stands still: nothing much came")
	b.timer.Stop()
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, err := b.watched(p[:b.call.pace.chunk(len(p))])
	b.at += int64(n)
	switch {
	case b.at > b.room:
		b.finish(b.call.bad("it has more than the %d bytes that are taken", b.room))
	case err == io.EOF && (b.end < 0 || b.at == b.end):
		b.call.base.breaker.complete()
		b.finish(io.EOF)
	case err == io.EOF:
		b.broken(io.ErrUnexpectedEOF)
	case err != nil:
		b.broken(cause(b.call.ctx, err))
	default:
		if err := b.call.pace.wait(b.call.ctx, n); err != nil {
			b.broken(err)
		}
	}
	return n, b.err
}

// watched reads while the clock of the stall runs. It does not run while the reader is busy elsewhere.
func (b *body) watched(p []byte) (int, error) {
	began := time.Now()
	b.timer.Reset(b.left)
	n, err := b.src.Read(p)
	b.timer.Stop()
	if b.fresh += int64(n); b.fresh >= steady {
		b.fresh, b.left = 0, b.call.config.Timeouts.Stall
	} else {
		b.left -= time.Since(began)
	}
	return n, err
}

// broken ends a body before its time. That is the upstream's failure, unless the reader has gone.
func (b *body) broken(why error) {
	err := b.call.fail(ErrDown, fmt.Errorf("it broke off after %d bytes: %w", b.at, why))
	if b.release != nil && b.call.caller.Err() == nil && !errors.Is(why, errClosed) {
		b.call.failed(err)
	}
	b.finish(err)
}

func (b *body) finish(err error) {
	b.err = err
	b.Close()
}

// skip reads over what was not asked for.
func (b *body) skip(n int64) error {
	if n == 0 {
		return nil
	}
	_, err := io.CopyN(io.Discard, b, n)
	if err == io.EOF {
		return b.call.bad("it ends before %d", n)
	}
	return err
}

func (b *body) Close() error {
	b.once.Do(func() {
		b.timer.Stop()
		b.call.cancel(errClosed)
		b.src.Close()
		if b.release != nil {
			b.release()
		}
	})
	return nil
}
