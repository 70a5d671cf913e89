package tree

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/door"
)

// Listing is a folder.
type Listing struct {
	Path    string  `json:"path"`
	Latest  string  `json:"latest,omitempty"` // of the versions of a component: the highest that is known good
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"` // where the rest begins, as ?after=; empty at the end
}

// The types of entries.
const (
	Dir  = "dir"
	File = "file"
)

// Entry is what a folder has.
type Entry struct {
	Name      string        `json:"name"`
	Type      string        `json:"type"`
	Size      *int64        `json:"size,omitempty"`      // in bytes; of image.tar only if that is known before it is made
	Digest    digest.Digest `json:"digest,omitempty"`    // of a file; image.tar has none before it is made
	Modified  time.Time     `json:"modified,omitzero"`   // to the second
	URL       string        `json:"url"`                 // on the same server
	Title     string        `json:"title,omitempty"`     // what a file was called when it was pushed, if it is called by its digest here
	Image     digest.Digest `json:"image,omitempty"`     // of image.tar: the manifest of the image in it
	Platforms []string      `json:"platforms,omitempty"` // of image.tar: what there is to choose from with ?platform=
}

func folderEntry(name string, modified time.Time) Entry {
	return Entry{Name: name, Type: Dir, Modified: modified.UTC().Truncate(time.Second)}
}

func fileEntry(name string, i *item) Entry {
	return Entry{Name: name, Type: File, Size: &i.size, Digest: i.digest, Modified: i.modified.UTC().Truncate(time.Second), Title: i.title}
}

// show answers with a folder, in the form that the client wants, with a validator that follows from the bytes.
func (t *Tree) show(w http.ResponseWriter, r *http.Request, c door.Call, l Listing) error {
	asJSON, err := wantsJSON(r, c.Query)
	if err != nil {
		return err
	}
	l.Path = r.URL.Path
	if l.Entries == nil {
		l.Entries = []Entry{}
	}
	for i, e := range l.Entries {
		l.Entries[i].URL = absolute(l.Path + e.Name)
		if e.Type == Dir {
			l.Entries[i].URL += "/"
		}
	}
	h := w.Header()
	var body bytes.Buffer
	if asJSON {
		h.Set("Content-Type", "application/json")
		e := json.NewEncoder(&body)
		e.SetEscapeHTML(false)
		err = e.Encode(l)
	} else {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", pagePolicy)
		err = writePage(&body, l)
	}
	if err != nil {
		return err
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Vary", "Accept")
	h.Set("Cache-Control", caching(c, false))
	h.Set("Etag", `"`+string(digest.FromBytes(body.Bytes()))+`"`)
	if l.Next != "" {
		h.Set("Link", "<"+nextPage(l.Next, c.Query.Get("format"))+`>; rel="next"`)
	}
	return door.ServeContent(w, r, "the listing of "+l.Path, time.Time{}, bytes.NewReader(body.Bytes()))
}

// nextPage is the address of the rest of a folder, from the folder.
func nextPage(after, format string) string {
	q := url.Values{"after": {after}}
	if format != "" {
		q.Set("format", format)
	}
	return "?" + q.Encode()
}

// wantsJSON tells in which form a client wants a folder: as ?format= says, else as Accept does (RFC 9110, section 12.5.1). Whoever takes anything gets HTML.
func wantsJSON(r *http.Request, q url.Values) (bool, error) {
	switch q.Get("format") {
	case "json":
		return true, nil
	case "html":
		return false, nil
	case "":
	default:
		return false, &door.Refusal{Answer: door.BadQuery, Detail: map[string]string{"parameter": "format", "hint": "format is json or html"}}
	}
	asJSON, asHTML := 0.0, 0.0
	for _, value := range r.Header["Accept"] {
		for entry := range strings.SplitSeq(value, ",") {
			media, parameters, _ := strings.Cut(entry, ";")
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "application/json", "application/*":
				asJSON = max(asJSON, quality(parameters))
			case "text/html", "text/*":
				asHTML = max(asHTML, quality(parameters))
			}
		}
	}
	return asJSON > asHTML, nil
}

// quality is how much a client wants something.
func quality(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
			q, _ := strconv.ParseFloat(text, 64) // what is no number is not wanted
			return q
		}
	}
	return 1
}
