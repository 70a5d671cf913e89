package registry

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

var sweepFor = flag.Duration("sweep.for", 2*time.Second, "how long pushes and sweeps of the same content run side by side")

// ahead is a clock that is ahead of the wall's, which the stores of content go by.
type ahead struct{ clock }

func (a *ahead) now() time.Time { return time.Now().Add(time.Duration(a.clock.ahead.Load())) }

// sweepAll does what runs in the background, as long after each other as it takes for everything to go that may.
func sweepAll(t testing.TB, r *Registry, clock *ahead) {
	t.Helper()
	for range 2 { // what a first round finds without a row goes with the second
		if _, _, err := r.SweepOrphans(t.Context(), SweepOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Sweep(t.Context(), SweepOptions{}); err != nil {
			t.Fatal(err)
		}
		clock.advance(r.doomed + time.Second)
		if _, err := r.Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// contents returns what the store of content holds, without what is the registry's own.
func contents(t testing.TB, s blob.Store) (all []string) {
	t.Helper()
	for info, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rc, err := s.Open(t.Context(), info.Digest, 0)
		if err != nil {
			t.Fatal(err)
		}
		begin := make([]byte, 64)
		n, _ := io.ReadFull(rc, begin)
		rc.Close()
		if !reserved(begin[:n]) {
			all = append(all, string(info.Digest))
		}
	}
	slices.Sort(all)
	return all
}

func sweepable(t testing.TB) (*Registry, *ahead) {
	clock := &ahead{}
	return open(t, func(c *Config) { c.Now = clock.now }), clock
}

var (
	sweptConfig = []byte(`{"swept":"config"}`)
	sweptLayer  = octets("swept layer", 2*smallBlob)
	sweptOther  = octets("swept other", 2*smallBlob)
	sweptSmall  = octets("swept small", 100)
)

// TestSweep_deletes_what_nothing_names, and nothing else.
func TestSweep_deletes_what_nothing_names(t *testing.T) {
	r, clock := sweepable(t)
	mustPush(t, r, "a/x", sweptConfig, sweptLayer, sweptOther, sweptSmall)
	mustPush(t, r, "b/y", sweptConfig, sweptLayer, sweptSmall)
	image := imageOf(sweptConfig, [][]byte{sweptLayer})
	d := mustPut(t, r, "a/x", "1", image)
	sweepAll(t, r, clock)
	if got := contents(t, r.blobs); len(got) != 2 {
		t.Fatalf("before the grace is over: %v", got)
	}
	clock.advance(r.grace)
	before := r.StoredBytes()
	sweepAll(t, r, clock)
	if got := contents(t, r.blobs); len(got) != 1 || got[0] != string(digest.FromBytes(sweptLayer)) {
		t.Errorf("what is left: %v, want the image's layer", got)
	}
	if gone := before - r.StoredBytes(); gone != int64(len(sweptOther)+len(sweptSmall)) {
		t.Errorf("%d bytes went, want %d", gone, len(sweptOther)+len(sweptSmall))
	}
	for _, content := range [][]byte{sweptConfig, sweptLayer} {
		if _, err := r.Blob(t.Context(), "b/y", digest.FromBytes(content)); Code(err) != BlobUnknown {
			t.Errorf("a repository without manifests still holds a blob: %v", err)
		}
	}
	if err := r.DeleteManifest(t.Context(), "a/x", d, nil); err != nil {
		t.Fatal(err)
	}
	sweepAll(t, r, clock)
	if got := contents(t, r.blobs); len(got) != 0 {
		t.Errorf("without any manifest there is left: %v", got)
	}
	for _, prefix := range []string{prefixBlob, prefixHold, prefixData, prefixMan, prefixEdge, prefixDoomed, prefixPull} {
		if left := rows(t, r.index, prefix); len(left) != 0 {
			t.Errorf("rows that are left: %v", left)
		}
	}
	if _, err := Verify(t.Context(), r.blobs, r.index, func(p string) { t.Error(p) }); err != nil {
		t.Error(err)
	}
}

// TestSweep_decides_again in its transaction: what has changed since the walk came by is let be.
func TestSweep_decides_again(t *testing.T) {
	for name, change := range map[string]func(r *Registry){
		"a manifest names it": func(r *Registry) { mustPut(t, r, "a/x", "1", imageOf(sweptConfig, [][]byte{sweptLayer})) },
		"it was pushed again": func(r *Registry) { mustPush(t, r, "a/x", sweptLayer) },
		"it was relied on": func(r *Registry) {
			if err := r.Rely(t.Context(), digest.FromBytes(sweptLayer)); err != nil {
				t.Fatal(err)
			}
		},
		"nothing": func(*Registry) {},
	} {
		r, clock := sweepable(t)
		mustPush(t, r, "a/x", sweptConfig, sweptLayer)
		clock.advance(r.grace + time.Minute)
		change(r)
		var done Swept
		err := r.index.Update(t.Context(), func(tx kv.Tx) error {
			return r.release(t.Context(), tx, loose{digest.FromBytes(sweptLayer), "a/x"}, r.now().Add(-r.grace), &done, func(Fate) {})
		})
		if err != nil || (done.Released == 1) != (name == "nothing") {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
	}
}

// TestSweep_tells_why without changing anything.
func TestSweep_tells_why(t *testing.T) {
	r, clock := sweepable(t)
	mustPush(t, r, "a/x", sweptConfig, sweptLayer, sweptOther)
	mustPut(t, r, "a/x", "1", imageOf(sweptConfig, [][]byte{sweptLayer}))
	clock.advance(2 * r.grace)
	mustPush(t, r, "a/x", sweptSmall)
	was := rows(t, r.index, "")
	why := map[digest.Digest]string{}
	done, err := r.Sweep(t.Context(), SweepOptions{Plan: true, Tell: func(f Fate) { why[f.Digest] += fmt.Sprintf("%v: %s. ", f.Goes, f.Why) }})
	if err != nil || done != (Swept{Blobs: 4, Released: 1, Doomed: 1, Bytes: int64(len(sweptOther))}) {
		t.Errorf("%+v, %v", done, err)
	}
	for content, want := range map[string]string{string(sweptLayer): "false: manifest sha256:", string(sweptOther): "true: no manifest of the repository names it", string(sweptSmall): "false: it was pushed or relied on"} {
		if got := why[digest.FromString(content)]; !strings.HasPrefix(got, want) {
			t.Errorf("%.10q…: %q, want %q", content, got, want)
		}
	}
	if now := rows(t, r.index, ""); fmt.Sprint(now) != fmt.Sprint(was) {
		t.Error("a plan has changed something")
	}
}

// TestSweep_orphans: content that a crash left without a row goes, and is not lost if the push is repeated meanwhile.
func TestSweep_orphans(t *testing.T) {
	r, clock := sweepable(t)
	if err := r.store(t.Context(), digest.FromBytes(sweptLayer), sweptLayer); err != nil {
		t.Fatal(err)
	}
	if err := r.store(t.Context(), digest.FromBytes(sweptOther), sweptOther); err != nil {
		t.Fatal(err)
	}
	mustPush(t, r, "a/x", sweptConfig)
	if _, err := r.Settle(t.Context()); err != nil { // a pack, which stays
		t.Fatal(err)
	}
	clock.advance(r.grace + time.Minute)
	if n, bytes, err := r.SweepOrphans(t.Context(), SweepOptions{}); err != nil || n != 2 || bytes != int64(len(sweptLayer)+len(sweptOther)) {
		t.Fatal(n, bytes, err)
	}
	mustPush(t, r, "a/x", sweptOther) // it is wanted after all
	clock.advance(r.doomed + time.Second)
	if done, err := r.Reap(t.Context()); err != nil || done.Blobs != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if got := contents(t, r.blobs); !slices.Equal(got, []string{string(digest.FromBytes(sweptOther))}) {
		t.Errorf("what is left: %v", got)
	}
	if err := read(t.Context(), r, "a/x", digest.FromBytes(sweptOther)); err != nil {
		t.Error(err)
	}
}

// read reads a blob and checks it.
func read(ctx context.Context, r *Registry, repo string, d digest.Digest) error {
	_, content, err := r.OpenBlob(ctx, repo, d)
	if err != nil {
		return err
	}
	defer content.Close()
	got, err := digest.FromReader(content)
	if err == nil && got != d {
		err = fmt.Errorf("blob %s has the content of %s", d, got)
	}
	return err
}

// TestReap_lets_be_what_backups_may_need: what nobody has held since after the oldest backup stays, and sweeps say so; what went before it goes, and what was pulled from
// elsewhere.
func TestReap_lets_be_what_backups_may_need(t *testing.T) {
	clock := &ahead{}
	var oldest time.Time
	var failed error
	r := open(t, func(c *Config) {
		c.Now, c.KeptSince = clock.now, func(context.Context, kv.View) (time.Time, error) { return oldest, failed }
	})
	mustPush(t, r, "a/x", sweptOther)
	clock.advance(r.grace + time.Minute)
	if _, err := r.Sweep(t.Context(), SweepOptions{}); err != nil { // before the backup
		t.Fatal(err)
	}
	clock.advance(time.Second)
	oldest = clock.now()
	clock.advance(time.Second)
	mustPush(t, r, "a/x", sweptConfig, sweptLayer)
	fetched := octets("fetched", 2*smallBlob)
	mustPush(t, r, "up/x", sweptConfig, fetched)
	image := mustPut(t, r, "up/x", "1", imageOf(sweptConfig, [][]byte{fetched}))
	if freed, err := r.Evict(t.Context(), "up/x", image); err != nil || freed != int64(len(fetched)) {
		t.Fatal(freed, err)
	}
	clock.advance(r.grace + time.Minute)
	failed = errors.New("the index does not answer")
	if _, err := r.Reap(t.Context()); !errors.Is(err, failed) {
		t.Errorf("it goes on without knowing what to keep: %v", err)
	}
	failed = nil
	sweepAll(t, r, clock)
	want := []string{string(digest.FromBytes(sweptLayer))}
	if got := contents(t, r.blobs); !slices.Equal(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
	told := ""
	if _, err := r.Sweep(t.Context(), SweepOptions{Plan: true, Tell: func(f Fate) { told += fmt.Sprintf("%s %v: %s\n", f.Digest, f.Goes, f.Why) }}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(told, want[0]+" false: nobody has held it for ") || !strings.Contains(told, "a backup from before may need it") {
		t.Errorf("a plan tells:\n%s", told)
	}
	oldest = clock.now() // the older backups are gone
	sweepAll(t, r, clock)
	if got := contents(t, r.blobs); len(got) > 0 {
		t.Errorf("there is still %v", got)
	}
	oldest = time.Time{}
	verified(t, r.blobs, r.index)
}

// TestReap_waits_for_nobody: a push of content that is just being deleted succeeds, with its own bytes.
func TestReap_waits_for_nobody(t *testing.T) {
	r, clock := sweepable(t)
	mustPush(t, r, "a/x", sweptLayer)
	clock.advance(r.grace + time.Minute)
	if _, err := r.Sweep(t.Context(), SweepOptions{}); err != nil {
		t.Fatal(err)
	}
	clock.advance(r.doomed + time.Second)
	batch, err := r.condemned(t.Context(), prefixDoomed)
	if err != nil || len(batch) != 1 {
		t.Fatal(batch, err)
	}
	dying, err := r.condemn(t.Context(), batch)
	if err != nil || len(dying) != 1 {
		t.Fatal(dying, err)
	}
	pushed := make(chan error)
	go func() { pushed <- push(t.Context(), r, "a/x", sweptLayer) }()
	select {
	case err := <-pushed:
		t.Fatalf("it was told that all is well while the content was about to go: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if dying, err = r.deleteContent(t.Context(), dying); err == nil {
		_, err = r.forget(t.Context(), dying)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	if err := read(t.Context(), r, "a/x", digest.FromBytes(sweptLayer)); err != nil {
		t.Error(err)
	}
}

// gcModel is what must be there.
type gcModel struct {
	t        testing.TB
	rt       *rapid.T
	clock    *ahead
	replicas []*Registry
	index    *kvtest.FaultyDB
	blobs    *blobtest.FaultyStore
	contents [][]byte
	since    map[string]map[int]time.Time // repository, content: until when it is let be without a manifest
	images   map[string]map[digest.Digest][]int
}

func (m *gcModel) any() *Registry { return rapid.SampledFrom(m.replicas).Draw(m.rt, "replica") }

// unclaim lets a reap come to its end that broke off: a push of such content would wait for that.
func (m *gcModel) unclaim() {
	for _, row := range rows(m.t, m.index, prefixBlob) {
		if s, err := parseStock([]byte(row)); err == nil && !s.dying.IsZero() {
			m.clock.advance(m.replicas[0].claimFor() + time.Second)
			if _, err := m.any().Reap(context.Background()); err != nil {
				m.rt.Fatal(err)
			}
			return
		}
	}
}

// broken lets something fail at some call; nothing that it does may break a promise.
func (m *gcModel) broken(do func(r *Registry) error) {
	failure := errors.New("crash")
	n := rapid.IntRange(0, 12).Draw(m.rt, "fails at")
	floor := rapid.SampledFrom([]string{"index", "blobs"}).Draw(m.rt, "floor")
	if floor == "index" {
		m.index.FailAt(n, failure)
	} else {
		m.blobs.FailAt(n, failure)
	}
	err := do(m.any())
	m.index.FailAt(0, nil)
	m.blobs.FailAt(0, nil)
	if err != nil && !errors.Is(err, failure) && !errors.Is(err, errVanished) { // the latter is tried again later
		m.rt.Fatalf("background work failed by itself: %v", err)
	}
}

func (m *gcModel) check() {
	for _, r := range m.replicas {
		for repo, known := range m.since {
			for c, until := range known {
				if m.clock.now().Before(until) {
					if err := read(context.Background(), r, repo, digest.FromBytes(m.contents[c])); err != nil {
						m.rt.Fatalf("%s was told that it has content %d, and within the grace: %v", repo, c, err)
					}
				}
			}
		}
		for repo, images := range m.images {
			for image, needs := range images {
				if _, body, err := r.Manifest(context.Background(), repo, string(image)); err != nil || digest.FromBytes(body) != image {
					m.rt.Fatalf("manifest %s of %s: %v", image, repo, err)
				}
				for _, c := range needs {
					if err := read(context.Background(), r, repo, digest.FromBytes(m.contents[c])); err != nil {
						m.rt.Fatalf("%s has an image that is made of content %d: %v", repo, c, err)
					}
				}
			}
		}
	}
}

// TestSweep_property: whatever is pushed, mounted, deleted and swept by several replicas, and wherever the sweeping breaks off: what can be reached opens and
// matches, and what cannot be is gone in the end.
func TestSweep_property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &gcModel{t: t, rt: rt, clock: &ahead{}, index: kvtest.Faulty(kv.NewMemory()), blobs: blobtest.Faulty(blob.NewMemory()),
			since: map[string]map[int]time.Time{}, images: map[string]map[digest.Digest][]int{}}
		uploads := kv.NewMemory()
		repos := []string{"a/x", "a/y", "b"}
		for _, repo := range repos {
			m.since[repo], m.images[repo] = map[int]time.Time{}, map[digest.Digest][]int{}
		}
		for i := range 4 {
			m.contents = append(m.contents, octets(fmt.Sprint("gc ", i), []int{50, 2 * smallBlob}[i%2]))
		}
		for range 2 {
			m.replicas = append(m.replicas, open(t, func(c *Config) { c.Blobs, c.Index, c.Uploads, c.Now = m.blobs, m.index, uploads, m.clock.now }))
		}
		grace := m.replicas[0].grace
		ctx := context.Background()
		repo := func() string { return rapid.SampledFrom(repos).Draw(rt, "repo") }
		content := func() int { return rapid.IntRange(0, len(m.contents)-1).Draw(rt, "content") }
		rt.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				to, c := repo(), content()
				m.unclaim()
				if err := push(ctx, m.any(), to, m.contents[c]); err != nil {
					rt.Fatal(err)
				}
				// A reliance is written down again when the last one is some hours old.
				m.since[to][c] = m.clock.now().Add(grace - m.replicas[0].touchEvery())
			},
			"push that breaks off": func(*rapid.T) {
				to, c := repo(), content()
				m.unclaim()
				m.broken(func(r *Registry) error { _ = push(ctx, r, to, m.contents[c]); return nil })
			},
			"head": func(*rapid.T) {
				to, c, r := repo(), content(), m.any()
				d := digest.FromBytes(m.contents[c])
				if _, err := r.Blob(ctx, to, d); err != nil {
					return
				}
				if err := r.Rely(ctx, d); err != nil {
					rt.Fatal(err)
				}
				if until := m.clock.now().Add(grace - r.touchEvery()); until.After(m.since[to][c]) {
					m.since[to][c] = until
				}
			},
			"mount": func(*rapid.T) {
				from, to, c := repo(), repo(), content()
				if mounted, err := m.any().Mount(ctx, to, digest.FromBytes(m.contents[c]), from, func(string) bool { return true }); err != nil {
					rt.Fatal(err)
				} else if mounted {
					m.since[to][c] = m.clock.now().Add(grace)
				}
			},
			"put": func(*rapid.T) {
				to, a, b := repo(), content(), content()
				body := imageOf(m.contents[a], [][]byte{m.contents[b]})
				_, err := m.any().PutManifest(ctx, Put{Repo: to, Ref: "t", Body: body})
				switch {
				case err == nil:
					m.images[to][digest.FromBytes(body)] = []int{a, b}
				case Code(err) != ManifestBlobUnknown:
					rt.Fatal(err)
				}
			},
			"delete": func(*rapid.T) {
				from := repo()
				for d := range m.images[from] {
					if err := m.any().DeleteManifest(ctx, from, d, nil); err != nil {
						rt.Fatal(err)
					}
					delete(m.images[from], d)
					break
				}
			},
			"time passes": func(*rapid.T) {
				m.clock.advance(time.Duration(rapid.SampledFrom([]int{1, 11, 6 * 60, 25 * 60}).Draw(rt, "minutes")) * time.Minute)
			},
			"sweep": func(*rapid.T) {
				m.broken(func(r *Registry) error {
					_, err := r.Sweep(ctx, SweepOptions{Follow: rapid.Bool().Draw(rt, "follow")})
					return err
				})
			},
			"orphans": func(*rapid.T) {
				m.broken(func(r *Registry) error { _, _, err := r.SweepOrphans(ctx, SweepOptions{}); return err })
			},
			"reap":   func(*rapid.T) { m.broken(func(r *Registry) error { _, err := r.Reap(ctx); return err }) },
			"settle": func(*rapid.T) { m.broken(func(r *Registry) error { _, err := r.Settle(ctx); return err }) },
			"":       func(*rapid.T) { m.check() },
		})
		for repo, images := range m.images {
			for d := range images {
				if err := m.any().DeleteManifest(ctx, repo, d, nil); err != nil {
					rt.Fatal(err)
				}
			}
		}
		m.clock.advance(grace + time.Minute)
		for range 3 {
			sweepAll(t, m.replicas[0], m.clock)
			m.clock.advance(grace + time.Minute)
		}
		if left := contents(t, m.blobs); len(left) != 0 {
			rt.Fatalf("nothing can be reached any more, and this is left: %v", left)
		}
		for _, prefix := range []string{prefixBlob, prefixHold, prefixData, prefixMan, prefixEdge, prefixDoomed} {
			if left := rows(t, m.index, prefix); len(left) != 0 {
				rt.Fatalf("rows that are left: %v", left)
			}
		}
	})
}

// TestSweep_beside_pushes_of_the_same_content: nobody who was told that all is well misses anything.
func TestSweep_beside_pushes_of_the_same_content(t *testing.T) {
	blobs, index, uploads := blob.NewMemory(), kv.NewMemory(), kv.NewMemory()
	replica := func() *Registry {
		return open(t, func(c *Config) {
			c.Blobs, c.Index, c.Uploads, c.Grace, c.Doomed = blobs, index, uploads, 20*time.Millisecond, 500*time.Millisecond
		})
	}
	ctx, stop := context.WithTimeout(t.Context(), *sweepFor)
	defer stop()
	var work sync.WaitGroup
	layers := [][]byte{octets("beside 1", 2*smallBlob), octets("beside 2", 100)}
	for range 2 {
		r := replica()
		work.Go(func() {
			for ctx.Err() == nil {
				_, err1 := r.Sweep(ctx, SweepOptions{})
				_, err2 := r.Reap(ctx)
				_, _, err3 := r.SweepOrphans(ctx, SweepOptions{})
				if err := errors.Join(err1, err2, err3); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	var done, again int
	var mu sync.Mutex
	for n := range 6 {
		r, repo := replica(), fmt.Sprintf("r%d", n%3)
		work.Go(func() {
			for ctx.Err() == nil {
				content := append([][]byte{sweptConfig}, layers[n%2])
				for _, c := range content {
					err := push(context.Background(), r, repo, c)
					for Code(err) == BlobUploadUnknown { // told to send it again
						err = push(context.Background(), r, repo, c)
					}
					if err != nil {
						t.Errorf("push: %v", err)
						return
					}
				}
				image := imageOf(content[0], content[1:], func(m *ocispec.Manifest) { m.Annotations = map[string]string{"of": fmt.Sprint(n)} })
				_, err := r.PutManifest(context.Background(), Put{Repo: repo, Ref: fmt.Sprint("t", n), Body: image})
				if Code(err) == ManifestBlobUnknown {
					mu.Lock()
					again++
					mu.Unlock()
					continue // the grace of this test is shorter than a pause of the machine
				}
				if err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					for _, c := range content {
						if err := read(context.Background(), r, repo, digest.FromBytes(c)); err != nil {
							t.Errorf("an image that was pushed: %v", err)
							return
						}
					}
					time.Sleep(5 * time.Millisecond)
				}
				if err := r.DeleteManifest(context.Background(), repo, digest.FromBytes(image), nil); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Duration(n) * 10 * time.Millisecond)
				mu.Lock()
				done++
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if done < 10 {
		t.Errorf("only %d images were pushed, %d had to be pushed again", done, again)
	}
}
