package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/kv"
)

const app = "up.example.com/team/app"

// house is a registry that pulls through.
type house struct {
	*Through
	t    testing.TB
	up   *upstreamtest.Upstream
	mu   sync.Mutex
	time time.Time
}

func build(t testing.TB, changes ...func(*Upstream)) *house {
	t.Helper()
	return impatient(t, 10*time.Second, changes...)
}

// impatient is build for an upstream that may hang: nobody waits for it for longer than that.
func impatient(t testing.TB, patience time.Duration, changes ...func(*Upstream)) *house {
	t.Helper()
	h := &house{t: t, up: upstreamtest.New(t), time: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	blobs, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	index := kv.NewMemory()
	now := func() time.Time {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.time
	}
	reg, err := registry.Open(t.Context(), registry.Config{Blobs: blobs, Index: index, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	r, err := remote.New(remote.Config{
		Name: "up.example.com", URLs: []string{h.up.URL}, Timeouts: remote.Timeouts{Dial: patience, Header: patience, Stall: patience},
		Breaker: remote.Breaker{Failures: 1000},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	u := Upstream{Remote: r, TagTTL: time.Minute}
	for _, change := range changes {
		change(&u)
	}
	h.Through, err = New(Config{Local: reg, Below: reg, Index: index, Upstreams: []Upstream{u}, Now: now, Keeps: func(_, tag string) bool { return tag == "mirrored" }})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) later(d time.Duration) {
	h.mu.Lock()
	h.time = h.time.Add(d)
	h.mu.Unlock()
}

// pull pulls a manifest and all blobs of it.
func (h *house) pull(ref string) (digest.Digest, error) {
	ctx := h.t.Context()
	d, body, err := h.Manifest(ctx, app, ref)
	if err != nil {
		return "", err
	}
	if digest.FromBytes(body) != d.Digest {
		return "", fmt.Errorf("the manifest is not %s", d.Digest)
	}
	m, err := registry.ParseManifest(d.MediaType, d.Digest, body)
	if err != nil {
		return "", err
	}
	for _, l := range append(m.Layers, *m.Config) {
		if _, err := h.blob(ctx, l.Digest); err != nil {
			return d.Digest, err
		}
	}
	return d.Digest, nil
}

// blob reads a whole blob, which must be what it is said to be.
func (h *house) blob(ctx context.Context, d digest.Digest) ([]byte, error) {
	info, content, err := h.OpenBlob(ctx, app, d)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	var all bytes.Buffer
	if _, err := io.Copy(&all, content); err != nil {
		return all.Bytes(), err
	}
	if digest.FromBytes(all.Bytes()) != d || int64(all.Len()) != info.Size {
		return all.Bytes(), fmt.Errorf("it is %d bytes, and not %s", all.Len(), d)
	}
	return all.Bytes(), nil
}

// TestThrough_cold: sixteen clients, and one request for each object.
func TestThrough_cold(t *testing.T) {
	h := build(t)
	img := h.up.PushImage("team/app", "1.0", 3<<20, 100, 0)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if d, err := h.pull("1.0"); err != nil || d != img.Descriptor.Digest {
				t.Error(d, err)
			}
		})
	}
	wg.Wait()
	asked := map[string]int{}
	for _, r := range h.up.Requests() {
		if r.Path != "/v2/" {
			asked[r.Method+" "+r.Path]++
		}
	}
	for what, n := range asked {
		if n != 1 {
			t.Errorf("%s was asked %d times", what, n)
		}
	}
	// Warm, nobody is asked.
	h.up.Forget()
	if _, err := h.pull("1.0"); err != nil || len(h.up.Requests()) != 0 {
		t.Errorf("%v, %v", err, h.up.Requests())
	}
	if _, err := h.pull(string(img.Descriptor.Digest)); err != nil || len(h.up.Requests()) != 0 {
		t.Errorf("%v, %v", err, h.up.Requests())
	}
}

// TestThrough_follows a tag, with one HEAD for all who wait.
func TestThrough_follows(t *testing.T) {
	h := build(t)
	first := h.up.PushImage("team/app", "1.0", 100)
	if d, err := h.pull("1.0"); err != nil || d != first.Descriptor.Digest {
		t.Fatal(d, err)
	}
	second := h.up.PushImage("team/app", "1.0", 200)
	if d, err := h.pull("1.0"); err != nil || d != first.Descriptor.Digest {
		t.Errorf("a fresh tag moved: %v, %v", d, err)
	}
	h.later(2 * time.Minute)
	h.up.Forget()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if d, err := h.Resolve(t.Context(), app, "1.0"); err != nil || d.Digest != second.Descriptor.Digest {
				t.Error(d, err)
			}
		})
	}
	wg.Wait()
	if heads, gets := h.up.Count("HEAD", "/v2/team/app/manifests/1.0"), h.up.Asked("manifests"); heads != 1 || gets > 2 {
		t.Errorf("%d HEADs, %d requests for manifests: %v", heads, gets, h.up.Requests())
	}
	h.later(2 * time.Minute)
	h.up.Forget()
	if _, err := h.pull("1.0"); err != nil || h.up.Asked("manifests") != 1 {
		t.Errorf("%v: %v", err, h.up.Requests())
	}
}

// TestThrough_while_the_upstream_is_not_well: what is kept is served, and says so; what is not is the upstream's own error.
func TestThrough_while_the_upstream_is_not_well(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{
		"5xx": upstreamtest.Status(502), "429": upstreamtest.TooMany(7 * time.Second), "hangs": upstreamtest.HangBeforeHeaders(), "resets": upstreamtest.NoAnswer(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := impatient(t, 4*time.Second)
			img := h.up.PushImage("team/app", "1.0", 100)
			if _, err := h.pull("1.0"); err != nil {
				t.Fatal(err)
			}
			h.later(time.Hour)
			h.up.Fault(func(upstreamtest.Request) upstreamtest.Fault { return fault })
			ctx, notes := registry.WithNotes(t.Context())
			if d, err := h.Resolve(ctx, app, "1.0"); err != nil || d.Digest != img.Descriptor.Digest || notes.Stale == "" || h.Stale() != 1 {
				t.Errorf("%v, %v, %q, %d", d, err, notes.Stale, h.Stale())
			}
			want := registry.UpstreamDown
			if name == "429" {
				want = registry.UpstreamLimited
			}
			if _, err := h.Resolve(t.Context(), app, "2.0"); registry.Code(err) != want {
				t.Errorf("what is not kept: %v", err)
			}
		})
	}
}

// TestThrough_blobs_that_go_wrong: nothing wrong is kept, what breaks off is fetched on, and no client takes a part for the whole.
func TestThrough_blobs_that_go_wrong(t *testing.T) {
	once := func(f upstreamtest.Fault) func() func(upstreamtest.Request) upstreamtest.Fault {
		return func() func(upstreamtest.Request) upstreamtest.Fault {
			var mu sync.Mutex
			n := 0
			return func(r upstreamtest.Request) upstreamtest.Fault {
				mu.Lock()
				defer mu.Unlock()
				if !strings.Contains(r.Path, "/blobs/") {
					return nil
				}
				if n++; n > 1 {
					return nil
				}
				return f
			}
		}
	}
	always := func(f upstreamtest.Fault) func() func(upstreamtest.Request) upstreamtest.Fault {
		return func() func(upstreamtest.Request) upstreamtest.Fault {
			return func(r upstreamtest.Request) upstreamtest.Fault {
				if strings.Contains(r.Path, "/blobs/") {
					return f
				}
				return nil
			}
		}
	}
	for name, c := range map[string]struct {
		faults func() func(upstreamtest.Request) upstreamtest.Fault
		good   bool
	}{
		"breaks off once": {once(upstreamtest.TruncateAt(1 << 20)), true},
		"hangs once":      {once(upstreamtest.HangInBody(1 << 20)), true},
		"resets once":     {once(upstreamtest.Reset(1 << 20)), true},
		"slow":            {once(upstreamtest.Slow(8 << 20)), true},
		"wrong content":   {always(upstreamtest.WrongDigest()), false},
		"always breaks":   {always(upstreamtest.TruncateAt(0)), false},
		"is not there":    {always(upstreamtest.Status(404)), false},
		"is packed":       {always(upstreamtest.Gzip()), false},
		"nobody may":      {always(upstreamtest.Always401()), false},
	} {
		for _, clients := range []int{1, 16} {
			t.Run(fmt.Sprintf("%s, %d clients", name, clients), func(t *testing.T) {
				t.Parallel()
				h := impatient(t, 4*time.Second)
				img := h.up.PushImage("team/app", "1.0", 2<<20)
				h.up.Fault(c.faults())
				layer := img.Layers[0].Digest
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						if _, err := h.blob(t.Context(), layer); (err == nil) != c.good {
							t.Errorf("%v", err)
						}
					})
				}
				wg.Wait()
				if _, err := h.local.Blob(t.Context(), app, layer); (err == nil) != c.good {
					t.Errorf("what is kept: %v", err)
				}
			})
		}
	}
}

// TestThrough_goes_on when the client that began has left, and a range of what is coming is served.
func TestThrough_goes_on(t *testing.T) {
	h := build(t)
	img := h.up.PushImage("team/app", "1.0", 2<<20)
	h.up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		if strings.Contains(r.Path, "/blobs/") {
			return upstreamtest.Slow(4 << 20)
		}
		return nil
	})
	layer := img.Layers[0].Digest
	ctx, leave := context.WithCancel(t.Context())
	_, content, err := h.OpenBlob(ctx, app, layer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(content, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	leave()
	if _, err := io.Copy(io.Discard, content); err == nil {
		t.Error("who has left is still served")
	}
	_, other, err := h.OpenBlob(t.Context(), app, layer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Seek(1<<20, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(other)
	if err != nil || !bytes.Equal(rest, h.up.Blob("team/app", layer)[1<<20:]) {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	if n := h.up.Asked("blobs"); n != 1 {
		t.Errorf("%d requests for one blob", n)
	}
}

// TestThrough_what_may_pass.
func TestThrough_what_may_pass(t *testing.T) {
	h := build(t, func(u *Upstream) { u.Allow, u.Deny = []string{"team/*"}, []string{"team/secret"} })
	h.up.PushImage("team/app", "1.0", 10)
	h.up.PushImage("team/secret", "1.0", 10)
	if _, err := h.pull("1.0"); err != nil {
		t.Error(err)
	}
	for _, repo := range []string{"up.example.com/team/secret", "up.example.com/other/app"} {
		if _, err := h.Resolve(t.Context(), repo, "1.0"); registry.Code(err) != registry.Denied {
			t.Errorf("%s: %v", repo, err)
		}
	}
	if err := h.Closed(app); registry.Code(err) != registry.Denied {
		t.Errorf("a push into it: %v", err)
	}
	if err := h.Closed("cloud/dmp/x"); err != nil {
		t.Error(err)
	}
	// What is not there is asked for once in a while.
	for range 3 {
		if _, err := h.Resolve(t.Context(), app, "9.9"); registry.Code(err) != registry.ManifestUnknown {
			t.Error(err)
		}
	}
	if n := h.up.Count("GET", "/v2/team/app/manifests/9.9"); n != 1 {
		t.Errorf("it was asked for %d times", n)
	}
}

// TestThrough_lists tags and referrers of the upstream.
func TestThrough_lists(t *testing.T) {
	h := build(t)
	img := h.up.PushImage("team/app", "1.0", 10)
	h.up.PushImage("team/app", "2.0", 10)
	ref := h.up.PushReferrer("team/app", img.Descriptor, "application/vnd.example.signature")
	var tags []string
	for tag, err := range h.Tags(t.Context(), app, "") {
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	if !strings.HasPrefix(strings.Join(tags, " "), "1.0 2.0") {
		t.Error(tags)
	}
	n := 0
	for r, err := range h.Referrers(t.Context(), app, img.Descriptor.Digest, "", "") {
		if err != nil || !strings.Contains(string(r.Descriptor), string(ref.Descriptor.Digest)) {
			t.Errorf("%s, %v", r.Descriptor, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d referrers", n)
	}
}
