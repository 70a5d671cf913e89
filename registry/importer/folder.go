package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
)

// Folder is the data folder of a distribution registry (registry:2, registry:3, and what is built upon it), on a disk or in a bucket:
//
//	docker/registry/v2/repositories/<name>/_manifests/tags/<tag>/current/link       what a tag names
//	docker/registry/v2/repositories/<name>/_manifests/revisions/sha256/<hex>/link   that the repository has a manifest
//	docker/registry/v2/repositories/<name>/_layers/sha256/<hex>/link                that it may read a blob
//	docker/registry/v2/blobs/sha256/<xx>/<hex>/data                                 bytes, of manifests too
//
// What its registry would not serve, is not there: a manifest or blob without its link. It may be read while its registry runs; what is pushed meanwhile
// may or may not be seen. It is for one run at a time.
type Folder struct {
	medium   Medium
	subjects struct { // of one repository, the last that was asked about
		repo string
		of   map[digest.Digest][]digest.Digest
	}
}

var (
	_ From   = (*Folder)(nil)
	_ Lister = (*Folder)(nil)
)

// ErrNoFolder says that there is no registry's data where it was looked for.
var ErrNoFolder = errors.New("there is no " + layout + "/repositories in it")

const (
	layout        = "docker/registry/v2"
	manifestBytes = 4 << 20 // the longest manifest that distribution takes
	maxLevels     = 64      // of folders in a repository's name
)

// OpenFolder opens the folder of this machine that a registry was told to keep everything in.
func OpenFolder(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	f, err := NewFolder(context.Background(), onDisk{root})
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("%s is no data folder of a distribution registry: %w; name the one that its registry keeps everything in, /var/lib/registry in the usual image", dir, err)
	}
	return f, nil
}

// NewFolder returns what a registry keeps in a medium; ErrNoFolder if that is nothing. Close closes the medium too.
func NewFolder(ctx context.Context, m Medium) (*Folder, error) {
	const repositories = layout + "/repositories"
	for _, err := range m.List(ctx, repositories) {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoFolder
		}
		if err != nil {
			return nil, fmt.Errorf("look for %s in it: %w", repositories, err)
		}
		break
	}
	return &Folder{medium: m}, ctx.Err()
}

// Close ends the use of the folder.
func (f *Folder) Close() error { return f.medium.Close() }

// Repositories implements [From].
func (f *Folder) Repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { f.walk(ctx, "", 0, yield) }
}

// walk yields the repositories below a name, and tells whether to go on.
func (f *Folder) walk(ctx context.Context, name string, level int, yield func(string, error) bool) bool {
	for e, err := range f.entries(ctx, path.Join(layout, "repositories", name)) {
		if err != nil {
			if !yield("", fmt.Errorf("list repositories: %w", err)) {
				return false
			}
			continue
		}
		below := path.Join(name, e.Name())
		switch {
		case e.Name() == "_manifests" && e.IsDir() && name != "":
			if !yield(name, nil) {
				return false
			}
		case strings.HasPrefix(e.Name(), "_") || !e.IsDir() && e.Type()&fs.ModeSymlink == 0:
			// What belongs to a repository, and stray files.
		case !e.IsDir():
			if !yield("", fmt.Errorf("%.300q is a symbolic link, which is not followed", below)) {
				return false
			}
		case !registry.ValidName(below) || level >= maxLevels:
			if !yield("", fmt.Errorf("%.300q is no name of a repository", below)) {
				return false
			}
		case !f.walk(ctx, below, level+1, yield):
			return false
		}
	}
	return true
}

// Tags implements [From].
func (f *Folder) Tags(ctx context.Context, repo string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if !registry.ValidName(repo) {
			yield("", ErrAbsent)
			return
		}
		for e, err := range f.entries(ctx, path.Join(layout, "repositories", repo, "_manifests/tags")) {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return // nothing was ever tagged
			case err != nil:
				err = fmt.Errorf("list tags: %w", err)
			case !registry.ValidTag(e.Name()) || !e.IsDir():
				err = fmt.Errorf("%.140q among the tags is none", e.Name())
			}
			name := ""
			if err == nil {
				name = e.Name()
			}
			if !yield(name, err) {
				return
			}
		}
	}
}

// Resolve implements [From].
func (f *Folder) Resolve(ctx context.Context, repo, tag string) (digest.Digest, error) {
	if !registry.ValidName(repo) || !registry.ValidTag(tag) {
		return "", ErrAbsent
	}
	return f.link(ctx, path.Join(layout, "repositories", repo, "_manifests/tags", tag, "current/link"))
}

// Manifests implements [Lister].
func (f *Folder) Manifests(ctx context.Context, repo string) iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		if !registry.ValidName(repo) {
			yield("", ErrAbsent)
			return
		}
		at := path.Join(layout, "repositories", repo, "_manifests/revisions")
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			for e, err := range f.entries(ctx, path.Join(at, string(algorithm))) {
				if errors.Is(err, fs.ErrNotExist) {
					break
				}
				var d digest.Digest
				if err == nil {
					d, err = f.revision(ctx, repo, digest.Digest(string(algorithm)+":"+e.Name()))
				}
				if errors.Is(err, ErrAbsent) {
					continue // it was deleted, and its folder stayed
				}
				if err != nil {
					err = fmt.Errorf("list manifests: %w", err)
				}
				if !yield(d, err) {
					return
				}
			}
		}
	}
}

// revision returns d if the repository has that manifest; else ErrAbsent.
func (f *Folder) revision(ctx context.Context, repo string, d digest.Digest) (digest.Digest, error) {
	if !registry.ValidDigest(string(d)) {
		return "", fmt.Errorf("%.140q is no digest", string(d))
	}
	return d, f.linked(ctx, repo, "_manifests/revisions", d)
}

// linked returns nil if a repository has a link to d among its links of a kind.
func (f *Folder) linked(ctx context.Context, repo, kind string, d digest.Digest) error {
	if !registry.ValidName(repo) || !registry.ValidDigest(string(d)) {
		return ErrAbsent
	}
	at := path.Join(layout, "repositories", repo, kind, d.Algorithm().String(), d.Encoded(), "link")
	to, err := f.link(ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrAbsent
	}
	if err == nil && to != d {
		err = fmt.Errorf("the link %s names %s", at, to)
	}
	return err
}

// Manifest implements [From]. The folder does not keep what a manifest was called when it was pushed: its own bytes say what it is.
func (f *Folder) Manifest(ctx context.Context, repo string, d digest.Digest) (string, []byte, error) {
	if err := f.linked(ctx, repo, "_manifests/revisions", d); err != nil {
		return "", nil, err
	}
	body, err := f.medium.Read(ctx, dataOf(d), manifestBytes+1)
	switch {
	case err != nil:
		return "", nil, fmt.Errorf("read manifest: %w", gone(err))
	case len(body) > manifestBytes:
		return "", nil, fmt.Errorf("manifest %s is longer than %d bytes", d, manifestBytes)
	}
	if got := d.Algorithm().FromBytes(body); got != d {
		return "", nil, fmt.Errorf("manifest %s is damaged: its %d bytes are %s", d, len(body), got)
	}
	return "", body, nil
}

// Referrers implements [From]: it reads all manifests of the repository once.
func (f *Folder) Referrers(ctx context.Context, repo string, d ocispec.Descriptor) ([]digest.Digest, error) {
	if f.subjects.repo != repo {
		of, err := f.readSubjects(ctx, repo)
		if err != nil {
			return nil, err
		}
		f.subjects.repo, f.subjects.of = repo, of
	}
	return f.subjects.of[d.Digest], nil
}

// readSubjects finds who refers to what. What cannot be read refers to nothing; but a medium that does not answer is an error.
func (f *Folder) readSubjects(ctx context.Context, repo string) (map[digest.Digest][]digest.Digest, error) {
	all := map[digest.Digest][]digest.Digest{}
	for d, err := range f.Manifests(ctx, repo) {
		var body []byte
		if err == nil {
			_, body, err = f.Manifest(ctx, repo, d)
		}
		if errors.Is(err, blob.ErrUnavailable) {
			return nil, err
		}
		var m struct {
			Subject struct{ Digest digest.Digest }
		}
		if err == nil && json.Unmarshal(body, &m) == nil && m.Subject.Digest != "" {
			all[m.Subject.Digest] = append(all[m.Subject.Digest], d)
		}
	}
	return all, ctx.Err()
}

// Blob implements [From]. What it returns is what the medium opened: an *os.File, on a disk.
func (f *Folder) Blob(ctx context.Context, repo string, d ocispec.Descriptor) (io.ReadCloser, error) {
	err := f.linked(ctx, repo, "_layers", d.Digest)
	if errors.Is(err, ErrAbsent) {
		return nil, errors.New("the repository has no link to it: its registry does not serve it either; push the image again, or delete it there")
	}
	if err != nil {
		return nil, err
	}
	content, size, err := f.content(ctx, d.Digest)
	if err != nil {
		return nil, err
	}
	if size != d.Size {
		content.Close()
		return nil, fmt.Errorf("its file is damaged: it is not %d bytes long, as its manifest says", d.Size)
	}
	return content, nil
}
