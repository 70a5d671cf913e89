package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/entrepot/entrepot/artifacts/tree"
)

// ask asks for a folder.
func (e *exporter) ask(ctx context.Context, dir string, query url.Values, into *tree.Listing) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	res, err := e.send(ctx, dir+"/", query)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	*into = tree.Listing{}
	if err := readJSON(io.LimitReader(res.Body, exportListLimit), into); err != nil {
		return notAsAsked(e.server, err)
	}
	return nil
}

// exportListLimit is the longest list of a folder, in bytes.
const exportListLimit = 64 << 20

// send asks for something of the tree. The caller closes the body.
func (e *exporter) send(ctx context.Context, name string, query url.Values) (*http.Response, error) {
	if _, err := e.client.open(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.address(name, query), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	res, err := e.client.sendOwn(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		return nil, refused(res)
	}
	return res, nil
}

// has tells whether a file is there and right.
func (e *exporter) has(name string, entry tree.Entry) (bool, error) {
	info, err := e.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !info.Mode().IsRegular() || entry.Size != nil && info.Size() != *entry.Size {
		return false, err
	}
	f, err := e.root.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return checkExported(f, name, entry) == nil, nil // what cannot be read is written anew
}

// fetch fetches a file, and gives it its name when it is known to be right.
func (e *exporter) fetch(ctx context.Context, name string, entry tree.Entry) (n int64, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	res, err := e.send(ctx, name, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	size := res.ContentLength
	if entry.Size != nil {
		size = *entry.Size
	}
	if size < 0 {
		return 0, contentError("the server does not say how long it is")
	}
	body := &steadyBody{ctx: ctx, from: io.LimitReader(res.Body, size+1), timer: time.AfterFunc(exportStall, func() { stop(errStandsStill) })}
	defer body.timer.Stop()
	err = e.write(name, entry, func(f io.Writer) error {
		err := checkExported(io.TeeReader(body, f), name, entry)
		switch n = body.n; {
		case body.err != nil:
			return body.err
		case err != nil && !errors.As(err, new(*fs.PathError)) && !errors.As(err, new(contentError)): // it came whole, and is broken
			return contentError(err.Error())
		case err == nil && n != size:
			return contentError(fmt.Sprintf("it has not the %d bytes that the server says", size))
		}
		return err
	})
	return n, err
}

// write writes a file beside its place and then moves it there, so that a file under its name is always whole.
func (e *exporter) write(name string, entry tree.Entry, fill func(io.Writer) error) (err error) {
	if err := e.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	aside := path.Join(path.Dir(name), ".partial-"+rand.Text())
	f, err := e.root.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = e.root.Remove(aside)
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if !entry.Modified.IsZero() {
		if err := e.root.Chtimes(aside, entry.Modified, entry.Modified); err != nil {
			return err
		}
	}
	return e.root.Rename(aside, name)
}

// checkExported reads a file to its end and tells whether it is what the server's list says.
func checkExported(r io.Reader, name string, entry tree.Entry) error {
	switch {
	case entry.Digest != "":
		if err := entry.Digest.Validate(); err != nil {
			return contentError(fmt.Sprintf("the server says that its digest is %q", entry.Digest))
		}
		check := entry.Digest.Verifier()
		if _, err := io.Copy(check, r); err != nil {
			return err
		}
		if !check.Verified() {
			return contentError("it has not the digest that the server says; if it was changed just now, run the export again")
		}
		return nil
	case entry.Image != "":
		return checkImageTar(r, imageName(name), entry.Image)
	}
	return contentError("the server does not say its digest, by which it could be checked")
}

const exportStall = 2 * time.Minute

var errStandsStill = errors.New("the server has sent nothing for two minutes")

// steadyBody is a body that must not stand still. It counts.
type steadyBody struct {
	ctx   context.Context
	from  io.Reader
	timer *time.Timer
	n     int64
	err   error // why it could not be read to its end
}

func (b *steadyBody) Read(p []byte) (int, error) {
	b.timer.Reset(exportStall)
	n, err := b.from.Read(p)
	b.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		if errors.Is(context.Cause(b.ctx), errStandsStill) {
			err = errStandsStill
		}
		b.err = err
	}
	return n, err
}
