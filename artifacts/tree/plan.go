package tree

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
)

// archive is a tar file that does not exist: of what it consists, in order. Its bytes follow from that alone.
type archive struct {
	parts []part
	size  int64
	exact bool   // size is known
	tag   string // tells archives apart
	tree  *Tree
	repo  string
}

// part is a piece of an archive: bytes of its own, or a blob.
type part struct {
	at, size int64
	text     []byte
	blob     digest.Digest
	unpack   bool
}

// containerdName is the annotation by which containerd knows what an image is called.
const containerdName = "io.containerd.image.name"

// saved is an entry of manifest.json, by which docker load finds its image (Docker Image Specification 1.2, "Combined Image JSON + Filesystem Changeset Format").
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// plan says of what an image.tar consists. With measure it unpacks, once, what goes in unpacked, to know how long that is; else the archive may be inexact, and is
// not to be sent.
func (t *Tree) plan(ctx context.Context, m image, measure bool) (*archive, error) {
	if len(m.manifest.Layers) > maxLayers {
		return nil, unknown("no image.tar is made of an image of %d layers; pull it with an OCI client", len(m.manifest.Layers))
	}
	p := planner{archive: archive{tree: t, repo: m.repo, exact: true}, has: map[string]bool{}}
	d := m.manifest.Descriptor
	list := saved{Config: blobPath(m.manifest.Config.Digest), RepoTags: []string{m.name}, Layers: []string{}}
	var layers []layer
	for n, desc := range m.manifest.Layers {
		l, err := t.layer(ctx, m, n, desc, measure)
		if err != nil {
			return nil, err
		}
		list.Layers = append(list.Layers, l.loaded())
		p.exact = p.exact && (!l.zstd || l.unpackedSize >= 0)
		layers = append(layers, l)
	}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{{
			MediaType: d.MediaType, Digest: d.Digest, Size: int64(len(m.body)),
			Annotations: map[string]string{ocispec.AnnotationRefName: m.tag, containerdName: m.name},
		}},
	}
	p.json(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	p.json(ocispec.ImageIndexFile, index)
	p.json("manifest.json", []saved{list})
	p.file(blobPath(d.Digest), m.body)
	p.file(blobPath(m.manifest.Config.Digest), m.config)
	for _, l := range layers {
		p.blob(blobPath(l.digest), l.size, l.digest, false)
		if l.zstd {
			p.blob(l.loaded(), l.unpackedSize, l.digest, true)
		}
	}
	p.literal(make([]byte, 2*tarBlock))
	p.tag = p.identity()
	return &p.archive, p.err
}

func blobPath(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}

// layer is one of an image.
type layer struct {
	digest       digest.Digest
	size         int64
	zstd         bool
	diffID       digest.Digest // of what is in it, if it is packed with zstd
	unpackedSize int64         // then; -1 if it is not known
}

// loaded is the path of what older programs read.
func (l layer) loaded() string {
	if l.zstd {
		return blobPath(l.diffID)
	}
	return blobPath(l.digest)
}

// layer looks at a layer. Which way it is packed its first bytes tell for certain; its media type need not.
func (t *Tree) layer(ctx context.Context, m image, n int, d ocispec.Descriptor, measure bool) (layer, error) {
	info, content, err := t.registry.OpenBlob(ctx, m.repo, d.Digest)
	if registry.Code(err) == registry.BlobUnknown {
		return layer{}, unknown("no image.tar can be made, since layer %s is not in this registry", d.Digest)
	}
	if err != nil {
		return layer{}, err
	}
	defer content.Close()
	l := layer{digest: d.Digest, size: info.Size, unpackedSize: -1}
	head := make([]byte, len(zstdMagic))
	if _, err := io.ReadFull(content, head); err != nil || !bytes.Equal(head, zstdMagic) {
		return l, nil // what is shorter is not packed
	}
	if l.zstd = true; n >= len(m.parsed.RootFS.DiffIDs) || !registry.ValidDigest(string(m.parsed.RootFS.DiffIDs[n])) {
		return l, unknown("no image.tar can be made, since the image's config does not say what is in layer %s", d.Digest)
	}
	l.diffID = m.parsed.RootFS.DiffIDs[n]
	if size, ok := t.unpacked.of(l.digest, l.diffID); ok {
		l.unpackedSize = size
	} else if measure {
		if _, err = content.Seek(0, io.SeekStart); err == nil {
			l.unpackedSize, err = t.measure(ctx, content, l)
		}
	}
	return l, err
}

const tarBlock = 512

// planner writes the plan of an archive.
type planner struct {
	archive
	has map[string]bool
	err error
}

func (p *planner) json(name string, value any) {
	text, err := json.Marshal(value)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("write %s: %w", name, err)
	}
	p.file(name, text)
}

func (p *planner) file(name string, text []byte) {
	if p.header(name, int64(len(text))) {
		p.literal(text)
		p.pad(int64(len(text)))
	}
}

func (p *planner) blob(name string, size int64, d digest.Digest, unpack bool) {
	if p.header(name, size) && size > 0 {
		p.parts = append(p.parts, part{at: p.size, size: size, blob: d, unpack: unpack})
		p.size += size
		p.pad(size)
	}
}

// header begins a file, unless there is one of this name: layers may be the same.
func (p *planner) header(name string, size int64) bool {
	if p.has[name] {
		return false
	}
	p.has[name] = true
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: max(size, 0), Mode: 0o644, ModTime: time.Unix(0, 0)})
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("write the header of %s: %w", name, err)
	}
	p.literal(b.Bytes())
	return true
}

func (p *planner) pad(size int64) { p.literal(make([]byte, (tarBlock-size%tarBlock)%tarBlock)) }

// literal adds bytes, to those before if they are of this kind.
func (p *planner) literal(text []byte) {
	if len(text) == 0 {
		return
	}
	last := len(p.parts) - 1
	if last < 0 || p.parts[last].blob != "" {
		p.parts = append(p.parts, part{at: p.size})
		last++
	}
	p.parts[last].text = append(p.parts[last].text, text...)
	p.parts[last].size += int64(len(text))
	p.size += int64(len(text))
}

// identity is the same for archives of the same bytes, and for no others.
func (p *planner) identity() string {
	h := sha256.New()
	for _, one := range p.parts {
		fmt.Fprintf(h, "%d %s %t\n", one.size, one.blob, one.unpack)
		h.Write(one.text)
	}
	return hex.EncodeToString(h.Sum(nil))
}
