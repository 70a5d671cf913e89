package registry

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// TestManifest_deleted_between: a pull that finds a tag, and then its manifest gone, tells what there is now.
func TestManifest_deleted_between(t *testing.T) {
	index := &beforeBody{DB: kv.NewMemory()}
	r := open(t, func(c *Config) { c.Index = index })
	config := []byte("{}")
	mustPush(t, r, "a", config)
	first, second := imageOf(config, nil, annotated("1")), imageOf(config, nil, annotated("2"))
	put := func(body []byte) {
		t.Helper()
		if _, err := r.PutManifest(t.Context(), Put{Repo: "a", Ref: "t", Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(body []byte) {
		t.Helper()
		if err := r.DeleteManifest(t.Context(), "a", digest.FromBytes(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	put(first)
	index.once = func() { put(second); remove(first) }
	if desc, body, err := r.Manifest(t.Context(), "a", "t"); err != nil || desc.Digest != digest.FromBytes(second) || !bytes.Equal(body, second) {
		t.Errorf("moved: got %s, %v; want the second image", desc.Digest, err)
	}
	index.once = func() { remove(second) }
	if _, _, err := r.Manifest(t.Context(), "a", "t"); Code(err) != ManifestUnknown {
		t.Errorf("deleted: got %v; want %s", err, ManifestUnknown)
	}
	put(first)
	set(t, index, keyMan(digest.FromBytes(first)), nil)
	if _, _, err := r.Manifest(t.Context(), "a", "t"); err == nil || Code(err) == ManifestUnknown {
		t.Errorf("lost: got %v; want a fault of the registry", err)
	}
}

// beforeBody does something once, before the bytes of a manifest are read outside a transaction.
type beforeBody struct {
	kv.DB
	once func()
}

func (b *beforeBody) Get(ctx context.Context, key string) ([]byte, error) {
	if do := b.once; do != nil && strings.HasPrefix(key, prefixMan) {
		b.once = nil
		do()
	}
	return b.DB.Get(ctx, key)
}
