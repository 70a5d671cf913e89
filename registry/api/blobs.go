package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// getBlob serves a blob, whole or in ranges (distribution-spec, "Pulling blobs"; RFC 9110, section 14), or sends the client to where it lies.
func (a *API) getBlob(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if linking, ok := a.source.(registry.Linking); ok {
		link, err := linking.LinkBlob(a.reading(r, c), c.On, digest.Digest(c.Last))
		if err != nil {
			return err
		}
		if link != "" {
			describeBlob(w.Header(), digest.Digest(c.Last))
			w.Header()["Location"] = []string{link}
			w.Header()["Cache-Control"] = []string{"no-store"} // the link is somebody's, and ends
			w.WriteHeader(http.StatusTemporaryRedirect)
			return nil
		}
	}
	info, content, err := a.source.OpenBlob(a.reading(r, c), c.On, digest.Digest(c.Last))
	if err != nil {
		return err
	}
	defer content.Close()
	describeBlob(w.Header(), info.Digest)
	return door.ServeContent(w, r, "blob "+string(info.Digest), time.Time{}, content)
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
	} else if err != nil && !(a.fetches && registry.Code(err) == registry.BlobUnknown) { // what is still elsewhere cannot be swept away here
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
