package api

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// getManifest serves a manifest's exact bytes (distribution-spec, "Pulling manifests").
func (a *API) getManifest(w http.ResponseWriter, r *http.Request, c door.Call) error {
	ctx, notes := a.noting(a.reading(r, c))
	desc, body, err := a.source.Manifest(ctx, c.On, c.Last)
	if err != nil {
		return err
	}
	a.pulled(c.On, desc.Digest)
	describe(w.Header(), desc)
	warn(w.Header(), notes)
	if notModified(w, r, desc.Digest) {
		return nil
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
	return nil
}

// headManifest tells of a manifest (distribution-spec, "Checking if content exists in the registry").
func (a *API) headManifest(w http.ResponseWriter, r *http.Request, c door.Call) error {
	ctx, notes := a.noting(a.reading(r, c))
	desc, err := a.source.Resolve(ctx, c.On, c.Last)
	if err != nil {
		return err
	}
	describe(w.Header(), desc)
	warn(w.Header(), notes)
	if notModified(w, r, desc.Digest) {
		return nil
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// describe sets what GET and HEAD of a manifest have in common. Keys are written in canonical form, straight into the map.
func describe(h http.Header, desc ocispec.Descriptor) {
	d := string(desc.Digest)
	h["Content-Type"] = []string{desc.MediaType}
	h["Content-Length"] = []string{strconv.FormatInt(desc.Size, 10)}
	h["Docker-Content-Digest"] = []string{d}
	h["Etag"] = []string{`"` + d + `"`}
	h["X-Content-Type-Options"] = nosniff
}

// warn tells a client that what it gets may not be the newest (RFC 7234, section 5.5.1, which clients still know).
func warn(h http.Header, notes *registry.Notes) {
	if notes.Stale != "" {
		h["Warning"] = []string{`110 - ` + strconv.Quote(notes.Stale)}
	}
}

var nosniff = []string{"nosniff"}

// notModified answers 304 if the client has this content already (RFC 9110, section 13.1.2).
func notModified(w http.ResponseWriter, r *http.Request, d digest.Digest) bool {
	for _, value := range r.Header["If-None-Match"] {
		for tag := range strings.SplitSeq(value, ",") {
			tag = strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
			if tag == string(d) || tag == "*" {
				h := w.Header()
				delete(h, "Content-Length")
				delete(h, "Content-Type")
				w.WriteHeader(http.StatusNotModified)
				return true
			}
		}
	}
	return false
}

// putManifest stores a manifest (distribution-spec, "Pushing Manifests").
func (a *API) putManifest(w http.ResponseWriter, r *http.Request, c door.Call) error {
	body, err := a.receiveManifest(w, r, c)
	if err != nil {
		return err
	}
	tags := c.Query["tag"]
	if len(tags) > 0 && !strings.Contains(c.Last, ":") {
		return &door.Refusal{Answer: door.BadQuery, Detail: map[string]string{"parameter": "tag", "hint": "tags as parameters go with a push by digest"}}
	}
	if len(tags) > maxTags {
		return &door.Refusal{Answer: door.Answer{Status: http.StatusRequestURITooLong, Code: "UNSUPPORTED", Message: "too many tags in one request"}, Detail: map[string]int{"limit": maxTags}}
	}
	if err := a.mayTag(r, c, append([]string{c.Last}, tags...)); err != nil {
		return err
	}
	put, err := a.registry.PutManifest(c.By(r), registry.Put{
		Repo: c.On, Ref: c.Last, Tags: tags, ContentType: r.Header.Get("Content-Type"), Body: body,
		Judge: mayAttach(r, c), Guard: mayMove(r, c),
	})
	if err != nil {
		return err
	}
	h := stored(w, c.On, put.Descriptor.Digest)
	if put.Subject != "" {
		h["OCI-Subject"] = []string{string(put.Subject)} // as the specification spells it
	}
	if len(tags) > 0 {
		h["OCI-Tag"] = tags
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// stored sets what the answers about a stored manifest have in common.
func stored(w http.ResponseWriter, repo string, d digest.Digest) http.Header {
	h := w.Header()
	h.Set("Location", "/v2/"+repo+"/manifests/"+string(d))
	h.Set("Docker-Content-Digest", string(d))
	h["Content-Length"] = []string{"0"}
	return h
}

// receiveManifest reads a manifest.
func (a *API) receiveManifest(w http.ResponseWriter, r *http.Request, c door.Call) (body []byte, err error) {
	limit := a.registry.ManifestBytes()
	if r.ContentLength > limit {
		return nil, &registry.Error{Code: registry.TooLarge, Detail: map[string]any{"limit": limit, "announced": r.ContentLength,
			"hint": "a manifest names content; put the content itself into blobs"}}
	}
	if r.ContentLength > 0 {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(c.Body(w, r), body)
	} else {
		body, err = io.ReadAll(io.LimitReader(c.Body(w, r), limit+1)) // one more than allowed shows that there is more
	}
	if err != nil {
		out := brokenOff
		if errors.Is(err, os.ErrDeadlineExceeded) {
			out = tooSlow
		}
		return nil, &door.Refusal{Answer: out, Detail: map[string]string{"hint": "push the manifest again"}, Cause: err}
	}
	return body, nil
}

// putDomainTag moves a tag that says what is deployed to a manifest that is here already: what `oras tag` does is a promotion.
func (a *API) putDomainTag(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if a.moves.IsLast(c.Last) {
		if err := c.Ask(r.Context(), auth.PromoteLast, c.On); err != nil {
			return err
		}
	}
	body, err := a.receiveManifest(w, r, c)
	if err != nil {
		return err
	}
	d := digest.FromBytes(body)
	if err := a.moves.MoveTag(c.By(r), c.On, c.Last, d, func(repo string) bool { return c.May(r.Context(), auth.Pull, repo) }); err != nil {
		return err
	}
	stored(w, c.On, d)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// maxTags is how many tags one push may set; the specification wants at least ten.
const maxTags = 100

// deleteManifest removes a tag, or a manifest with all its tags (distribution-spec, "Content Management").
func (a *API) deleteManifest(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var err error
	if strings.Contains(c.Last, ":") {
		err = a.registry.DeleteManifest(c.By(r), c.On, digest.Digest(c.Last), a.mayRemove(r, c))
	} else {
		err = a.registry.DeleteTag(c.By(r), c.On, c.Last, a.mayRemove(r, c))
	}
	if err != nil {
		return err
	}
	return accepted(w)
}

func accepted(w http.ResponseWriter) error {
	w.Header()["Content-Length"] = []string{"0"}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
