package blobtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

var appending = []promise{
	{"what is appended at growing offsets is one upload", func(t *testing.T, s blob.Store) {
		name, content := newName(), noiseBytes(1, 300_000)
		for at := 0; at < len(content); {
			end := min(len(content), at*3+1)
			appendBytes(t, s, name, int64(at), content[at:end])
			requireUpload(t, s, name, content[:end])
			at = end
		}
		commit(t, s, name, digest.FromBytes(content))
		requireContent(t, s, digest.FromBytes(content), content)
	}},
	{"an append of nothing begins an upload, and changes none at its end", func(t *testing.T, s blob.Store) {
		name := newName()
		appendBytes(t, s, name, 0, nil)
		requireUpload(t, s, name, nil)
		appendBytes(t, s, name, 0, []byte("abc"))
		appendBytes(t, s, name, 3, nil)
		requireUpload(t, s, name, []byte("abc"))
	}},
	{"an append drops what lay beyond its offset", func(t *testing.T, s blob.Store) {
		name := newName()
		appendBytes(t, s, name, 0, []byte("0123456789"))
		appendBytes(t, s, name, 4, []byte("ab"))
		requireUpload(t, s, name, []byte("0123ab"))
		appendBytes(t, s, name, 2, nil)
		requireUpload(t, s, name, []byte("01"))
		appendBytes(t, s, name, 0, []byte("x"))
		requireUpload(t, s, name, []byte("x"))
	}},
	{"an append beyond the end is refused and tells the size", func(t *testing.T, s blob.Store) {
		name := newName()
		appendBytes(t, s, name, 0, []byte("abc"))
		size, err := s.Append(background, name, 4, bytes.NewReader([]byte("d")))
		requireError(t, "append", err, blob.ErrUploadShort)
		if size != 3 {
			t.Fatalf("size %d, want 3", size)
		}
		requireUpload(t, s, name, []byte("abc"))
	}},
	{"only an append at offset 0 begins an upload", func(t *testing.T, s blob.Store) {
		_, err := s.Append(background, newName(), 1, bytes.NewReader([]byte("d")))
		requireError(t, "append", err, blob.ErrUploadUnknown)
		requireEmpty(t, s)
	}},
	{"an error of the source is returned as it is, and what came before it is kept", func(t *testing.T, s blob.Store) {
		content := noiseBytes(2, 700_001)
		for _, kept := range []int{0, 1, 4096, 700_000} {
			for _, failure := range []error{errSource, io.ErrUnexpectedEOF, fmt.Errorf("wrapped: %w", errSource)} {
				name := newName()
				src := io.MultiReader(bytes.NewReader(content[:kept]), iotest.ErrReader(failure))
				size, err := s.Append(background, name, 0, src)
				if err != failure || size != int64(kept) {
					t.Fatalf("append: %d, %v; want %d, %v", size, err, kept, failure)
				}
				requireUpload(t, s, name, content[:kept])
				appendBytes(t, s, name, size, content[kept:])
				requireUpload(t, s, name, content)
			}
		}
	}},
	{"bytes that come together with the source's error are kept", func(t *testing.T, s blob.Store) {
		name := newName()
		src := iotest.DataErrReader(io.MultiReader(bytes.NewReader([]byte("abc")), iotest.ErrReader(errSource)))
		size, err := s.Append(background, name, 0, src)
		if err != errSource || size != 3 {
			t.Fatalf("append: %d, %v; want 3, %v", size, err, errSource)
		}
		requireUpload(t, s, name, []byte("abc"))
		size, err = s.Append(background, name, 3, iotest.DataErrReader(bytes.NewReader([]byte("def"))))
		if err != nil || size != 6 {
			t.Fatalf("append: %d, %v; want 6", size, err)
		}
	}},
	{"a torn append is repaired by repeating it", func(t *testing.T, s blob.Store) {
		name, content := newName(), noiseBytes(3, 100_000)
		appendBytes(t, s, name, 0, content[:10_000])
		for _, torn := range []int{50_000, 0, 90_000} {
			src := io.MultiReader(bytes.NewReader(content[10_000:10_000+torn]), iotest.ErrReader(errSource))
			if _, err := s.Append(background, name, 10_000, src); err != errSource {
				t.Fatalf("append: %v", err)
			}
		}
		appendBytes(t, s, name, 10_000, content[10_000:])
		commit(t, s, name, digest.FromBytes(content))
		requireContent(t, s, digest.FromBytes(content), content)
	}},
	{"a source may hand out its bytes in any portions", func(t *testing.T, s blob.Store) {
		content := noiseBytes(4, 5000)
		for _, portion := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader, withEmptyReads} {
			name := newName()
			size, err := s.Append(background, name, 0, portion(bytes.NewReader(content)))
			if err != nil || size != int64(len(content)) {
				t.Fatalf("append: %d, %v", size, err)
			}
			requireUpload(t, s, name, content)
		}
	}},
	{"an append that is cancelled on its way keeps what was counted", func(t *testing.T, s blob.Store) {
		name, content := newName(), noiseBytes(5, 1<<20)
		ctx, cancel := context.WithCancel(background)
		size, err := s.Append(ctx, name, 0, &cancelling{bytes.NewReader(content), 10, cancel})
		requireError(t, "append", err, context.Canceled)
		if size < 0 || size >= int64(len(content)) {
			t.Fatalf("size %d of %d", size, len(content))
		}
		requireUpload(t, s, name, content[:size])
		appendBytes(t, s, name, size, content[size:])
		requireUpload(t, s, name, content)
	}},
	{"an upload is resumed from any offset, and at or beyond its end is empty", func(t *testing.T, s blob.Store) {
		name := newName()
		appendBytes(t, s, name, 0, []byte("0123456789"))
		for offset, want := range map[int64]string{0: "0123456789", 3: "3456789", 9: "9", 10: "", 11: "", 1 << 40: ""} {
			rc, err := s.Resume(background, name, offset)
			if err != nil {
				t.Fatalf("resume at %d: %v", offset, err)
			}
			requireBytes(t, drain(t, rc), []byte(want))
		}
		_, err := s.Resume(background, newName(), 0)
		requireError(t, "resume", err, blob.ErrUploadUnknown)
	}},
	{"who resumes a growing upload reads what it held then", func(t *testing.T, s blob.Store) {
		name, content := newName(), noiseBytes(6, 2<<20)
		appendBytes(t, s, name, 0, content[:1000])
		before, err := s.Resume(background, name, 500)
		if err != nil {
			t.Fatalf("resume: %v", err)
		}
		// While the append runs, a follower sees some beginning of the content, never anything else.
		_, err = s.Append(background, name, 1000, &watched{bytes.NewReader(content[1000:]), func() {
			rc, err := s.Resume(background, name, 0)
			if err != nil {
				t.Fatalf("resume: %v", err)
			}
			if got := drain(t, rc); len(got) < 1000 || !bytes.HasPrefix(content, got) {
				t.Fatalf("a follower read %d bytes that are not the beginning of the content", len(got))
			}
		}})
		if err != nil {
			t.Fatalf("append: %v", err)
		}
		requireUpload(t, s, name, content)
		requireBytes(t, drain(t, before), content[500:1000])
	}},
	{"an aborted upload is unknown, and may begin anew", func(t *testing.T, s blob.Store) {
		name := newName()
		appendBytes(t, s, name, 0, []byte("abc"))
		for range 2 { // the second is of an unknown one
			if err := s.Abort(background, name); err != nil {
				t.Fatalf("abort: %v", err)
			}
		}
		requireEmpty(t, s)
		requireError(t, "commit", s.Commit(background, name, digest.FromString("abc")), blob.ErrUploadUnknown)
		_, err := s.Append(background, name, 3, bytes.NewReader([]byte("def")))
		requireError(t, "append", err, blob.ErrUploadUnknown)
		appendBytes(t, s, name, 0, []byte("xyz"))
		requireUpload(t, s, name, []byte("xyz"))
	}},
}

// withEmptyReads lets every second Read return nothing, as an io.Reader may.
func withEmptyReads(src io.Reader) io.Reader { return &emptyReads{src: src} }

type emptyReads struct {
	src   io.Reader
	empty bool
}

func (r *emptyReads) Read(p []byte) (int, error) {
	if r.empty = !r.empty; r.empty {
		return 0, nil
	}
	return r.src.Read(p[:min(len(p), 100)])
}

// cancelling cancels after some Reads of at most 1000 bytes.
type cancelling struct {
	src    io.Reader
	left   int
	cancel func()
}

func (c *cancelling) Read(p []byte) (int, error) {
	if c.left--; c.left == 0 {
		c.cancel()
	}
	return c.src.Read(p[:min(len(p), 1000)])
}

// watched calls look before each Read.
type watched struct {
	src  io.Reader
	look func()
}

func (w *watched) Read(p []byte) (int, error) {
	w.look()
	return w.src.Read(p)
}
