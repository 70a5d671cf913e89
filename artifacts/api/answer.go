package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/entrepot/entrepot/door"
)

// page is a list, or a part of one.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// list answers with a part of a list, and with the address of the next one.
func list[T any](w http.ResponseWriter, r *http.Request, c door.Call, items []T, next string) error {
	if items == nil {
		items = []T{}
	}
	if next != "" {
		q := r.URL.Query()
		q.Set("after", next)
		address := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
		w.Header().Set("Link", "<"+address.String()+`>; rel="next"`)
	}
	return show(w, r, c, page[T]{items, next})
}

// show answers with JSON.
func show(w http.ResponseWriter, r *http.Request, c door.Call, value any) error {
	body, err := encode(value)
	if err != nil {
		return err
	}
	return send(w, r, c, "application/json", body)
}

// encode writes JSON that a person can read: >= stays as it is.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return b.Bytes(), err
}

// send answers a read, with a validator that follows from the bytes alone: whoever has them already need not take them again.
func send(w http.ResponseWriter, r *http.Request, c door.Call, mediaType string, body []byte) error {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	if !c.Who.Anonymous() {
		h.Set("Cache-Control", "private, no-cache")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if has(r, tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
	return nil
}

// has tells whether the client has this content already (RFC 9110, section 13.1.2).
func has(r *http.Request, tag string) bool {
	for _, value := range r.Header["If-None-Match"] {
		for t := range strings.SplitSeq(value, ",") {
			if t = strings.TrimPrefix(strings.TrimSpace(t), "W/"); t == tag || t == "*" {
				return true
			}
		}
	}
	return false
}

// respond answers what is no read.
func respond(w http.ResponseWriter, status int, mediaType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

func respondJSON(w http.ResponseWriter, status int, value any) error {
	body, err := encode(value)
	if err != nil {
		return err
	}
	return respond(w, status, "application/json", body)
}

const plainText = "text/plain; charset=utf-8"

// wantsText tells whether a client would rather have text than JSON (RFC 9110, section 12.5.1). Whoever takes anything gets JSON.
func wantsText(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Accept")
	text, other := 0.0, 0.0
	for _, value := range r.Header["Accept"] {
		for entry := range strings.SplitSeq(value, ",") {
			media, parameters, _ := strings.Cut(entry, ";")
			q := quality(parameters)
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "text/plain":
				text = max(text, q)
			case "application/json", "application/problem+json", "application/*":
				other = max(other, q)
			}
		}
	}
	return text > 0 && text >= other
}

func quality(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
			if q, err := strconv.ParseFloat(text, 64); err == nil {
				return q
			}
			return 0
		}
	}
	return 1
}
