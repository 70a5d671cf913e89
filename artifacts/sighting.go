package artifacts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/deb"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
)

// sighting is what can be seen of an artifact that is being pushed.
type sighting struct {
	kind      Kind
	content   string
	commit    string
	size      int64
	platforms []string
	files     []File
	labels    map[string]string
	ports     []int
	built     time.Time

	packages map[digest.Digest]pooled // by the digest of their file; those of the version before files were added to it need not be read again
}

const (
	maxConfig   = 8 << 20 // the longest config of an image that is read, in bytes
	maxChildren = 200     // of an index, so many are looked at
	maxFiles    = 10_000
	maxLabels   = 1000
)

// look reads what an artifact says of itself. What is pushed may be anything: a config that is none is no reason to refuse an image, a .deb that is none is.
func (s *sighting) look(ctx context.Context, p registry.Push) error {
	s.commit = commitOf(p.Manifest.Annotations)
	switch s.kind {
	case Docker:
		return s.image(ctx, p)
	case Release:
		return nil
	}
	for _, l := range p.Manifest.Layers {
		f := File{Name: l.Annotations[ocispec.AnnotationTitle], Digest: l.Digest, Size: l.Size, MediaType: l.MediaType}
		s.size += l.Size
		if s.kind == Deb && (f.MediaType == TypeDebPackage || strings.HasSuffix(f.Name, ".deb")) {
			if err := s.open(ctx, p, &f); err != nil {
				return err
			}
		}
		if s.files = append(s.files, f); len(s.files) > maxFiles {
			return invalid(p.Repo, fmt.Sprintf("more than %d files in one artifact", maxFiles))
		}
	}
	return nil
}

// open reads a Debian package. Nothing may enter a pool that would keep a suite from being built.
func (s *sighting) open(ctx context.Context, p registry.Push, f *File) error {
	if known, ok := s.packages[f.Digest]; ok {
		f.Name, f.Package = known.Name, known.Package
		return nil
	}
	content, err := p.Open(ctx, f.Digest)
	if err != nil {
		return err
	}
	defer content.Close()
	pkg, err := deb.Read(content, deb.Limits{})
	if err != nil {
		return invalid(p.Repo, fmt.Sprintf("%s is no Debian package: %v", cmp.Or(f.Name, string(f.Digest)), err))
	}
	c := pkg.Control
	f.Package = &Package{Name: c.Package(), Version: c.Version().String(), Architecture: c.Architecture()}
	f.Name = c.Filename() // what a pool calls it, whatever it was called
	if err := packageOf(p.Repo, pooled{*f, c.Text}).Check(); err != nil {
		return invalid(p.Repo, fmt.Sprintf("%s cannot be in an apt suite: %v", f.Name, err))
	}
	s.keep(pooled{*f, c.Text})
	return nil
}

func (s *sighting) keep(p pooled) {
	if s.packages == nil {
		s.packages = map[digest.Digest]pooled{}
	}
	s.packages[p.Digest] = p
}

// known tells a sighting of the packages that the version has already.
func (k *Catalog) known(ctx context.Context, p registry.Push, s *sighting) error {
	for _, tag := range p.Tags {
		t, _ := version.ParseTag(tag)
		if t.Kind != version.TagDeb {
			continue
		}
		v, err := k.Version(ctx, p.Repo, t.Version.String())
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err != nil {
			return err
		}
		for _, f := range v.Formats[Deb].Files {
			if f.Package == nil {
				continue
			}
			row, err := inPool(ctx, k.index, p.Repo, f.Name)
			if errors.Is(err, ErrUnknown) {
				continue
			}
			if err != nil {
				return err
			}
			s.keep(row)
		}
	}
	return nil
}

func invalid(repo, hint string) error {
	return &registry.Error{Code: registry.ManifestInvalid, Detail: map[string]string{"name": repo, "hint": hint}}
}

// image reads platforms and commit of an image, or of the images of an index.
func (s *sighting) image(ctx context.Context, p registry.Push) error {
	if !p.Manifest.Index() {
		return s.single(ctx, p, p.Manifest, nil)
	}
	for i, child := range p.Manifest.Manifests {
		if i == maxChildren {
			break
		}
		m, err := p.Read(ctx, child.Digest)
		if registry.Code(err) == registry.ManifestUnknown {
			s.platform(child.Platform) // a sparse index
			continue
		}
		if err != nil {
			return err
		}
		if err := s.single(ctx, p, m, child.Platform); err != nil {
			return err
		}
	}
	return nil
}

// single reads one image, whose index may say for which platform it is.
func (s *sighting) single(ctx context.Context, p registry.Push, m registry.Manifest, platform *ocispec.Platform) error {
	for _, l := range m.Layers {
		s.size += l.Size
	}
	var config struct {
		ocispec.Platform
		Created *time.Time
		Config  struct {
			Labels       map[string]string
			ExposedPorts map[string]struct{}
		}
	}
	if m.Config != nil && m.Config.Size <= maxConfig && Kind(byType[m.Config.MediaType]) == Docker {
		content, err := p.Open(ctx, m.Config.Digest)
		if err != nil {
			return err
		}
		err = json.NewDecoder(io.LimitReader(content, maxConfig)).Decode(&config)
		content.Close()
		if err == nil {
			s.commit = cmp.Or(s.commit, commitOf(m.Annotations), commitOf(config.Config.Labels))
			s.label(config.Config.Labels, config.Config.ExposedPorts)
			if config.Created != nil && s.built.IsZero() {
				s.built = config.Created.UTC()
			}
		}
	}
	if platform == nil && config.OS != "" {
		platform = &config.Platform
	}
	s.platform(platform)
	return nil
}

// label notes labels and ports, of the first image of an index.
func (s *sighting) label(labels map[string]string, exposed map[string]struct{}) {
	if s.labels == nil && len(labels) <= maxLabels {
		s.labels = labels
	}
	for port := range exposed {
		number, _, _ := strings.Cut(port, "/")
		if n, err := strconv.Atoi(number); err == nil && n > 0 && n <= 65535 && !slices.Contains(s.ports, n) && len(s.ports) < maxLabels {
			s.ports = append(s.ports, n)
		}
	}
	slices.Sort(s.ports)
}

// platform notes a platform; that of attestations is none.
func (s *sighting) platform(p *ocispec.Platform) {
	if p == nil || p.OS == "" || p.OS == "unknown" {
		return
	}
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	if len(name) < 100 {
		s.platforms = append(s.platforms, name)
	}
}

// commitOf returns the commit that an artifact names, if it is one.
func commitOf(labels map[string]string) string {
	sha := strings.ToLower(labels[ocispec.AnnotationRevision])
	if len(sha) < 7 || len(sha) > 64 || strings.Trim(sha, "0123456789abcdef") != "" {
		return ""
	}
	return sha
}
