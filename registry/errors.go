package registry

import (
	"errors"
	"fmt"
	"time"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// The codes of the distribution-spec ("Error Codes") that this package answers with, and a few beside them for what the spec has no word for.
const (
	BlobUnknown         = "BLOB_UNKNOWN"
	BlobUploadInvalid   = "BLOB_UPLOAD_INVALID"
	BlobUploadUnknown   = "BLOB_UPLOAD_UNKNOWN"
	DigestInvalid       = "DIGEST_INVALID"
	ManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	ManifestInvalid     = "MANIFEST_INVALID"
	ManifestUnknown     = "MANIFEST_UNKNOWN"
	NameInvalid         = "NAME_INVALID"
	NameUnknown         = "NAME_UNKNOWN"
	SizeInvalid         = "SIZE_INVALID"
	Unsupported         = "UNSUPPORTED"
	Denied              = "DENIED"
	TagInvalid          = "TAG_INVALID"
	RangeInvalid        = "RANGE_INVALID"      // a chunk out of order
	TooLarge            = "MANIFEST_TOO_LARGE" // a manifest over the limit
	Busy                = "UPLOAD_BUSY"        // another request is writing this upload
	Full                = "STORAGE_FULL"       // no space left
	QuotaExceeded       = "QUOTA_EXCEEDED"     // it would be more than a path may hold
	UpstreamDown        = "UPSTREAM_DOWN"      // the registry that this is pulled through from does not answer
	UpstreamLimited     = "UPSTREAM_LIMITED"   // it wants fewer requests
	LoginNeeded         = "LOGIN_NEEDED"       // it is for those alone whom it knows, and nobody in particular asked
)

// Error is a refusal that a client is meant to understand. Code and Detail go to the client; Err is the cause, for the operator's log only.
type Error struct {
	Code   string
	Detail any // encodes as JSON; tells what is wrong with what, and what to do
	Err    error
	After  time.Duration // when it may be tried again; 0: that is not known
}

func (e *Error) Error() string {
	s := e.Code
	if e.Detail != nil {
		s += fmt.Sprintf(" %v", e.Detail)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: c}) ask for the code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Detail == nil && t.Err == nil
}

// Code returns the code of err, or "" if it is no refusal but a fault.
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// fault names what was being done when a floor below failed. A medium without room becomes an answer the client can act on.
func fault(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", fmt.Sprintf(doing, args...), err)
	if errors.Is(err, blob.ErrFull) || errors.Is(err, kv.ErrFull) {
		return &Error{Code: Full, Detail: map[string]string{"hint": "the registry has no space left; nothing was lost, try again later"}, Err: err}
	}
	return err
}
