package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// place stores a blob in one step, in a store that can: its digest is known, and nobody reads it before it is there.
func (r *Registry) place(ctx context.Context, placer blob.Placer, repo string, d digest.Digest, u *upload, length int64, src io.Reader) error {
	h, err := newHash(d.Algorithm(), nil)
	if err != nil {
		return err
	}
	begin := make([]byte, 64)
	n, err := io.ReadFull(src, begin)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return &brokenSource{err}
	}
	if reserved(begin[:n]) {
		return errReserved()
	}
	in := &judging{src: io.MultiReader(bytes.NewReader(begin[:n]), src), h: h, d: d, length: length}
	known, err := r.alive(ctx, d)
	if errors.Is(err, errVanished) {
		return stillDying(d)
	}
	if err != nil {
		return err
	}
	u.inRow = false
	if known {
		// Only who has the content may have it; it is not stored twice.
		u.Size, err = io.Copy(io.Discard, in)
	} else {
		u.Size, err = placer.Place(ctx, d, in)
	}
	switch {
	case in.refused != nil:
		return in.refused
	case in.broken != nil:
		return &brokenSource{in.broken}
	case err != nil:
		return fault(err, "store blob %s", d)
	}
	return r.keep(ctx, repo, d, u)
}

// judging reads content, and ends with an error instead of io.EOF if it was not that of d.
type judging struct {
	src     io.Reader
	h       hash.Hash
	d       digest.Digest
	length  int64 // that was announced
	n       int64
	refused error // what was wrong with the content
	broken  error // why it did not come
}

func (j *judging) Read(p []byte) (int, error) {
	n, err := j.src.Read(p)
	j.h.Write(p[:n])
	j.n += int64(n)
	switch {
	case err != nil && err != io.EOF:
		j.broken = err
	case j.n > j.length || err == io.EOF && j.n < j.length:
		j.refused = &Error{Code: SizeInvalid, Detail: map[string]any{"announced": j.length, "received": j.n, "hint": "the upload did not have the length that was announced; push the blob again"}}
		return n, j.refused
	case err == io.EOF:
		if got := digest.NewDigest(j.d.Algorithm(), j.h); got != j.d {
			j.refused = mismatch(j.d, got, j.n)
			return n, j.refused
		}
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read what is pushed: %w", err)
	}
	return n, err
}

// LinkBlob returns an address from which whoever has it may read a blob of repo, without this registry; empty: the content has to be read here.
func (r *Registry) LinkBlob(ctx context.Context, repo string, d digest.Digest) (string, error) {
	linker, ok := r.blobs.(blob.Linker)
	if !ok || r.linkTTL == 0 {
		return "", nil
	}
	info, err := r.Blob(ctx, repo, d)
	if err != nil || info.Size <= smallBlob {
		return "", err
	}
	url, err := linker.Link(ctx, d, r.linkTTL)
	return url, fault(err, "link blob %s", d)
}
