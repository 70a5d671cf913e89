package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// postUpload begins an upload, takes a whole blob, or mounts one (distribution-spec, "Pushing blobs").
func (a *API) postUpload(w http.ResponseWriter, r *http.Request, c door.Call) error {
	q := c.Query
	if mount := q.Get("mount"); mount != "" {
		mounted, err := a.mount(r, c, digest.Digest(mount), door.Repository(q.Get("from")))
		if err != nil {
			return err
		}
		if mounted {
			return created(w, c.On, digest.Digest(mount))
		}
		return a.begin(w, r, c, digest.Digest(mount).Algorithm())
	}
	if d := q.Get("digest"); d != "" {
		err := c.Receive(w, r, func(body *door.Body) error {
			return a.registry.PutBlob(c.By(r), c.On, digest.Digest(d), r.ContentLength, body)
		})
		if err != nil {
			return err
		}
		return created(w, c.On, digest.Digest(d))
	}
	return a.begin(w, r, c, digest.Algorithm(q.Get("digest-algorithm")))
}

func (a *API) begin(w http.ResponseWriter, r *http.Request, c door.Call, algorithm digest.Algorithm) error {
	if algorithm != "" && !registry.ValidAlgorithm(algorithm) {
		return &registry.Error{Code: registry.DigestInvalid, Detail: map[string]string{"algorithm": auth.Clip(string(algorithm)), "hint": "use sha256 or sha512"}}
	}
	up, err := a.registry.Begin(c.By(r), c.On, algorithm)
	if err != nil {
		return err
	}
	return progress(w, c.On, up.ID, 0, http.StatusAccepted)
}

// mount tries to take a blob from another repository, one that the caller may pull from.
func (a *API) mount(r *http.Request, c door.Call, d digest.Digest, from string) (bool, error) {
	if !registry.ValidDigest(string(d)) {
		return false, &registry.Error{Code: registry.DigestInvalid, Detail: map[string]string{"digest": auth.Clip(string(d))}}
	}
	may := func(repo string) bool { return c.May(r.Context(), auth.Pull, repo) && a.shows(r.Context(), repo) }
	return a.registry.Mount(c.By(r), c.On, d, from, may)
}

// patchUpload takes a chunk, or a stream of unknown length (distribution-spec, "Pushing a blob in chunks").
func (a *API) patchUpload(w http.ResponseWriter, r *http.Request, c door.Call) error {
	offset, length, err := contentRange(r)
	if err != nil {
		return err
	}
	var size int64
	err = c.Receive(w, r, func(body *door.Body) (err error) {
		size, err = a.registry.Append(c.By(r), c.On, c.Last, offset, length, body)
		return err
	})
	if err != nil {
		return a.behind(w, r, c, err)
	}
	return progress(w, c.On, c.Last, size, http.StatusAccepted)
}

// putUpload takes the last chunk, if there is one, and closes the upload.
func (a *API) putUpload(w http.ResponseWriter, r *http.Request, c door.Call) error {
	d := digest.Digest(c.Query.Get("digest"))
	if d == "" {
		return &registry.Error{Code: registry.DigestInvalid, Detail: map[string]string{"hint": "close an upload with ?digest=<the whole blob's digest>"}}
	}
	offset, length, err := contentRange(r)
	if err != nil {
		return err
	}
	err = c.Receive(w, r, func(body *door.Body) error {
		if r.ContentLength == 0 {
			return a.registry.Finish(c.By(r), c.On, c.Last, offset, -1, nil, d)
		}
		return a.registry.Finish(c.By(r), c.On, c.Last, offset, length, body, d)
	})
	if err != nil {
		return a.behind(w, r, c, err)
	}
	return created(w, c.On, d)
}

// behind adds to a refused chunk where the upload goes on.
func (a *API) behind(w http.ResponseWriter, r *http.Request, c door.Call, err error) error {
	if registry.Code(err) == registry.RangeInvalid {
		if up, upErr := a.registry.Upload(c.By(r), c.On, c.Last); upErr == nil {
			setProgress(w.Header(), c.On, c.Last, up.Size)
		}
	}
	return err
}

// getUpload tells how far an upload has come.
func (a *API) getUpload(w http.ResponseWriter, r *http.Request, c door.Call) error {
	up, err := a.registry.Upload(c.By(r), c.On, c.Last)
	if err != nil {
		return err
	}
	return progress(w, c.On, c.Last, up.Size, http.StatusNoContent)
}

// deleteUpload cancels an upload (distribution-spec, "Cancel a blob upload").
func (a *API) deleteUpload(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := a.registry.Cancel(c.By(r), c.On, c.Last); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// contentRange returns where a chunk begins and how long it is; -1 means that the client did not say.
func contentRange(r *http.Request) (offset, length int64, err error) {
	length = r.ContentLength
	value := r.Header.Get("Content-Range")
	if value == "" {
		return -1, length, nil
	}
	bad := &door.Refusal{
		Answer: door.Answer{Status: http.StatusRequestedRangeNotSatisfiable, Code: "BLOB_UPLOAD_INVALID", Message: "Content-Range invalid"},
		Detail: map[string]string{"Content-Range": auth.Clip(value), "hint": "use <first>-<last>, both inclusive, as long as Content-Length says"},
	}
	// Some clients write it as in an answer: "bytes 0-9/*".
	value = strings.TrimPrefix(strings.TrimPrefix(value, "bytes "), "bytes=")
	value, _, _ = strings.Cut(value, "/")
	from, to, found := strings.Cut(value, "-")
	first, err1 := strconv.ParseUint(from, 10, 63)
	last, err2 := strconv.ParseUint(to, 10, 62)
	if !found || err1 != nil || err2 != nil {
		return 0, 0, bad
	}
	switch n := int64(last) - int64(first) + 1; {
	case n < 0, n == 0 && length != 0:
		return 0, 0, bad
	case length < 0:
		length = n
	case length == 0 && n == 1: // "0-0" is how some say that nothing comes
	case n != length:
		return 0, 0, bad
	}
	return int64(first), length, nil
}

// created answers that a blob is here.
func created(w http.ResponseWriter, name string, d digest.Digest) error {
	h := w.Header()
	h.Set("Location", "/v2/"+name+"/blobs/"+string(d))
	h.Set("Docker-Content-Digest", string(d))
	h["Content-Length"] = []string{"0"}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func progress(w http.ResponseWriter, name, id string, size int64, status int) error {
	h := w.Header()
	setProgress(h, name, id, size)
	if status != http.StatusNoContent {
		h["Content-Length"] = []string{"0"}
	}
	w.WriteHeader(status)
	return nil
}

// setProgress tells where an upload goes on. The path carries all that is needed to find it again: some clients drop a Location's query.
func setProgress(h http.Header, name, id string, size int64) {
	h.Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	h.Set("Range", "0-"+strconv.FormatInt(max(size-1, 0), 10))
	h.Set("Docker-Upload-UUID", id)
}
