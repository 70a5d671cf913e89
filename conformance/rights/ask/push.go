package ask

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// List returns a manifest that needs nothing and that nobody has seen before; with a subject it refers to that.
func List(subject ...ocispec.Descriptor) []byte {
	l := wire.Index()
	l.Annotations = map[string]string{"unique": digest.FromBytes(wire.Random(16)).Encoded()}
	if len(subject) > 0 {
		l.Subject = &subject[0]
	}
	return wire.JSON(l)
}

// Image returns a manifest of one layer, whose config is the layer, too.
func Image(layer []byte) []byte {
	return wire.JSON(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    wire.Descriptor(ocispec.MediaTypeImageConfig, layer),
		Layers:    []ocispec.Descriptor{wire.Descriptor(ocispec.MediaTypeImageLayer, layer)},
	})
}

// Push stores a blob in one request.
func (c Caller) Push(t testing.TB, repo string, content []byte) digest.Digest {
	t.Helper()
	d := digest.FromBytes(content)
	c.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", d.String()), content, "Content-Type", wire.Octets).Want(t, 201)
	return d
}

// Put stores a manifest under a tag, or by its digest if that is empty.
func (c Caller) Put(t testing.TB, repo, tag string, body []byte) digest.Digest {
	t.Helper()
	c.TryPut(t, repo, tag, body).Want(t, 201)
	return digest.FromBytes(body)
}

// TryPut is Put of which nothing is expected.
func (c Caller) TryPut(t testing.TB, repo, tag string, body []byte) wire.Reply {
	t.Helper()
	if tag == "" {
		tag = digest.FromBytes(body).String()
	}
	var m struct{ MediaType string }
	_ = json.Unmarshal(body, &m)
	return c.Do(t, "PUT", wire.ManifestPath(repo, tag), body, "Content-Type", m.MediaType)
}

// Begin begins an upload and returns its path.
func (c Caller) Begin(t testing.TB, repo string) string {
	t.Helper()
	return c.Do(t, "POST", wire.UploadsPath(repo), []byte{}).Want(t, 202).Header.Get("Location")
}

// Tags returns a repository's tags, as the caller sees them.
func (c Caller) Tags(t testing.TB, repo string) []string {
	t.Helper()
	var l struct{ Tags []string }
	c.Get(t, "/v2/"+repo+"/tags/list").Want(t, 200).JSON(t, &l)
	return l.Tags
}

// Catalog returns the repositories that the caller is told of, behind last and n ("": as many as there may be) on each page.
func (c Caller) Catalog(t testing.TB, last, n string) (all []string) {
	t.Helper()
	next := wire.With("/v2/_catalog", "last", last, "n", n)
	for range 1000 {
		got := c.Get(t, next).Want(t, 200)
		var page struct{ Repositories []string }
		got.JSON(t, &page)
		all = append(all, page.Repositories...)
		link := got.Header.Get("Link")
		if link == "" {
			return all
		}
		next, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
	}
	t.Fatal("a catalog without an end")
	return nil
}
