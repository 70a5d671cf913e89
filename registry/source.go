package registry

import (
	"context"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// Source is where content is pulled from: this registry, or an upstream seen through it. Everything above this line is the same code.
//
// Errors that a client is meant to see are [Error]s: BlobUnknown, ManifestUnknown, NameUnknown.
type Source interface {
	// Resolve returns what ref, a tag or a digest, names in repo.
	Resolve(ctx context.Context, repo, ref string) (ocispec.Descriptor, error)
	// Manifest returns what ref, a tag or a digest, names in repo, with its exact bytes.
	Manifest(ctx context.Context, repo, ref string) (ocispec.Descriptor, []byte, error)
	// Blob tells of a blob that repo may read.
	Blob(ctx context.Context, repo string, d digest.Digest) (blob.Info, error)
	// OpenBlob opens it. The reader is an *os.File where content lies in a file, so that a server may use sendfile.
	OpenBlob(ctx context.Context, repo string, d digest.Digest) (blob.Info, io.ReadSeekCloser, error)
	// Tags yields the tags of repo after the given one, in byte order. A repository without content is NameUnknown.
	Tags(ctx context.Context, repo, after string) iter.Seq2[string, error]
	// Referrers yields descriptors of the manifests of repo whose subject is d, those of one artifact type if kind is not
	// empty, after the one that the cursor names. Each comes with the cursor that continues behind it.
	Referrers(ctx context.Context, repo string, subject digest.Digest, kind, cursor string) iter.Seq2[Referrer, error]
}

// Referrer is one entry of a referrers list.
type Referrer struct {
	Descriptor []byte // JSON, with artifactType and annotations as the distribution-spec ("Listing Referrers") wants them
	Cursor     string
}

// Admission looks at a push before it exists. It may refuse it, with an [Error] that tells the client why; else record, if not nil, runs in
// the transaction of the push itself, so that what it writes and the manifest appear together or not at all. It may run more than once.
type Admission interface {
	Admit(ctx context.Context, p Push) (record func(kv.Tx) error, err error)
}

// Push is a manifest about to be stored.
type Push struct {
	Repo     string
	Tags     []string // may be empty: a push by digest
	Manifest Manifest
	Bytes    []byte
}
