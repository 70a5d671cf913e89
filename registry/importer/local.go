package importer

import (
	"context"
	"errors"
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
	Links    *Links  // may be nil: then no file is linked
	Copies   *Copies // may be nil: then no server is asked to copy
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
	if file, ok := content.(*os.File); ok && l.Links != nil {
		return l.link(ctx, repo, d, file)
	}
	if l.Copies != nil {
		how, err := l.duplicate(ctx, repo, d, content)
		if !errors.Is(err, errNotDuplicated) {
			return how, err
		}
		content.Close()
		if content, err = open(); err != nil {
			return Copied, err
		}
		defer content.Close()
	}
	return Copied, l.Registry.PutBlob(ctx, repo, d.Digest, d.Size, content)
}

// link stores a blob out of a file, which is linked if that can be.
func (l *Local) link(ctx context.Context, repo string, d ocispec.Descriptor, file *os.File) (How, error) {
	offer := l.Links.offer(d.Digest, file)
	defer l.Links.withdraw(d.Digest)
	err := l.Registry.PutBlob(ctx, repo, d.Digest, d.Size, file)
	if offer.taken.Load() {
		return Linked, err
	}
	return Copied, err
}

// duplicate stores a blob, by a copy on its server if that can be. With errNotDuplicated it has to be read once more, and nothing was stored.
func (l *Local) duplicate(ctx context.Context, repo string, d ocispec.Descriptor, content io.ReadCloser) (How, error) {
	taken := l.Copies.offer(d.Digest, content)
	defer l.Copies.withdraw(d.Digest)
	err := l.Registry.PutBlob(ctx, repo, d.Digest, d.Size, content)
	if taken.Load() {
		return Duplicated, err
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
