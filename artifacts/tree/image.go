package tree

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

const (
	maxConfig   = 8 << 20 // bytes of an image's config
	maxChildren = 200     // of an index, so many are looked at
	maxLayers   = 1000    // far above the 127 that an overlay file system can stack
)

// image is what goes into an image.tar.
type image struct {
	repo     string
	manifest *registry.Manifest
	body     []byte // of the manifest
	config   []byte
	parsed   ocispec.Image // the config
	name     string        // host/cloud/dmp/ms-ingestion:1.0.2
	tag      string
}

// sendImage makes and sends an image.tar.
func (t *Tree) sendImage(w http.ResponseWriter, r *http.Request, c door.Call, in content, i item) error {
	m, err := t.image(r.Context(), r, in, i, c.Query.Get("platform"))
	if err != nil {
		return err
	}
	a, err := t.plan(r.Context(), m, r.Method != http.MethodHead)
	if err != nil {
		return err
	}
	h := w.Header()
	i.describe(h)
	h.Set("Cache-Control", caching(c, false)) // a later version of this program may make it otherwise
	if !a.exact {
		w.WriteHeader(http.StatusOK) // to HEAD: how long it is takes unpacking it
		return nil
	}
	h.Set("Etag", `"tar-`+a.tag+`"`)
	content := a.stream(r.Context())
	defer content.drop()
	return door.ServeContent(pieces{w}, r, i.path+" of "+in.component, i.modified, content)
}

// imageEntry describes an image.tar, as far as that can be done without unpacking.
func (t *Tree) imageEntry(r *http.Request, in content, i *item) Entry {
	e := Entry{Name: imageTar, Type: File, Modified: i.modified.UTC().Truncate(time.Second), Platforms: i.image.Platforms}
	m, err := t.image(r.Context(), r, in, *i, "")
	var a *archive
	if err == nil {
		a, err = t.plan(r.Context(), m, false)
	}
	if err != nil {
		if r.Context().Err() == nil {
			t.log.Warn("of an image no image.tar can be made", "component", in.component, "version", in.version.String(), "err", err)
		}
		return e
	}
	if e.Image = m.manifest.Descriptor.Digest; a.exact {
		e.Size = &a.size
	}
	return e
}

// image reads the image of a version for a platform; "" is linux/amd64 if there is one, else the first.
func (t *Tree) image(ctx context.Context, r *http.Request, in content, i item, platform string) (m image, err error) {
	m = image{repo: in.component, tag: in.version.Tag()}
	m.name = hostOf(r) + m.repo + ":" + m.tag
	wanted, err := parsePlatform(platform)
	if err != nil {
		return m, err
	}
	root, err := t.manifest(ctx, &m, i.image.Digest)
	if err != nil {
		return m, lost(err, "the image of "+m.name)
	}
	if !root.Index() {
		if m.manifest = root; wanted != nil && !fits(&m.parsed.Platform, wanted) {
			return m, noPlatform(platform, []string{platformName(&m.parsed.Platform)})
		}
		return m, nil
	}
	return m, t.choose(ctx, &m, root.Manifests, platform, wanted)
}

// manifest reads a manifest into m, and the config if it is an image's.
func (t *Tree) manifest(ctx context.Context, m *image, d digest.Digest) (*registry.Manifest, error) {
	desc, body, err := t.registry.Manifest(ctx, m.repo, string(d))
	if err != nil {
		return nil, err
	}
	parsed, err := registry.ParseManifest(desc.MediaType, d, body)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s of %s: %w", d, m.repo, err)
	}
	m.body, m.config, m.parsed = body, nil, ocispec.Image{}
	if parsed.Config != nil {
		if m.config, err = t.small(ctx, m.repo, *parsed.Config, maxConfig); err == nil {
			_ = json.Unmarshal(m.config, &m.parsed) // what cannot be read has no platform, and no layers that fit
		}
	}
	return parsed, err
}

// small reads a blob that is not long.
func (t *Tree) small(ctx context.Context, repo string, d ocispec.Descriptor, limit int64) ([]byte, error) {
	info, content, err := t.registry.OpenBlob(ctx, repo, d.Digest)
	if err != nil {
		return nil, lost(err, "blob "+string(d.Digest)+" of "+repo)
	}
	defer content.Close()
	if info.Size > limit {
		return nil, unknown("no image.tar is made of this image, since its config has %d bytes; pull it with an OCI client", info.Size)
	}
	body, err := io.ReadAll(io.LimitReader(content, limit))
	if err == nil && int64(len(body)) != info.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		err = fmt.Errorf("read blob %s of %s: %w", d.Digest, repo, err)
	}
	return body, err
}

// choose reads one image of an index.
func (t *Tree) choose(ctx context.Context, m *image, children []ocispec.Descriptor, platform string, wanted *ocispec.Platform) error {
	preferred := wanted
	if wanted == nil {
		preferred = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	}
	children = slices.DeleteFunc(slices.Clone(children[:min(len(children), maxChildren)]), func(d ocispec.Descriptor) bool {
		return d.MediaType != ocispec.MediaTypeImageManifest && d.MediaType != registry.TypeDockerManifest || d.Platform != nil && d.Platform.OS == "unknown"
	})
	slices.SortStableFunc(children, func(a, b ocispec.Descriptor) int { return fit(b.Platform, preferred) - fit(a.Platform, preferred) })
	var there []string
	for _, child := range children {
		if child.Platform != nil && wanted != nil && !fits(child.Platform, wanted) {
			if _, err := t.registry.Resolve(ctx, m.repo, string(child.Digest)); err == nil {
				there = append(there, platformName(child.Platform))
			}
			continue
		}
		parsed, err := t.manifest(ctx, m, child.Digest)
		if registry.Code(err) == registry.ManifestUnknown {
			continue // an index may be kept in part
		}
		if err != nil {
			return err
		}
		at := child.Platform
		if at == nil {
			at = &m.parsed.Platform
		}
		if wanted == nil || fits(at, wanted) {
			m.manifest = parsed
			return nil
		}
		there = append(there, platformName(at))
	}
	return noPlatform(platform, there)
}

func noPlatform(platform string, there []string) error {
	if len(there) == 0 {
		return unknown("the index has no image of which an image.tar could be made; pull it with an OCI client")
	}
	return unknown("there is no image for %s; choose with ?platform= among %s", auth.Clip(platform), auth.Clip(strings.Join(there, ", ")))
}

// parsePlatform reads OS/ARCH[/VARIANT].
func parsePlatform(s string) (*ocispec.Platform, error) {
	if s == "" {
		return nil, nil
	}
	part := strings.Split(s, "/")
	if len(s) > 100 || len(part) < 2 || len(part) > 3 || slices.Contains(part, "") {
		return nil, &door.Refusal{Answer: door.BadQuery, Detail: map[string]string{"parameter": "platform", "hint": "write a platform like linux/arm64"}}
	}
	p := &ocispec.Platform{OS: part[0], Architecture: part[1]}
	if len(part) == 3 {
		p.Variant = part[2]
	}
	return p, nil
}

// fit is how well a platform is the wanted one: 2 exactly, 1 in a variant that was not asked for, 0 not at all.
func fit(got, wanted *ocispec.Platform) int {
	switch {
	case got == nil || got.OS != wanted.OS || got.Architecture != wanted.Architecture:
		return 0
	case variant(got) == variant(wanted):
		return 2
	case wanted.Variant == "":
		return 1
	}
	return 0
}

func fits(got, wanted *ocispec.Platform) bool { return fit(got, wanted) > 0 }

// variant of arm64 is v8 unless it says otherwise.
func variant(p *ocispec.Platform) string {
	if p.Architecture == "arm64" && p.Variant == "" {
		return "v8"
	}
	return p.Variant
}

func platformName(p *ocispec.Platform) string {
	if p.Variant == "" {
		return p.OS + "/" + p.Architecture
	}
	return p.OS + "/" + p.Architecture + "/" + p.Variant
}

// hosts are what may stand before the name of an image. The header is the client's, and what it says goes into a file.
var hosts = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,250}[a-zA-Z0-9])?(:[0-9]{1,5})?$`)

// hostOf is the host that the client reached, as it stands before the name of an image, or "". Docker takes a first part for a host that has a dot or a port, or
// is localhost.
func hostOf(r *http.Request) string {
	host := r.Host
	switch {
	case !hosts.MatchString(host):
		return ""
	case host == "localhost" || strings.ContainsAny(host, ".:"):
	case r.TLS != nil:
		host += ":443"
	default:
		host += ":80"
	}
	return host + "/"
}
