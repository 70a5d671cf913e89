package tree

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/door"
)

// serve sends a file of a version.
func (t *Tree) serve(w http.ResponseWriter, r *http.Request, c door.Call, in content, i item) error {
	if i.image != nil {
		return t.sendImage(w, r, c, in, i)
	}
	return t.send(w, r, c, in.component, i)
}

// send sends a file whose content is the item's own, or a blob of the repository, whole or in ranges.
func (t *Tree) send(w http.ResponseWriter, r *http.Request, c door.Call, repo string, i item) error {
	var content io.ReadSeeker = strings.NewReader(i.text)
	if !i.document {
		_, blob, err := t.registry.OpenBlob(r.Context(), repo, i.digest)
		if err != nil {
			return lost(err, i.path+" of "+repo)
		}
		defer blob.Close()
		content = blob
	}
	h := w.Header()
	i.describe(h)
	h.Set("Etag", `"`+string(i.digest)+`"`)
	h.Set("Cache-Control", caching(c, !i.document))
	describeDigest(h, i.digest)
	return door.ServeContent(w, r, i.path+" of "+repo, i.modified, content)
}

// describe says what a file is. It is a stranger's: no browser shall take it for a page of ours, or run it.
func (i *item) describe(h http.Header) {
	h.Set("Content-Type", safeType(i.mediaType))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	if !i.document {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(i.path)}))
	}
}

// describeDigest tells a digest as RFC 9530 has it, and as older programs read it.
func describeDigest(h http.Header, d digest.Digest) {
	raw, err := hex.DecodeString(d.Encoded())
	if err != nil {
		return
	}
	name := d.Algorithm().String()
	h.Set("Repr-Digest", strings.Replace(name, "sha", "sha-", 1)+"=:"+base64.StdEncoding.EncodeToString(raw)+":")
	h.Set("X-Checksum-S"+name[1:], d.Encoded())
}

// caching says what caches may do with an answer. Who is nobody in particular got it because everybody does.
func caching(c door.Call, fixed bool) string {
	scope := "private"
	if c.Who.Anonymous() {
		scope = "public"
	}
	switch {
	case fixed:
		return scope + ", max-age=31536000, immutable"
	case scope == "public":
		return "no-cache"
	}
	return "private, no-cache"
}

// safeTypes are the media types, besides vendors' own, that nothing but a program that was told to makes something of.
var safeTypes = map[string]bool{
	"application/gzip": true, "application/json": true, "application/octet-stream": true, "application/pgp-signature": true, "application/tar": true,
	"application/x-gzip": true, "application/x-tar": true, "application/x-xz": true, "application/yaml": true, "application/zip": true, "application/zstd": true,
}

const plainText = "text/plain; charset=utf-8"

// safeType returns a media type as it may be told to a browser, without what somebody may have put behind it.
func safeType(given string) string {
	parsed, _, err := mime.ParseMediaType(given)
	vendors := strings.HasPrefix(parsed, "application/vnd.") && len(parsed) <= 127 && !strings.HasSuffix(parsed, "xml")
	switch {
	case err != nil:
	case parsed == "text/plain":
		return plainText
	case safeTypes[parsed], vendors:
		return parsed
	}
	return "application/octet-stream"
}
