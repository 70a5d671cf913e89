package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/door"
)

// maxBody is the longest request, in bytes. What the management of accounts is told is short; a job's token may be long.
const maxBody = 64 << 10

// read reads a request's JSON. What it does not know is refused: a misspelt restriction must not be none.
func read(w http.ResponseWriter, r *http.Request, c door.Call, into any) error {
	// A stranger's page can make a browser send a form or plain text here, but not this.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return invalid("send the header Content-Type: application/json, not %q", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(io.LimitReader(c.Body(w, r), maxBody+1))
	if err != nil {
		return invalid("the request's body broke off")
	}
	if len(body) > maxBody {
		return &door.Refusal{Answer: door.Answer{Status: http.StatusRequestEntityTooLarge, Code: "INVALID", Message: "the request is too long"}, Detail: map[string]int{"limit": maxBody}}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && !(errors.Is(err, io.EOF) && len(bytes.TrimSpace(body)) == 0) {
		return invalid("the request is no JSON of the form it must have: %v", err)
	}
	if d.More() {
		return invalid("the request holds more than one JSON value")
	}
	return nil
}

// write answers.
func write(w http.ResponseWriter, status int, mediaType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store") // who may do what is nothing for caches, and secrets are even less
		h.Set("Pragma", "no-cache")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

func reply(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return write(w, status, "application/json", append(body, '\n'))
}

func none(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// told is an error as the door knows how to tell it.
func told(err error) error {
	var own *account.Error
	if !errors.As(err, &own) || errors.Is(err, auth.ErrWrong) {
		return err
	}
	out := door.Answer{Status: http.StatusBadRequest, Code: "INVALID", Message: "the request cannot be followed"}
	switch own.Code {
	case account.Unknown:
		out = door.Answer{Status: http.StatusNotFound, Code: "UNKNOWN", Message: "there is nothing of this name"}
	case account.Exists, account.Full:
		out = door.Answer{Status: http.StatusConflict, Code: "EXISTS", Message: "the name is taken"}
	}
	return &door.Refusal{Answer: out, Detail: map[string]string{"hint": own.Text}, Cause: own.Err}
}

func unknown(kind, name string) error {
	return &door.Refusal{Answer: door.Answer{Status: http.StatusNotFound, Code: "UNKNOWN", Message: "there is nothing of this name"},
		Detail: map[string]string{"hint": "there is no " + kind + " " + auth.Clip(auth.Redact(name)) + " that you may see"}}
}

// hides answers for what one may not administer as if it did not exist.
func hides(err error, kind, name string) error {
	var refusal *auth.Refusal
	if errors.As(err, &refusal) && !refusal.Login && !refusal.Narrow {
		return unknown(kind, name)
	}
	return err
}
