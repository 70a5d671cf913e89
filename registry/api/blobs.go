package api

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// getBlob serves a blob, whole or in ranges (distribution-spec, "Pulling blobs"; RFC 9110, section 14).
func (a *API) getBlob(w http.ResponseWriter, r *http.Request, c door.Call) error {
	info, content, err := a.source.OpenBlob(a.reading(r, c), c.On, digest.Digest(c.Last))
	if err != nil {
		return err
	}
	defer content.Close()
	describeBlob(w.Header(), info.Digest)
	out := &served{ResponseWriter: w}
	http.ServeContent(out, r, "", time.Time{}, content)
	return out.outcome(r, info.Digest)
}

// served is an answer of [http.ServeContent], whose own words for errors are not ours: it keeps its 416 back, and tells whether all of the
// content was sent.
type served struct {
	http.ResponseWriter
	beyond bool  // the range asked for lies beyond the content
	want   int64 // bytes announced
	sent   int64
	err    error
}

func (s *served) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *served) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable {
		s.beyond = true
		return
	}
	s.want, _ = strconv.ParseInt(s.Header().Get("Content-Length"), 10, 64)
	s.ResponseWriter.WriteHeader(status)
}

func (s *served) Write(p []byte) (int, error) {
	if s.beyond {
		return len(p), nil
	}
	n, err := s.ResponseWriter.Write(p)
	s.note(int64(n), err)
	return n, err
}

func (s *served) ReadFrom(src io.Reader) (int64, error) {
	n, err := s.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
	s.note(n, err)
	return n, err
}

func (s *served) note(n int64, err error) {
	s.sent += n
	if s.err == nil {
		s.err = err
	}
}

// outcome is nil when everything was sent, or when it is the client who left.
func (s *served) outcome(r *http.Request, d digest.Digest) error {
	if s.beyond {
		return &door.Refusal{Answer: noSuchRange, Detail: map[string]string{"digest": string(d), "hint": "Content-Range tells the size"}}
	}
	var gone *net.OpError
	if s.sent >= s.want || r.Method == http.MethodHead || r.Context().Err() != nil || errors.As(s.err, &gone) {
		return nil
	}
	if s.err == nil {
		s.err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("send blob %s: %d of %d bytes: %w", d, s.sent, s.want, s.err)
}

// headBlob tells of a blob (distribution-spec, "Checking if content exists in the registry"). Since a client may skip its upload because
// of this answer, the answer is recorded.
func (a *API) headBlob(w http.ResponseWriter, r *http.Request, c door.Call) error {
	info, err := a.source.Blob(a.reading(r, c), c.On, digest.Digest(c.Last))
	if err != nil {
		return err
	}
	if err := a.registry.Rely(r.Context(), info.Digest); registry.Code(err) == registry.Full {
		c.Warn("that a client relies on a blob is not recorded", "digest", info.Digest, "err", err) // reading goes on without room
	} else if err != nil {
		return err
	}
	h := w.Header()
	describeBlob(h, info.Digest)
	if notModified(w, r, info.Digest) {
		return nil
	}
	h["Content-Length"] = []string{strconv.FormatInt(info.Size, 10)}
	h["Accept-Ranges"] = []string{"bytes"}
	w.WriteHeader(http.StatusOK)
	return nil
}

// describeBlob sets what GET and HEAD have in common. Content under a digest never changes, so caches may keep it. The content is a
// stranger's: no browser shall take it for a page of ours.
func describeBlob(h http.Header, d digest.Digest) {
	h["Content-Type"] = []string{"application/octet-stream"}
	h["Docker-Content-Digest"] = []string{string(d)}
	h["Etag"] = []string{`"` + string(d) + `"`}
	h["Cache-Control"] = []string{"private, max-age=31536000, immutable"}
	h["X-Content-Type-Options"] = nosniff
}

// deleteBlob takes a blob from the repository (distribution-spec, "Deleting Blobs").
func (a *API) deleteBlob(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := a.registry.DeleteBlob(c.By(r), c.On, digest.Digest(c.Last)); err != nil {
		return err
	}
	return accepted(w)
}
