package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/intake"
)

// standstill is how long an upload may stand still.
const standstill = 5 * time.Minute

// upload sends files to one version.
type upload struct {
	client    *client
	app       *app
	ref       componentRef
	path      string     // what stands before the files' names
	query     url.Values // that goes with each
	mediaType string
}

// all sends every file, also behind one that failed, and says where each is now.
func (u upload) all(ctx context.Context, files []string) error {
	p := newProgress(u.app.stderr)
	defer p.close()
	return u.app.each(ctx, files, func(file string) error {
		kept, err := u.send(ctx, p, file)
		if err != nil {
			return explainAll(err, "push %s to %s", printable(file), u.ref)
		}
		said := "pushed %s to %s:%s@%s\n"
		if kept.Same {
			said = "%s is there already: %s:%s@%s\n"
		}
		fmt.Fprintf(u.app.stdout, said, printable(kept.Name), printable(kept.Repo), printable(kept.Tag), printable(kept.Digest.String()))
		return nil
	})
}

func (u upload) send(ctx context.Context, p *progress, name string) (kept intake.Kept, err error) {
	f, err := os.Open(name)
	if err != nil {
		return kept, err
	}
	defer f.Close()
	d, err := describeFile(f, u.mediaType)
	if err != nil {
		return kept, err
	}
	if _, err := u.client.open(); err != nil {
		return kept, err
	}
	p.expect([]ocispec.Descriptor{d})
	t := p.begin(d)
	// A file that has nothing left to read is no upload that stands still: then the server is at work, and has its own time.
	ctx, still := watchUpload(ctx, standstill)
	defer still.stop()
	address := u.client.address(u.ref.server, u.path+url.PathEscape(filepath.Base(name)), u.query)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, address, still.over(t.count(io.LimitReader(f, d.Size))))
	if err == nil {
		req.ContentLength = d.Size
		req.Header.Set("Content-Type", d.MediaType)
		req.Header.Set("X-Checksum-Sha256", d.Digest.Encoded())
		req.Header.Set("Expect", "100-continue") // who may not, is told before anything is sent
		if d.Size == 0 {
			req.Body = http.NoBody
		}
		kept, err = u.put(req)
	}
	if err == nil && kept.File != d.Digest {
		err = fmt.Errorf("it is %s here and %s there; push it again under another version", d.Digest, kept.File)
	}
	outcome := "pushed"
	if kept.Same {
		outcome = "exists"
	}
	t.end(outcome, err)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStandstill) {
		err = cause
	}
	return kept, err
}

func (u upload) put(req *http.Request) (kept intake.Kept, err error) {
	res, err := u.client.sendOwn(req)
	if err != nil {
		return kept, err
	}
	defer res.Body.Close()
	if err := refused(res); err != nil {
		return kept, err
	}
	if err := readJSON(io.LimitReader(res.Body, answerLimit), &kept); err != nil {
		return kept, notAsAsked(req.URL.Host, err)
	}
	return kept, nil
}

// describeFile reads a file to its end and goes back to its begin.
func describeFile(f *os.File, mediaType string) (d ocispec.Descriptor, err error) {
	info, err := f.Stat()
	if err != nil {
		return d, err
	}
	if !info.Mode().IsRegular() {
		return d, errors.New("it is no plain file")
	}
	sum := digest.SHA256.Hash()
	size, err := io.Copy(sum, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(sum.Sum(nil))), Size: size}, err
}

// each does something with every argument, also behind one that failed. Each failure is told when it happens, and the exit status tells of them at the end.
func (a *app) each(ctx context.Context, args []string, do func(arg string) error) error {
	failed := false
	for _, arg := range args {
		err := do(arg)
		if err == nil {
			continue
		}
		if ctx.Err() != nil || len(args) == 1 {
			return err
		}
		fmt.Fprintln(a.stderr, "entrepot: "+err.Error())
		failed = true
	}
	if failed {
		return errAnswered
	}
	return nil
}

var errStandstill = fmt.Errorf("nothing was sent for %s; look at the network, and try again", formatDuration(standstill))

// watched ends what reads nothing for too long.
type watched struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
	most   time.Duration
	io.Reader
}

func watchUpload(ctx context.Context, most time.Duration) (context.Context, *watched) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watched{timer: time.AfterFunc(most, func() { cancel(errStandstill) }), cancel: cancel, most: most}
}

func (w *watched) over(r io.Reader) io.Reader {
	w.Reader = r
	return w
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil {
		w.timer.Stop()
	} else {
		w.timer.Reset(w.most)
	}
	return n, err
}

func (w *watched) stop() {
	w.timer.Stop()
	w.cancel(nil)
}
