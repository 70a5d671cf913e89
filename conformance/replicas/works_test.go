//go:build backends

package replicas

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestOne_replica_over_a_bucket_and_a_database does what a registry is for, from the first push until the content is gone again, whoever answers.
func TestOne_replica_over_a_bucket_and_a_database(t *testing.T) {
	for name, count := range map[string]int{"one": 1, "three": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			wholeLife(t, count)
		})
	}
}

func wholeLife(t *testing.T, count int) {
	s := newStores(t)
	h := start(t, s, count, open+"gc: {every: 1s, grace: 1s, delay: 1s}\n")
	reg := h.front
	repo := wire.Repo(t)
	large := wire.Random(12<<20 + 17) // three pieces in S3
	first, second, third := large[:5<<20+3], large[5<<20+3:6<<20], large[6<<20:]
	location := reg.Begin(t, repo)
	at := 0
	for _, part := range [][]byte{first, second} {
		reply := reg.Patch(t, location, at, part).Want(t, 202)
		location, at = reg.Resolve(t, reply), at+len(part)
	}
	d := digest.FromBytes(large)
	reg.Close(t, location, d, third).Want(t, 201)
	small := wire.Random(100)
	reg.PushBlob(t, repo, small)
	config := wire.Config()
	reg.PushBlob(t, repo, config)
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: wire.Descriptor(ocispec.MediaTypeImageConfig, config),
		Layers: []ocispec.Descriptor{wire.Descriptor(ocispec.MediaTypeImageLayer, large), wire.Descriptor(ocispec.MediaTypeImageLayer, small)}}
	manifest.SchemaVersion = 2
	desc, body := reg.PushManifest(t, repo, "1.0", ocispec.MediaTypeImageManifest, manifest)
	for range 2 * count {
		if got := reg.Do(t, "GET", wire.ManifestPath(repo, "1.0"), nil).Want(t, 200); string(got.Body) != string(body) {
			t.Fatal("the manifest came back with other bytes")
		}
		redirected(t, h, wire.BlobPath(repo, d), large)
		if got := reg.Do(t, "GET", wire.BlobPath(repo, digest.FromBytes(small)), nil).Want(t, 200); string(got.Body) != string(small) {
			t.Fatal("the small blob came back with other bytes")
		}
	}
	reg.Do(t, "DELETE", wire.ManifestPath(repo, desc.Digest.String()), nil).Want(t, 202)
	reg.Do(t, "DELETE", wire.BlobPath(repo, d), nil).Want(t, 202)
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 404)
	soon(t, time.Minute, "the deleted content has left the bucket", func() bool {
		for _, key := range s.s3.Objects(t, s.bucket) {
			if strings.Contains(key, d.Encoded()) {
				return false
			}
		}
		return true
	})
	h.verify(t)
}

// redirected fails the test unless a blob is answered with a link to the bucket, which gives its bytes to whoever shows nothing.
func redirected(t *testing.T, h *house, path string, want []byte, headers ...string) {
	t.Helper()
	reply := h.front.Do(t, "GET", path, nil, headers...).Want(t, http.StatusTemporaryRedirect)
	link := reply.Header.Get("Location")
	if !strings.HasPrefix(link, h.s3.Endpoint+"/"+h.bucket+"/") {
		t.Fatalf("GET %s leads to %.80s, want a link to the bucket", path, link)
	}
	for i := 1; i < len(headers); i += 2 {
		if shown := headers[i][strings.LastIndexByte(headers[i], ' ')+1:]; strings.Contains(link, shown) {
			t.Error("the link holds what the client showed to the registry")
		}
	}
	if got := wire.At(h.s3.Endpoint).Do(t, "GET", link, nil).Want(t, 200); string(got.Body) != string(want) {
		t.Fatalf("the link gives %d bytes that are not the blob's %d", len(got.Body), len(want))
	}
}
