package api

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

var (
	badRequest = door.Answer{Status: http.StatusBadRequest, Code: "INVALID", Message: "the request cannot be followed"}
	notThere   = door.Answer{Status: http.StatusNotFound, Code: "UNKNOWN", Message: "there is nothing of this name"}
	conflict   = door.Answer{Status: http.StatusConflict, Code: "CONFLICT", Message: "something else is there than was expected"}
	ambiguous  = door.Answer{Status: http.StatusConflict, Code: "AMBIGUOUS", Message: "the name fits several things"}
	againstIt  = door.Answer{Status: http.StatusUnprocessableEntity, Code: "REFUSED", Message: "rules speak against it"}
	invalidDoc = door.Answer{Status: http.StatusUnprocessableEntity, Code: "MANIFEST_INVALID", Message: "the document is not valid"}
	tooLong    = door.Answer{Status: http.StatusRequestEntityTooLarge, Code: "SIZE_INVALID", Message: "the body is too long"}
	brokenOff  = door.Answer{Status: http.StatusBadRequest, Code: "SIZE_INVALID", Message: "the request's body broke off"}
	tooSlow    = door.Answer{Status: http.StatusRequestTimeout, Code: "SIZE_INVALID", Message: "the request's body stood still for too long"}
	wrongSum   = door.Answer{Status: http.StatusBadRequest, Code: "DIGEST_INVALID", Message: "the content is not the one that was announced"}
	encoded    = door.Answer{Status: http.StatusUnsupportedMediaType, Code: "UNSUPPORTED", Message: "the body has an encoding of its own"}
)

// kinds say how the catalog's refusals go out.
var kinds = map[artifacts.RefusedCode]door.Answer{
	artifacts.NotThere: notThere, artifacts.Changed: conflict, artifacts.AgainstIt: againstIt, artifacts.Malformed: badRequest,
}

// statuses say how the registry's refusals go out. What is not here is the request's fault.
var statuses = map[string]int{
	registry.Denied: http.StatusForbidden, registry.QuotaExceeded: http.StatusForbidden,

	registry.ManifestInvalid: http.StatusUnprocessableEntity,

	registry.ManifestUnknown: http.StatusNotFound, registry.BlobUnknown: http.StatusNotFound, registry.NameUnknown: http.StatusNotFound,
	registry.BlobUploadUnknown: http.StatusNotFound, registry.ManifestBlobUnknown: http.StatusNotFound,

	registry.TooLarge: http.StatusRequestEntityTooLarge,
	registry.Busy:     http.StatusConflict,
	registry.Full:     http.StatusInsufficientStorage,
}

var messages = map[int]string{
	http.StatusBadRequest: "the request cannot be followed", http.StatusForbidden: "requested access to the resource is denied",
	http.StatusNotFound: "there is nothing of this name", http.StatusConflict: "another request is writing this", http.StatusRequestEntityTooLarge: "the body is too long",
	http.StatusUnprocessableEntity: "what was sent is not valid", http.StatusInsufficientStorage: "no space left in this registry",
}

// refusal tells the client what the rules of the rooms below say. What is no refusal of theirs stays as it is.
func refusal(err error) error {
	var own *door.Refusal
	var refused *artifacts.Refused
	var rules *registry.Error
	switch {
	case errors.As(err, &own):
		return err
	case errors.As(err, &refused):
		out, ok := kinds[refused.Code]
		if !ok {
			out = badRequest
		}
		return &door.Refusal{Answer: out, Detail: map[string]any{"hint": refused.Error(), "what": refused.What, "reasons": refused.Reasons}}
	case errors.Is(err, artifacts.ErrUnknown):
		return &door.Refusal{Answer: notThere, Detail: map[string]string{"hint": artifacts.ErrUnknown.Error()}}
	case errors.Is(err, artifacts.ErrCursor):
		return badQuery("after", "", "give back the next of the part before, with the same other parameters")
	case errors.Is(err, artifacts.ErrBroad):
		return &door.Refusal{Answer: againstIt, Detail: map[string]string{"hint": err.Error()}}
	case errors.As(err, &rules):
		status, ok := statuses[rules.Code]
		if !ok {
			status = http.StatusBadRequest
		}
		message := messages[status]
		if rules.Code == registry.QuotaExceeded {
			message = "quota exceeded"
		}
		return &door.Refusal{Answer: door.Answer{Status: status, Code: rules.Code, Message: message}, Detail: rules.Detail, Cause: rules.Err}
	case registry.Interrupted(err):
		return interrupted(err)
	}
	return err
}

// interrupted tells that a body did not come whole.
func interrupted(err error) error {
	out := brokenOff
	if errors.Is(err, os.ErrDeadlineExceeded) {
		out = tooSlow
	}
	return &door.Refusal{Answer: out, Detail: map[string]string{"hint": "nothing was kept; send it again"}, Cause: err}
}

// invalid refuses a request that makes no sense.
func invalid(format string, args ...any) error {
	return &door.Refusal{Answer: badRequest, Detail: map[string]string{"hint": fmt.Sprintf(format, args...)}}
}

// badQuery refuses a query parameter.
func badQuery(name, value, hint string) error {
	return &door.Refusal{Answer: door.BadQuery, Detail: map[string]string{"parameter": shown(name), "value": shown(value), "hint": hint}}
}

// unknown says that there is no such thing, and what to do.
func unknown(what, next string) error {
	return &door.Refusal{Answer: notThere, Detail: map[string]string{"hint": "there is no " + what + " that you may see; " + next}}
}

// lack is err, with a better text if it says that something does not exist.
func lack(err error, what, next string) error {
	if errors.Is(err, artifacts.ErrUnknown) {
		return unknown(what, next)
	}
	return err
}

// shown is what somebody wrote, short and without secrets.
func shown(s string) string { return auth.ClipTo(auth.Redact(s), 200) }

func quote(s string) string { return strconv.Quote(shown(s)) }
