package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// big is more than lies in the buffers between an upstream and a client that does not read.
const big = 12 << 20

// pausing lets the first answer about a blob stop after n bytes, until the function that it returns is called.
func (h *house) pausing(n int64) (goOn func()) {
	until := make(chan struct{})
	h.fault(func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Kind == "blobs" {
			return upstreamtest.Pause(n, until)
		}
		return nil
	})
	once := sync.OnceFunc(func() { close(until) })
	h.t.Cleanup(once)
	return once
}

// open begins to get a blob.
func (h *house) open(d digest.Digest) *http.Response {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), "GET", h.url+"/v2/"+app+"/blobs/"+string(d), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { res.Body.Close() })
	return res
}

// atFirst reads n bytes of an answer.
func (h *house) atFirst(res *http.Response, n int) []byte {
	h.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(res.Body, b); err != nil {
		h.t.Fatalf("the first %d bytes: %v", n, err)
	}
	return b
}

// wantWhole compares what came with the blob.
func (h *house) wantWhole(who string, d digest.Digest, body []byte) {
	h.t.Helper()
	if got := digest.FromBytes(body); got != d {
		h.t.Errorf("%s has %d bytes that are %s, want %s", who, len(body), got, d)
	}
}

// wantKept waits until a blob is kept.
func (h *house) wantKept(d digest.Digest) {
	h.t.Helper()
	eventually(h.t, "the blob is kept", func() bool { return h.get(h.offline, app+"/blobs/"+string(d)).names == d })
}

// wantAsked checks which ranges of blobs the upstream was asked for.
func (h *house) wantAsked(want ...string) {
	h.t.Helper()
	var ranges []string
	for _, q := range h.up.Requests() {
		if q.Kind == "blobs" {
			ranges = append(ranges, q.Range)
		}
	}
	if !slices.Equal(ranges, want) {
		h.t.Errorf("the upstream was asked for the ranges %q, want %q", ranges, want)
	}
}

// TestFlowing_first_bytes_go_out_while_the_rest_is_on_its_way: who pulls slowly through us sees that something comes.
func TestFlowing_first_bytes_go_out_while_the_rest_is_on_its_way(t *testing.T) {
	t.Parallel()
	for _, at := range []int64{100_000, 2 << 20} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			h := build(t)
			layer := h.up.PushImage(there, "1", big).Layers[0].Digest
			goOn := h.pausing(at)
			res := h.open(layer)
			came := make(chan []byte, 1)
			go func() {
				b := make([]byte, at/2)
				n, _ := io.ReadFull(res.Body, b)
				came <- b[:n]
			}()
			var start []byte
			eventually(t, "half of what the upstream has sent has come through", func() bool {
				select {
				case start = <-came:
					return true
				default:
					return false
				}
			})
			goOn()
			rest, err := io.ReadAll(res.Body)
			if err != nil {
				t.Error(err)
			}
			h.wantWhole("the client", layer, append(start, rest...))
			h.wantAsked("")
		})
	}
}

// TestFlowing_last_byte_waits_for_the_digest: of what turns out to be wrong nobody has got all. Over HTTP/2 an upstream can send everything and not yet have come to
// the end.
func TestFlowing_last_byte_waits_for_the_digest(t *testing.T) {
	t.Parallel()
	for _, good := range []bool{true, false} {
		t.Run(fmt.Sprint(good), func(t *testing.T) {
			t.Parallel()
			const n = 300_000
			h := build(t, overTLS)
			layer := h.up.PushImage(there, "1", n).Layers[0].Digest
			until := make(chan struct{})
			h.fault(func(q upstreamtest.Request) upstreamtest.Fault {
				return func(u *upstreamtest.Upstream, w http.ResponseWriter, r *http.Request, q upstreamtest.Request, honest http.Handler) {
					if !good {
						wrong := honest
						honest = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { upstreamtest.WrongDigest()(u, w, r, q, wrong) })
					}
					upstreamtest.Pause(n, until)(u, w, r, q, honest)
				}
			})
			res := h.open(layer)
			start := h.atFirst(res, n-1)
			close(until)
			rest, err := io.ReadAll(res.Body)
			if good {
				h.wantWhole("the client", layer, append(start, rest...))
			} else if err == nil || len(rest) > 0 {
				t.Errorf("of wrong content came %d bytes of %d, %v", len(start)+len(rest), n, err)
			}
			if r := h.get(h.offline, app+"/blobs/"+string(layer)); good != (r.status == 200) {
				t.Errorf("what is kept: %v", r.answer)
			}
			h.wantAsked("")
		})
	}
}

// TestFlowing_ranges: while a blob comes in, ranges of what is here are served, and who wants the end of it waits. The upstream is asked once.
func TestFlowing_ranges(t *testing.T) {
	t.Parallel()
	h := build(t)
	layer := h.up.PushImage(there, "1", big).Layers[0].Digest
	whole := h.up.Blob(there, layer)
	goOn := h.pausing(big / 2)
	first := h.open(layer)
	start := h.atFirst(first, 10)
	path := app + "/blobs/" + string(layer)
	for want, bounds := range map[string][2]int{"bytes=100-199": {100, 200}, "bytes=0-0": {0, 1}, "bytes=1000000-1999999": {1_000_000, 2_000_000}} {
		r := h.do("GET", h.url, path, "Range", want)
		if r.status != 206 || !bytes.Equal(r.body, whole[bounds[0]:bounds[1]]) || r.header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", bounds[0], bounds[1]-1, big) {
			t.Errorf("%s: %v, %d bytes, %v, %v", want, r.answer, len(r.body), r.header, r.err)
		}
	}
	if r := h.do("GET", h.url, path, "Range", fmt.Sprintf("bytes=%d-", big)); r.status != 416 || r.header.Get("Content-Range") != fmt.Sprintf("bytes */%d", big) {
		t.Errorf("beyond the end: %v, %v", r.answer, r.header)
	}
	ended := make(chan reply, 1)
	go func() { ended <- h.do("GET", h.url, path, "Range", "bytes=-100") }()
	select {
	case r := <-ended:
		t.Errorf("the end of what is not here yet is %v, %q", r.answer, r.body)
	default:
	}
	goOn()
	if r := <-ended; r.status != 206 || !bytes.Equal(r.body, whole[big-100:]) {
		t.Errorf("the end: %v, %d bytes, %v", r.answer, len(r.body), r.err)
	}
	rest, err := io.ReadAll(first.Body)
	if err != nil {
		t.Error(err)
	}
	h.wantWhole("the first client", layer, append(start, rest...))
	h.wantKept(layer)
	h.wantAsked("")
}

// TestFlowing_goes_on_without_its_client: whoever leaves, what was begun is brought to its end, and kept.
func TestFlowing_goes_on_without_its_client(t *testing.T) {
	t.Parallel()
	h := build(t)
	image := h.up.PushImage(there, "1", big)
	layer := image.Layers[0].Digest
	goOn := h.pausing(big / 2)
	res := h.open(layer)
	h.atFirst(res, 10)
	res.Body.Close()
	goOn()
	h.wantKept(layer)
	h.wantAsked("")
	h.sound()
}

// TestFlowing_goes_on_without_a_client_that_saw_nothing of a manifest or a blob before it left.
func TestFlowing_goes_on_without_a_client_that_saw_nothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"manifests", "blobs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			image := h.up.PushImage(there, "1", 100_000)
			ref := map[string]string{"manifests": "1", "blobs": string(image.Layers[0].Digest)}[kind]
			until := make(chan struct{})
			h.fault(upstreamtest.Always(upstreamtest.After(until)))
			left := make(chan struct{})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			go func() {
				defer close(left)
				req, _ := http.NewRequestWithContext(ctx, "GET", h.url+"/v2/"+app+"/"+kind+"/"+ref, nil)
				if res, err := client.Do(req); err == nil {
					res.Body.Close()
					t.Errorf("the client got an answer: %d", res.StatusCode)
				}
			}()
			eventually(t, "the upstream is asked", func() bool { return h.up.Asked(kind) == 1 })
			leave()
			<-left
			close(until)
			eventually(t, "it is kept", func() bool { return h.get(h.offline, app+"/"+kind+"/"+ref).status == 200 })
			if n := h.up.Asked(kind); n != 1 {
				t.Errorf("the upstream was asked %d times", n)
			}
		})
	}
}

// TestFlowing_slow_and_fast_followers: one that reads nothing for as long as the others read everything holds up nobody, and gets all of it in the end.
func TestFlowing_slow_and_fast_followers(t *testing.T) {
	t.Parallel()
	h := build(t)
	layer := h.up.PushImage(there, "1", big).Layers[0].Digest
	goOn := h.pausing(big / 2)
	slow := h.open(layer)
	start := h.atFirst(slow, 1)
	var fast sync.WaitGroup
	for i := range 8 {
		res := h.open(layer)
		fast.Go(func() {
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Error(err)
			}
			h.wantWhole(fmt.Sprintf("fast client %d", i), layer, body)
		})
	}
	goOn()
	fast.Wait()
	h.wantKept(layer)
	rest, err := io.ReadAll(slow.Body)
	if err != nil {
		t.Error(err)
	}
	h.wantWhole("the slow client", layer, append(start, rest...))
	h.wantAsked("")
}

// TestFlowing_resumes: what breaks off is asked for from there on, and an upstream that sends all of it again, or something else, spoils nothing.
func TestFlowing_resumes(t *testing.T) {
	t.Parallel()
	const n = 300_000
	for _, c := range []struct {
		name   string
		again  upstreamtest.Fault // what is wrong with the answers after the first
		ranges []string
		good   bool
	}{
		{"by a range", nil, []string{"", "bytes=100000-"}, true},
		{"by all of it", upstreamtest.NoRanges(), []string{"", "bytes=100000-"}, true},
		{"in many pieces", upstreamtest.TruncateAt(80_000), []string{"", "bytes=100000-", "bytes=180000-", "bytes=260000-"}, true},
		{"by all of it, cut in the same place", cutAgain(150_000), []string{"", "bytes=100000-", "bytes=150000-", "bytes=150000-", "bytes=150000-", "bytes=150000-", "bytes=150000-"}, false},
		{"by another range", upstreamtest.With("Content-Range", "bytes 100001-299999/300000"), slices.Concat([]string{""}, repeated("bytes=100000-", 5)), false},
		{"by the range of something larger", upstreamtest.With("Content-Range", "bytes 100000-299999/300001"), nil, false},
		{"by wrong bytes", upstreamtest.WrongDigest(), []string{"", "bytes=100000-"}, false},
		{"by nothing: it is gone", upstreamtest.Status(404), slices.Concat([]string{""}, repeated("bytes=100000-", 5)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			layer := h.up.PushImage(there, "1", n).Layers[0].Digest
			h.fault(func(q upstreamtest.Request) upstreamtest.Fault {
				switch {
				case q.Kind != "blobs":
					return nil
				case q.Nth == 1:
					return upstreamtest.TruncateAt(100_000)
				}
				return c.again
			})
			want := answer{status: 200, names: layer}
			if !c.good {
				want = cutOff
			}
			if r := h.get(h.url, app+"/blobs/"+string(layer)); r.answer != want {
				t.Errorf("the client sees %v, want %v: %v", r.answer, want, r.err)
			}
			if c.ranges != nil {
				h.wantAsked(c.ranges...)
			}
			if r := h.get(h.offline, app+"/blobs/"+string(layer)); (r.status == 200) != c.good {
				t.Errorf("what is kept: %v", r.answer)
			}
			h.sound()
		})
	}
}

// cutAgain ignores ranges, and breaks off.
func cutAgain(at int64) upstreamtest.Fault {
	return func(u *upstreamtest.Upstream, w http.ResponseWriter, r *http.Request, q upstreamtest.Request, honest http.Handler) {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
		upstreamtest.TruncateAt(at)(u, w, r, q, honest)
	}
}

func repeated(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}
