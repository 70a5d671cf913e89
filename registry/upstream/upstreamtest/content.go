package upstreamtest

import (
	"encoding/json"
	"math/rand/v2"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"
	DockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// Image is what was pushed.
type Image struct {
	Repo, Tag  string
	Descriptor ocispec.Descriptor
	Bytes      []byte
	Config     ocispec.Descriptor
	Layers     []ocispec.Descriptor
	Images     []Image // of an index
}

// PushImage puts an image with layers of so many random bytes into the upstream. The tag may be empty.
func (u *Upstream) PushImage(repo, tag string, layers ...int) Image {
	return u.push(repo, tag, ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip, "amd64", layers)
}

// PushSchema2 is PushImage in Docker's own media types.
func (u *Upstream) PushSchema2(repo, tag string, layers ...int) Image {
	return u.push(repo, tag, DockerManifest, DockerConfig, DockerLayer, "amd64", layers)
}

func (u *Upstream) push(repo, tag, mediaType, configType, layerType, platform string, layers []int) Image {
	image := Image{Repo: repo, Tag: tag}
	rootfs := []digest.Digest{}
	for _, size := range layers {
		d := u.PutBlob(repo, random(size))
		image.Layers = append(image.Layers, ocispec.Descriptor{MediaType: layerType, Digest: d, Size: int64(size)})
		rootfs = append(rootfs, d)
	}
	config := encode(ocispec.Image{Platform: ocispec.Platform{Architecture: platform, OS: "linux"},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: rootfs}})
	image.Config = ocispec.Descriptor{MediaType: configType, Digest: u.PutBlob(repo, config), Size: int64(len(config))}
	image.Bytes = encode(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType,
		Config: image.Config, Layers: image.Layers})
	image.Descriptor = u.PutManifest(repo, tag, mediaType, image.Bytes)
	return image
}

// PushIndex puts an index of images, one for each architecture, into the upstream, each with one layer.
func (u *Upstream) PushIndex(repo, tag string, architectures ...string) Image {
	index := Image{Repo: repo, Tag: tag}
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	for _, a := range architectures {
		image := u.push(repo, "", ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip, a, []int{500})
		d := image.Descriptor
		d.Platform = &ocispec.Platform{Architecture: a, OS: "linux"}
		list.Manifests = append(list.Manifests, d)
		index.Images = append(index.Images, image)
	}
	index.Bytes = encode(list)
	index.Descriptor = u.PutManifest(repo, tag, ocispec.MediaTypeImageIndex, index.Bytes)
	return index
}

// PushReferrer puts a manifest that refers to a subject into the upstream.
func (u *Upstream) PushReferrer(repo string, subject ocispec.Descriptor, artifactType string) Image {
	empty := ocispec.DescriptorEmptyJSON
	empty.Data = nil
	u.PutBlob(repo, []byte("{}"))
	image := Image{Repo: repo, Config: empty, Layers: []ocispec.Descriptor{empty}}
	image.Bytes = encode(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType, Config: empty, Layers: image.Layers, Subject: &subject})
	image.Descriptor = u.PutManifest(repo, "", ocispec.MediaTypeImageManifest, image.Bytes)
	return image
}

// TagReferrers writes the tag that stands in for the referrers API, as clients do where there is none ([NoReferrersAPI] does it by itself).
func (u *Upstream) TagReferrers(repo string, subject digest.Digest) {
	tag := strings.Replace(string(subject), ":", "-", 1)
	tag = tag[:min(len(tag), len(subject.Algorithm())+1+64)]
	u.PutManifest(repo, tag, ocispec.MediaTypeImageIndex, encode(u.referrers(repo, subject)))
}

// PutBlob puts content into a repository.
func (u *Upstream) PutBlob(repo string, content []byte) digest.Digest {
	u.mu.Lock()
	defer u.mu.Unlock()
	d := digest.FromBytes(content)
	u.repo(repo).blobs[d] = content
	return d
}

// PutManifest puts anything as a manifest into a repository, and gives it a tag if that is not empty.
func (u *Upstream) PutManifest(repo, tag, mediaType string, content []byte) ocispec.Descriptor {
	u.mu.Lock()
	defer u.mu.Unlock()
	d := digest.FromBytes(content)
	u.repo(repo).manifests[d] = manifest{mediaType, content}
	if tag != "" {
		u.repo(repo).tags[tag] = d
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// Tag moves a tag to a digest; to the empty one, it is taken away.
func (u *Upstream) Tag(repo, tag string, d digest.Digest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.repo(repo).tags[tag] = d; d == "" {
		delete(u.repo(repo).tags, tag)
	}
}

// Remove takes a manifest or a blob away, and the tags that name it.
func (u *Upstream) Remove(repo string, d digest.Digest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := u.repo(repo)
	delete(r.manifests, d)
	delete(r.blobs, d)
	for tag, named := range r.tags {
		if named == d {
			delete(r.tags, tag)
		}
	}
}

// move makes the tag name something new.
func (u *Upstream) move(repo, tag string) {
	u.mu.Lock()
	_, known := u.repo(repo).tags[tag]
	u.mu.Unlock()
	if known {
		u.PushImage(repo, tag, 100)
	}
}

// Blob returns content that was put.
func (u *Upstream) Blob(repo string, d digest.Digest) []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.repo(repo).blobs[d]
}

// repo returns a repository, and makes it. The lock is held.
func (u *Upstream) repo(name string) *repo {
	if u.repos[name] == nil {
		u.repos[name] = &repo{map[digest.Digest]manifest{}, map[string]digest.Digest{}, map[digest.Digest][]byte{}}
	}
	return u.repos[name]
}

// referrers makes the index of those who refer to a subject.
func (u *Upstream) referrers(repo string, subject digest.Digest) ocispec.Index {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	for d, m := range u.repo(repo).manifests {
		var read ocispec.Manifest
		if json.Unmarshal(m.bytes, &read) == nil && read.Subject != nil && read.Subject.Digest == subject {
			list.Manifests = append(list.Manifests, ocispec.Descriptor{MediaType: m.mediaType, Digest: d, Size: int64(len(m.bytes)),
				ArtifactType: read.ArtifactType, Annotations: read.Annotations})
		}
	}
	sortByDigest(list.Manifests)
	return list
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// random returns bytes that nobody has seen.
func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}
