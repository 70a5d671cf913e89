package api

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/opencontainers/go-digest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// Lists are written as they are read, so their length costs no memory; pages bound them all the same.
const (
	maxPage       = 10_000  // entries, whatever n asks for
	referrersPage = 4 << 20 // bytes: clients refuse a longer index
)

// getTags lists tags in byte order (distribution-spec, "Listing Tags").
func (a *API) getTags(w http.ResponseWriter, r *http.Request, c door.Call) error {
	n, last, err := page(c)
	if err != nil {
		return err
	}
	name, _ := json.Marshal(c.On)
	ctx, notes := registry.WithNotes(expecting(r, n))
	return writePage(w, r, a.source.Tags(ctx, c.On, last), n, `{"name":`+string(name)+`,"tags":[`, notes)
}

// getCatalog lists the repositories that the caller may pull from.
//
// Most clients send their credentials only when they are asked to: where somebody could log in, whoever has not is asked to, even if there is something for
// everybody to see. A token for nobody in particular is enough.
func (a *API) getCatalog(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := c.Ask(r.Context(), auth.Enter, ""); err != nil {
		return err
	}
	n, last, err := page(c)
	if err != nil {
		return err
	}
	all := a.registry.Repositories(expecting(r, n), last)
	visible := func(yield func(string, error) bool) {
		for repo, err := range all {
			if err == nil && !(c.Who.Scope.Lists(repo) && c.Owner(r.Context(), auth.Pull, repo) && a.shows(r.Context(), repo)) {
				continue
			}
			if !yield(repo, err) {
				return
			}
		}
	}
	return writePage(w, r, visible, n, `{"repositories":[`, &registry.Notes{})
}

// page reads n and last. No n means a full page of the largest size.
func page(c door.Call) (n int, last string, err error) {
	n = maxPage
	if value := c.Query.Get("n"); value != "" {
		asked, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return 0, "", &door.Refusal{Answer: door.BadQuery, Detail: map[string]string{"parameter": "n", "value": auth.Clip(value), "hint": "n is a whole number, 0 or more"}}
		}
		n = int(min(asked, maxPage))
	}
	last = c.Query.Get("last")
	if len(last) > 1024 {
		return 0, "", &door.Refusal{Answer: door.BadQuery, Detail: map[string]string{"parameter": "last", "hint": "last is an entry of the page before"}}
	}
	return n, last, nil
}

// expecting is the ctx of a list of which n entries are written: one more is read, to know whether there are more.
func expecting(r *http.Request, n int) context.Context { return registry.Expecting(r.Context(), n+1) }

// writePage writes up to n entries and, if there are more, the link to the next page. The notes are read when the entries were.
func writePage(w http.ResponseWriter, r *http.Request, entries iter.Seq2[string, error], n int, head string, notes *registry.Notes) error {
	body := append(make([]byte, 0, 4<<10), head...)
	count, last, more := 0, "", false
	for entry, err := range entries {
		if err != nil {
			return err
		}
		if count == n {
			more = n > 0
			break
		}
		if count > 0 {
			body = append(body, ',')
		}
		body = append(append(append(body, '"'), entry...), '"') // names and tags hold nothing that JSON escapes
		last = entry
		count++
	}
	h := w.Header()
	warn(h, notes)
	if more {
		link(h, r, last, n)
	}
	return writeJSON(w, append(body, "]}\n"...), "application/json")
}

// link points to the next page (RFC 5988).
func link(h http.Header, r *http.Request, last string, n int) {
	q := r.URL.Query()
	q.Set("last", last)
	q.Set("n", strconv.Itoa(n))
	next := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
	h.Set("Link", "<"+next.String()+`>; rel="next"`)
}

func writeJSON(w http.ResponseWriter, body []byte, mediaType string) error {
	h := w.Header()
	h["Content-Type"] = []string{mediaType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["X-Content-Type-Options"] = nosniff
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
	return nil
}

// getReferrers lists what refers to a manifest (distribution-spec, "Listing Referrers").
func (a *API) getReferrers(w http.ResponseWriter, r *http.Request, c door.Call) error {
	n, last, err := page(c)
	if err != nil {
		return err
	}
	if n == 0 {
		n = maxPage // an index without entries would say that there are none
	}
	kind := c.Query.Get("artifactType")
	body := append(make([]byte, 0, 16<<10), `{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`","manifests":[`...)
	count := 0
	var before registry.Referrer
	ctx, notes := registry.WithNotes(expecting(r, n))
	for referrer, err := range a.source.Referrers(ctx, c.On, digest.Digest(c.Last), kind, last) {
		if err != nil {
			return err
		}
		if count == n || count > 0 && len(body)+len(referrer.Descriptor) > referrersPage {
			link(w.Header(), r, before.Cursor, n)
			break
		}
		if count > 0 {
			body = append(body, ',')
		}
		body = append(body, referrer.Descriptor...)
		before = referrer
		count++
	}
	warn(w.Header(), notes)
	if kind != "" {
		w.Header()["OCI-Filters-Applied"] = []string{"artifactType"}
	}
	return writeJSON(w, append(body, "]}"...), ocispec.MediaTypeImageIndex)
}

// getPing tells that this is a registry (distribution-spec, "Determining Support").
func getPing(w http.ResponseWriter, r *http.Request, _ door.Call) error {
	h := w.Header()
	h["Docker-Distribution-Api-Version"] = []string{"registry/2.0"}
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{"2"}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, "{}")
	}
	return nil
}
