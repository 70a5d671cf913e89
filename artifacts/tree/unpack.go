package tree

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// zstdMagic is what content begins with that is packed with zstd (RFC 8878, section 3.1.1).
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// window is how much of what went before zstd may need to unpack, in bytes; it is held in memory. Programs that build images use up to 8 MiB.
const window = 32 << 20

// maxUnpacked is the longest layer that is unpacked, in bytes.
const maxUnpacked = 64 << 30

// unpacking reads what is packed with zstd.
type unpacking struct {
	*zstd.Decoder
	from io.Closer
}

// openUnpacked reads packed content as it was before, from an offset on. Close closes it.
func openUnpacked(ctx context.Context, packed io.ReadCloser, offset int64) (io.ReadCloser, error) {
	d, err := zstd.NewReader(watched{ctx, packed}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		packed.Close()
		return nil, fmt.Errorf("unpack with zstd: %w", err)
	}
	u := unpacking{d, packed}
	if _, err := io.CopyN(io.Discard, u, offset); err != nil {
		u.Close()
		return nil, fmt.Errorf("unpack with zstd: %w", err)
	}
	return u, nil
}

func (u unpacking) Close() error {
	u.Decoder.Close()
	return u.from.Close()
}

// watched ends with its context: a little that is packed may be very much.
type watched struct {
	ctx  context.Context
	from io.Reader
}

func (w watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.from.Read(p)
}

// measure unpacks a layer to learn how long it is, and whether it is what the image's config says. The packed content is closed by whoever opened it.
func (t *Tree) measure(ctx context.Context, packed io.Reader, l layer) (int64, error) {
	content, err := openUnpacked(ctx, io.NopCloser(packed), 0)
	if err != nil {
		return -1, err
	}
	defer content.Close()
	check := l.diffID.Verifier()
	size, err := io.Copy(check, io.LimitReader(watched{ctx, content}, maxUnpacked+1))
	switch {
	case ctx.Err() != nil:
		return -1, ctx.Err()
	case err != nil:
		return -1, unknown("no image.tar can be made, since layer %s cannot be unpacked: %v", l.digest, err)
	case size > maxUnpacked:
		return -1, unknown("no image.tar can be made, since layer %s has more than %d bytes when it is unpacked", l.digest, int64(maxUnpacked))
	case !check.Verified():
		return -1, unknown("no image.tar can be made, since layer %s is not what the image's config says", l.digest)
	}
	t.unpacked.keep(l.digest, l.diffID, size)
	return size, nil
}

// sizes remembers how long layers are that were unpacked.
type sizes struct {
	mu    sync.Mutex
	known map[[2]digest.Digest]int64
}

const maxSizes = 10_000

func newSizes() *sizes { return &sizes{known: map[[2]digest.Digest]int64{}} }

func (s *sizes) of(d, diffID digest.Digest) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, ok := s.known[[2]digest.Digest{d, diffID}]
	return size, ok
}

func (s *sizes) keep(d, diffID digest.Digest, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxSizes {
		clear(s.known)
	}
	s.known[[2]digest.Digest{d, diffID}] = size
}
