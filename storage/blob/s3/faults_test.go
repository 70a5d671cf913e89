//go:build backends

package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// TestFaults lets each request of a push and a pull fail in each way, one at a time, without repetition. Whatever was counted is there for another
// replica to go on with, content is never half there, and in the end nothing is left over.
func TestFaults_of_each_request(t *testing.T) {
	server := s3test.Start(t)
	content := noise(2, 13<<20)
	for _, what := range []fault{slowDown, reset, lost, half} {
		for n, requests := 0, 0; n <= requests; n++ { // at first without a fault, to see how many requests there are
			cfg := configFor(server, server.Bucket(t))
			direct := open(t, cfg)
			p := newProxy(t, server)
			cfg.Endpoint, cfg.Attempts = p.URL, 1
			s := open(t, cfg)
			p.with(func(i int, _ *http.Request) fault {
				if i == n {
					return what
				}
				return none
			})
			where := fmt.Sprintf("%s of request %d", what, n)
			pushAcross(t, where, s, direct, content)
			requests = max(requests, p.with(nil))
			requireOnly(t, where, server, cfg, direct, content)
			p.CloseClientConnections()
		}
	}
}

// pushAcross pushes by a store that fails somewhere, and goes on by another one.
func pushAcross(t *testing.T, where string, s, direct *s3.Store, content []byte) {
	t.Helper()
	d := digest.FromBytes(content)
	name := blob.Named("upload", d)
	third := len(content) / 3
	var size int64
	for _, end := range []int{third, third + 1000, len(content)} {
		counted, err := s.Append(ctx, name, size, bytes.NewReader(content[size:end]))
		if err != nil {
			requireUnavailable(t, where, err)
			if counted < size && counted != 0 || counted > int64(end) {
				t.Fatalf("%s: %d counted after %d", where, counted, size)
			}
			if counted < size { // the upload could not be found at all, and what was counted before still is
				counted = size
			}
			requireUploadBegins(t, where, direct, name, content, counted)
			if counted, err = direct.Append(ctx, name, counted, bytes.NewReader(content[counted:end])); err != nil {
				t.Fatalf("%s: go on: %v", where, err)
			}
		}
		if size = counted; size != int64(end) {
			t.Fatalf("%s: size %d, want %d", where, size, end)
		}
	}
	if _, err := direct.Stat(ctx, d); !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("%s: before the commit: %v", where, err)
	}
	if err := s.Commit(ctx, name, d); err != nil {
		requireUnavailable(t, where, err)
		requireUploadBegins(t, where, direct, name, content, size)
		if err := direct.Commit(ctx, name, d); err != nil {
			t.Fatalf("%s: commit again: %v", where, err)
		}
	}
	rc, err := s.Open(ctx, d, 1)
	if err == nil {
		var got []byte
		got, err = io.ReadAll(rc)
		rc.Close()
		if !bytes.HasPrefix(content[1:], got) || err == nil && len(got) != len(content)-1 {
			t.Fatalf("%s: read %d bytes that are not the content, %v", where, len(got), err)
		}
	}
	if err != nil {
		requireUnavailable(t, where, err)
	}
}

func requireUnavailable(t *testing.T, where string, err error) {
	t.Helper()
	if !errors.Is(err, s3.ErrUnavailable) {
		t.Fatalf("%s: %v; want %v", where, err, s3.ErrUnavailable)
	}
	if strings.Contains(err.Error(), "testsecret") {
		t.Fatalf("%s: %v: it tells a secret", where, err)
	}
}

// requireUploadBegins requires that an upload holds what was counted, and nothing else than a beginning of the content.
func requireUploadBegins(t *testing.T, where string, s *s3.Store, name string, content []byte, counted int64) {
	t.Helper()
	rc, err := s.Resume(ctx, name, 0)
	if counted == 0 && errors.Is(err, blob.ErrUploadUnknown) {
		return
	}
	if err != nil {
		t.Fatalf("%s: resume: %v", where, err)
	}
	defer rc.Close()
	got, err := io.ReadAll(rc)
	if err != nil || int64(len(got)) < counted || !bytes.HasPrefix(content, got) {
		t.Fatalf("%s: the upload has %d bytes, %v; want the content's first %d", where, len(got), err, counted)
	}
}

// requireOnly requires that the bucket holds the content and, when all uploads are aborted, nothing else.
func requireOnly(t *testing.T, where string, server *s3test.Server, cfg s3.Config, s *s3.Store, content []byte) {
	t.Helper()
	d := digest.FromBytes(content)
	requireMatch(t, where, s, d)
	for pending, err := range s.Uploads(ctx) {
		if err != nil {
			t.Fatalf("%s: uploads: %v", where, err)
		}
		if err := s.Abort(ctx, pending.Name); err != nil {
			t.Fatalf("%s: abort: %v", where, err)
		}
	}
	want := []string{"some/where/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded()}
	if got := server.Objects(t, cfg.Bucket); !slices.Equal(got, want) {
		t.Fatalf("%s: the bucket holds %v, want %v", where, got, want)
	}
}

func requireMatch(t *testing.T, where string, s *s3.Store, d digest.Digest) {
	t.Helper()
	rc, err := s.Open(ctx, d, 0)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	defer rc.Close()
	check := d.Verifier()
	if _, err := io.Copy(check, rc); err != nil || !check.Verified() {
		t.Fatalf("%s: %s does not match, %v", where, d, err)
	}
}

// TestFaults_that_pass are not noticed: requests are repeated, and downloads go on where they stood.
func TestFaults_that_pass(t *testing.T) {
	server := s3test.Start(t)
	content := noise(3, 11<<20)
	d := digest.FromBytes(content)
	for _, what := range []fault{slowDown, reset, lost, half} {
		p := newProxy(t, server)
		cfg := configFor(server, server.Bucket(t))
		cfg.Endpoint = p.URL
		s := open(t, cfg)
		p.with(func(n int, _ *http.Request) fault {
			if n%4 == 2 {
				return what
			}
			return none
		})
		if size, err := s.Append(ctx, "upload", 0, bytes.NewReader(content)); err != nil || size != int64(len(content)) {
			t.Fatalf("%s: append: %d, %v", what, size, err)
		}
		if err := s.Commit(ctx, "upload", d); err != nil {
			t.Fatalf("%s: commit: %v", what, err)
		}
		requireMatch(t, string(what), s, d)
		p.with(nil)
		requireOnly(t, string(what), server, cfg, s, content)
	}
}

// TestFaults_that_stay end in ErrUnavailable, in bounded time.
func TestFaults_that_stay(t *testing.T) {
	server := s3test.Start(t)
	content := noise(4, 6<<20)
	d := digest.FromBytes(content)
	for _, what := range []fault{slowDown, reset, silence} {
		p := newProxy(t, server)
		cfg := configFor(server, server.Bucket(t))
		put(t, open(t, cfg), "before", content)
		cfg.Endpoint, cfg.Attempts, cfg.Stall = p.URL, 2, 200*time.Millisecond
		s, err := s3.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		p.with(func(int, *http.Request) fault { return what })
		began := time.Now()
		_, err = s.Append(ctx, "upload", 0, bytes.NewReader(content))
		requireUnavailable(t, string(what), err)
		_, err = s.Resume(ctx, "upload", 0)
		requireUnavailable(t, string(what), err)
		requireUnavailable(t, string(what), s.Commit(ctx, "upload", d))
		requireUnavailable(t, string(what), s.Abort(ctx, "upload"))
		_, err = s.Open(ctx, d, 0)
		requireUnavailable(t, string(what), err)
		_, err = s.Stat(ctx, d)
		requireUnavailable(t, string(what), err)
		requireUnavailable(t, string(what), s.Delete(ctx, d))
		for _, err := range s.List(ctx) {
			requireUnavailable(t, string(what), err)
		}
		for _, err := range s.Uploads(ctx) {
			requireUnavailable(t, string(what), err)
		}
		requireUnavailable(t, string(what), s.Check(ctx))
		if took := time.Since(began); took > 3*time.Minute {
			t.Errorf("%s: it took %v to find out", what, took)
		}
	}
}

// put stores content.
func put(t testing.TB, s *s3.Store, name string, content []byte) digest.Digest {
	t.Helper()
	d := digest.FromBytes(content)
	if _, err := s.Append(ctx, name, 0, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, name, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestLateWrites shows that what S3 carries out after its writer gave it up does not count, be it carried out before or after the client repeated it.
func TestLateWrites_do_not_count(t *testing.T) {
	server := s3test.Start(t)
	p := newProxy(t, server)
	cfg := configFor(server, server.Bucket(t))
	direct := open(t, cfg)
	cfg.Endpoint, cfg.Attempts = p.URL, 1
	s := open(t, cfg)
	content, wrong := noise(5, 12<<20), noise(6, 12<<20)
	first := content[:6<<20]
	if _, err := s.Append(ctx, "upload", 0, bytes.NewReader(first)); err != nil {
		t.Fatal(err)
	}
	for _, repeated := range []bool{false, true} {
		p.with(func(_ int, r *http.Request) fault {
			if r.Method == http.MethodPut && r.ContentLength > 0 {
				return postponed
			}
			return none
		})
		size, err := s.Append(ctx, "upload", int64(len(first)), bytes.NewReader(wrong[len(first):]))
		requireUnavailable(t, "append", err)
		if size != int64(len(first)) {
			t.Fatalf("%d counted, want %d", size, len(first))
		}
		if repeated {
			if _, err := direct.Append(ctx, "upload", size, bytes.NewReader(content[size:])); err != nil {
				t.Fatal(err)
			}
			first = content
		}
		if n := p.carryOut(t); n == 0 {
			t.Fatal("the server took none of the late requests, so that this tells nothing")
		}
		requireUploadIs(t, direct, "upload", first)
	}
	d := digest.FromBytes(content)
	if err := s.Commit(ctx, "upload", d); err != nil {
		t.Fatal(err)
	}
	p.with(nil)
	requireOnly(t, "after all", server, cfg, direct, content)
}

func requireUploadIs(t *testing.T, s *s3.Store, name string, want []byte) {
	t.Helper()
	rc, err := s.Resume(ctx, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the upload has %d bytes, %v; want %d others", len(got), err, len(want))
	}
}

// TestCancel shows that a caller who goes ends what he asked for, although S3 is silent.
func TestCancel_ends_waiting(t *testing.T) {
	server := s3test.Start(t)
	p := newProxy(t, server)
	cfg := configFor(server, server.Bucket(t))
	cfg.Endpoint = p.URL
	s := open(t, cfg)
	d := put(t, s, "upload", []byte("content"))
	p.with(func(int, *http.Request) fault { return silence })
	for what, ask := range map[string]func(context.Context) error{
		"open":   func(ctx context.Context) error { _, err := s.Open(ctx, d, 0); return err },
		"stat":   func(ctx context.Context) error { _, err := s.Stat(ctx, d); return err },
		"resume": func(ctx context.Context) error { _, err := s.Resume(ctx, "upload", 0); return err },
		"commit": func(ctx context.Context) error { return s.Commit(ctx, "upload", d) },
		"check":  s.Check,
	} {
		gone, cancel := context.WithCancel(ctx)
		time.AfterFunc(50*time.Millisecond, cancel)
		if err := ask(gone); !errors.Is(err, context.Canceled) || errors.Is(err, s3.ErrUnavailable) {
			t.Errorf("%s: %v; want %v alone", what, err, context.Canceled)
		}
	}
}
