package apt

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// answers says how the registry's refusals go out here.
var answers = map[string]door.Answer{
	registry.BlobUnknown:       {Status: 404, Code: "NOT_FOUND", Message: "it is not there any more"},
	registry.ManifestUnknown:   {Status: 404, Code: "NOT_FOUND", Message: "it is not there"},
	registry.NameUnknown:       door.Unknown,
	registry.NameInvalid:       {Status: 400, Code: "NAME_INVALID", Message: "this is no name of a component"},
	registry.TagInvalid:        {Status: 400, Code: "INVALID", Message: "this is no version"},
	registry.ManifestInvalid:   {Status: 422, Code: "INVALID", Message: "the package is not taken"},
	registry.BlobUploadInvalid: {Status: 400, Code: "INVALID", Message: "the package is not taken"},
	registry.DigestInvalid:     {Status: 400, Code: "INVALID", Message: "the package did not arrive as it was sent"},
	registry.SizeInvalid:       {Status: 400, Code: "INVALID", Message: "the package did not arrive as a whole"},
	registry.Denied:            door.Denied,
	registry.TooLarge:          {Status: 413, Code: "TOO_LARGE", Message: "it is too large"},
	registry.Busy:              {Status: 409, Code: "BUSY", Message: "another request is writing the same"},
	registry.Full:              {Status: 507, Code: "STORAGE_FULL", Message: "no space left in this registry"},
}

// refusal tells the client what the registry's rules say. What is no refusal of theirs stays as it is.
func refusal(err error) error {
	var own *door.Refusal
	var rules *registry.Error
	switch {
	case errors.As(err, &own):
		return err
	case errors.As(err, &rules):
		out, ok := answers[rules.Code]
		if !ok { // an admission's own code
			out = door.Answer{Status: http.StatusBadRequest, Code: rules.Code, Message: "it was refused"}
		}
		return &door.Refusal{Answer: out, Detail: rules.Detail, Cause: rules.Err}
	case registry.Interrupted(err):
		out := door.Answer{Status: 400, Code: "BROKEN_OFF", Message: "the request's body broke off"}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			out = door.Answer{Status: 408, Code: "TOO_SLOW", Message: "the request's body stood still for too long"}
		}
		return &door.Refusal{Answer: out, Detail: hint("send it again"), Cause: err}
	}
	return err
}

func hint(text string) map[string]string { return map[string]string{"hint": text} }

func notFound(message, next string) error {
	return &door.Refusal{Answer: door.Answer{Status: 404, Code: "NOT_FOUND", Message: message}, Detail: hint(next)}
}

func badRequest(next string) error {
	return &door.Refusal{Answer: door.Answer{Status: 400, Code: "INVALID", Message: "the request is malformed"}, Detail: hint(next)}
}

// knows refuses parameters that nobody looks at: one that is misspelt would do something else than what was asked for.
func knows(q url.Values, known ...string) error {
	for name, values := range q {
		if !slices.Contains(known, name) {
			return badRequest(fmt.Sprintf("%.100q is no parameter here; there is %s", name, strings.Join(known, ", ")))
		}
		if len(values) > 1 && name != "component" {
			return badRequest("give " + name + " once")
		}
	}
	return nil
}
