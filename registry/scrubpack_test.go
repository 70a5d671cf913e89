package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

// TestScrub_compacts a pack most of which is gone, and no other.
func TestScrub_compacts(t *testing.T) {
	for _, c := range []struct{ images, deleted int }{{9, 0}, {9, 4}, {9, 6}, {9, 9}} {
		r, clock := sweepable(t)
		mustPush(t, r, "a/x", sweptConfig)
		if _, err := r.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range c.images {
			mustPut(t, r, "a/x", fmt.Sprint(i), imageOf(sweptConfig, nil, annotated(fmt.Sprint(i))))
		}
		saveAll(t, r)
		if packs := rows(t, r.index, prefixPack); len(packs) != 2 {
			t.Fatalf("%v, want one of the config and one of the images", packs)
		}
		for i := range c.deleted {
			if err := r.DeleteManifest(t.Context(), "a/x", digest.FromBytes(imageOf(sweptConfig, nil, annotated(fmt.Sprint(i)))), nil); err != nil {
				t.Fatal(err)
			}
		}
		saveAll(t, r)
		was := rows(t, r.index, prefixPack)
		clock.advance(time.Second) // a pack of this very millisecond would be spared
		done, all := scrubbed(t, r, ScrubOptions{})
		now := rows(t, r.index, prefixPack)
		changed := c.deleted > c.images/2
		if (done.Compacted == 1) != changed || len(all) != 0 || fmt.Sprint(was) != fmt.Sprint(now) != changed {
			t.Errorf("%d of %d deleted: %+v, %v, from %v to %v", c.deleted, c.images, done, all, was, now)
		}
		if c.deleted == c.images && len(now) != 1 {
			t.Errorf("an empty pack is left: %v", now)
		}
		clock.advance(r.doomed + time.Second)
		if gone, err := r.Reap(t.Context()); err != nil || gone.Blobs == 1 != changed {
			t.Errorf("%d of %d deleted: %+v, %v", c.deleted, c.images, gone, err)
		}
		if done, _ := scrubbed(t, r, ScrubOptions{}); done.Compacted != 0 {
			t.Errorf("once more: %+v", done)
		}
		verified(t, r.blobs, r.index)
		saveAll(t, r)
		built := kv.NewMemory()
		if _, err := Reindex(t.Context(), r.blobs, built, func(p string) { t.Errorf("reindex: %s", p) }); err != nil {
			t.Fatal(err)
		}
		if got, want := len(rows(t, built, prefixTag)), c.images-c.deleted; got != want {
			t.Errorf("%d tags came back, want %d", got, want)
		}
	}
}

// TestScrub_compacts_property: whatever is pushed, deleted, settled, scrubbed and reaped by two replicas, and wherever that breaks off: what the index alone holds
// waits to be packed, or lies in a pack that is recorded and can be read.
func TestScrub_compacts_property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clock, index, blobs := &ahead{}, kvtest.Faulty(kv.NewMemory()), blobtest.Faulty(blob.NewMemory())
		var replicas []*Registry
		for range 2 {
			replicas = append(replicas, open(t, func(c *Config) { c.Blobs, c.Index, c.Now = blobs, index, clock.now }))
		}
		ctx := context.Background()
		if err := push(ctx, replicas[0], "a", sweptConfig); err != nil {
			rt.Fatal(err)
		}
		one := func() *Registry { return rapid.SampledFrom(replicas).Draw(rt, "replica") }
		image := func() []byte {
			return imageOf(sweptConfig, nil, annotated(fmt.Sprint(rapid.IntRange(0, 7).Draw(rt, "image"))))
		}
		failure := errors.New("crash")
		broken := func(do func(r *Registry) error) {
			n, floor := rapid.IntRange(0, 25).Draw(rt, "fails at"), rapid.SampledFrom([]points{index, blobs}).Draw(rt, "floor")
			floor.FailAt(n, failure)
			err := do(one())
			floor.FailAt(0, nil)
			if err != nil && !errors.Is(err, failure) && !errors.Is(err, errVanished) {
				rt.Fatalf("background work failed by itself: %v", err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				if _, err := one().PutManifest(ctx, Put{Repo: "a", Ref: "t", Body: image()}); err != nil {
					rt.Fatal(err)
				}
			},
			"delete": func(*rapid.T) {
				if err := one().DeleteManifest(ctx, "a", digest.FromBytes(image()), nil); err != nil && Code(err) != ManifestUnknown {
					rt.Fatal(err)
				}
			},
			"settle": func(*rapid.T) { broken(func(r *Registry) error { _, err := r.Settle(ctx); return err }) },
			"scrub":  func(*rapid.T) { broken(func(r *Registry) error { _, err := r.Scrub(ctx, ScrubOptions{}); return err }) },
			"reap":   func(*rapid.T) { broken(func(r *Registry) error { _, err := r.Reap(ctx); return err }) },
			"time passes": func(*rapid.T) {
				clock.advance(time.Duration(rapid.SampledFrom([]int{1, 11}).Draw(rt, "minutes")) * time.Minute)
			},
			"": func(*rapid.T) {
				safe := map[string]bool{}
				for key := range rows(t, index, prefixPack) {
					entries, err := replicas[0].openPack(ctx, digest.Digest(strings.TrimPrefix(key, prefixPack)))
					if err != nil {
						rt.Fatalf("%s is recorded: %v", key, err)
					}
					for _, e := range entries {
						safe[string(e.Digest)] = true
					}
				}
				for key := range rows(t, index, prefixSettle) {
					_, d, _ := strings.Cut(key, "!")
					safe[d] = true
				}
				for _, prefix := range []string{prefixMan, prefixData} {
					for key := range rows(t, index, prefix) {
						if d := strings.TrimPrefix(key, prefix); !strings.Contains(d, "!") && !safe[d] {
							rt.Fatalf("%s is in no pack, and does not wait for one", key)
						}
					}
				}
			},
		})
	})
}
