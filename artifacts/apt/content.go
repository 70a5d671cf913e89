package apt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
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
	return door.ServeContent(w, r, string(d), f.modified, content)
}

// sendText answers with a text that was made for the request.
func sendText(w http.ResponseWriter, r *http.Request, mediaType, cache string, text []byte) error {
	hash := sha256.Sum256(text)
	describe(w.Header(), mediaType, hex.EncodeToString(hash[:]), cache)
	return door.ServeContent(w, r, "a text", time.Time{}, bytes.NewReader(text))
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

// lost turns the word that a blob is not there into a fault: what the catalog names must be.
func lost(err error, what string) error {
	if registry.Code(err) == registry.BlobUnknown {
		return fmt.Errorf("%s is lost: %v", what, err)
	}
	return err
}
