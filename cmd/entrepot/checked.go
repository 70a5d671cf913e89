package main

import (
	"context"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fetcher is anything that content can be read from by its descriptor.
type fetcher interface {
	Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error)
}

// checked reads content and keeps its last bytes back until the whole is known to be what its descriptor says. Whoever reads to
// the end without an error has the right content; whoever is given other content never has all of it.
type checked struct {
	from io.Reader
	want ocispec.Descriptor
	hash hash.Hash
	left int64
	err  error // sticky: the reader's own fault, told apart from the fault of whoever the bytes are given to
}

func check(r io.Reader, d ocispec.Descriptor) *checked {
	c := &checked{from: r, want: d, left: d.Size}
	if err := d.Digest.Validate(); err != nil {
		c.err = fmt.Errorf("digest %q: %w", printable(d.Digest.String()), err)
		return c
	}
	c.hash = d.Digest.Algorithm().Hash()
	return c
}

func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		// Content of no bytes at all comes here first, everything else has been judged below.
		c.err = io.EOF
		if c.want.Size == 0 {
			c.err = c.verdict()
		}
		return 0, c.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.from.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.hash.Write(p[:n])
	if c.left == 0 {
		if v := c.verdict(); v != io.EOF {
			c.err = v
			return 0, v
		}
		return n, nil
	}
	if err == io.EOF {
		err = fmt.Errorf("read %s: it ends %d bytes early: %w", c.want.Digest, c.left, io.ErrUnexpectedEOF)
	}
	c.err = err
	return n, err
}

// verdict is io.EOF for the right content.
func (c *checked) verdict() error {
	if got := digest.NewDigest(c.want.Digest.Algorithm(), c.hash); got != c.want.Digest {
		return fmt.Errorf("read %s: the content is %s", c.want.Digest, got)
	}
	return io.EOF
}

// fetchBytes reads small content whole and checked.
func fetchBytes(ctx context.Context, from fetcher, d ocispec.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fmt.Errorf("%s has %s, and more than %s is never read at once", d.Digest, humanSize(d.Size), humanSize(limit))
	}
	r, err := from.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(check(r, d))
}
