package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

// rotting is a store whose content rots on command, and that can put it aside.
type rotting struct {
	blob.Store
	mu    sync.Mutex
	rot   map[digest.Digest]func([]byte) ([]byte, error)
	aside map[digest.Digest]bool
	puts  chan struct{} // if not nil, putting aside waits for it

	refuses bool // to put anything aside
}

func newRotting(below blob.Store) *rotting {
	return &rotting{Store: below, rot: map[digest.Digest]func([]byte) ([]byte, error){}, aside: map[digest.Digest]bool{}}
}

func (s *rotting) rots(d digest.Digest, how func([]byte) ([]byte, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rot[d] = how
}

func (s *rotting) Open(ctx context.Context, d digest.Digest, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	how := s.rot[d]
	s.mu.Unlock()
	if how == nil {
		return s.Store.Open(ctx, d, offset)
	}
	rc, err := s.Store.Open(ctx, d, 0)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	body, err := io.ReadAll(rc)
	if err != nil {
		return nil, err
	}
	if body, err = how(body); err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(body[min(offset, int64(len(body))):])), nil
}

func (s *rotting) Commit(ctx context.Context, upload string, d digest.Digest) error {
	err := s.Store.Commit(ctx, upload, d)
	if err == nil {
		s.rots(d, nil) // fresh bytes
	}
	return err
}

func (s *rotting) Quarantine(ctx context.Context, d digest.Digest) (string, error) {
	if s.puts != nil {
		<-s.puts
	}
	if s.refuses {
		return "", errMedium
	}
	if _, err := s.Store.Stat(ctx, d); err != nil {
		return "", err
	}
	if err := s.Store.Delete(ctx, d); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rot, d)
	s.aside[d] = true
	return "the cellar", nil
}

var errMedium = errors.New("input/output error")

// rots are the ways in which content rots.
var rots = map[string]func([]byte) ([]byte, error){
	DamageDigest:            func(b []byte) ([]byte, error) { b[len(b)/2] ^= 1; return b, nil },
	DamageSize + " shorter": func(b []byte) ([]byte, error) { return b[:len(b)-1], nil },
	DamageSize + " longer":  func(b []byte) ([]byte, error) { return append(b, 0), nil },
	DamageSize + " empty":   func([]byte) ([]byte, error) { return nil, nil },
	DamageMissing:           func([]byte) ([]byte, error) { return nil, blob.ErrNotFound },
	DamageUnreadable:        func([]byte) ([]byte, error) { return nil, errMedium },
}

// ailing is a registry with an image in two repositories, one of whose layers has rotted.
type ailing struct {
	*Registry
	store *rotting
	clock *ahead
	layer digest.Digest
	image digest.Digest
}

var ailingLayer = octets("ailing layer", 3*smallBlob)

func newAiling(t testing.TB, below blob.Store, rot func([]byte) ([]byte, error), change ...func(*Config)) *ailing {
	t.Helper()
	a := &ailing{store: newRotting(below), clock: &ahead{}, layer: digest.FromBytes(ailingLayer)}
	a.Registry = open(t, append([]func(*Config){func(c *Config) { c.Blobs, c.Now = a.store, a.clock.now }}, change...)...)
	for _, repo := range []string{"a/x", "b/y"} {
		mustPush(t, a.Registry, repo, sweptConfig, ailingLayer, sweptOther)
		a.image = mustPut(t, a.Registry, repo, "1", imageOf(sweptConfig, [][]byte{ailingLayer}))
	}
	mustPut(t, a.Registry, "a/x", "all", indexOf(imageOf(sweptConfig, [][]byte{ailingLayer})))
	mustPush(t, a.Registry, "a/x", []byte("{}"))
	mustPut(t, a.Registry, "a/x", "about", referrerOf(imageOf(sweptConfig, [][]byte{ailingLayer}), "application/x-note", []byte("{}")))
	a.clock.advance(a.doomed + time.Minute)
	a.store.rots(a.layer, rot)
	return a
}

// scrubbed scrubs and returns what was found.
func scrubbed(t testing.TB, r *Registry, o ScrubOptions) (ScrubTally, []Damage) {
	t.Helper()
	var all []Damage
	o.Found = func(d Damage) { all = append(all, d) }
	done, err := r.Scrub(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return done, all
}

func stores(t testing.TB) map[string]blob.Store {
	onDisk, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]blob.Store{"memory": blob.NewMemory(), "disk": onDisk}
}

// TestScrub_finds_every_rot, puts it aside, tells which images it hits, and takes a push that heals it.
func TestScrub_finds_every_rot(t *testing.T) {
	for name, rot := range rots {
		for on, store := range stores(t) {
			t.Run(name+" on "+on, func(t *testing.T) {
				a := newAiling(t, store, rot)
				done, all := scrubbed(t, a.Registry, ScrubOptions{})
				if len(all) != 1 || done.Damaged != 1 || done.Healed != 0 || all[0].Digest != a.layer || !strings.HasPrefix(name, all[0].What) || all[0].Size != int64(len(ailingLayer)) {
					t.Fatalf("%+v, %+v; want the layer", done, all)
				}
				if !a.store.aside[a.layer] || all[0].Aside != "the cellar" {
					t.Errorf("aside: %v, %q", a.store.aside, all[0].Aside)
				}
				var images []string
				for _, h := range all[0].Images {
					images = append(images, h.Repo+":"+strings.Join(h.Tags, ","))
				}
				if slices.Sort(images); !slices.Equal(images, []string{"a/x:1", "a/x:all", "b/y:1"}) {
					t.Errorf("it hits %v, want the image in both repositories, and the index", images)
				}
				// It is not served, and not said to be here.
				for _, repo := range []string{"a/x", "b/y"} {
					if _, _, err := a.OpenBlob(t.Context(), repo, a.layer); Code(err) != BlobUnknown && Code(err) != BlobDamaged {
						t.Errorf("%s: %v, want it not to be served", repo, err)
					}
					if err := a.whyUnknown(t.Context(), repo, a.layer); Code(err) != BlobDamaged {
						t.Errorf("%s: %v, want to be told that it is damaged", repo, err)
					}
				}
				if err := a.whyUnknown(t.Context(), "c", a.layer); Code(err) != BlobUnknown {
					t.Errorf("a repository that never held it is told %v", err)
				}
				wantEvents(t, a.Registry, "blob.damaged")
				// Another scrub has nothing to find, and a push by one repository heals it for both.
				if done, all := scrubbed(t, a.Registry, ScrubOptions{}); len(all) != 0 || done.Damaged != 0 {
					t.Errorf("once more: %+v", all)
				}
				if err := push(t.Context(), a.Registry, "b/y", ailingLayer); err != nil {
					t.Fatal(err)
				}
				if err := a.Mend(t.Context()); err != nil {
					t.Fatal(err)
				}
				a.wantWhole(t)
				wantEvents(t, a.Registry, "blob.damaged", "blob.healed")
			})
		}
	}
}

func (a *ailing) wantWhole(t testing.TB) {
	t.Helper()
	for _, repo := range []string{"a/x", "b/y"} {
		if err := read(context.Background(), a.Registry, repo, a.layer); err != nil {
			t.Errorf("%s: %v, want it whole again", repo, err)
		}
	}
	if left := rows(t, a.index, prefixDamaged); len(left) != 0 {
		t.Errorf("rows that are left: %v", left)
	}
	verified(t, a.store, a.index)
}

// wantEvents wants the journal to hold these events of damaged blobs, in this order.
func wantEvents(t testing.TB, r *Registry, want ...string) {
	t.Helper()
	saveAll(t, r)
	var got []string
	for l, err := range journal.New(r.index).Tail(t.Context(), 0, 1000) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(l.Event.Action, ".damaged") || strings.HasSuffix(l.Event.Action, ".healed") {
			got = append(got, l.Event.Action)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the journal has %v, want %v", got, want)
	}
}

// TestScrub_heals from an upstream, from a peer, and not from what sends something else.
func TestScrub_heals(t *testing.T) {
	peer := newRottingWith(t, ailingLayer)
	sends := func(only string, body []byte) func(context.Context, string, digest.Digest) (io.ReadCloser, error) {
		return func(_ context.Context, repo string, _ digest.Digest) (io.ReadCloser, error) {
			if repo != only {
				return nil, blob.ErrNotFound
			}
			return io.NopCloser(bytes.NewReader(body)), nil
		}
	}
	flipped := slices.Clone(ailingLayer)
	flipped[0] ^= 1
	still := Peer{"a peer that stands still", func(ctx context.Context, _ digest.Digest, repos []string) (io.ReadCloser, error) {
		if slices.Sort(repos); !slices.Equal(repos, []string{"a/x", "b/y"}) {
			t.Errorf("told of %v, want those that held it", repos)
		}
		return io.NopCloser(io.MultiReader(bytes.NewReader(ailingLayer[:1000]), waiting{ctx})), nil
	}}
	endless := Peer{"a peer without an end", func(context.Context, digest.Digest, []string) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(ailingLayer), nothingMore{})), nil
	}}
	for name, c := range map[string]struct {
		o  ScrubOptions
		by string
	}{
		"an upstream":                {ScrubOptions{Fetch: sends("b/y", ailingLayer)}, "upstream of b/y"},
		"a peer":                     {ScrubOptions{Peers: peers(peer)}, "the peer store"},
		"a peer without it":          {ScrubOptions{Peers: peers(blob.NewMemory())}, ""},
		"a peer before upstreams":    {ScrubOptions{Peers: peers(peer), Fetch: sends("a/x", ailingLayer)}, "the peer store"},
		"other bytes":                {ScrubOptions{Fetch: sends("a/x", flipped)}, ""},
		"fewer bytes":                {ScrubOptions{Fetch: sends("a/x", ailingLayer[:1000])}, ""},
		"more bytes":                 {ScrubOptions{Fetch: sends("a/x", append(slices.Clone(ailingLayer), 1))}, ""},
		"a peer that is not there":   {ScrubOptions{Peers: peers(newRottingAll(errMedium))}, ""},
		"a peer that stands still":   {ScrubOptions{Peers: []Peer{still}, patience: 50 * time.Millisecond}, ""},
		"the second of two peers":    {ScrubOptions{Peers: append([]Peer{still}, peers(peer)...), patience: 50 * time.Millisecond}, "the peer store"},
		"a peer with other bytes":    {ScrubOptions{Peers: peers(newRottingWith(t, flipped))}, ""},
		"a peer with fewer bytes":    {ScrubOptions{Peers: peers(newRottingWith(t, ailingLayer[:1000]))}, ""},
		"a peer with a page":         {ScrubOptions{Peers: peers(newRottingWith(t, []byte("<html><title>Log in</title></html>")))}, ""},
		"a peer without an end":      {ScrubOptions{Peers: []Peer{endless}}, ""},
		"a bad peer and an upstream": {ScrubOptions{Peers: peers(newRottingAll(errMedium)), Fetch: sends("a/x", ailingLayer)}, "upstream of a/x"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAiling(t, blob.NewMemory(), rots[DamageDigest])
			done, all := scrubbed(t, a.Registry, c.o)
			if len(all) != 1 || all[0].Healed != c.by || done.Healed == 1 != (c.by != "") {
				t.Fatalf("%+v, %+v; want it to be healed by %q", done, all, c.by)
			}
			if c.by != "" {
				a.wantWhole(t)
				wantEvents(t, a.Registry, "blob.damaged", "blob.healed")
				return
			}
			if _, _, err := a.OpenBlob(t.Context(), "a/x", a.layer); err == nil {
				t.Error("it is served all the same")
			}
			for p, err := range a.blobs.Uploads(t.Context()) {
				t.Errorf("an upload is left: %+v, %v", p, err)
			}
			// The next scrub tries once more.
			if done, _ := scrubbed(t, a.Registry, ScrubOptions{Peers: peers(peer)}); done.Healed != 1 {
				t.Errorf("once more: %+v", done)
			}
			a.wantWhole(t)
		})
	}
}

func peers(content blob.Reader) []Peer { return []Peer{StorePeer("the peer store", content)} }

// waiting has nothing to read, until the end.
type waiting struct{ ctx context.Context }

func (w waiting) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}

type nothingMore struct{}

func (nothingMore) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// newRottingWith is a store that has these bytes under the digest of the layer.
func newRottingWith(t testing.TB, body []byte) blob.Reader {
	t.Helper()
	s := blob.NewMemory()
	name := blob.Named(newUUID(), digest.FromBytes(ailingLayer))
	_, err := s.Append(t.Context(), name, 0, bytes.NewReader(body))
	if err := errors.Join(err, s.Commit(t.Context(), name, digest.FromBytes(ailingLayer))); err != nil {
		t.Fatal(err)
	}
	return s
}

// newRottingAll is a store that reads nothing.
func newRottingAll(err error) blob.Reader { return broken{err} }

type broken struct{ err error }

func (b broken) Open(context.Context, digest.Digest, int64) (io.ReadCloser, error) { return nil, b.err }
func (b broken) Stat(context.Context, digest.Digest) (blob.Info, error)            { return blob.Info{}, b.err }

// TestScrub_damage_is_told_and_healed by the next push or pull itself, for all repositories in the same transaction.
func TestScrub_damage_is_told_and_healed(t *testing.T) {
	for _, repo := range []string{"a/x", "c/new"} {
		a := newAiling(t, blob.NewMemory(), rots[DamageDigest])
		scrubbed(t, a.Registry, ScrubOptions{})
		_, _, err := a.OpenBlob(t.Context(), "a/x", a.layer)
		wantCode(t, err, BlobDamaged)
		_, err = a.Blob(t.Context(), "b/y", a.layer)
		wantCode(t, err, BlobDamaged)
		_, err = a.Blob(t.Context(), "c/new", a.layer)
		wantCode(t, err, BlobUnknown)
		if mounted, err := a.Mount(t.Context(), "c/new", a.layer, "a/x", func(string) bool { return true }); mounted || err != nil {
			t.Errorf("mounted: %v, %v; want it to be pushed instead", mounted, err)
		}
		mustPush(t, a.Registry, repo, ailingLayer)
		a.wantWhole(t)
		wantEvents(t, a.Registry, "blob.damaged", "blob.healed")
	}
}

// TestScrub_small: what lies in the index is compared as well, and packs hold another copy.
func TestScrub_small(t *testing.T) {
	for name, settled := range map[string]bool{"a pack": true, "": false} {
		a := newAiling(t, blob.NewMemory(), nil)
		if settled {
			saveAll(t, a.Registry)
		}
		d := digest.FromBytes(sweptConfig)
		bad := append([]byte{'!'}, sweptConfig[1:]...)
		set(t, a.index, keyData(d), bad)
		done, all := scrubbed(t, a.Registry, ScrubOptions{})
		if len(all) != 1 || all[0].Digest != d || all[0].Healed != name || done.Damaged != 1 {
			t.Fatalf("%+v, %+v; want the config, healed by %q", done, all, name)
		}
		if settled {
			a.wantWhole(t)
		} else if row := rows(t, a.index, keyDamaged(d))[keyDamaged(d)]; !strings.Contains(row, `"kept"`) {
			t.Errorf("%s: want the bytes to be kept for the operator", row)
		}
	}
}

func set(t testing.TB, db kv.DB, key string, value []byte) {
	t.Helper()
	err := db.Update(t.Context(), func(tx kv.Tx) error {
		if value == nil {
			tx.Delete(key)
		} else {
			tx.Put(key, value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestScrub_own: manifests, packs and segments are healed from each other.
func TestScrub_own(t *testing.T) {
	a := newAiling(t, blob.NewMemory(), nil)
	saveAll(t, a.Registry)
	set(t, a.index, keyMan(a.image), []byte("{}"))
	if _, all := scrubbed(t, a.Registry, ScrubOptions{}); len(all) != 1 || all[0].Kind != "manifest" || all[0].Healed != "a pack" || len(all[0].Images) == 0 {
		t.Errorf("%+v, want the manifest, healed by a pack", all)
	}
	for _, prefix := range []string{prefixPack, prefixSegment} {
		for what, rot := range map[string]func([]byte) ([]byte, error){DamageDigest: rots[DamageDigest], DamageMissing: rots[DamageMissing], DamageUnreadable: rots[DamageUnreadable]} {
			saveAll(t, a.Registry)
			for key, value := range rows(t, a.index, prefix) {
				d := digest.Digest(strings.TrimPrefix(key, prefix))
				if prefix == prefixSegment {
					d = digest.Digest(value)
				}
				a.store.rots(d, rot)
			}
			_, all := scrubbed(t, a.Registry, ScrubOptions{})
			if len(all) == 0 || all[0].What != what || all[0].Healed != "the index" || all[0].Kind+"/" != prefix {
				t.Errorf("%s %s: %+v, want it written anew from the index", prefix, what, all)
			}
			if _, all := scrubbed(t, a.Registry, ScrubOptions{}); len(all) != 0 {
				t.Errorf("%s %s: once more: %+v", prefix, what, all)
			}
		}
	}
	verified(t, a.store, a.index)
	saveAll(t, a.Registry)
	built := kv.NewMemory()
	if _, err := Reindex(t.Context(), a.blobs, built, func(p string) { t.Errorf("reindex: %s", p) }); err != nil {
		t.Fatal(err)
	}
	if len(rows(t, built, prefixTag)) != len(rows(t, a.index, prefixTag)) || len(rows(t, built, prefixRev)) != len(rows(t, a.index, prefixRev)) {
		t.Error("the index that is built anew has other images")
	}
}

// TestScrub_on_disk: rot of real files.
func TestScrub_on_disk(t *testing.T) {
	for name, rot := range map[string]func(path string) error{
		DamageDigest: func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte{ailingLayer[9] ^ 64}, 9)
			return err
		},
		DamageSize:    func(path string) error { return os.Truncate(path, 10) },
		DamageMissing: os.Remove,
		DamageUnreadable: func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store, err := disk.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			a := newAiling(t, store, nil, func(c *Config) { c.Blobs = store })
			if err := rot(filepath.Join(dir, "blobs", "sha256", a.layer.Encoded()[:2], a.layer.Encoded())); err != nil {
				t.Fatal(err)
			}
			_, all := scrubbed(t, a.Registry, ScrubOptions{})
			if len(all) != 1 || all[0].Digest != a.layer || all[0].What != name {
				t.Fatalf("%+v, want the layer", all)
			}
			_, able := any(store).(blob.Quarantiner)
			_, _, err = a.OpenBlob(t.Context(), "a/x", a.layer)
			if name == DamageUnreadable && !able {
				if Code(err) != "" || !strings.Contains(all[0].Detail, "left where it is") {
					t.Errorf("%v, %s; want what cannot be put aside to be left", err, all[0].Detail)
				}
				return
			}
			if Code(err) != BlobUnknown && Code(err) != BlobDamaged {
				t.Errorf("%v, want it not to be served", err)
			}
			mustPush(t, a.Registry, "a/x", ailingLayer)
			if err := a.Mend(t.Context()); err != nil {
				t.Fatal(err)
			}
			a.store.Store = store
			a.wantWhole(t)
		})
	}
}

// TestScrub_lets_be what a store that is away cannot read, what is young, what is doomed, and what fails but once.
func TestScrub_lets_be(t *testing.T) {
	away := newAiling(t, blob.NewMemory(), rots[DamageUnreadable])
	away.blobs = noWrites{away.store} // as a mount that is gone
	if _, err := away.Scrub(t.Context(), ScrubOptions{}); !errors.Is(err, errMedium) {
		t.Errorf("%v, want the scrub to end with what the store says", err)
	}
	if left := rows(t, away.index, prefixDamaged); len(left) != 0 {
		t.Errorf("called damaged: %v", left)
	}
	once := newAiling(t, blob.NewMemory(), nil)
	tries := 0
	once.store.rots(once.layer, func(b []byte) ([]byte, error) {
		if tries++; tries == 1 {
			return nil, errMedium
		} else if tries == 2 {
			return b[1:], nil
		}
		return b, nil
	})
	if _, all := scrubbed(t, once.Registry, ScrubOptions{}); len(all) != 0 || tries != 3 {
		t.Errorf("%+v after %d tries; want what is right the third time to be right", all, tries)
	}
	young := newAiling(t, blob.NewMemory(), rots[DamageDigest])
	young.clock.advance(-young.doomed)
	if _, all := scrubbed(t, young.Registry, ScrubOptions{}); len(all) != 0 {
		t.Errorf("%+v; want what was just stored to be left to the next scrub", all)
	}
}

// TestScrub_goes_on when something cannot be put aside, which is then tried again.
func TestScrub_goes_on(t *testing.T) {
	a := newAiling(t, blob.NewMemory(), rots[DamageDigest])
	a.store.rots(digest.FromBytes(sweptOther), rots[DamageSize+" empty"])
	a.store.refuses = true
	_, all := scrubbed(t, a.Registry, ScrubOptions{})
	if len(all) != 2 || !strings.Contains(all[0].Detail, "put the damaged blob") {
		t.Fatalf("%+v, want both", all)
	}
	if _, _, err := a.OpenBlob(t.Context(), "a/x", a.layer); err == nil {
		t.Error("it is served all the same")
	}
	a.clock.advance(a.claimFor() + time.Second)
	if err := a.Mend(t.Context()); !errors.Is(err, errMedium) {
		t.Errorf("%v, want the reason", err)
	}
	a.store.refuses = false
	a.clock.advance(a.claimFor() + time.Second)
	if err := a.Mend(t.Context()); err != nil {
		t.Error(err)
	}
	mustPush(t, a.Registry, "a/x", ailingLayer, sweptOther)
	if err := a.Mend(t.Context()); err != nil {
		t.Error(err)
	}
	a.wantWhole(t)
	wantEvents(t, a.Registry, "blob.damaged", "blob.damaged", "blob.healed", "blob.healed")
}

// TestScrub_takes_back what can be neither read nor put aside: it may be readable tomorrow, and until then what fails is told.
func TestScrub_takes_back(t *testing.T) {
	a := newAiling(t, blob.NewMemory(), rots[DamageUnreadable])
	a.store.refuses = true
	before := rows(t, a.index, "")
	if before[keyBlob(a.layer)] == "" {
		t.Fatalf("%d rows, without that of the layer", len(before))
	}
	for range 2 {
		done, all := scrubbed(t, a.Registry, ScrubOptions{})
		if len(all) != 1 || done.Healed != 0 || all[0].What != DamageUnreadable || !strings.Contains(all[0].Detail, "left where it is") || len(all[0].Images) == 0 {
			t.Fatalf("%+v, %+v; want the layer", done, all)
		}
	}
	for key, value := range before {
		if now := rows(t, a.index, key)[key]; now != value && !strings.HasPrefix(key, "event/") && !strings.HasPrefix(key, "meta/") {
			t.Errorf("%s was %q, and is %q", key, value, now)
		}
	}
	if left := rows(t, a.index, prefixDamaged); len(left) != 0 {
		t.Errorf("rows that are left: %v", left)
	}
	wantEvents(t, a.Registry)
	a.store.rots(a.layer, nil) // tomorrow
	a.wantWhole(t)
	a.store.rots(a.layer, rots[DamageUnreadable])
	a.store.refuses = false
	if _, all := scrubbed(t, a.Registry, ScrubOptions{}); len(all) != 1 || all[0].Aside == "" {
		t.Errorf("%+v, want it to be put aside when that is possible", all)
	}
}

type noWrites struct{ *rotting }

func (noWrites) Append(context.Context, string, int64, io.Reader) (int64, error) { return 0, errMedium }

// TestScrub_broken_off at every call of every floor: what was promised holds, and the next scrub comes to the same end.
func TestScrub_broken_off(t *testing.T) {
	failure := errors.New("crash")
	for _, floor := range []string{"index", "index, after the commit", "blobs"} {
		for n := 1; ; n++ {
			late := kvtest.Late(kv.NewMemory())
			index, faulty := kvtest.Faulty(late), blobtest.Faulty(blob.NewMemory())
			a := newAiling(t, faulty, rots[DamageDigest], func(c *Config) { c.Index = index })
			at := map[string]points{"index": index, "index, after the commit": late, "blobs": faulty}[floor]
			o := ScrubOptions{Fetch: func(context.Context, string, digest.Digest) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(ailingLayer)), nil
			}}
			at.FailAt(n, failure)
			_, err := a.Scrub(t.Context(), o)
			reached := at.Calls() >= n
			at.FailAt(0, nil)
			if err != nil && !errors.Is(err, failure) {
				t.Fatalf("%s %d: %v", floor, n, err)
			}
			a.clock.advance(a.claimFor() + time.Second)
			if _, err := a.Scrub(t.Context(), o); err != nil {
				t.Fatalf("%s %d, once more: %v", floor, n, err)
			}
			a.wantWhole(t)
			for p := range a.blobs.Uploads(t.Context()) {
				if floor != "blobs" {
					t.Errorf("%s %d: an upload is left: %+v", floor, n, p)
				}
			}
			if t.Failed() {
				t.Fatalf("after the failure at %s, call %d", floor, n)
			}
			if !reached {
				if n < 5 {
					t.Fatalf("%s has failed at %d calls only", floor, n)
				}
				break
			}
		}
	}
}

// TestScrub_beside_a_push of the same content that comes while it is put aside: the push waits, and its bytes stay.
func TestScrub_beside_a_push(t *testing.T) {
	a := newAiling(t, blob.NewMemory(), rots[DamageDigest])
	a.store.puts = make(chan struct{})
	ended := make(chan error, 1)
	go func() { _, err := a.Scrub(context.Background(), ScrubOptions{}); ended <- err }()
	for deadline := time.Now().Add(20 * time.Second); len(rows(t, a.index, prefixDamaged)) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is put aside")
		}
	}
	pushed := make(chan error, 1)
	go func() { pushed <- push(context.Background(), a.Registry, "a/x", ailingLayer) }()
	select {
	case err := <-pushed:
		t.Errorf("it was told that all is well while the content was about to go: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	close(a.store.puts)
	if err := errors.Join(<-ended, <-pushed); err != nil {
		t.Fatal(err)
	}
	if err := a.Mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.wantWhole(t)
}

// TestScrub_beside_pushes_and_sweeps: content that rots again and again, while it is pushed, deleted and swept. Who was told that all is well finds it, until it rots.
func TestScrub_beside_pushes_and_sweeps(t *testing.T) {
	store, index, uploads := newRotting(blob.NewMemory()), kv.NewMemory(), kv.NewMemory()
	replica := func() *Registry {
		return open(t, func(c *Config) {
			c.Blobs, c.Index, c.Uploads, c.Grace, c.Doomed = store, index, uploads, 20*time.Millisecond, 100*time.Millisecond
		})
	}
	ctx, stop := context.WithTimeout(t.Context(), *sweepFor)
	defer stop()
	var work sync.WaitGroup
	layers := [][]byte{octets("scrub beside 1", 2*smallBlob), octets("scrub beside 2", 2*smallBlob)}
	found := 0
	one := replica()
	work.Go(func() {
		for ctx.Err() == nil {
			if _, err := one.Scrub(ctx, ScrubOptions{Found: func(Damage) { found++ }}); err != nil && ctx.Err() == nil {
				t.Errorf("scrub: %v", err)
			}
			time.Sleep(time.Millisecond)
		}
	})
	two := replica()
	work.Go(func() {
		for ctx.Err() == nil {
			_, err1 := two.Sweep(ctx, SweepOptions{})
			_, err2 := two.Reap(ctx)
			_, _, err3 := two.SweepOrphans(ctx, SweepOptions{})
			_, err4 := two.Settle(ctx)
			if err := errors.Join(err1, err2, err3, err4); err != nil && ctx.Err() == nil && !errors.Is(err, errMedium) {
				t.Errorf("sweep: %v", err)
			}
		}
	})
	for n := range 4 {
		r, repo := replica(), fmt.Sprint("r", n%2)
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				c := layers[(n+i)%2]
				d := digest.FromBytes(c)
				err := push(context.Background(), r, repo, c)
				if err != nil && Code(err) != BlobUploadUnknown {
					t.Errorf("push: %v", err)
					return
				}
				if i%5 == 4 {
					store.rots(d, rots[DamageDigest])
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	work.Wait()
	if found == 0 {
		t.Error("no rot was found")
	}
	// In the end, pushes and a scrub make everything whole.
	time.Sleep(120 * time.Millisecond)
	last := replica()
	for range 2 {
		time.Sleep(120 * time.Millisecond)
		if _, err := last.Scrub(t.Context(), ScrubOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, c := range layers {
			for _, repo := range []string{"r0", "r1"} {
				mustPush(t, last, repo, c)
			}
		}
	}
	if err := last.Mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range layers {
		for _, repo := range []string{"r0", "r1"} {
			if err := read(t.Context(), last, repo, digest.FromBytes(c)); err != nil {
				t.Errorf("%s: %v", repo, err)
			}
		}
	}
}

// TestScrub_reads_no_faster than it may.
func TestScrub_reads_no_faster(t *testing.T) {
	p := newPace(1 << 20)
	if n, err := io.Copy(io.Discard, p.reader(t.Context(), bytes.NewReader(make([]byte, 1<<18)))); n != 1<<18 || err != nil {
		t.Fatal(n, err)
	}
	if took := time.Since(p.began); took < 200*time.Millisecond {
		t.Errorf("a quarter of a second's bytes took %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newPace(1).reader(ctx, bytes.NewReader([]byte("x"))).Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want a scrub that is stopped to stop", err)
	}
}

// TestScrubber_goes_on where a run was cut, on one replica at a time.
func TestScrubber_goes_on(t *testing.T) {
	a := newAiling(t, blob.NewMemory(), rots[DamageDigest])
	gate, reached := make(chan struct{}), make(chan struct{})
	var once sync.Once
	first, last := a.layer, digest.FromBytes(sweptOther) // of the blobs in the store
	if last < first {
		first, last = last, first
	}
	a.store.rots(a.layer, nil)
	a.store.rots(first, rots[DamageDigest])
	a.store.rots(last, func(b []byte) ([]byte, error) {
		once.Do(func() { close(reached) })
		<-gate
		return b, nil
	})
	one := NewScrubber(ScrubConfig{Registry: a.Registry, Rate: -1})
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); one.Run(ctx) }()
	began := make(chan error, 1)
	go func() { _, err := one.Start(as(context.Background(), "user:root"), nil); began <- err }()
	<-reached
	second := NewScrubber(ScrubConfig{Registry: a.Registry, Rate: -1})
	if _, err := second.Start(t.Context(), nil); !errors.Is(err, ErrScrubElsewhere) {
		t.Errorf("%v, want another replica to be refused", err)
	}
	if state, err := second.State(t.Context()); err != nil || state.Running == nil || state.Running.Here || state.Running.Cut {
		t.Errorf("%+v, %v; want it to be known that the other one is at it", state, err)
	}
	stop()
	time.AfterFunc(10*time.Millisecond, func() { close(gate) })
	<-over
	if err := <-began; !errors.Is(err, ErrScrubStopped) {
		t.Errorf("%v, want whoever follows to be told that the registry stops", err)
	}
	if _, err := one.Start(t.Context(), nil); !errors.Is(err, ErrScrubStopped) {
		t.Errorf("%v, want none to begin after the end", err)
	}
	row, err := second.known(t.Context())
	if err != nil || !row.Open || row.After == "" || row.By != "user:root" {
		t.Fatalf("%+v, %v; want it to be known where it stood", row, err)
	}
	before := row.Tally
	result, err := second.Start(t.Context(), nil)
	if err != nil || result.Things <= before.Things || result.By != "user:root" || !result.Began.Equal(row.Began) {
		t.Errorf("%+v, %v; want the run to go on behind %+v", result, err, before)
	}
	total, all := scrubbed(t, a.Registry, ScrubOptions{})
	if result.Damaged != 1 || len(all) != 0 || result.Things != total.Things+1 {
		t.Errorf("%+v; want everything to be read once, as by one that is not cut: %+v and the layer", result, total)
	}
	state, err := second.State(t.Context())
	if err != nil || state.Running != nil || state.Last == nil || state.Last.Damaged != 1 || len(state.Damages) != 1 || state.Next != nil {
		t.Errorf("%+v, %v", state, err)
	}
}

// TestScrubber_by_the_clock
func TestScrubber_by_the_clock(t *testing.T) {
	a := newAiling(t, blob.NewMemory(), rots[DamageDigest])
	s := NewScrubber(ScrubConfig{Registry: a.Registry, Rate: -1, Every: time.Hour})
	s.look(t.Context())
	if state, err := s.State(t.Context()); err != nil || state.Last != nil || state.Next == nil {
		t.Errorf("%+v, %v; want the first run after an interval", state, err)
	}
	a.clock.advance(time.Hour + time.Second)
	s.look(t.Context())
	state, err := s.State(t.Context())
	if err != nil || state.Last == nil || state.Last.Damaged != 1 || state.Last.By != "system" || state.Next == nil || !state.Next.After(a.clock.now()) {
		t.Errorf("%+v, %v; want a run, and the next one later", state, err)
	}
	if read, damaged, healed := s.Counts(); read == 0 || damaged != 1 || healed != 0 {
		t.Errorf("%d, %d, %d", read, damaged, healed)
	}
	other := NewScrubber(ScrubConfig{Registry: a.Registry, Rate: -1, Every: time.Hour})
	other.look(t.Context())
	if again, err := other.State(t.Context()); err != nil || !again.Last.Began.Equal(state.Last.Began) {
		t.Errorf("%+v, %v; want the other replica to leave it", again.Last, err)
	}
}
