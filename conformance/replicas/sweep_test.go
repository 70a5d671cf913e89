//go:build backends

package replicas

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/conformance/spec/wire"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/api"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/postgres"
)

var sweepFor = flag.Duration("sweep.for", 6*time.Second, "how long pushes and sweeps of the same content run side by side, in each of two ways")

// fleet is some registries over the same stores, be they programs or not.
type fleet struct {
	front *wire.Registry // each request to the next of them
	at    []*wire.Registry
	logs  func() string
}

// TestSweep_beside_pushes_of_the_same_content through three replicas that sweep all the time: whoever was told that all is well finds everything, and what nothing
// names any more goes, from the bucket and from the database. Programs, whose grace is a second at least; and registries in this process, with a grace that is over
// before a slow push is.
func TestSweep_beside_pushes_of_the_same_content(t *testing.T) {
	t.Parallel()
	t.Run("programs", func(t *testing.T) {
		t.Parallel()
		s := newStores(t)
		s.direct = true
		h := start(t, s, 3, open+"gc: {every: 50ms, grace: 1s, delay: 1s}\nlimits: {uploadTTL: 3s}\n")
		f := &fleet{front: h.front, logs: h.logs}
		for n := range h.replicas {
			f.at = append(f.at, h.at(n))
		}
		besides(t, s, f, 700*time.Millisecond)
		h.verify(t)
	})
	t.Run("in this process", func(t *testing.T) {
		t.Parallel()
		s := newStores(t)
		besides(t, s, s.registries(t, 3, func(c *registry.Config) {
			c.Grace, c.Doomed, c.SweepEvery, c.UploadTTL = 60*time.Millisecond, 500*time.Millisecond, 20*time.Millisecond, 3*time.Second
		}), 200*time.Millisecond)
	})
}

// besides is the test over some registries. In a step of that length some of the contents are in use.
func besides(t *testing.T, s *stores, f *fleet, step time.Duration) {
	contents, which := swept(), map[digest.Digest]int{}
	for c, content := range contents {
		which[digest.FromBytes(content)] = c
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	began := time.Now()
	var images atomic.Int64
	var all sync.WaitGroup
	var users []*user
	for i := range 6 {
		u := &user{t: t, fleet: f, contents: contents, which: which, random: rand.New(rand.NewPCG(uint64(i), 17)), repo: fmt.Sprintf("swept/u%d", i), others: 6, all: &images,
			images: map[string]ocispec.Manifest{}, tags: map[string]digest.Digest{}, now: func() int { return int(time.Since(began) / step) }, step: step}
		users = append(users, u)
		all.Go(func() { u.work(ctx) })
	}
	time.Sleep(*sweepFor)
	for time.Since(began) < *sweepFor+2*time.Minute && images.Load() < 20 && !t.Failed() { // the machine may have much else to do
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	all.Wait()
	if t.Failed() {
		t.Fatal(f.logs())
	}
	took := time.Since(began).Round(time.Second)
	sum := map[string]int{}
	for _, u := range users {
		for what, n := range u.tally {
			sum[what] += n
		}
		for n := range f.at {
			u.check(f.at[n])
		}
	}
	look := s.look(t)
	died := look.events(t)["blob.sweep"]
	look.settled(t, users)
	for _, u := range users {
		u.deleteAll()
	}
	look.settled(t, users)
	look.nothingLeft(t)
	events := look.events(t)
	t.Logf("%v: %v; contents died %d times beside that and %d times after it, %d holds were let go, %d manifests deleted", took, sum, died, events["blob.sweep"]-died,
		events["blob.release"], events["manifest.delete"])
	if sum["images"] < 20 || events["blob.sweep"] < 3 {
		t.Errorf("that is too little to tell anything")
	}
}

// swept are the contents that all push: such that lie in the index, in one object, and in more than one part.
func swept() (all [][]byte) {
	for i, size := range []int{100, 1000, 3000, 17_000, 20_000, 50_000, 70_000, 200_000, 300_000, 500_000, 1 << 20, 6 << 20} {
		random := rand.NewChaCha8([32]byte{1: byte(i)})
		content := make([]byte, size)
		_, _ = random.Read(content)
		all = append(all, content)
	}
	return all
}

// user has a repository of its own, and pushes into it what others push into theirs.
type user struct {
	t        *testing.T
	fleet    *fleet
	contents [][]byte
	which    map[digest.Digest]int // of them
	random   *rand.Rand
	repo     string
	others   int
	images   map[string]ocispec.Manifest // by digest
	tags     map[string]digest.Digest
	now      func() int // the step
	step     time.Duration
	tally    map[string]int
	all      *atomic.Int64 // images, of all users
}

func (u *user) work(ctx context.Context) {
	u.tally = map[string]int{}
	for ctx.Err() == nil && !u.t.Failed() {
		u.tidy()
		switch u.random.IntN(16) {
		case 0, 1, 2, 3, 4, 5, 6, 7:
			u.push()
		case 8, 9:
			u.delete()
		case 10, 11:
			u.read()
		case 12:
			u.abandon()
		default:
			select {
			case <-time.After(time.Duration(u.random.Int64N(int64(2 * u.step)))):
			case <-ctx.Done():
			}
		}
	}
}

// used returns a content that is in use now. Which are changes from step to step, the same for all, so that each is left alone now and then, for no fixed time.
func (u *user) used() int {
	var in []int
	for c := range u.contents {
		if u.inUse(c) {
			in = append(in, c)
		}
	}
	if len(in) == 0 {
		return u.now() % len(u.contents)
	}
	return in[u.random.IntN(len(in))]
}

func (u *user) inUse(c int) bool {
	sum := sha256.Sum256(fmt.Append(nil, c, u.now()))
	return sum[0] < 64
}

// tidy deletes the images of which something is not in use any more.
func (u *user) tidy() {
	for d, m := range u.images {
		for _, part := range append(m.Layers, m.Config) {
			if !u.inUse(u.which[part.Digest]) {
				u.forget(digest.Digest(d))
				break
			}
		}
	}
}

// again tells whether a reply says that the same may go well if it is begun anew.
func (u *user) again(got wire.Reply, err error) bool {
	text := string(got.Body)
	switch {
	case err != nil:
		u.t.Errorf("%s: %v", u.repo, err)
		return false
	case got.Status == 404 && strings.Contains(text, "BLOB_UPLOAD_UNKNOWN"), got.Status == 409, got.Status == 404 && strings.Contains(text, "MANIFEST_BLOB_UNKNOWN"), got.Status == 400 && strings.Contains(text, "MANIFEST_BLOB_UNKNOWN"):
		u.tally["again"]++
		return true
	}
	u.t.Errorf("%s: %d\n%s", got.Asked, got.Status, got.Excerpt())
	return false
}

func (u *user) push() {
	a, b := u.used(), u.used()
	for try := 0; ; try++ {
		if try == 100 {
			u.t.Errorf("a push was begun a hundred times")
			return
		}
		if u.blob(u.contents[a], try) && u.blob(u.contents[b], try) {
			if stored, again := u.manifest(u.contents[a], u.contents[b]); stored || !again {
				return
			}
		}
		if u.t.Failed() {
			return
		}
	}
}

// blob sees to it that the repository has content, in one of the ways that there are. False: it has to be begun anew, or failed.
func (u *user) blob(content []byte, try int) bool {
	d := digest.FromBytes(content)
	way := u.random.IntN(5)
	if try > 3 {
		way = 2 + u.random.IntN(2) // surer than to rely on what others have
	}
	switch way {
	case 0:
		if got, err := u.fleet.front.Try("HEAD", wire.BlobPath(u.repo, d), nil); err == nil && got.Status == 200 {
			u.tally["relied"]++
			return true
		}
	case 1:
		from := fmt.Sprintf("swept/u%d", u.random.IntN(u.others))
		got, err := u.fleet.front.Try("POST", wire.With(wire.UploadsPath(u.repo), "mount", d.String(), "from", from), nil)
		if err == nil && got.Status == 201 {
			u.tally["mounted"]++
			return true
		}
		if err != nil || got.Status != 202 {
			return !u.again(got, err) && false
		}
		return u.finish(got, content, 0)
	case 2:
		got, err := u.fleet.front.Try("POST", wire.With(wire.UploadsPath(u.repo), "digest", d.String()), bytes.NewReader(content), "Content-Type", wire.Octets)
		if err == nil && got.Status == 201 {
			u.tally["pushed"]++
			return true
		}
		u.again(got, err)
		return false
	}
	got, err := u.fleet.front.Try("POST", wire.UploadsPath(u.repo), nil)
	if err != nil || got.Status != 202 {
		u.again(got, err)
		return false
	}
	half := len(content) / 2
	got, err = u.fleet.front.Try("PATCH", u.fleet.front.URL+got.Header.Get("Location"), bytes.NewReader(content[:half]), "Content-Type", wire.Octets, "Content-Range", wire.Span(0, content[:half]))
	if err != nil || got.Status != 202 {
		u.again(got, err)
		return false
	}
	return u.finish(got, content, half)
}

func (u *user) finish(begun wire.Reply, content []byte, at int) bool {
	location := wire.With(u.fleet.front.URL+begun.Header.Get("Location"), "digest", digest.FromBytes(content).String())
	got, err := u.fleet.front.Try("PUT", location, bytes.NewReader(content[at:]), "Content-Type", wire.Octets)
	if err == nil && got.Status == 201 {
		u.tally["pushed"]++
		return true
	}
	u.again(got, err)
	return false
}

// manifest pushes an image of two contents under a tag, which may have named another one, and reads it back.
func (u *user) manifest(config, layer []byte) (stored, again bool) {
	m := imageOf(config, layer)
	body, tag := wire.JSON(m), fmt.Sprintf("t%d", u.random.IntN(3))
	got, err := u.fleet.front.Try("PUT", wire.ManifestPath(u.repo, tag), bytes.NewReader(body), "Content-Type", image)
	if err != nil || got.Status != 201 {
		return false, u.again(got, err)
	}
	u.tally["images"]++
	u.all.Add(1)
	d := digest.FromBytes(body)
	u.images[string(d)], u.tags[tag] = m, d
	u.whole(u.fleet.front, m, d)
	return true, false
}

// imageOf is an image of one layer.
func imageOf(config, layer []byte) ocispec.Manifest {
	return ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image, Config: wire.Descriptor(ocispec.MediaTypeImageConfig, config),
		Layers: []ocispec.Descriptor{wire.Descriptor(ocispec.MediaTypeImageLayer, layer)}}
}

// whole reads an image with all that it is made of.
func (u *user) whole(at *wire.Registry, m ocispec.Manifest, d digest.Digest) {
	paths := []string{wire.ManifestPath(u.repo, d)}
	wants := []digest.Digest{d}
	for _, part := range append(m.Layers, m.Config) {
		paths, wants = append(paths, wire.BlobPath(u.repo, part.Digest)), append(wants, part.Digest)
	}
	for i, path := range paths {
		got, err := at.Try("GET", path, nil)
		if err != nil || got.Status != 200 || digest.FromBytes(got.Body) != wants[i] {
			u.t.Errorf("%s, of an image that was pushed: %d with %d bytes, %v\n%s", path, got.Status, len(got.Body), err, got.Excerpt()[:min(200, len(got.Excerpt()))])
		}
	}
}

// read reads all images.
func (u *user) read() {
	for d, m := range u.images {
		u.whole(u.fleet.front, m, digest.Digest(d))
	}
}

// delete deletes an image, or a tag of it, unless all of it is in use.
func (u *user) delete() {
	for tag, d := range u.tags {
		if u.random.IntN(3) == 0 {
			u.remove(tag)
			delete(u.tags, tag)
		} else {
			u.forget(d)
		}
		return
	}
	for d := range u.images {
		u.forget(digest.Digest(d))
		return
	}
}

func (u *user) forget(d digest.Digest) {
	u.remove(string(d))
	delete(u.images, string(d))
	for tag, named := range u.tags {
		if named == d {
			delete(u.tags, tag)
		}
	}
}

func (u *user) remove(ref string) {
	if got, err := u.fleet.front.Try("DELETE", wire.ManifestPath(u.repo, ref), nil); err != nil || got.Status != 202 {
		u.t.Errorf("delete %s of %s: %d, %v\n%s", ref, u.repo, got.Status, err, got.Excerpt())
	}
	u.tally["deleted"]++
}

func (u *user) deleteAll() {
	for d := range u.images {
		u.forget(digest.Digest(d))
	}
}

// abandon begins an upload, and never goes on with it.
func (u *user) abandon() {
	content := u.contents[u.random.IntN(len(u.contents))]
	got, err := u.fleet.front.Try("POST", wire.UploadsPath(u.repo), nil)
	if err != nil || got.Status != 202 {
		u.again(got, err)
		return
	}
	half := content[:len(content)/2]
	if got, err = u.fleet.front.Try("PATCH", u.fleet.front.URL+got.Header.Get("Location"), bytes.NewReader(half), "Content-Type", wire.Octets); err != nil || got.Status != 202 {
		u.again(got, err)
	}
	u.tally["abandoned"]++
}

// check reads everything at a replica: the tags are those that were set, and all images are whole.
func (u *user) check(at *wire.Registry) {
	u.t.Helper()
	var list struct{ Tags []string }
	if got := at.Do(u.t, "GET", "/v2/"+u.repo+"/tags/list", nil).Want(u.t, 200, 404); got.Status == 200 {
		got.JSON(u.t, &list)
	}
	if len(list.Tags) != len(u.tags) {
		u.t.Errorf("%s has the tags %v, want %v", u.repo, list.Tags, u.tags)
	}
	for tag, d := range u.tags {
		if got := at.Do(u.t, "GET", wire.ManifestPath(u.repo, tag), nil).Want(u.t, 200); digest.FromBytes(got.Body) != d {
			u.t.Errorf("tag %s of %s is %s, want %s", tag, u.repo, digest.FromBytes(got.Body), d)
		}
	}
	for d, m := range u.images {
		u.whole(at, m, digest.Digest(d))
	}
}

// look sees what is in the stores, past all replicas.
type look struct {
	s     *stores
	blobs *s3.Store
	index kv.DB
	rest  kv.DB // of uploads
}

func (s *stores) look(t testing.TB) *look {
	t.Helper()
	l := &look{s: s, blobs: s.content(t)}
	l.index, l.rest = s.table(t, "entrepot"), s.table(t, "entrepot_uploads")
	return l
}

func (s *stores) content(t testing.TB) *s3.Store {
	t.Helper()
	blobs, err := s3.Open(t.Context(), s3.Config{Bucket: s.bucket, Endpoint: s.endpoint, PathStyle: true, AccessKey: s.s3.AccessKey, SecretKey: s.s3.SecretKey, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return blobs
}

func (s *stores) table(t testing.TB, name string) kv.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: s.database, Table: name, MaxConns: 8, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// stored returns the content in the bucket that is not the registry's own, and all keys there that are no content.
func (l *look) stored(t testing.TB) (content, others []string) {
	t.Helper()
	for info, err := range l.blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rc, err := l.blobs.Open(t.Context(), info.Digest, 0)
		if err != nil {
			continue // it has just gone
		}
		begin := make([]byte, 64)
		n, err := io.ReadFull(rc, begin)
		rc.Close()
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		}
		if begin = begin[:n]; !journal.IsSegment(begin) && !bytes.HasPrefix(begin, []byte(`{"entrepotPack":`)) {
			content = append(content, string(info.Digest))
		}
	}
	for _, key := range l.s.s3.Objects(t, l.s.bucket) {
		if !strings.HasPrefix(key, "blobs/") || strings.HasSuffix(key, "?") {
			others = append(others, key)
		}
	}
	slices.Sort(content)
	return content, others
}

// settled waits until the bucket holds what the images of all users are made of, as far as that is not in the index, and nothing else.
func (l *look) settled(t testing.TB, users []*user) {
	t.Helper()
	var want []string
	for _, u := range users {
		for _, m := range u.images {
			for _, part := range append(m.Layers, m.Config) {
				if part.Size > 16<<10 {
					want = append(want, string(part.Digest))
				}
			}
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	var content, others []string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if content, others = l.stored(t); slices.Equal(content, want) && len(others) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the bucket holds\n%v and %v, want\n%v and nothing else", content, others, want)
		}
	}
}

// nothingLeft waits until no row is left of any content.
func (l *look) nothingLeft(t testing.TB) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		left = nil
		for _, prefix := range []string{"blob/", "data/", "hold/", "doomed/", "man/", "rev/", "tag/", "ref/", "edge/", "upload/"} {
			for _, db := range []kv.DB{l.index, l.rest} {
				from, to := kv.Prefix(prefix)
				for pair, err := range db.Scan(t.Context(), from, to) {
					if err != nil {
						t.Fatal(err)
					}
					left = append(left, pair.Key)
				}
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing is pushed any more, and these rows are left: %v", left)
		}
	}
}

// events counts what is in the journal, by action.
func (l *look) events(t testing.TB) map[string]int {
	t.Helper()
	count, log := map[string]int{}, journal.New(l.index)
	for after := uint64(0); ; {
		n := 0
		for line, err := range log.Tail(t.Context(), after, 1000) {
			if err != nil {
				t.Fatal(err)
			}
			count[line.Event.Action]++
			after, n = max(after, line.Seq), n+1
		}
		if n < 1000 {
			return count
		}
	}
}

// registries are as many registries in this process as replicas would be, with their doors.
func (s *stores) registries(t *testing.T, count int, change func(*registry.Config)) *fleet {
	t.Helper()
	f := &fleet{}
	var logged lines
	f.logs = logged.String
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var addrs []string
	for range count {
		c := registry.Config{Blobs: s.content(t), Index: s.table(t, "entrepot"), Uploads: s.table(t, "entrepot_uploads"), Shared: true, Log: log}
		change(&c)
		r, err := registry.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var work sync.WaitGroup
		work.Go(func() { r.Run(ctx) })
		server := httptest.NewServer(door.New(door.Config{Policy: auth.Open, Log: log}, api.Routes(api.Config{Registry: r})...))
		t.Cleanup(func() {
			server.Close()
			stop()
			work.Wait()
		})
		f.at, addrs = append(f.at, wire.At(server.URL)), append(addrs, server.Listener.Addr().String())
	}
	front := httptest.NewServer(newRound(addrs))
	t.Cleanup(front.Close)
	f.front = wire.At(front.URL)
	return f
}

// lines is a log in memory, of which the end counts.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	l.text = l.text[max(0, len(l.text)-20_000):]
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
