package crash

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// set is many small images, and how to find them again.
type set struct {
	repo   string
	images map[string][]byte // by tag
	blobs  map[digest.Digest][]byte
}

// pushSet pushes n images under eleven tags each, eight at a time, and returns those that were acknowledged.
func pushSet(reg *wire.Registry, repo string, n int) *set {
	s := &set{repo: repo, images: map[string][]byte{}, blobs: map[digest.Digest][]byte{}}
	var mu sync.Mutex
	var work sync.WaitGroup
	for lane := range 8 {
		work.Go(func() {
			for i := lane; i < n; i += 8 {
				config := piece{size: 300, number: rand.Uint64()}
				content := config.bytes()
				config.digest = digest.FromBytes(content)
				reply, err := reg.Try("POST", wire.With(wire.UploadsPath(repo), "digest", config.digest.String()), bytes.NewReader(content), "Content-Type", wire.Octets)
				if err != nil || reply.Status != 201 {
					return
				}
				mu.Lock()
				s.blobs[config.digest] = content
				mu.Unlock()
				body := image(fmt.Sprintf("%s %d", repo, i), config)
				var tags []string
				target := wire.ManifestPath(repo, digest.FromBytes(body))
				for n := range 11 {
					tags = append(tags, fmt.Sprintf("i%d-%d", i, n))
					target = wire.With(target, "tag", tags[n])
				}
				if reply, err = reg.Try("PUT", target, bytes.NewReader(body), "Content-Type", ocispec.MediaTypeImageManifest); err != nil || reply.Status != 201 {
					return
				}
				mu.Lock()
				for _, tag := range tags {
					s.images[tag] = body
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	return s
}

// here fails the test for everything of the set that is not there.
func (s *set) here(t testing.TB, reg *wire.Registry) {
	t.Helper()
	missing := 0
	for d, content := range s.blobs {
		if got := reg.Do(t, "GET", wire.BlobPath(s.repo, d), nil); got.Status != 200 || !bytes.Equal(got.Body, content) {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%s: %d of %d blobs are not there", s.repo, missing, len(s.blobs))
	}
	missing = 0
	for tag, body := range s.images {
		if got := reg.Do(t, "GET", wire.ManifestPath(s.repo, tag), nil); got.Status != 200 || !bytes.Equal(got.Body, body) {
			missing++
		}
	}
	if listed := tags(t, reg, s.repo); missing > 0 || len(listed) < len(s.images) {
		t.Errorf("%s: %d of %d tags do not resolve, %d are listed", s.repo, missing, len(s.images), len(listed))
	}
}

// everything fails the test for every listed tag that does not resolve.
func everything(t testing.TB, reg *wire.Registry) {
	t.Helper()
	var catalog struct{ Repositories []string }
	reg.Do(t, "GET", "/v2/_catalog", nil).Want(t, 200).JSON(t, &catalog)
	for _, repo := range catalog.Repositories {
		listed := tags(t, reg, repo)
		for tag := range listed {
			if got := reg.Do(t, "GET", wire.ManifestPath(repo, tag), nil); got.Status != 200 || got.Header.Get("Docker-Content-Digest") != digest.FromBytes(got.Body).String() {
				t.Errorf("%s:%s is listed and answered %d", repo, tag, got.Status)
			}
		}
	}
	lookAtAudit(t, reg)
}

// segments returns how many segments of the journal lie among the content.
func segments(p *program.Program) (n int) {
	_ = filepath.WalkDir(filepath.Join(p.Dir, "data", "blobs"), func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if f, err := os.Open(path); err == nil {
				head := make([]byte, 20)
				_, _ = f.Read(head)
				_ = f.Close()
				if strings.HasPrefix(string(head), `{"entrepotJournal":`) {
					n++
				}
			}
		}
		return nil
	})
	return n
}

// A store with thousands of events is killed while content settles and while the journal is saved, in the middle of its start and of
// its stop. Nothing is lost; and once it could stop in order, all of it comes back from content alone.
func TestReindex_AfterACleanStop(t *testing.T) {
	t.Parallel()
	p := program.Start(t, program.Listen(privateAddr(t)))
	first := pushSet(wire.At(p.URL), "crash/first", 400) // 4800 events: more than one segment holds
	for range 6 {
		p.Signal(syscall.SIGTERM)
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		p.Kill()
		p.Restart()
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
		p.Kill()
		p.Restart()
	}
	first.here(t, wire.At(p.URL))
	second := pushSet(wire.At(p.URL), "crash/second", 100)
	p.Stop() // at once
	if n := segments(p); n < 2 {
		t.Errorf("%d segments of the journal lie among the content", n)
	}
	verify(t, p)
	t.Log(fromContent(t, p))
	reg := wire.At(p.URL)
	first.here(t, reg)
	second.here(t, reg)
	everything(t, reg)
	pushSet(reg, "crash/third", 10).here(t, reg) // and it goes on as before
}

// What is older than a minute comes back from content even if the program never stopped in order.
func TestReindex_AfterAKill(t *testing.T) {
	if testing.Short() {
		return // it waits for a minute
	}
	t.Parallel()
	p := program.Start(t, program.Listen(privateAddr(t)))
	old := pushSet(wire.At(p.URL), "crash/old", 50)
	time.Sleep(63 * time.Second)
	if segments(p) == 0 {
		t.Error("after a minute no segment of the journal lies among the content")
	}
	recent := pushSet(wire.At(p.URL), "crash/recent", 20)
	p.Kill()
	p.Restart()
	reg := wire.At(p.URL)
	old.here(t, reg)
	recent.here(t, reg)
	p.Kill()
	t.Log(fromContent(t, p))
	reg = wire.At(p.URL)
	old.here(t, reg)
	everything(t, reg) // what came back of the rest is whole
}

// A client may try to push content that looks like the journal's own. Whichever way it takes, it is refused or a blob like others; it does
// not become history when the index is built anew.
func TestReindex_TakesNoHistoryFromClients(t *testing.T) {
	t.Parallel()
	stranger := program.Start(t)
	foreign := pushSet(wire.At(stranger.URL), "crash/true", 30)
	stranger.Stop()
	forged := forgery(t, stranger)

	p := program.Start(t, program.Listen(privateAddr(t)))
	reg := wire.At(p.URL)
	own := pushSet(reg, "crash/true", 2)
	taken := map[digest.Digest]bool{}
	for _, d := range []digest.Digest{digest.FromBytes(forged), digest.SHA512.FromBytes(forged)} {
		try := func(reply wire.Reply) {
			reply.Want(t, 201, 400)
			taken[d] = taken[d] || reply.Status == 201
		}
		try(reg.Do(t, "POST", wire.With(wire.UploadsPath("crash/elsewhere"), "digest", d.String()), forged, "Content-Type", wire.Octets))
		try(reg.Close(t, reg.Begin(t, "crash/elsewhere"), d, forged))
		whole := reg.Begin(t, "crash/elsewhere")
		reg.Patch(t, whole, 0, forged)
		try(reg.Close(t, whole, d, []byte{}))
		pieces := reg.Begin(t, "crash/elsewhere", "digest-algorithm", d.Algorithm().String())
		for at := 0; at < 64; at++ { // byte by byte, whatever is said to it
			reg.Patch(t, pieces, at, forged[at:at+1])
		}
		if reply := reg.Close(t, pieces, d, forged[64:]); reply.Status != 416 {
			try(reply)
		}
		// A manifest may have any fields.
		body := append([]byte(`{"entrepotJournal":1,"from":1,"to":2,`), image("odd", piece{digest: own.anyBlob(), size: 300})[1:]...)
		reg.Put(t, "crash/true", "odd", ocispec.MediaTypeImageManifest, body).Want(t, 201, 400)
	}
	before := tags(t, reg, "crash/true")
	p.Stop()
	fromContent(t, p)
	reg = wire.At(p.URL)
	own.here(t, reg)
	for d, is := range taken {
		if got := reg.Do(t, "GET", wire.BlobPath("crash/elsewhere", d), nil); is != (got.Status == 200) {
			t.Errorf("that the blob %s was taken is %t, and now it is answered %d", d, is, got.Status)
		}
	}
	if now := tags(t, reg, "crash/true"); !maps.Equal(now, before) {
		t.Errorf("%d tags became %d", len(before), len(now))
	}
	for tag, body := range foreign.images {
		if got := reg.Do(t, "GET", wire.ManifestPath("crash/true", tag), nil); got.Status == 200 && bytes.Equal(got.Body, body) {
			t.Fatalf("the image %s was brought in by a client's blob", tag)
		}
	}
	everything(t, reg)
}

func (s *set) anyBlob() digest.Digest {
	for d := range s.blobs {
		return d
	}
	return ""
}

// forgery returns the journal of a stopped program as it lies among its content.
func forgery(t testing.TB, p *program.Program) []byte {
	t.Helper()
	var found []byte
	_ = filepath.WalkDir(filepath.Join(p.Dir, "data", "blobs"), func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if b, err := os.ReadFile(path); err == nil && bytes.HasPrefix(b, []byte(`{"entrepotJournal":`)) {
				found = b
			}
		}
		return nil
	})
	if found == nil {
		t.Fatal("no segment lies among the content")
	}
	return found
}
