package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// clock is a time that tests move.
type clock struct{ ahead atomic.Int64 }

var epoch = time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)

func (c *clock) now() time.Time          { return epoch.Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// open returns a registry on Memory stores; change may put others in their place.
func open(t testing.TB, change ...func(*Config)) *Registry {
	t.Helper()
	c := Config{Blobs: blob.NewMemory(), Index: kv.NewMemory(), Uploads: kv.NewMemory()}
	for _, f := range change {
		f(&c)
	}
	r, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// octets returns n bytes that are always the same for the same seed.
func octets(seed string, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(b)
	return b
}

// describe describes content by its sha256 digest.
func describe(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// imageOf writes an image manifest.
func imageOf(config []byte, layers [][]byte, change ...func(*ocispec.Manifest)) []byte {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: describe(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{},
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, describe(ocispec.MediaTypeImageLayerGzip, l))
	}
	for _, f := range change {
		f(&m)
	}
	return encode(m)
}

// referrerOf writes an image manifest that refers to subject.
func referrerOf(subject []byte, kind string, config []byte) []byte {
	return imageOf(config, nil, func(m *ocispec.Manifest) {
		s := describe(ocispec.MediaTypeImageManifest, subject)
		m.Subject, m.ArtifactType, m.Annotations = &s, kind, map[string]string{"by": "a test"}
	})
}

// indexOf writes an index of image manifests.
func indexOf(manifests ...[]byte) []byte {
	m := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	for _, body := range manifests {
		m.Manifests = append(m.Manifests, describe(ocispec.MediaTypeImageManifest, body))
	}
	return encode(m)
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// push stores a blob in one step.
func push(ctx context.Context, r *Registry, repo string, content []byte) error {
	return r.PutBlob(ctx, repo, digest.FromBytes(content), int64(len(content)), bytes.NewReader(content))
}

func mustPush(t testing.TB, r *Registry, repo string, contents ...[]byte) {
	t.Helper()
	for _, content := range contents {
		if err := push(t.Context(), r, repo, content); err != nil {
			t.Fatal(err)
		}
	}
}

func mustPut(t testing.TB, r *Registry, repo, ref string, body []byte, tags ...string) digest.Digest {
	t.Helper()
	res, err := r.PutManifest(t.Context(), Put{Repo: repo, Ref: ref, Tags: tags, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return res.Descriptor.Digest
}

// readBlob reads a blob of repo to its end.
func readBlob(ctx context.Context, r *Registry, repo string, d digest.Digest) ([]byte, error) {
	info, rc, err := r.OpenBlob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	content, err := io.ReadAll(rc)
	if err == nil && int64(len(content)) != info.Size {
		err = io.ErrUnexpectedEOF
	}
	return content, err
}

// rows returns everything under a prefix.
func rows(t testing.TB, v kv.View, prefix string) map[string]string {
	t.Helper()
	all := map[string]string{}
	from, to := kv.Prefix(prefix)
	for p, err := range v.Scan(t.Context(), from, to) {
		if err != nil {
			t.Fatal(err)
		}
		all[p.Key] = string(p.Value)
	}
	return all
}

// verified wants Verify to find nothing.
func verified(t testing.TB, blobs blob.Store, index kv.DB) {
	t.Helper()
	if _, err := Verify(t.Context(), blobs, index, func(problem string) { t.Errorf("verify: %s", problem) }); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// wantCode wants a refusal of that code.
func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if Code(err) != code {
		t.Errorf("error %v, want code %q", err, code)
	}
}

// saveAll seals the journal, settles everything and saves the journal as content.
func saveAll(t testing.TB, r *Registry) {
	t.Helper()
	if _, err := r.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n, err := r.journal.Seal(t.Context()); n > 0 || err != nil; n, err = r.journal.Seal(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.saveSegments(t.Context(), true); err != nil {
		t.Fatal(err)
	}
}

// as makes the context of somebody.
func as(ctx context.Context, name string) context.Context {
	return journal.By(ctx, journal.Actor{Name: name, Remote: "192.0.2.7", Request: "r-1"})
}

// annotated makes an image another one.
func annotated(note string) func(*ocispec.Manifest) {
	return func(m *ocispec.Manifest) { m.Annotations = map[string]string{"note": note} }
}

// onBolt puts the index into a file.
func onBolt(t testing.TB) func(*Config) {
	t.Helper()
	index, err := bolt.Open(filepath.Join(t.TempDir(), "index"), bolt.Options{Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = index.Close() })
	return func(c *Config) { c.Index = index }
}

// onDisk puts content into files: only there Appends are large enough for hashing beside the writing.
func onDisk(t testing.TB) func(*Config) {
	t.Helper()
	store, err := disk.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.Blobs = store }
}
