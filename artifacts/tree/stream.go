package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
)

// stream reads an archive as if it were a file. Nothing of it is held in memory but headers and what is short.
type stream struct {
	archive *archive
	ctx     context.Context
	at      int64
	from    io.ReadCloser // the part that at is in, there; nil if it is not open
	part    part
}

func (a *archive) stream(ctx context.Context) *stream { return &stream{archive: a, ctx: ctx} }

// Seek opens nothing: whoever serves a file seeks to its end and back first, only to learn its size.
func (s *stream) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.archive.size
	}
	if offset < 0 {
		return s.at, errors.New("seek before the beginning")
	}
	if offset != s.at {
		s.drop()
		s.at = offset
	}
	return s.at, nil
}

func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	left, err := s.here()
	if err != nil {
		return 0, err
	}
	n, err := s.from.Read(p[:min(int64(len(p)), left)])
	if errors.Is(err, io.EOF) {
		if err = nil; n == 0 {
			err = s.short()
		}
	}
	s.moved(int64(n))
	return n, err
}

// pieces is the answer that a stream is copied to: it has the stream send itself.
type pieces struct{ http.ResponseWriter }

func (p pieces) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p pieces) ReadFrom(src io.Reader) (int64, error) {
	to, ok := p.ResponseWriter.(io.ReaderFrom)
	if bound, bounded := src.(*io.LimitedReader); ok && bounded {
		if s, ok := bound.R.(*stream); ok {
			return s.sendTo(to, bound)
		}
	}
	return io.Copy(p.ResponseWriter, src)
}

// sendTo sends as much as the bound allows, and takes that from it. It hands on what lies in a file as that file, bounded, which is what a server sends by
// sendfile.
func (s *stream) sendTo(to io.ReaderFrom, bound *io.LimitedReader) (total int64, err error) {
	for bound.N > 0 {
		left, err := s.here()
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		want := min(left, bound.N)
		n, err := to.ReadFrom(&io.LimitedReader{R: s.from, N: want})
		if err == nil && n < want {
			err = s.short()
		}
		total, bound.N = total+n, bound.N-n
		s.moved(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// short says that a part has less than it was said to have.
func (s *stream) short() error { return fmt.Errorf("read %s: %w", s.part.blob, io.ErrUnexpectedEOF) }

// here opens the part that is being read, and returns how much of it is left; io.EOF at the end of all.
func (s *stream) here() (left int64, err error) {
	if s.at >= s.archive.size {
		return 0, io.EOF
	}
	if s.from == nil {
		i := sort.Search(len(s.archive.parts), func(i int) bool { return s.archive.parts[i].at > s.at }) - 1
		s.part = s.archive.parts[i]
		if s.from, err = s.archive.open(s.ctx, s.part, s.at-s.part.at); err != nil {
			return 0, err
		}
	}
	return s.part.at + s.part.size - s.at, nil
}

func (s *stream) moved(n int64) {
	if s.at += n; s.at == s.part.at+s.part.size {
		s.drop()
	}
}

// drop closes what is open.
func (s *stream) drop() {
	if s.from != nil {
		_ = s.from.Close() // it was only read
		s.from = nil
	}
}

// open opens a part from an offset on.
func (a *archive) open(ctx context.Context, p part, offset int64) (io.ReadCloser, error) {
	if p.blob == "" {
		return io.NopCloser(bytes.NewReader(p.text[offset:])), nil
	}
	_, content, err := a.tree.registry.OpenBlob(ctx, a.repo, p.blob)
	if err != nil {
		return nil, err
	}
	if p.unpack {
		return openUnpacked(ctx, content, offset)
	}
	if _, err := content.Seek(offset, io.SeekStart); err != nil {
		content.Close()
		return nil, err
	}
	return content, nil
}
