package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/entrepot/entrepot/storage/blob"
)

// ErrUnavailable says that S3 did not answer, or asked for fewer requests, also after some repetitions. The same may work a little later.
var ErrUnavailable = fmt.Errorf("S3: %w", blob.ErrUnavailable)

// classify wraps an error in the one of ours that says what it means for the caller, if there is one. It does not touch errors of the caller's own
// making, as a context that is done.
func classify(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), known(err):
		return err
	case isFull(err):
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	case isAbsent(err):
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	case isUnavailable(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// known tells whether an error was classified before.
func known(err error) bool {
	for _, ours := range []error{ErrUnavailable, blob.ErrFull, blob.ErrNotFound, blob.ErrUploadUnknown, blob.ErrUploadShort} {
		if errors.Is(err, ours) {
			return true
		}
	}
	return false
}

// code returns S3's own code of an error, or "".
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// status returns the status of the answer that an error came with, or 0.
func status(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// isAbsent tells whether there is no object under a key. A HEAD says only 404.
func isAbsent(err error) bool {
	switch code(err) {
	case "NoSuchKey", "NotFound":
		return true
	case "":
		return status(err) == http.StatusNotFound
	}
	return false
}

func isFull(err error) bool {
	switch code(err) {
	case "QuotaExceeded", "StorageFull", "XMinioStorageFull", "InsufficientStorage", "XMinioAdminBucketQuotaExceeded":
		return true
	}
	return status(err) == http.StatusInsufficientStorage
}

func isUnavailable(err error) bool {
	switch code(err) {
	case "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded",
		"RequestThrottled", "TooManyRequests", "OperationAborted", "ExistingObjectIsDirectory", "XMinioServerNotInitialized":
		return true
	}
	if s := status(err); s >= 500 || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout {
		return true
	}
	var network net.Error
	var quota ratelimit.QuotaExceededError
	var unsent *smithyhttp.RequestSendError
	return errors.As(err, &network) || errors.As(err, &quota) || errors.As(err, &unsent) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}

// advice says in a few words what to do about a bucket that does not answer.
func advice(err error) string {
	switch c := code(err); {
	case c == "NoSuchBucket" || c == "NotFound":
		return "there is no such bucket; create it, or correct its name"
	case c == "AccessDenied" || c == "AllAccessDisabled":
		return "these credentials may not list it; grant s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, " +
			"s3:DeleteObject and s3:AbortMultipartUpload"
	case c == "InvalidAccessKeyId" || c == "SignatureDoesNotMatch" || c == "ExpiredToken" || c == "InvalidToken":
		return "the credentials are wrong or have expired; check access key and secret key"
	case c == "PermanentRedirect" || c == "AuthorizationHeaderMalformed" || c == "IllegalLocationConstraintException" || status(err) == http.StatusMovedPermanently:
		return "it lies in another region; set the region"
	case c == "RequestTimeTooSkewed":
		return "the clock of this machine is wrong; set it"
	case strings.Contains(err.Error(), "get credentials") || strings.Contains(err.Error(), "get identity"):
		return "no credentials were found; set access key and secret key, or give the machine a role"
	case isUnavailable(err):
		return "check that the endpoint is right and can be reached from here"
	}
	return "S3 refused"
}

// firstOf returns the first error there is.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
