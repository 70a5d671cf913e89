package apt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

const plain = "text/plain; charset=utf-8"

// file says what an answer is, besides its content.
type file struct {
	mediaType string
	modified  time.Time // zero: when the content was stored, if the medium knows
	fixed     bool      // the path never names anything else
}

// send answers with a blob of a repository, whole or in ranges (RFC 9110, section 14).
func (v *view) send(w http.ResponseWriter, r *http.Request, c door.Call, repo string, d digest.Digest, f file) error {
	_, content, err := v.registry.OpenBlob(r.Context(), repo, d)
	if err != nil {
		return err
	}
	defer content.Close()
	if f.modified.IsZero() {
		f.modified = stored(content)
	}
	describe(w.Header(), f.mediaType, d.Encoded(), caching(c, f.fixed))
	out := &watched{ResponseWriter: w}
	http.ServeContent(out, r, "", f.modified, content)
	return out.outcome(r.Context(), r.Method, d)
}

// sendText answers with a text that was made for the request.
func sendText(w http.ResponseWriter, r *http.Request, mediaType, cache string, text []byte) error {
	hash := sha256.Sum256(text)
	describe(w.Header(), mediaType, hex.EncodeToString(hash[:]), cache)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	return nil
}

// describe sets the headers that all answers have. Content is a stranger's: no browser shall take it for a page of ours.
func describe(h http.Header, mediaType, hash, cache string) {
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Etag", `"`+hash+`"`)
	h.Set("Cache-Control", cache)
}

// What caches are told of what changes under its path, and of what is not the same for everybody, too.
const (
	askAgain = "no-cache"
	private  = "private, no-cache"
)

// caching says what caches may do with content. Who is nobody in particular got it because everybody does.
func caching(c door.Call, fixed bool) string {
	switch {
	case !fixed:
		return askAgain
	case c.Who.Anonymous():
		return "public, max-age=31536000, immutable"
	}
	return "private, max-age=31536000, immutable"
}

// stored returns when content was stored, if that is known. apt goes on with what broke off only if the answer says a date.
func stored(content io.ReadSeekCloser) time.Time {
	if f, ok := content.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := f.Stat(); err == nil {
			return info.ModTime()
		}
	}
	return time.Time{}
}

// watched is an answer of [http.ServeContent] that tells whether all that was announced was sent. It passes ReadFrom on, so that a file goes out by sendfile.
type watched struct {
	http.ResponseWriter
	want, sent int64
	err        error
}

func (s *watched) WriteHeader(status int) {
	if status < http.StatusMultipleChoices {
		s.want, _ = strconv.ParseInt(s.Header().Get("Content-Length"), 10, 64)
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *watched) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p)
	s.note(int64(n), err)
	return n, err
}

func (s *watched) ReadFrom(src io.Reader) (n int64, err error) {
	to, ok := s.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{s}, src)
	}
	n, err = to.ReadFrom(src)
	s.note(n, err)
	return n, err
}

func (s *watched) note(n int64, err error) {
	s.sent += n
	if s.err == nil {
		s.err = err
	}
}

// outcome is nil when everything was sent, or when it is the client who left.
func (s *watched) outcome(ctx context.Context, method string, d digest.Digest) error {
	var gone *net.OpError
	if s.sent >= s.want || method == http.MethodHead || ctx.Err() != nil || errors.As(s.err, &gone) {
		return nil
	}
	if s.err == nil {
		s.err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("send %s: %d of %d bytes: %w", d, s.sent, s.want, s.err)
}

// lost turns the word that a blob is not there into a fault: what the catalog names must be.
func lost(err error, what string) error {
	if registry.Code(err) == registry.BlobUnknown {
		return fmt.Errorf("%s is lost: %v", what, err)
	}
	return err
}
