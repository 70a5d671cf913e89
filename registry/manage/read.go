package manage

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

var (
	badRequest = door.Answer{Status: http.StatusBadRequest, Code: "INVALID", Message: "the request cannot be followed"}
	tooLong    = door.Answer{Status: http.StatusRequestEntityTooLarge, Code: "SIZE_INVALID", Message: "the body is too long"}
	notThere   = door.Answer{Status: http.StatusNotFound, Code: "UNKNOWN", Message: "there is nothing of this name"}
	stopping   = door.Answer{Status: http.StatusServiceUnavailable, Code: "UNAVAILABLE", Message: "the registry stops"}
)

func refused(answer door.Answer, hint string) error {
	return &door.Refusal{Answer: answer, Detail: map[string]string{"hint": hint}}
}

// maxBody is the longest request, in bytes. What is told here is short.
const maxBody = 64 << 10

// read reads a request's JSON. What it does not know is refused: a misspelt restriction must not be none.
func read(w http.ResponseWriter, r *http.Request, c door.Call, into any) error {
	// A stranger's page can make a browser send a form or plain text here, but not this.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refused(badRequest, "send the header Content-Type: application/json")
	}
	body, err := io.ReadAll(io.LimitReader(c.Body(w, r), maxBody+1))
	if err != nil {
		return refused(badRequest, "the request's body broke off; send it again")
	}
	if len(body) > maxBody {
		return &door.Refusal{Answer: tooLong, Detail: map[string]any{"limit": maxBody, "hint": "shorten it"}}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refused(badRequest, "the request is no JSON of the form it must have: "+auth.Clip(err.Error()))
	}
	if _, err := d.Token(); err != io.EOF {
		return refused(badRequest, "the request holds more than one JSON value")
	}
	return nil
}

// checkQuery refuses parameters that are not known, or come twice.
func checkQuery(q url.Values, known []string) error {
	for name, values := range q {
		if !slices.Contains(known, name) {
			hint := "this path has no parameters"
			if len(known) > 0 {
				hint = "this path knows " + strings.Join(known, ", ")
			}
			return badQuery(name, hint)
		}
		if len(values) > 1 {
			return badQuery(name, "give it once")
		}
	}
	return nil
}

func badQuery(name, hint string) error {
	return &door.Refusal{Answer: door.BadQuery, Detail: map[string]string{"parameter": auth.Clip(auth.Redact(name)), "hint": hint}}
}

// A page has defaultPage entries if nothing is said, and never more than maxPage.
const (
	defaultPage = 100
	maxPage     = 1000
)

// paging are the parameters of a list.
var paging = []string{"after", "limit"}

// limit is how many entries are asked for.
func limit(c door.Call) (int, error) {
	text := c.Query.Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, badQuery("limit", "write a number from 1 to 1000")
	}
	return n, nil
}
