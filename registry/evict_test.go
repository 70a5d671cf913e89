package registry

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// TestEvict takes an image with its parts and what refers to it, and leaves what others share.
func TestEvict(t *testing.T) {
	r, clock := sweepable(t)
	const repo = "up.example.com/app"
	shared, own, other := octets("shared", 2*smallBlob), octets("own", 2*smallBlob), octets("other", 2*smallBlob)
	mustPush(t, r, repo, sweptConfig, shared, own, other)
	child1, child2 := imageOf(sweptConfig, [][]byte{shared, own}), imageOf(sweptConfig, [][]byte{shared, other})
	d1, d2 := mustPut(t, r, repo, string(digest.FromBytes(child1)), child1), mustPut(t, r, repo, "tagged", child2)
	index := mustPut(t, r, repo, "index", indexOf(child1, child2))
	mustPut(t, r, repo, string(digest.FromBytes(referrerOf(child1, "application/x-note", sweptConfig))), referrerOf(child1, "application/x-note", sweptConfig))

	images := map[digest.Digest]Image{}
	for i, err := range r.Images(t.Context(), "up.example.com/") {
		if err != nil {
			t.Fatal(err)
		}
		images[i.Digest] = i
	}
	if len(images) != 2 || len(images[index].Tags) != 1 || len(images[d2].Tags) != 1 {
		t.Fatalf("images: %v, want the index and the tagged image", images)
	}
	clock.advance(time.Hour)
	r.Pulled(repo, d1)
	for i := range r.Images(t.Context(), "up.example.com/") {
		if i.Digest == index && !i.Used.Equal(r.now().Truncate(0)) && r.now().Sub(i.Used) > time.Minute {
			t.Errorf("a part of the index was pulled now, and it was used at %s", i.Used)
		}
	}
	sizes, err := r.HeldBytes(t.Context(), "up.example.com/", "other/")
	if want := int64(len(shared) + len(own) + len(other) + len(sweptConfig)); err != nil || sizes[0] != want || sizes[1] != 0 {
		t.Errorf("held: %v, %v, want %d", sizes, err, want)
	}
	freed, err := r.Evict(t.Context(), repo, index)
	if err != nil || freed != int64(len(own)) {
		t.Errorf("freed %d, %v; want %d, the layer that nothing else has", freed, err, len(own))
	}
	if _, _, err := r.Manifest(t.Context(), repo, string(d1)); Code(err) != ManifestUnknown {
		t.Errorf("a part of what was evicted: %v", err)
	}
	if err := read(t.Context(), r, repo, digest.FromBytes(other)); err != nil {
		t.Errorf("the image that has a tag of its own: %v", err)
	}
	if left := rows(t, r.index, prefixRef); len(left) != 0 {
		t.Errorf("referrers that are left: %v", left)
	}
	clock.advance(r.doomed + time.Second)
	if done, err := r.Reap(t.Context()); err != nil || done.Blobs != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := Verify(t.Context(), r.blobs, r.index, func(p string) { t.Error(p) }); err != nil {
		t.Error(err)
	}
}

// TestPulled counts in memory and writes many counts together; what is deleted leaves none.
func TestPulled(t *testing.T) {
	r, _ := sweepable(t)
	mustPush(t, r, "a/x", sweptConfig)
	d := mustPut(t, r, "a/x", "1", imageOf(sweptConfig, nil))
	for range 3 {
		r.Pulled("a/x", d)
	}
	if left := rows(t, r.index, prefixPull); len(left) != 0 {
		t.Errorf("a pull has written: %v", left)
	}
	for range 2 {
		if last, n, err := r.LastPull(t.Context(), "a/x", d); err != nil || n != 3 || time.Since(last) > time.Minute {
			t.Errorf("%s, %d, %v; want 3 pulls", last, n, err)
		}
		if err := r.SavePulls(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.Pulled("a/x", d)
	if _, n, err := r.LastPull(t.Context(), "a/x", d); err != nil || n != 4 {
		t.Errorf("%d, %v; want 4", n, err)
	}
	if err := r.DeleteManifest(t.Context(), "a/x", d, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.SavePulls(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := rows(t, r.index, prefixPull); len(left) != 0 {
		t.Errorf("what is left of a deleted manifest: %v", left)
	}
}

// TestOpen_upgrades an index of version 1: manifests get to know who has them.
func TestOpen_upgrades(t *testing.T) {
	r, _ := sweepable(t)
	rich(t, r)
	want := rows(t, r.index, prefixMan)
	err := r.index.Update(t.Context(), func(tx kv.Tx) error {
		tx.Put(keyVersion, []byte("1"))
		for pair, err := range tx.Scan(t.Context(), prefixMan, "man0") {
			if err != nil {
				return err
			}
			if len(pair.Value) == 0 {
				tx.Delete(pair.Key)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), r.blobs, r.index, func(string) {}); err == nil {
		t.Error("an index of version 1 was verified as if it were of this one")
	}
	if _, err := Open(t.Context(), Config{Blobs: r.blobs, Index: r.index}); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, r.index, prefixMan); len(got) != len(want) {
		t.Errorf("%d rows of manifests after the upgrade, want %d", len(got), len(want))
	}
	if _, err := Verify(t.Context(), r.blobs, r.index, func(p string) { t.Error(p) }); err != nil {
		t.Error(err)
	}
}
