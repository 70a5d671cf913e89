package importer

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrAbsent says that there is no such manifest.
var ErrAbsent = errors.New("not found")

// From is a registry that is moved out of. An error within a list is of that entry, and the list goes on if it can.
type From interface {
	// Repositories yields names, in any order.
	Repositories(ctx context.Context) iter.Seq2[string, error]
	// Tags yields the tags of a repository, in any order.
	Tags(ctx context.Context, repo string) iter.Seq2[string, error]
	// Resolve returns what a tag names.
	Resolve(ctx context.Context, repo, tag string) (digest.Digest, error)
	// Manifest returns a manifest's bytes, which match d, and what the source calls it, which may be empty. ErrAbsent if there is none.
	Manifest(ctx context.Context, repo string, d digest.Digest) (mediaType string, body []byte, err error)
	// Referrers returns what has the manifest d as its subject.
	Referrers(ctx context.Context, repo string, d ocispec.Descriptor) ([]digest.Digest, error)
	// Blob opens a blob. Its content is checked by whoever reads it.
	Blob(ctx context.Context, repo string, d ocispec.Descriptor) (io.ReadCloser, error)
}

// Lister is a source that knows all its manifests, also those that no tag leads to and nothing else names.
type Lister interface {
	Manifests(ctx context.Context, repo string) iter.Seq2[digest.Digest, error]
}

// To is a registry that is moved into.
type To interface {
	// Resolve returns what a tag names, "" if there is no such tag.
	Resolve(ctx context.Context, repo, tag string) (digest.Digest, error)
	// Manifest returns a manifest that the repository has; else ErrAbsent.
	Manifest(ctx context.Context, repo string, d digest.Digest) (mediaType string, body []byte, err error)
	// Has tells whether a repository can read a blob.
	Has(ctx context.Context, repo string, d ocispec.Descriptor) (bool, error)
	// Bring makes a blob readable by a repository; near is another one that can read it, or "". Content that is not d's is refused.
	Bring(ctx context.Context, repo string, d ocispec.Descriptor, near string, open func() (io.ReadCloser, error)) (How, error)
	// Put stores a manifest and lets a tag name it, unless that is empty.
	Put(ctx context.Context, repo, tag string, d ocispec.Descriptor, body []byte) error
}

// How a blob came.
type How int

// The ways, the cheapest first.
const (
	Here       How = iota // it was there already
	Mounted               // another repository had it
	Linked                // its file has one more name, and is the same
	Duplicated            // its bytes were read, and copied by the server that has them
	Copied                // all its bytes were moved
)
