package importer

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Local moves into a registry in this process. Who is recorded as having pushed, is whoever the context says (journal.By).
type Local struct {
	Registry *registry.Registry
	Links    *Links // may be nil: then all bytes are copied
}

var _ To = (*Local)(nil)

// Resolve implements [To].
func (l *Local) Resolve(ctx context.Context, repo, tag string) (digest.Digest, error) {
	d, err := l.Registry.Resolve(ctx, repo, tag)
	if registry.Code(err) == registry.ManifestUnknown {
		return "", nil
	}
	return d.Digest, err
}

// Manifest implements [To].
func (l *Local) Manifest(ctx context.Context, repo string, d digest.Digest) (string, []byte, error) {
	desc, body, err := l.Registry.Manifest(ctx, repo, string(d))
	if registry.Code(err) == registry.ManifestUnknown {
		err = ErrAbsent
	}
	return desc.MediaType, body, err
}

// Has implements [To].
func (l *Local) Has(ctx context.Context, repo string, d ocispec.Descriptor) (bool, error) {
	_, err := l.Registry.Blob(ctx, repo, d.Digest)
	if registry.Code(err) == registry.BlobUnknown {
		return false, nil
	}
	return err == nil, err
}

// Bring implements [To].
func (l *Local) Bring(ctx context.Context, repo string, d ocispec.Descriptor, near string, open func() (io.ReadCloser, error)) (How, error) {
	if has, err := l.Has(ctx, repo, d); err != nil || has {
		return Here, err
	}
	// Whoever moves a registry may read all of it.
	mounted, err := l.Registry.Mount(ctx, repo, d.Digest, near, func(string) bool { return true })
	if err != nil || mounted {
		return Mounted, err
	}
	content, err := open()
	if err != nil {
		return Copied, err
	}
	defer content.Close()
	file, ok := content.(*os.File)
	if !ok || l.Links == nil {
		return Copied, l.Registry.PutBlob(ctx, repo, d.Digest, d.Size, content)
	}
	offer := l.Links.offer(d.Digest, file)
	defer l.Links.withdraw(d.Digest)
	err = l.Registry.PutBlob(ctx, repo, d.Digest, d.Size, content)
	if offer.taken.Load() {
		return Linked, err
	}
	return Copied, err
}

// Put implements [To].
func (l *Local) Put(ctx context.Context, repo, tag string, d ocispec.Descriptor, body []byte) error {
	p := registry.Put{Repo: repo, Ref: string(d.Digest), ContentType: d.MediaType, Body: body}
	if tag != "" {
		p.Tags = []string{tag}
	}
	_, err := l.Registry.PutManifest(ctx, p)
	return err
}

// Note writes a line into the journal of the registry that was moved into: from where, and what came.
func Note(ctx context.Context, index kv.DB, source string, r Report) error {
	result := "ok"
	if n := len(r.Failures) + r.More; n > 0 {
		result = fmt.Sprintf("%d failures", n)
	}
	err := index.Update(ctx, func(tx kv.Tx) error {
		journal.Append(ctx, tx, journal.Event{
			Action: "import", Object: source, Result: result,
			Note: fmt.Sprintf("%d repositories, %d tags, %d manifests, %d blobs, %d bytes", r.Repositories, r.Came.Tags, r.Came.Manifests, r.Came.Blobs, r.Came.Bytes),
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("note the import in the journal: %w", err)
	}
	return nil
}
