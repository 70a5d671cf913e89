package importer

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// Duplicator is a store with a power beside its contract: to take in what its own medium has elsewhere already.
type Duplicator interface {
	blob.Store
	blob.Placer
	// Duplicate returns what makes content of d out of what was opened elsewhere, without its bytes passing through this process; nil if they have to. The
	// function is called when all that was opened has been read and is what d says; it makes content of that and of nothing else, or returns an error.
	Duplicate(opened io.Reader) func(ctx context.Context, d digest.Digest) error
}

// Copies is a store whose medium copies by itself what it has elsewhere already. The registry above it reads and hashes all of it as ever; but what it receives
// then is not sent back: the medium is asked to copy. What it does not copy is read once more, and written.
//
//	copies := importer.NewCopies(store, log)
//	reg, err := registry.Open(ctx, registry.Config{Blobs: copies, …})
//	to := &importer.Local{Registry: reg, Copies: copies}
type Copies struct {
	Duplicator
	log     *slog.Logger
	offers  sync.Map     // digest → *copyOffer
	refused atomic.Int32 // in a row
}

// maxRefused is how many refusals in a row are enough to ask no more.
const maxRefused = 3

// errNotDuplicated says that the medium did not copy, and that nothing was stored.
var errNotDuplicated = errors.New("the store does not copy this by itself")

// copyOffer is how a digest's content can be copied.
type copyOffer struct {
	copy  func(context.Context, digest.Digest) error
	taken atomic.Bool
}

// NewCopies returns a store above another one. What cannot be copied is logged.
func NewCopies(store Duplicator, log *slog.Logger) *Copies {
	return &Copies{Duplicator: store, log: log}
}

// offer lets content be copied, if it is within reach, and tells whether it was.
func (c *Copies) offer(d digest.Digest, content io.Reader) (taken *atomic.Bool) {
	o := &copyOffer{copy: c.Duplicate(content)}
	if o.copy != nil && c.refused.Load() < maxRefused {
		c.offers.Store(d, o)
	}
	return &o.taken
}

func (c *Copies) withdraw(d digest.Digest) { c.offers.Delete(d) }

// Place implements [blob.Placer].
func (c *Copies) Place(ctx context.Context, d digest.Digest, src io.Reader) (int64, error) {
	found, offered := c.offers.LoadAndDelete(d)
	if !offered {
		return c.Duplicator.Place(ctx, d, src)
	}
	o := found.(*copyOffer)
	size, err := io.CopyBuffer(sink{}, src, make([]byte, 256<<10))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return size, err
	}
	err = o.copy(ctx, d)
	switch {
	case err == nil:
		c.refused.Store(0)
		o.taken.Store(true)
	case ctx.Err() == nil && !errors.Is(err, blob.ErrUnavailable) && !errors.Is(err, blob.ErrFull):
		err = c.refusal(d, err)
	}
	return size, err
}

// refusal notes that something has to be read once more.
func (c *Copies) refusal(d digest.Digest, why error) error {
	said := "the store does not copy this by itself; it passes through here"
	if c.refused.Add(1) == maxRefused {
		said = "the store copies nothing by itself; from now on all passes through here"
	}
	c.log.Warn(said, "digest", d, "err", why)
	return errNotDuplicated
}
