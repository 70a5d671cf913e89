package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/entrepot/entrepot/storage/blob"
)

// Resume implements [blob.Intake]. The reader ends with ctx. While an Append of this process runs it reads also what that has received and not yet sent.
// It goes on when the upload is committed meanwhile, if the upload's name tells as what.
func (s *Store) Resume(ctx context.Context, upload string, offset int64) (io.ReadCloser, error) {
	if err := firstOf(ctx.Err(), blob.CheckUpload(upload), blob.CheckOffset(offset)); err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	if g, end := s.follow(upload); g != nil {
		return &following{s: s, ctx: ctx, name: upload, g: g, at: offset, end: end, left: reopenings}, nil
	}
	u, err := s.find(ctx, upload)
	if err == nil && !u.known {
		err = blob.ErrUploadUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("resume upload %s: %w", upload, err)
	}
	return &following{s: s, ctx: ctx, name: upload, g: &growing{pieces: u.pieces}, at: offset, end: u.size(), left: reopenings}, nil
}

// following reads an upload piece by piece.
type following struct {
	s       *Store
	ctx     context.Context
	name    string
	g       *growing
	at, end int64
	body    io.ReadCloser // what is being read, nil between pieces
	left    int           // how often in a row it is looked for again
}

// Read implements [io.Reader].
func (f *following) Read(b []byte) (int, error) {
	for f.at < f.end {
		if err := f.ctx.Err(); err != nil {
			return 0, err
		}
		if len(b) == 0 {
			return 0, nil // and not: nothing is there
		}
		n, err := f.readOn(b[:min(int64(len(b)), f.end-f.at)])
		if n > 0 {
			f.at += int64(n)
			f.left = reopenings
			return n, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read upload %s at %d: %w", f.name, f.at, err)
		}
	}
	return 0, io.EOF
}

// readOn reads what comes next. Neither bytes nor an error: it is to be called again.
func (f *following) readOn(b []byte) (int, error) {
	if f.body == nil {
		n, in := f.g.look(b, f.at)
		if n > 0 {
			return n, nil
		}
		if in == nil {
			return 0, f.lookAgain()
		}
		body, err := f.s.download(f.ctx, in.key, f.at-in.start, in.size)
		if errors.Is(err, blob.ErrNotFound) {
			return 0, f.lookAgain()
		}
		if err != nil {
			return 0, err
		}
		f.body = body
	}
	n, err := f.body.Read(b)
	if n > 0 || err == nil {
		return n, nil
	}
	f.body.Close()
	f.body = nil
	if err == io.EOF || errors.Is(err, blob.ErrNotFound) { // deleted while the download was to be taken up again
		return 0, nil
	}
	return 0, err
}

// lookAgain finds out where the bytes are now: taken up by another piece, or committed.
func (f *following) lookAgain() error {
	if f.left--; f.left < 0 {
		return errors.New("its pieces change faster than they can be read")
	}
	if g, _ := f.s.follow(f.name); g != nil && g != f.g {
		f.g = g
		return nil
	}
	u, err := f.s.find(f.ctx, f.name)
	if err != nil {
		return err
	}
	if u.known {
		f.g = &growing{pieces: u.pieces}
		if u.size() <= f.at {
			return io.ErrUnexpectedEOF // it was shortened
		}
		return nil
	}
	d := blob.Expected(f.name)
	if d == "" {
		return blob.ErrUploadUnknown
	}
	body, err := f.s.download(f.ctx, f.s.blobKey(d), f.at, -1)
	if errors.Is(err, blob.ErrNotFound) {
		return blob.ErrUploadUnknown
	}
	if err != nil {
		return err
	}
	f.body = body
	return nil
}

// Close implements [io.Closer].
func (f *following) Close() error {
	if f.body == nil {
		return nil
	}
	return f.body.Close()
}
