// Package blob keeps content under its digest.
//
// A [Store] is three small things: a [Reader] hands content out, an [Intake] takes it in, a [Sweeper] lists and deletes it.
// Content arrives as an upload: bytes are appended under a name that the caller chose, and Commit gives them their digest.
//
//	size, err := store.Append(ctx, "7d1f…", 0, body) // again and again, at growing offsets
//	err = store.Commit(ctx, "7d1f…", d)              // durable and readable from here on
//	rc, err := store.Open(ctx, d, 0)
//
// Drivers are dumb on purpose: they do not hash. The caller verifies content once, as it streams by, and commits only what
// matches; so what a Reader returns under a digest always matches it, unless the medium rotted.
// Who may see what, how long it lives and what refers to it is the business of the rooms above.
//
// This package holds the contract, the in-memory store and what all drivers share; disk is in blob/disk, the suite that every driver must pass in
// blob/blobtest.
package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"regexp"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

var (
	// ErrNotFound says that no content is stored under the digest.
	ErrNotFound = errors.New("content not found")
	// ErrUploadUnknown says that no upload of that name exists: it was never begun, was committed, or was aborted.
	ErrUploadUnknown = errors.New("upload unknown")
	// ErrUploadShort says that an Append asked for an offset beyond what the upload holds.
	ErrUploadShort = errors.New("offset lies beyond the end of the upload")
	// ErrFull says that the medium has no room. What was stored before is untouched.
	ErrFull = errors.New("no space left for content")
	// ErrUnavailable says that the medium does not answer, or wants fewer requests. Nothing was changed, and the same may work a little later. Drivers wrap it.
	ErrUnavailable error = unavailable{}
	// ErrName says that an upload's name is not one of the form that [ValidUpload] accepts.
	ErrName = errors.New("invalid upload name")
)

// unavailable has a method by which rooms above know it that do not know this one.
type unavailable struct{}

func (unavailable) Error() string { return "the store of content is not available" }

// RetryAfter is when it may be tried again.
func (unavailable) RetryAfter() time.Duration { return 5 * time.Second }

// Info describes stored content.
type Info struct {
	Digest   digest.Digest
	Size     int64     // bytes
	Modified time.Time // when it was committed
}

// Pending describes an upload that was neither committed nor aborted.
type Pending struct {
	Name     string
	Size     int64     // bytes
	Modified time.Time // last Append
}

// Reader hands content out. Content under a digest always matches it.
type Reader interface {
	// Open returns the content of d from offset on. An offset at or beyond the end gives an empty reader. The result of a driver
	// whose content lies in a file is that *os.File, positioned, so that a server may use sendfile. ErrNotFound if there is none.
	Open(ctx context.Context, d digest.Digest, offset int64) (io.ReadCloser, error)
	// Stat returns size and age, or ErrNotFound.
	Stat(ctx context.Context, d digest.Digest) (Info, error)
}

// Intake takes content in. Calls for different uploads may run at once; calls for one upload are the caller's to put in order.
type Intake interface {
	// Append writes src at offset and drops what lay beyond: a torn Append is repaired by repeating it. Offset 0 begins the upload if
	// need be, any other of an unknown upload is ErrUploadUnknown; an offset beyond its end is ErrUploadShort. It returns the upload's
	// whole size, also with an error: then what was counted is kept and may be appended to, though src may have been read further.
	// An error of src is returned as it is, so that the caller can tell its client's fault from the medium's.
	Append(ctx context.Context, upload string, offset int64, src io.Reader) (size int64, err error)
	// Resume returns the bytes of an unfinished upload from offset on, as far as they were appended when it was called. An offset at or
	// beyond the end gives an empty reader. ErrUploadUnknown if there is none.
	Resume(ctx context.Context, upload string, offset int64) (io.ReadCloser, error)
	// Commit gives the upload its digest. When it returns nil the content is durable (it survives a power cut) and readable, whatever
	// was under d before is replaced in one step, and the upload is gone. With an error the upload is as it was, unless the medium
	// failed to make it durable: bytes that it may have lost are not offered again, and the upload is unknown from then on.
	Commit(ctx context.Context, upload string, d digest.Digest) error
	// Abort forgets the upload. An unknown one is no error.
	Abort(ctx context.Context, upload string) error
}

// Sweeper lists and deletes.
type Sweeper interface {
	// List yields all committed content, in no promised order, without holding it in memory.
	List(ctx context.Context) iter.Seq2[Info, error]
	// Delete removes content. Readers that are open may go on; absent content is no error.
	Delete(ctx context.Context, d digest.Digest) error
	// Uploads yields what was begun and neither committed nor aborted.
	Uploads(ctx context.Context) iter.Seq2[Pending, error]
}

// Store is everything a driver offers. Each call refuses what [CheckUpload], [CheckDigest] and [CheckOffset] refuse, and does nothing when
// its context is done.
type Store interface {
	Reader
	Intake
	Sweeper
}

// Remover is an optional power: to delete much content in few requests.
type Remover interface {
	// DeleteAll is Delete for each of them. An error says that some may be left.
	DeleteAll(ctx context.Context, all []digest.Digest) error
}

// Placer is an optional power: to take content in one step whose digest is known before it comes, without an upload.
type Placer interface {
	// Place stores src under d, durably, and returns its size. src judges what it reads, and ends with an error instead of io.EOF if that is not the content
	// of d: then nothing is stored, and that error is returned.
	Place(ctx context.Context, d digest.Digest, src io.Reader) (size int64, err error)
}

// Linker is another: to send the reader straight to the content (a presigned URL).
type Linker interface {
	Link(ctx context.Context, d digest.Digest, ttl time.Duration) (url string, err error)
}

// Quarantiner is a third: to keep damaged content for an operator.
type Quarantiner interface {
	// Quarantine takes content out of the store: from then on it is neither readable nor listed, and a Commit may bring it anew. What is left of it is kept
	// elsewhere, in a place that it tells; what was kept there of the same digest before is replaced. ErrNotFound if there is no content.
	Quarantine(ctx context.Context, d digest.Digest) (place string, err error)
}

var uploadName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}(\.(sha256-[a-f0-9]{64}|sha512-[a-f0-9]{128}))?$`)

// ValidUpload tells whether name may name an upload: up to 64 characters of a-z, 0-9 and -, and for an upload whose digest is
// known first what [Named] appends. It never holds a separator or a dot that a path could misread.
func ValidUpload(name string) bool { return uploadName.MatchString(name) }

// Named returns the name of an upload whose digest is known before its first byte. A driver that can write content in its final
// place (S3) uses the digest within; others need not look.
func Named(unique string, d digest.Digest) string {
	return unique + "." + d.Algorithm().String() + "-" + d.Encoded()
}

// Expected returns the digest that an upload's name foretells, or "".
func Expected(name string) digest.Digest {
	_, tail, found := strings.Cut(name, ".")
	if !found {
		return ""
	}
	return digest.Digest(strings.Replace(tail, "-", ":", 1))
}
