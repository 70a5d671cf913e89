package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

func TestBlob_from_any_offset(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		up := upstreamtest.New(t)
		image := up.PushImage(repo, "1", 100_000)
		want := up.Blob(repo, image.Layers[0].Digest)
		if !ranges {
			up.Fault(upstreamtest.Always(upstreamtest.NoRanges()))
		}
		r := open(t, up)
		for _, offset := range []int64{0, 1, 50_000, 99_999} {
			content, body, err := pull(t, r, image, 0, offset)
			if err != nil || !bytes.Equal(content, want[offset:]) || body.Size != 100_000 || body.Offset != offset {
				t.Errorf("ranges %v, at %d: %d bytes, size %d, offset %d, %v", ranges, offset, len(content), body.Size, body.Offset, err)
			}
			wantFree(t, r)
		}
		path := "/v2/team/app/blobs/" + string(image.Layers[0].Digest)
		wantCount(t, up, 1, "GET", path, "")
		wantCount(t, up, 1, "GET", path, "bytes=50000-")
		_, _, err := pull(t, r, image, 0, 100_001)
		wantKind(t, err, ErrBad)
		content, _, err := pull(t, r, image, 0, 100_000)
		if ranges && err == nil || !ranges && (err != nil || len(content) > 0) {
			t.Errorf("ranges %v, from the end: %d bytes, %v", ranges, len(content), err)
		}
		wantFree(t, r)
	}
}

func TestBlob_that_is_not_what_it_should_be(t *testing.T) {
	for _, c := range []struct {
		what   string
		fault  upstreamtest.Fault
		offset int64
		want   error
		says   string
	}{
		{"truncated", upstreamtest.TruncateAt(5000), 0, ErrDown, "unexpected EOF"},
		{"truncated after an offset", upstreamtest.TruncateAt(5000), 2000, ErrDown, "unexpected EOF"},
		{"reset", upstreamtest.Reset(5000), 0, ErrDown, "broke off after"},
		{"packed", upstreamtest.Gzip(), 0, ErrBad, "packed"},
		{"endless", upstreamtest.Endless(), 0, ErrBad, "more than the 20000"},
		{"endless before the offset", upstreamtest.Endless(), 30000, ErrBad, "more than the 20000"},
		{"too long", upstreamtest.WrongLength(20000), 0, ErrBad, "it has 30000 bytes"},
		{"shorter than the offset", upstreamtest.Status(200), 2000, ErrBad, "2000"},
		{"another range", upstreamtest.With("Content-Range", "bytes 3-8002/10000"), 2000, ErrBad, "another range"},
		{"a range that is too long", upstreamtest.With("Content-Range", "bytes 2000-9998/10000"), 2000, ErrBad, "another range"},
		{"no range", upstreamtest.With("Content-Range", "rows"), 2000, ErrBad, "another range"},
		{"a range that ends early", upstreamtest.With("Content-Range", "bytes 2000-9999/10001"), 2000, ErrDown, "unexpected EOF"},
		{"gone", upstreamtest.Status(404), 0, ErrNotFound, "404"},
		{"down", upstreamtest.Status(500), 0, ErrDown, "500"},
		{"in circles", upstreamtest.RedirectTo("/"), 0, ErrBad, "more than 5 times"},
		{"to nowhere", upstreamtest.RedirectTo(""), 0, ErrBad, "nowhere"},
		{"to a file", upstreamtest.RedirectTo("file:///etc/passwd"), 0, ErrBad, "nowhere"},
	} {
		t.Run(c.what, func(t *testing.T) {
			up := upstreamtest.New(t)
			image := up.PushImage(repo, "1", 10_000)
			up.Fault(upstreamtest.Always(c.fault))
			r := open(t, up, func(c *Config) { c.BlobBytes = 20_000 })
			_, _, err := pull(t, r, image, 0, c.offset)
			wantKind(t, err, c.want)
			wantText(t, err, c.says)
			wantFree(t, r)
			if n := len(up.Requests()); n > 6 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestBlob_short_is_an_unexpected_end(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10_000)
	up.Fault(upstreamtest.Always(upstreamtest.TruncateAt(5000), "blobs"))
	r := open(t, up)
	content, _, err := pull(t, r, image, 0, 0)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(content) != 5000 {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	up.Fault(nil)
	rest, _, err := pull(t, r, image, 0, 5000) // to go on is what it is for
	if err != nil || digest.FromBytes(append(content, rest...)) != image.Layers[0].Digest {
		t.Errorf("gone on: %d bytes, %v", len(rest), err)
	}
}

func TestBlob_without_a_length(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10_000)
	up.Fault(upstreamtest.Always(upstreamtest.Without("Content-Length"), "blobs"))
	content, body, err := pull(t, open(t, up), image, 0, 0)
	if err != nil || len(content) != 10_000 || body.Size != -1 {
		t.Errorf("%d bytes, size %d, %v", len(content), body.Size, err)
	}
}

func TestBlob_that_stands_still(t *testing.T) {
	for what, fault := range map[string]upstreamtest.Fault{
		"hangs before": upstreamtest.HangBeforeHeaders(), "hangs within": upstreamtest.HangInBody(5000), "drips": upstreamtest.Slow(50),
	} {
		up := upstreamtest.New(t)
		image := up.PushImage(repo, "1", 10_000)
		up.Fault(upstreamtest.Always(fault))
		r := open(t, up, with(short))
		began := time.Now()
		_, _, err := pull(t, r, image, 0, 0)
		wantKind(t, err, ErrDown)
		wantText(t, err, "within 200ms")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %v", what, took)
		}
		wantFree(t, r)
		if h := r.Health()[0]; h.Failures != 1 {
			t.Errorf("%s: %d failures", what, h.Failures)
		}
	}
}

// TestBlob_waits_for_a_slow_reader: that a reader is busy is nothing that the upstream could help.
func TestBlob_waits_for_a_slow_reader(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10_000)
	r := open(t, up, with(Timeouts{Stall: 100 * time.Millisecond}))
	body, err := r.Blob(t.Context(), repo, image.Layers[0].Digest, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.CopyN(io.Discard, body, 100); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // is what it does
	if n, err := io.Copy(io.Discard, body); n != 9900 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestBlob_steady_but_slow_is_welcome(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "1", 30_000)
	up.Fault(upstreamtest.Always(upstreamtest.Slow(50_000)))
	r := open(t, up, with(Timeouts{Stall: 500 * time.Millisecond}))
	began := time.Now()
	content, _, err := pull(t, r, image, 0, 0)
	if err != nil || len(content) != 30_000 || time.Since(began) < 300*time.Millisecond {
		t.Errorf("%d bytes in %v, %v", len(content), time.Since(began), err)
	}
}

func TestBlob_ends_with_its_reader(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10_000)
	up.Fault(upstreamtest.Always(upstreamtest.HangInBody(5000)))
	r := open(t, up)
	for what, end := range map[string]func(Body, context.CancelFunc){
		"closed":    func(b Body, _ context.CancelFunc) { b.Close() },
		"cancelled": func(_ Body, cancel context.CancelFunc) { cancel() },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		body, err := r.Blob(ctx, repo, image.Layers[0].Digest, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, body, 5000); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Millisecond, func() { end(body, cancel) })
		n, err := body.Read(make([]byte, 1))
		if n != 0 || err == nil || err == io.EOF || what == "cancelled" && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %d bytes, %v", what, n, err)
		}
		body.Close()
		wantFree(t, r)
	}
	if h := r.Health()[0]; h.Failures != 0 {
		t.Errorf("a reader that goes is nobody's failure: %+v", h)
	}
}

func TestBlob_after_a_redirect(t *testing.T) {
	up, storage := upstreamtest.New(t), upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10_000)
	content := up.Blob(repo, image.Layers[0].Digest)
	storage.PutBlob(repo, content)
	up.RequireBasic("alice", "s3cret")
	up.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Kind == "blobs" && q.Authorization != "" {
			return upstreamtest.RedirectTo(storage.URL + "/")
		}
		return nil
	})
	r := open(t, up, as(Static("alice", "s3cret")))
	got, body, err := pull(t, r, image, 0, 4000)
	if err != nil || !bytes.Equal(got, content[4000:]) || body.Size != 10_000 {
		t.Errorf("%d bytes of %d, %v", len(got), body.Size, err)
	}
	wantNobodyTold(t, storage)
	wantCount(t, storage, 1, "GET", "", "bytes=4000-")
	for _, q := range storage.Requests() {
		if q.Header.Get("Referer") != "" {
			t.Error("it tells where it came from")
		}
	}
}

func TestConnections_are_bounded_and_blobs_leave_some(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10_000)
	up.Fault(upstreamtest.Always(upstreamtest.HangInBody(10), "blobs"))
	r := open(t, up, func(c *Config) { c.Connections = 4 })
	var bodies []Body
	for range 3 {
		body, err := r.Blob(t.Context(), repo, image.Layers[0].Digest, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		bodies = append(bodies, body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := r.Blob(ctx, repo, image.Layers[0].Digest, 0)
	wantKind(t, err, ErrDown)
	wantText(t, err, "all 4 connections are busy")
	if _, err := r.Head(t.Context(), repo, "1"); err != nil {
		t.Errorf("a manifest waits for blobs: %v", err)
	}
	wantCount(t, up, 3, "GET", "")
	bodies[0].Close()
	bodies[0].Close() // once more is no harm
	if _, err := r.Blob(t.Context(), repo, image.Layers[0].Digest, 0); err != nil {
		t.Errorf("one is free again: %v", err)
	}
}

func TestBandwidth_is_shared_by_all_blobs(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "1", 50_000, 50_000)
	r := open(t, up, func(c *Config) { c.Bandwidth = 100_000 })
	began := time.Now()
	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() {
			if content, _, err := pull(t, r, image, i, 0); err != nil || len(content) != 50_000 {
				t.Errorf("%d bytes, %v", len(content), err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took < 700*time.Millisecond || took > 10*time.Second {
		t.Errorf("100 kB at 100 kB/s took %v", took)
	}
}

func TestPace_takes_what_was_saved_and_no_more(t *testing.T) {
	p, now := &pace{rate: 1000}, time.Now()
	for i, want := range []time.Duration{-150, -50, 50, 150} {
		if got := p.take(100, now); got != want*time.Millisecond {
			t.Errorf("%d: wait %v, want %v", i, got, want*time.Millisecond)
		}
	}
	if got := p.take(100, now.Add(time.Hour)); got != -150*time.Millisecond {
		t.Errorf("an hour later: %v", got)
	}
	if none := (&pace{}); none.take(1<<40, now) != 0 || none.chunk(1<<20) != 1<<20 {
		t.Error("without a rate there is no wait")
	}
}

func TestParseRange(t *testing.T) {
	for s, want := range map[string]string{
		"bytes 5-9/10": "5 9 10", "bytes 0-0/1": "0 0 1", "bytes 5-9/*": "5 9 -1",
		"bytes 5-10/10": "", "bytes 9-5/10": "", "bytes */10": "", "bytes 5-9": "", "5-9/10": "",
		"bytes -5-9/10": "", "bytes 5-9223372036854775808/*": "", "": "",
	} {
		first, last, total, ok := parseRange(s)
		if got := fmt.Sprint(first, last, total); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %s, %v, want %q", s, got, ok, want)
		}
	}
}
