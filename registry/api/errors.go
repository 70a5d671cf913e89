package api

import (
	"errors"
	"math"
	"net/http"
	"os"
	"strconv"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// answers says how the registry's refusals go out. The distribution-spec ("Error Codes") admits no other codes with 4xx.
var answers = map[string]door.Answer{
	registry.BlobUnknown:         {Status: 404, Code: "BLOB_UNKNOWN", Message: "blob unknown to this repository"},
	registry.BlobDamaged:         {Status: 404, Code: "BLOB_UNKNOWN", Message: "the content of this blob is damaged"},
	registry.BlobUploadInvalid:   {Status: 400, Code: "BLOB_UPLOAD_INVALID", Message: "blob upload invalid"},
	registry.BlobUploadUnknown:   {Status: 404, Code: "BLOB_UPLOAD_UNKNOWN", Message: "blob upload unknown to this repository"},
	registry.DigestInvalid:       {Status: 400, Code: "DIGEST_INVALID", Message: "provided digest is invalid or did not match the content"},
	registry.ManifestBlobUnknown: {Status: 404, Code: "MANIFEST_BLOB_UNKNOWN", Message: "manifest references blobs unknown to this repository"},
	registry.ManifestInvalid:     {Status: 400, Code: "MANIFEST_INVALID", Message: "manifest invalid"},
	registry.ManifestUnknown:     {Status: 404, Code: "MANIFEST_UNKNOWN", Message: "manifest unknown to this repository"},
	registry.NameInvalid:         {Status: 400, Code: "NAME_INVALID", Message: "invalid repository name"},
	registry.NameUnknown:         door.Unknown,
	registry.SizeInvalid:         {Status: 400, Code: "SIZE_INVALID", Message: "provided length did not match the content"},
	registry.Unsupported:         {Status: 405, Code: "UNSUPPORTED", Message: "the operation is unsupported"},
	registry.Denied:              door.Denied,
	registry.TagInvalid:          {Status: 400, Code: "MANIFEST_INVALID", Message: "invalid tag"},
	registry.RangeInvalid:        {Status: 416, Code: "BLOB_UPLOAD_INVALID", Message: "chunk out of order"},
	registry.TooLarge:            {Status: 413, Code: "SIZE_INVALID", Message: "manifest too large"},
	registry.Busy:                {Status: 409, Code: "BLOB_UPLOAD_INVALID", Message: "another request is writing this upload"},
	registry.UpstreamDown:        {Status: 503, Code: "UNAVAILABLE", Message: "the upstream registry does not answer"},
	registry.UpstreamLimited:     {Status: 429, Code: "TOOMANYREQUESTS", Message: "the upstream registry wants fewer requests"},
	registry.QuotaExceeded:       {Status: 403, Code: "DENIED", Message: "quota exceeded"},
	registry.Full:                {Status: 507, Code: "STORAGE_FULL", Message: "no space left in this registry"},
}

var (
	brokenOff = door.Answer{Status: 400, Code: "BLOB_UPLOAD_INVALID", Message: "the request's body broke off"}
	tooSlow   = door.Answer{Status: 408, Code: "BLOB_UPLOAD_INVALID", Message: "the request's body stood still for too long"}
)

// told is an endpoint whose errors are those that the door knows how to tell.
func told(serve door.Endpoint) door.Endpoint {
	return door.Endpoint(func(w http.ResponseWriter, r *http.Request, c door.Call) error { return needsLogin(serve(w, r, c), c) }).Telling(refusal)
}

// needsLogin asks nobody in particular to log in for what an upstream does not give to everybody; others are refused.
func needsLogin(err error, c door.Call) error {
	var rules *registry.Error
	if !errors.As(err, &rules) || rules.Code != registry.LoginNeeded {
		return err
	}
	detail, _ := rules.Detail.(map[string]string)
	return &auth.Refusal{Who: c.Who, Do: auth.Pull, On: c.On, Login: c.Who.Anonymous(), Reason: detail["hint"]}
}

func hintOf(detail any) string {
	switch detail := detail.(type) {
	case map[string]string:
		return detail["hint"]
	case map[string]any:
		hint, _ := detail["hint"].(string)
		return hint
	}
	return ""
}

// refusal tells the client what the registry's rules say. What is no refusal of theirs stays as it is.
func refusal(err error) error {
	var rules *registry.Error
	var own *door.Refusal
	switch {
	case errors.As(err, &own):
		return err
	case errors.As(err, &rules):
		out, ok := answers[rules.Code]
		if !ok { // an admission's own code
			out = door.Answer{Status: http.StatusBadRequest, Code: rules.Code, Message: "the push was refused"}
		}
		// docker shows the message and nothing else.
		switch rules.Code {
		case registry.BlobDamaged, registry.Denied, registry.UpstreamDown, registry.QuotaExceeded:
			if hint := hintOf(rules.Detail); hint != "" {
				out.Message += ": " + hint
			}
		}
		refused := &door.Refusal{Answer: out, Detail: rules.Detail, Cause: rules.Err}
		switch {
		case rules.After > 0:
			refused.Header = http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(rules.After.Seconds())))}}
		case rules.Code == registry.Busy:
			refused.Header = http.Header{"Retry-After": {"10"}}
		}
		return refused
	case registry.Interrupted(err):
		out := brokenOff
		if errors.Is(err, os.ErrDeadlineExceeded) {
			out = tooSlow
		}
		return &door.Refusal{Answer: out, Detail: map[string]string{"hint": "what arrived was kept; ask for the upload's status and go on from there"}, Cause: err}
	}
	return err
}
