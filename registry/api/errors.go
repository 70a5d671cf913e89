package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/registry"
)

// answer is how a refusal goes out: status, the code on the wire (distribution-spec, "Error Codes", admits no others with 4xx) and what it says.
type answer struct {
	status  int
	code    string
	message string
}

var answers = map[string]answer{
	registry.BlobUnknown:         {404, "BLOB_UNKNOWN", "blob unknown to this repository"},
	registry.BlobUploadInvalid:   {400, "BLOB_UPLOAD_INVALID", "blob upload invalid"},
	registry.BlobUploadUnknown:   {404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to this repository"},
	registry.DigestInvalid:       {400, "DIGEST_INVALID", "provided digest is invalid or did not match the content"},
	registry.ManifestBlobUnknown: {404, "MANIFEST_BLOB_UNKNOWN", "manifest references blobs unknown to this repository"},
	registry.ManifestInvalid:     {400, "MANIFEST_INVALID", "manifest invalid"},
	registry.ManifestUnknown:     {404, "MANIFEST_UNKNOWN", "manifest unknown to this repository"},
	registry.NameInvalid:         {400, "NAME_INVALID", "invalid repository name"},
	registry.NameUnknown:         {404, "NAME_UNKNOWN", "repository name not known to this registry"},
	registry.SizeInvalid:         {400, "SIZE_INVALID", "provided length did not match the content"},
	registry.Unsupported:         {405, "UNSUPPORTED", "the operation is unsupported"},
	registry.Denied:              {403, "DENIED", "requested access to the resource is denied"},
	registry.TagInvalid:          {400, "MANIFEST_INVALID", "invalid tag"},
	registry.RangeInvalid:        {416, "BLOB_UPLOAD_INVALID", "chunk out of order"},
	registry.TooLarge:            {413, "SIZE_INVALID", "manifest too large"},
	registry.Busy:                {409, "BLOB_UPLOAD_INVALID", "another request is writing this upload"},
	registry.Full:                {507, "STORAGE_FULL", "no space left in this registry"},
}

var (
	unauthorized = answer{401, "UNAUTHORIZED", "authentication required"}
	denied       = answer{403, "DENIED", "requested access to the resource is denied"}
	unknownRoute = answer{404, "UNSUPPORTED", "no such path"}
	badQuery     = answer{400, "UNSUPPORTED", "a query parameter is not of the form it must have"}
	brokenOff    = answer{400, "BLOB_UPLOAD_INVALID", "the request's body broke off"}
	tooSlow      = answer{408, "BLOB_UPLOAD_INVALID", "the request's body stood still for too long"}
	noSuchRange  = answer{416, "UNSUPPORTED", "the range lies beyond the content"}
	internal     = answer{500, "UNKNOWN", "internal error"}
)

// refusal is an error that an endpoint answers itself, beside those of the rooms below.
type refusal struct {
	answer
	detail any
	header http.Header
	cause  error // for the log
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

// outcome turns an error into what the client is told, and the cause that only the log is told ("" when the answer says it all).
func outcome(err error) (out answer, detail any, cause error) {
	var own *refusal
	var rules *registry.Error
	var access *auth.Refusal
	switch {
	case errors.As(err, &own):
		return own.answer, own.detail, own.cause
	case errors.As(err, &access):
		if access.Login {
			return unauthorized, map[string]string{"hint": access.Reason}, nil
		}
		return denied, map[string]string{"action": string(access.Do), "name": access.On, "hint": access.Reason}, nil
	case errors.As(err, &rules):
		out, ok := answers[rules.Code]
		if !ok { // an admission's own code
			out = answer{http.StatusBadRequest, rules.Code, "the push was refused"}
		}
		return out, rules.Detail, rules.Err
	case registry.Interrupted(err):
		return brokenOff, map[string]string{"hint": "what arrived was kept; ask for the upload's status and go on from there"}, err
	}
	return internal, nil, err
}

type envelope struct {
	Errors []entry `json:"errors"`
}

type entry struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// writeError answers in the specification's envelope. The detail of an internal error is the request's id: the rest is in the log.
func writeError(w http.ResponseWriter, r *http.Request, id string, out answer, detail any) {
	if detail == nil {
		detail = map[string]string{"request": id}
	}
	body, err := json.Marshal(envelope{[]entry{{out.code, out.message, detail}}})
	if err != nil {
		body = []byte(`{"errors":[{"code":"UNKNOWN","message":"internal error"}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", id)
	h.Del("Content-Length")
	h.Del("Docker-Content-Digest")
	h.Del("Etag")
	switch out.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="entrepot"`)
	case http.StatusInsufficientStorage, http.StatusServiceUnavailable, http.StatusConflict:
		h.Set("Retry-After", "10")
	}
	w.WriteHeader(out.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n'))
	}
}
