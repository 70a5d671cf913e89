package manage

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/entrepot/entrepot/door"
)

// page is a list, or a part of one.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// list answers with the part of a list that is asked for. The list is in the order of its names.
func list[T any](w http.ResponseWriter, r *http.Request, c door.Call, all []T, name func(T) string) error {
	most, err := limit(c)
	if err != nil {
		return err
	}
	after := c.Query.Get("after")
	all = slices.DeleteFunc(all, func(t T) bool { return name(t) <= after && after != "" })
	p := page[T]{Items: all}
	if len(all) > most {
		p.Items, p.Next = all[:most], name(all[most-1])
		q := r.URL.Query()
		q.Set("after", p.Next)
		address := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
		w.Header().Set("Link", "<"+address.String()+`>; rel="next"`)
	}
	body, err := line(p)
	if err != nil {
		return err
	}
	head(w, "application/json").Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
	return nil
}

// head sets what all answers have.
func head(w http.ResponseWriter, mediaType string) http.Header {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	return h
}

// line is a line of JSON that a person can read: >= stays as it is.
func line(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return b.Bytes(), err
}

// lines is an answer of many lines, each of which goes out at once.
type lines struct {
	w   http.ResponseWriter
	err error // the client has left
}

// begin answers, before there is anything to say.
func begin(w http.ResponseWriter) *lines {
	h := head(w, "application/x-ndjson")
	h.Set("X-Accel-Buffering", "no") // or nginx would hold the lines back
	w.WriteHeader(http.StatusOK)
	return &lines{w: w}
}

// say sends a line: a word, and what there is to say of it.
func (l *lines) say(word string, value any) {
	if l.write(word, value); l.err == nil {
		l.err = http.NewResponseController(l.w).Flush()
	}
}

// write writes a line, which may go out later.
func (l *lines) write(word string, value any) {
	if l.err != nil {
		return
	}
	body, err := line(map[string]any{word: value})
	if err == nil {
		_, err = l.w.Write(body)
	}
	l.err = err
}
