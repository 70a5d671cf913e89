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

// Linking is a source that may send clients straight to content.
type Linking interface {
	// LinkBlob returns an address from which whoever has it may read a blob of repo, without this registry; empty: use OpenBlob.
	LinkBlob(ctx context.Context, repo string, d digest.Digest) (string, error)
}

// Notes are what a source has to say of how it answered, besides the answer.
type Notes struct{ Stale string } // why what is served may not be the newest; empty: it is

type notesKey struct{}

// WithNotes returns a context in which a source may leave notes, and those.
func WithNotes(ctx context.Context) (context.Context, *Notes) {
	n := new(Notes)
	return context.WithValue(ctx, notesKey{}, n), n
}

// Note leaves a note that what is served may not be the newest.
func Note(ctx context.Context, stale string) {
	if n, ok := ctx.Value(notesKey{}).(*Notes); ok {
		n.Stale = stale
	}
}

// Expecting returns a ctx for a list of which about n entries are going to be read. It changes nothing but how long that takes.
func Expecting(ctx context.Context, n int) context.Context { return kv.Expecting(ctx, n) }

// Referrer is one entry of a referrers list.
type Referrer struct {
	Descriptor []byte // JSON, with artifactType and annotations as the distribution-spec ("Listing Referrers") wants them
	Cursor     string
}

// Admission looks at pushes before they exist, and at what is about to be removed. It may refuse, with an [Error] that tells the client why. What
// it does in the transaction that it is given appears together with the change itself, or not at all; that may run more than once.
type Admission interface {
	// Admit judges a manifest.
	Admit(ctx context.Context, p Push) (Verdict, error)
	// Remove is asked before a tag is removed, or (tag "") a manifest: what that named.
	Remove(ctx context.Context, tx kv.Tx, repo, tag string, was Stored) error
}

// Verdict is what an admission does to a push that it lets pass. Functions that are nil have nothing to do.
type Verdict struct {
	// Tag is asked before a tag is set; was is what it named until now, nil if there was no such tag. A tag that stays is left where it is, and
	// the push is answered as if it had been set: what it names is as good.
	Tag func(ctx context.Context, tx kv.Tx, tag string, was *Stored) (stays bool, err error)
	// Record runs last.
	Record func(ctx context.Context, tx kv.Tx, now Stored) error
}

// Push is a manifest about to be stored.
type Push struct {
	Repo     string
	Tags     []string // may be empty: a push by digest
	Manifest Manifest
	Bytes    []byte
	Open     func(ctx context.Context, d digest.Digest) (io.ReadSeekCloser, error) // a blob that the repository holds
	Read     func(ctx context.Context, d digest.Digest) (Manifest, error)          // a manifest that the repository has
}
