package deb

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

// unpack opens control.tar by the compressions that dpkg takes for it. Nobody will read more than most bytes, and so no window need be longer than that,
// whatever the compressed data asks for.
func unpack(a *archive, ext string, most int64) (io.ReadCloser, error) {
	switch ext {
	case "":
		return io.NopCloser(a), nil
	case ".gz":
		return gzip.NewReader(a)
	case ".xz":
		r, err := newXZ(a, most)
		return io.NopCloser(r), err
	case ".zst":
		return newZstd(a, most)
	}
	return nil, &Error{a.name, "has a compression that dpkg does not know here", "use control.tar, or control.tar with .gz, .xz or .zst"}
}

// newZstd opens zstd data with a window of no more than the power of two above most.
func newZstd(r io.Reader, most int64) (io.ReadCloser, error) {
	exponent := max(10, bits.Len64(uint64(most-1)))
	d, err := zstd.NewReader(narrow(r, exponent), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<exponent))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// narrow lowers the window that the first frame asks for (RFC 8878, section 3.1.1.1.2). dpkg-deb -z22 asks for 128 MiB, however short the archive: it does
// not know the length beforehand. What refers further back than the window would be longer than may be read anyway. No checksum covers this byte.
func narrow(r io.Reader, exponent int) io.Reader {
	const single = 1 << 5 // the frame has no window of its own
	in := bufio.NewReader(r)
	head, err := in.Peek(6)
	if err != nil || !bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")) || head[4]&single != 0 || 10+int(head[5]>>3) < exponent {
		return in
	}
	lowered := append(bytes.Clone(head[:5]), byte(exponent-10)<<3)
	_, _ = in.Discard(len(lowered))
	return io.MultiReader(bytes.NewReader(lowered), in)
}
