package api

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/registry"
)

// postUpload begins an upload, takes a whole blob, or mounts one (distribution-spec, "Pushing blobs").
func (a *API) postUpload(w http.ResponseWriter, r *http.Request, c call) error {
	q := c.query
	if mount := q.Get("mount"); mount != "" {
		mounted, err := a.mount(r, c, digest.Digest(mount), q.Get("from"))
		if err != nil {
			return err
		}
		if mounted {
			return created(w, c.name, digest.Digest(mount))
		}
		return a.begin(w, r, c, digest.Digest(mount).Algorithm())
	}
	if d := q.Get("digest"); d != "" {
		err := a.receive(w, r, func(body io.Reader) error {
			return a.registry.PutBlob(a.by(r, c), c.name, digest.Digest(d), r.ContentLength, body)
		})
		if err != nil {
			return err
		}
		return created(w, c.name, digest.Digest(d))
	}
	return a.begin(w, r, c, digest.Algorithm(q.Get("digest-algorithm")))
}

func (a *API) begin(w http.ResponseWriter, r *http.Request, c call, algorithm digest.Algorithm) error {
	if algorithm != "" && !registry.ValidAlgorithm(algorithm) {
		return &registry.Error{Code: registry.DigestInvalid, Detail: map[string]string{"algorithm": clip(string(algorithm)), "hint": "use sha256 or sha512"}}
	}
	up, err := a.registry.Begin(a.by(r, c), c.name, algorithm)
	if err != nil {
		return err
	}
	return progress(w, c.name, up.ID, 0, http.StatusAccepted)
}

// mount tries to take a blob from another repository, one that the caller may pull from.
func (a *API) mount(r *http.Request, c call, d digest.Digest, from string) (bool, error) {
	if !registry.ValidDigest(string(d)) {
		return false, &registry.Error{Code: registry.DigestInvalid, Detail: map[string]string{"digest": clip(string(d))}}
	}
	may := func(repo string) bool { return a.policy.Allow(r.Context(), c.who, auth.Pull, repo) == nil }
	return a.registry.Mount(a.by(r, c), c.name, d, from, may)
}

// patchUpload takes a chunk, or a stream of unknown length (distribution-spec, "Pushing a blob in chunks").
func (a *API) patchUpload(w http.ResponseWriter, r *http.Request, c call) error {
	offset, length, err := contentRange(r)
	if err != nil {
		return err
	}
	var size int64
	err = a.receive(w, r, func(body io.Reader) (err error) {
		size, err = a.registry.Append(a.by(r, c), c.name, c.last, offset, length, body)
		return err
	})
	if err != nil {
		return a.behind(w, r, c, err)
	}
	return progress(w, c.name, c.last, size, http.StatusAccepted)
}

// putUpload takes the last chunk, if there is one, and closes the upload.
func (a *API) putUpload(w http.ResponseWriter, r *http.Request, c call) error {
	d := digest.Digest(c.query.Get("digest"))
	if d == "" {
		return &registry.Error{Code: registry.DigestInvalid, Detail: map[string]string{"hint": "close an upload with ?digest=<the whole blob's digest>"}}
	}
	offset, length, err := contentRange(r)
	if err != nil {
		return err
	}
	err = a.receive(w, r, func(body io.Reader) error {
		if r.ContentLength == 0 {
			body, length = nil, -1
		}
		return a.registry.Finish(a.by(r, c), c.name, c.last, offset, length, body, d)
	})
	if err != nil {
		return a.behind(w, r, c, err)
	}
	return created(w, c.name, d)
}

// receive counts a request that sends content.
func (a *API) receive(w http.ResponseWriter, r *http.Request, take func(io.Reader) error) error {
	a.metrics.inFlight.Inc()
	defer a.metrics.inFlight.Dec()
	body := a.body(w, r)
	err := take(body)
	a.metrics.received.Add(float64(body.bytes))
	return err
}

// behind adds to a refused chunk where the upload goes on.
func (a *API) behind(w http.ResponseWriter, r *http.Request, c call, err error) error {
	if registry.Code(err) == registry.RangeInvalid {
		if up, upErr := a.registry.Upload(r.Context(), c.name, c.last); upErr == nil {
			setProgress(w.Header(), c.name, c.last, up.Size)
		}
	}
	return err
}

// getUpload tells how far an upload has come.
func (a *API) getUpload(w http.ResponseWriter, r *http.Request, c call) error {
	up, err := a.registry.Upload(r.Context(), c.name, c.last)
	if err != nil {
		return err
	}
	return progress(w, c.name, c.last, up.Size, http.StatusNoContent)
}

// deleteUpload cancels an upload (distribution-spec, "Cancel a blob upload").
func (a *API) deleteUpload(w http.ResponseWriter, r *http.Request, c call) error {
	if err := a.registry.Cancel(a.by(r, c), c.name, c.last); err != nil {
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
	bad := &refusal{
		answer: answer{http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "Content-Range invalid"},
		detail: map[string]string{"Content-Range": clip(value), "hint": "use <first>-<last>, both inclusive, as long as Content-Length says"},
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
