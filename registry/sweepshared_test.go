package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// Several registries over the same stores, each of which may stand still before or after any call to a floor below, for as long as others go on, and may die there.
// A registry that died does nothing more, not even tidying up, and another one comes in its place.

// errDead is what a registry sees of its floors after its death, which nobody sees of it.
var errDead = errors.New("this process is dead")

// life is how far one registry may go.
type life struct {
	mu     sync.Mutex
	calls  int
	at     int           // the place where something happens
	then   string        // stand or die
	stands chan struct{} // closed when it stands
	goes   chan struct{} // closed when it may go on
	dead   bool
}

// until lets something happen at the n-th place from now; with 0, nothing.
func (l *life) until(n int, then string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls, l.at, l.then, l.stands, l.goes = 0, n, then, make(chan struct{}), make(chan struct{})
}

// place is passed before and after each call to a floor.
func (l *life) place() error {
	l.mu.Lock()
	l.calls++
	here, goes := l.at > 0 && l.calls == l.at, l.goes
	if here && l.then == "stand" {
		close(l.stands)
	}
	l.dead = l.dead || here && l.then == "die"
	dead := l.dead
	l.mu.Unlock()
	if dead {
		return errDead
	}
	if here {
		<-goes
		return l.alive()
	}
	return nil
}

func (l *life) alive() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return errDead
	}
	return nil
}

func (l *life) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
}

// around does what lies between two places.
func (l *life) around(do func() error) error {
	if err := l.place(); err != nil {
		return err
	}
	err := do()
	if dead := l.place(); dead != nil {
		return dead
	}
	return err
}

// mortalDB is an index as one registry sees it.
type mortalDB struct {
	kv.DB
	*life
}

func (m mortalDB) Get(ctx context.Context, key string) (value []byte, err error) {
	err = m.around(func() (err error) { value, err = m.DB.Get(ctx, key); return err })
	return value, err
}

func (m mortalDB) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		for pair, err := range m.DB.Scan(ctx, from, to) {
			if dead := m.alive(); dead != nil {
				pair, err = kv.Pair{}, dead
			}
			if !yield(pair, err) || err != nil {
				return
			}
		}
	}
}

func (m mortalDB) Update(ctx context.Context, fn func(kv.Tx) error) error {
	return m.around(func() error { return m.DB.Update(ctx, fn) })
}

// aged is a store that knows by the test's clock when something was written.
type aged struct {
	blob.Store
	now func() time.Time

	mu      sync.Mutex
	content map[digest.Digest]time.Time
	uploads map[string]time.Time
}

func newAged(now func() time.Time) *aged {
	return &aged{Store: blob.NewMemory(), now: now, content: map[digest.Digest]time.Time{}, uploads: map[string]time.Time{}}
}

func (a *aged) when(info *blob.Info) {
	a.mu.Lock()
	defer a.mu.Unlock()
	info.Modified = a.content[info.Digest]
}

func (a *aged) Stat(ctx context.Context, d digest.Digest) (blob.Info, error) {
	info, err := a.Store.Stat(ctx, d)
	if err == nil {
		a.when(&info)
	}
	return info, err
}

func (a *aged) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for info, err := range a.Store.List(ctx) {
			if a.when(&info); !yield(info, err) {
				return
			}
		}
	}
}

func (a *aged) Uploads(ctx context.Context) iter.Seq2[blob.Pending, error] {
	return func(yield func(blob.Pending, error) bool) {
		for pending, err := range a.Store.Uploads(ctx) {
			a.mu.Lock()
			pending.Modified = a.uploads[pending.Name]
			a.mu.Unlock()
			if !yield(pending, err) {
				return
			}
		}
	}
}

func (a *aged) Append(ctx context.Context, upload string, offset int64, src io.Reader) (int64, error) {
	a.mu.Lock()
	a.uploads[upload] = a.now()
	a.mu.Unlock()
	return a.Store.Append(ctx, upload, offset, src)
}

func (a *aged) Commit(ctx context.Context, upload string, d digest.Digest) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.Store.Commit(ctx, upload, d)
	if err == nil {
		a.content[d] = a.now()
	}
	return err
}

// mortalStore is a store of content as one registry sees it. Who dies amid an Append has written half of it.
type mortalStore struct {
	*aged
	*life
}

func (m mortalStore) Open(ctx context.Context, d digest.Digest, offset int64) (rc io.ReadCloser, err error) {
	err = m.around(func() (err error) { rc, err = m.aged.Open(ctx, d, offset); return err })
	return rc, err
}

func (m mortalStore) Stat(ctx context.Context, d digest.Digest) (info blob.Info, err error) {
	err = m.around(func() (err error) { info, err = m.aged.Stat(ctx, d); return err })
	return info, err
}

func (m mortalStore) Resume(ctx context.Context, upload string, offset int64) (rc io.ReadCloser, err error) {
	err = m.around(func() (err error) { rc, err = m.aged.Resume(ctx, upload, offset); return err })
	return rc, err
}

func (m mortalStore) Append(ctx context.Context, upload string, offset int64, src io.Reader) (size int64, err error) {
	err = m.around(func() (err error) {
		size, err = m.aged.Append(ctx, upload, offset, &amid{src: src, life: m.life})
		return err
	})
	return size, err
}

// amid is a place amid what is appended.
type amid struct {
	src io.Reader
	*life
	begun bool
}

func (a *amid) Read(p []byte) (int, error) {
	if !a.begun {
		a.begun = true
		return a.src.Read(p[:max(1, len(p)/4)])
	}
	if err := a.place(); err != nil {
		return 0, err
	}
	return a.src.Read(p)
}

func (m mortalStore) Commit(ctx context.Context, upload string, d digest.Digest) error {
	return m.around(func() error { return m.aged.Commit(ctx, upload, d) })
}

func (m mortalStore) Abort(ctx context.Context, upload string) error {
	return m.around(func() error { return m.aged.Abort(ctx, upload) })
}

// Delete of a registry that stood before it for longer than it may is not sent any more: its context, which goes by the wall's clock, would have ended.
func (m mortalStore) Delete(ctx context.Context, d digest.Digest) error {
	asked := m.now()
	return m.around(func() error {
		if m.now().Sub(asked) > 20*time.Second {
			return context.DeadlineExceeded
		}
		return m.aged.Delete(ctx, d)
	})
}

// mortal is a registry that can die.
type mortal struct {
	*Registry
	life *life
}

// standing is a call that stands still somewhere.
type standing struct {
	what  string
	by    *mortal
	ended chan error
	then  func(error) // what it means that it has come to its end
}

// shared is what the registries stand on, and what must be there.
type shared struct {
	t        *testing.T
	rt       *rapid.T
	clock    *ahead
	blobs    *aged
	index    kv.DB
	uploads  kv.DB
	all      []*mortal // those at work
	stand    []*standing
	stood    time.Duration // how long the first of these stands already
	contents [][]byte
	since    map[string]map[int]time.Time // repository, content: until when it is let be without a manifest
	images   map[string]bool              // repository and digest: it must be there
	pending  map[string]int               // repository and digest: calls about it that have no end yet
	begun    map[string]int               // the same: calls about it so far
	tally    map[string]int
}

// open lets one more registry begin.
func (s *shared) open() *mortal {
	m := &mortal{life: &life{}}
	m.Registry = open(s.t, func(c *Config) {
		c.Blobs, c.Index, c.Uploads, c.Shared, c.Now = mortalStore{s.blobs, m.life}, mortalDB{s.index, m.life}, mortalDB{s.uploads, m.life}, true, s.clock.now
	})
	return m
}

// healthy is a registry that does not stand still.
func (s *shared) healthy() *mortal {
	return s.all[rapid.IntRange(0, len(s.all)-1).Draw(s.rt, "replica")]
}

func (s *shared) replace(m *mortal) {
	if i := slices.Index(s.all, m); i >= 0 {
		s.all = slices.Delete(s.all, i, i+1)
	}
}

// run lets a registry do something, and die or stand still somewhere. then is called when that has come to its end, now or later.
func (s *shared) run(what string, do func(m *Registry) error, then func(error)) {
	fate := rapid.SampledFrom([]string{"", "stand", "die"}).Draw(s.rt, "fate")
	if fate == "stand" && len(s.stand) == 2 {
		fate = ""
	}
	n := 0
	if fate != "" {
		n = rapid.IntRange(1, 16).Draw(s.rt, "where")
	}
	s.call(what, fate, n, do, then)
}

func (s *shared) call(what, fate string, n int, do func(m *Registry) error, then func(error)) {
	m := s.healthy()
	m.life.until(n, fate)
	c := &standing{what: what, by: m, ended: make(chan error, 1), then: then}
	go func() { c.ended <- do(m.Registry) }()
	stood, err := s.end(c, m.life.stands)
	if !stood {
		s.over(c, err)
		return
	}
	s.tally["stood"]++
	if len(s.stand) == 0 {
		s.stood = 0
	}
	s.replace(m)
	s.stand = append(s.stand, c)
	if len(s.all) == 0 {
		s.all = append(s.all, s.open())
	}
}

// end waits until a call has come to its end, or stands. What dies in the hands of a dead registry is deleted by another one meanwhile: the call may wait for that.
func (s *shared) end(c *standing, stands <-chan struct{}) (stood bool, err error) {
	for {
		select {
		case err := <-c.ended:
			return false, err
		case <-stands:
			return true, nil
		case <-time.After(70 * time.Millisecond):
			helper := s.open()
			s.clock.advance(helper.claimFor() + time.Second)
			_, _ = helper.Reap(context.Background())
		}
	}
}

// over is the end of a call.
func (s *shared) over(c *standing, err error) {
	died := c.by.life.alive() != nil
	if c.by.life.until(0, ""); died {
		s.tally["died"]++
		s.replace(c.by)
		s.all = append(s.all, s.open())
		s.clock.advance(claimGood + time.Second) // an upload that it had is anybody's after that
	}
	if !died && errors.Is(err, errDead) {
		s.rt.Fatalf("%s: %v, and it lives", c.what, err)
	}
	if died {
		err = errDead
	}
	c.then(err)
}

// resume lets what stands go on, or die where it stands.
func (s *shared) resume(i int, dies bool) {
	c := s.stand[i]
	s.stand = slices.Delete(s.stand, i, i+1)
	if dies {
		c.by.life.die()
	}
	close(c.by.life.goes)
	_, err := s.end(c, nil)
	s.all = append(s.all, c.by)
	s.over(c, err)
}

func (s *shared) resumeAll() {
	for len(s.stand) > 0 {
		s.resume(0, rapid.Bool().Draw(s.rt, "dies"))
	}
}

// background is work that may end in nothing but a death, or in a wait for what another one is at.
func (s *shared) background(what string, do func(r *Registry) error) {
	s.run(what, do, s.ended(what))
}

func (s *shared) ended(what string) func(error) {
	return func(err error) {
		if err != nil && !errors.Is(err, errDead) && !errors.Is(err, errVanished) && !errors.Is(err, context.DeadlineExceeded) {
			s.rt.Fatalf("%s failed by itself: %v", what, err)
		}
	}
}

// pushed notes that a repository was told that it has content.
func (s *shared) pushed(repo string, c int) func(error) {
	asked := s.clock.now() // a reliance is at least as young as that
	return func(err error) {
		switch {
		case err == nil:
			s.tally["pushed"]++
			if until := asked.Add(s.all[0].grace - s.all[0].touchEvery()); until.After(s.since[repo][c]) {
				s.since[repo][c] = until
			}
		case errors.Is(err, errDead), Code(err) == BlobUploadUnknown, Code(err) == Busy: // it is pushed again
		default:
			s.rt.Fatalf("a push failed by itself: %v", err)
		}
	}
}

// chunks pushes content in two chunks and an end. It stops where it is told that another one has the upload.
func chunks(ctx context.Context, r *Registry, repo string, content []byte) error {
	half := len(content) / 2
	up, err := r.Begin(ctx, repo, "")
	if err != nil {
		return err
	}
	at, err := r.Append(ctx, repo, up.ID, 0, -1, bytes.NewReader(content[:half]))
	if err != nil {
		return err
	}
	return r.Finish(ctx, repo, up.ID, at, -1, bytes.NewReader(content[at:]), digest.FromBytes(content))
}

// change is a call that makes an image be there, or not.
func (s *shared) change(what, repo string, d digest.Digest, there bool, do func(r *Registry) error) {
	key := repo + " " + string(d)
	s.pending[key]++
	s.begun[key]++
	alone, begun := s.pending[key] == 1, s.begun[key]
	delete(s.images, key)
	s.run(what, do, func(err error) {
		s.pending[key]--
		switch {
		case errors.Is(err, errDead), Code(err) == ManifestUnknown, Code(err) == ManifestBlobUnknown:
		case err != nil:
			s.rt.Fatalf("%s failed by itself: %v", what, err)
		case there && alone && s.begun[key] == begun: // no other call can have had its effect behind this one
			s.tally["images"]++
			s.images[key] = true
		}
	})
}

// check reads what is there: each image of each repository with all that it is made of, what was promised to be there, and what is within its grace.
func (s *shared) check() {
	ctx, r := context.Background(), s.open()
	for key := range rows(s.t, s.index, prefixRev) {
		parts := strings.Split(strings.TrimPrefix(key, prefixRev), "!")
		if len(parts) != 2 {
			continue
		}
		_, body, err := r.Manifest(ctx, parts[0], parts[1])
		if err != nil || digest.FromBytes(body) != digest.Digest(parts[1]) {
			s.rt.Fatalf("manifest %s of %s: %v", parts[1], parts[0], err)
		}
		m, err := ParseManifest("", digest.Digest(parts[1]), body)
		if err != nil {
			s.rt.Fatal(err)
		}
		for _, child := range append(m.Layers, *m.Config) {
			if err := read(ctx, r.Registry, parts[0], child.Digest); err != nil {
				s.rt.Fatalf("%s has the image %s, which is made of %s: %v", parts[0], parts[1], child.Digest, err)
			}
		}
	}
	for key := range s.images {
		repo, d, _ := strings.Cut(key, " ")
		if _, _, err := r.Manifest(ctx, repo, d); err != nil {
			s.rt.Fatalf("image %s was pushed into %s and not deleted: %v", d, repo, err)
		}
	}
	for repo, known := range s.since {
		for c, until := range known {
			if s.clock.now().Before(until) {
				if err := read(ctx, r.Registry, repo, digest.FromBytes(s.contents[c])); err != nil {
					s.rt.Fatalf("%s was told that it has content %d, and within the grace: %v", repo, c, err)
				}
			}
		}
	}
}

// tags fails unless each tag names a manifest of its repository.
func (s *shared) tags() {
	for key, row := range rows(s.t, s.index, prefixTag) {
		repo, tag, _ := strings.Cut(strings.TrimPrefix(key, prefixTag), "!")
		stored, err := parseStored([]byte(row))
		if err != nil {
			s.rt.Fatal(err)
		}
		if _, err := s.index.Get(context.Background(), keyRev(repo, stored.Digest)); err != nil {
			s.rt.Fatalf("tag %s of %s names %s: %v", tag, repo, stored.Digest, err)
		}
	}
}

// deleteAll deletes all images.
func (s *shared) deleteAll() {
	clear(s.images)
	r := s.open()
	for key := range rows(s.t, s.index, prefixRev) {
		if parts := strings.Split(strings.TrimPrefix(key, prefixRev), "!"); len(parts) == 2 {
			if err := r.DeleteManifest(context.Background(), parts[0], digest.Digest(parts[1]), nil); err != nil {
				s.rt.Fatal(err)
			}
		}
	}
}

// due lets all content be about to die: the next reap takes it.
func (s *shared) due() {
	s.resumeAll()
	s.deleteAll()
	r := s.open()
	s.clock.advance(r.grace + time.Minute)
	if _, err := r.Sweep(context.Background(), SweepOptions{}); err != nil {
		s.rt.Fatal(err)
	}
	s.clock.advance(r.doomed - time.Second) // what stands now has some time still
}

// nothingLeft deletes all images, and wants all the rest to go.
func (s *shared) nothingLeft() {
	ctx, r := context.Background(), s.open()
	s.deleteAll()
	for range 3 {
		s.clock.advance(r.grace + time.Minute)
		sweepAll(s.t, r.Registry, s.clock)
	}
	if _, err := r.ExpireUploads(ctx); err != nil {
		s.rt.Fatal(err)
	}
	if left := contents(s.t, s.blobs); len(left) != 0 {
		s.rt.Fatalf("nothing can be reached any more, and this is left: %v", left)
	}
	for pending := range s.blobs.Uploads(ctx) {
		s.rt.Fatalf("upload %s of %d bytes is left", pending.Name, pending.Size)
	}
	if left := rows(s.t, s.uploads, prefixUpload); len(left) != 0 {
		s.rt.Fatalf("uploads that are left: %v", left)
	}
	for _, prefix := range []string{prefixBlob, prefixHold, prefixData, prefixMan, prefixEdge, prefixDoomed, prefixTag, prefixRef} {
		if left := rows(s.t, s.index, prefix); len(left) != 0 {
			s.rt.Fatalf("rows that are left: %v", left)
		}
	}
	if _, err := Verify(ctx, s.blobs, s.index, func(problem string) { s.rt.Errorf("verify: %s", problem) }); err != nil {
		s.rt.Fatal(err)
	}
}

// TestSweep_property_of_several_that_die: whatever is pushed, mounted, deleted and swept by several registries over the same stores, and wherever any of them stands
// still or dies: what can be reached opens and matches, and what cannot be is gone in the end.
func TestSweep_property_of_several_that_die(t *testing.T) {
	tally := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		s := &shared{t: t, rt: rt, clock: &ahead{}, index: kv.NewMemory(), uploads: kv.NewMemory(),
			since: map[string]map[int]time.Time{}, images: map[string]bool{}, pending: map[string]int{}, begun: map[string]int{}, tally: tally}
		s.blobs = newAged(s.clock.now)
		repos := []string{"a/x", "b"}
		for _, repo := range repos {
			s.since[repo] = map[int]time.Time{}
		}
		for i := range 2 {
			s.contents = append(s.contents, octets(fmt.Sprint("shared ", i), []int{3 * smallBlob, 50}[i%2]))
		}
		for range 3 {
			s.all = append(s.all, s.open())
		}
		ctx := context.Background()
		repo := func() string { return rapid.SampledFrom(repos).Draw(rt, "repo") }
		content := func() int { return rapid.IntRange(0, len(s.contents)-1).Draw(rt, "content") }
		anyImage := func() (string, digest.Digest) {
			to, a, b := repo(), content(), content()
			return to, digest.FromBytes(imageOf(s.contents[a], [][]byte{s.contents[b]}))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				to, c := repo(), content()
				s.run("push", func(r *Registry) error { return push(ctx, r, to, s.contents[c]) }, s.pushed(to, c))
			},
			"push in chunks": func(*rapid.T) {
				to, c := repo(), content()
				s.run("push in chunks", func(r *Registry) error { return chunks(ctx, r, to, s.contents[c]) }, s.pushed(to, c))
			},
			"mount": func(*rapid.T) {
				from, to, c := repo(), repo(), content()
				var mounted bool
				told := s.pushed(to, c)
				s.run("mount", func(r *Registry) (err error) {
					mounted, err = r.Mount(ctx, to, digest.FromBytes(s.contents[c]), from, func(string) bool { return true })
					return err
				}, func(err error) {
					if err != nil || mounted {
						told(err)
					}
				})
			},
			"put": func(*rapid.T) {
				to, a, b := repo(), content(), content()
				for _, c := range []int{a, b} {
					s.call("push", "", 0, func(r *Registry) error { return push(ctx, r, to, s.contents[c]) }, s.pushed(to, c))
				}
				body, tag := imageOf(s.contents[a], [][]byte{s.contents[b]}), rapid.SampledFrom([]string{"t", "u"}).Draw(rt, "tag")
				s.change("put", to, digest.FromBytes(body), true, func(r *Registry) error {
					_, err := r.PutManifest(ctx, Put{Repo: to, Ref: tag, Body: body})
					return err
				})
			},
			"delete": func(*rapid.T) {
				from, d := anyImage()
				s.change("delete", from, d, false, func(r *Registry) error { return r.DeleteManifest(ctx, from, d, nil) })
			},
			"delete a tag": func(*rapid.T) {
				from := repo()
				s.run("delete a tag", func(r *Registry) error { return r.DeleteTag(ctx, from, "t", nil) }, func(err error) {
					if err != nil && !errors.Is(err, errDead) && Code(err) != ManifestUnknown {
						rt.Fatal(err)
					}
				})
			},
			"time passes": func(*rapid.T) {
				d := time.Duration(rapid.SampledFrom([]int{1, 11, 6 * 60, 25 * 60}).Draw(rt, "minutes")) * time.Minute
				if s.stood += d; len(s.stand) > 0 && s.stood > time.Hour { // nobody stands still for so long
					s.resumeAll()
				}
				s.clock.advance(d)
			},
			"go on": func(*rapid.T) {
				if len(s.stand) > 0 {
					s.resume(rapid.IntRange(0, len(s.stand)-1).Draw(rt, "which"), rapid.Bool().Draw(rt, "dies"))
				}
			},
			"content is due":    func(*rapid.T) { s.due() },
			"the delay is over": func(*rapid.T) { s.clock.advance(2 * time.Second) },
			"push meets reap": func(*rapid.T) { // the same as may come of the others, more often
				s.due()
				to, c := repo(), content()
				do := push
				if rapid.Bool().Draw(rt, "in chunks") {
					do = chunks
				}
				s.call("push", "stand", rapid.IntRange(1, 12).Draw(rt, "where"), func(r *Registry) error { return do(ctx, r, to, s.contents[c]) }, s.pushed(to, c))
				s.clock.advance(2 * time.Second)
				fate, n := rapid.SampledFrom([]string{"stand", "die"}).Draw(rt, "fate"), rapid.IntRange(1, 12).Draw(rt, "where")
				s.call("reap", fate, n, func(r *Registry) error { _, err := r.Reap(ctx); return err }, s.ended("reap"))
			},
			"push meets sweep": func(*rapid.T) {
				s.resumeAll()
				s.deleteAll()
				s.clock.advance(s.all[0].grace + time.Minute)
				to, c := repo(), content()
				s.call("sweep", "stand", rapid.IntRange(1, 4).Draw(rt, "where"), func(r *Registry) error { _, err := r.Sweep(ctx, SweepOptions{}); return err }, s.ended("sweep"))
				if body := imageOf(s.contents[c], nil); rapid.Bool().Draw(rt, "by an image") { // of what is held still
					s.change("put", to, digest.FromBytes(body), true, func(r *Registry) error {
						_, err := r.PutManifest(ctx, Put{Repo: to, Ref: "t", Body: body})
						return err
					})
					return
				}
				s.call("push", "", 0, func(r *Registry) error { return push(ctx, r, to, s.contents[c]) }, s.pushed(to, c))
			},
			"sweep": func(*rapid.T) {
				follow := rapid.Bool().Draw(rt, "follow")
				s.background("sweep", func(r *Registry) error { _, err := r.Sweep(ctx, SweepOptions{Follow: follow}); return err })
			},
			"orphans": func(*rapid.T) {
				s.background("sweep orphans", func(r *Registry) error { _, _, err := r.SweepOrphans(ctx, SweepOptions{}); return err })
			},
			"reap": func(*rapid.T) { s.background("reap", func(r *Registry) error { _, err := r.Reap(ctx); return err }) },
			"settle": func(*rapid.T) {
				s.background("settle", func(r *Registry) error { _, err := r.Settle(ctx); return err })
			},
			"expire": func(*rapid.T) {
				s.background("expire", func(r *Registry) error { _, err := r.ExpireUploads(ctx); return err })
			},
			"": func(*rapid.T) { s.check(); s.tags() },
		})
		s.resumeAll()
		s.check()
		s.nothingLeft()
	})
	t.Logf("%v", tally)
	for _, what := range []string{"stood", "died", "pushed", "images"} {
		if tally[what] == 0 {
			t.Errorf("nothing was %s in all that, so that it tells nothing", what)
		}
	}
}
