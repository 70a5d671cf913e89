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

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

const fewMiB = 20 << 20 // that are copied in one request, in these tests

func placeOf(d digest.Digest) string { return "some/where/quarantine/sha256-" + d.Encoded() }
func keyOf(d digest.Digest) string {
	return "some/where/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded()
}

// bytesAt returns the bytes under a key, as they are.
func bytesAt(t *testing.T, server *s3test.Server, bucket, key string) []byte {
	t.Helper()
	out, err := server.Client(server.Endpoint).GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// overwrite puts other bytes under a key, past the store.
func overwrite(t *testing.T, server *s3test.Server, bucket, key string, body []byte) {
	t.Helper()
	if _, err := server.Client(server.Endpoint).PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
}

// TestQuarantine_keeps_what_is_left, whatever it is, in one copy or in several parts.
func TestQuarantine_keeps_what_is_left(t *testing.T) {
	server := s3test.Start(t)
	good := noise(31, 26<<20)
	d := digest.FromBytes(good)
	for _, size := range []int{0, 1, 1 << 20, fewMiB, fewMiB + 1, 26 << 20} {
		cfg := configFor(server, server.Bucket(t))
		p := newProxy(t, server)
		direct := open(t, cfg)
		cfg.Endpoint = p.URL
		s := open(t, cfg)
		s.CopyWhole(fewMiB)
		put(t, direct, "upload", good)
		bad := noise(32, size)
		overwrite(t, server, cfg.Bucket, keyOf(d), bad)
		copies := 0
		p.with(func(_ int, r *http.Request) fault {
			if r.Header.Get("X-Amz-Copy-Source") != "" {
				copies++
			} else if r.Method == http.MethodGet || r.ContentLength > 1<<20 {
				t.Errorf("%d bytes: %s %s: want no bytes to pass through here", size, r.Method, r.URL.Path)
			}
			return none
		})
		place, err := s.Quarantine(ctx, d)
		p.with(nil)
		if err != nil || place != "s3://"+cfg.Bucket+"/"+placeOf(d) {
			t.Fatalf("%d bytes: %q, %v", size, place, err)
		}
		if several := size > fewMiB; several != (copies > 1) {
			t.Errorf("%d bytes took %d copies", size, copies)
		}
		if got := server.Objects(t, cfg.Bucket); !slices.Equal(got, []string{placeOf(d)}) {
			t.Errorf("%d bytes: the bucket holds %v", size, got)
		}
		if !bytes.Equal(bytesAt(t, server, cfg.Bucket, placeOf(d)), bad) {
			t.Errorf("%d bytes: what is kept is something else", size)
		}
		requireUnknown(t, direct, d)
		put(t, direct, "upload", good) // and it may come anew
		requireMatch(t, "anew", direct, d)
	}
}

// requireUnknown requires that content is neither opened nor listed, and that nothing is to be swept.
func requireUnknown(t *testing.T, s blob.Store, d digest.Digest) {
	t.Helper()
	if _, err := s.Open(ctx, d, 0); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("open: %v, want %v", err, blob.ErrNotFound)
	}
	if _, err := s.Stat(ctx, d); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("stat: %v, want %v", err, blob.ErrNotFound)
	}
	for info, err := range s.List(ctx) {
		t.Errorf("listed: %+v, %v", info, err)
	}
	for pending, err := range s.Uploads(ctx) {
		t.Errorf("an upload: %+v, %v", pending, err)
	}
}

// TestQuarantine_with_faults_of_each_request: what is left of the content is at its place, or put aside, or both, and whole; a repetition completes it.
func TestQuarantine_with_faults_of_each_request(t *testing.T) {
	server := s3test.Start(t)
	for size, faults := range map[int][]fault{1000: {slowDown, reset, lost, half}, 21 << 20: {slowDown, lost}} {
		content := noise(33, size)
		d := digest.FromString("what it was")
		for _, what := range faults {
			reached := map[string]bool{}
			for n, requests := 0, 0; n <= requests; n++ { // at first without a fault, to see how many requests there are
				cfg := configFor(server, server.Bucket(t))
				direct := open(t, cfg)
				overwrite(t, server, cfg.Bucket, keyOf(d), content)
				p := newProxy(t, server)
				cfg.Endpoint, cfg.Attempts = p.URL, 1
				s := open(t, cfg)
				s.CopyWhole(fewMiB)
				p.with(func(i int, r *http.Request) fault {
					if i != n {
						return none
					}
					reached[r.Method] = true
					return what
				})
				_, err := s.Quarantine(ctx, d)
				requests = max(requests, p.with(nil))
				where := fmt.Sprintf("%d bytes, %s of request %d", size, what, n)
				if err != nil {
					requireUnavailable(t, where, err)
				}
				at := strings.Join(server.Objects(t, cfg.Bucket), " ")
				kept, left := strings.Contains(at+" ", placeOf(d)+" "), strings.Contains(at+" ", keyOf(d)+" ")
				if !kept && !left || err == nil && (!kept || left) {
					t.Fatalf("%s: %v: the bucket holds %s", where, err, at)
				}
				for key, there := range map[string]bool{placeOf(d): kept, keyOf(d): left} {
					if there && !bytes.Equal(bytesAt(t, server, cfg.Bucket, key), content) {
						t.Fatalf("%s: %s holds something else", where, key)
					}
				}
				if err != nil {
					if _, err := direct.Quarantine(ctx, d); (err != nil || !left) && !(errors.Is(err, blob.ErrNotFound) && !left) {
						t.Fatalf("%s: again: %v, though it was at its place: %v", where, err, left)
					}
				}
				for pending, err := range direct.Uploads(ctx) { // an upload of S3 that nobody knows of, since its id got lost
					if err == nil {
						err = direct.Abort(ctx, pending.Name)
					}
					if err != nil {
						t.Fatalf("%s: %v", where, err)
					}
				}
				if got := server.Objects(t, cfg.Bucket); !slices.Equal(got, []string{placeOf(d)}) {
					t.Fatalf("%s: in the end the bucket holds %v", where, got)
				}
				p.CloseClientConnections()
			}
			if !reached[http.MethodHead] || !reached[http.MethodPut] || !reached[http.MethodDelete] {
				t.Fatalf("%d bytes, %s: only %v were met", size, what, reached)
			}
		}
	}
}

// TestQuarantine_out_of_time deletes nothing any more, and the repetition copies nothing once more. One that is cancelled ends at once.
func TestQuarantine_out_of_time(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	direct := open(t, cfg)
	d := put(t, direct, "upload", []byte("content"))
	p := newProxy(t, server)
	cfg.Endpoint = p.URL
	s := open(t, cfg)
	// What is to be copied is older than its copy by whole seconds.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if info, err := direct.Stat(ctx, d); err != nil {
			t.Fatal(err)
		} else if time.Since(info.Modified) > 2*time.Second {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("the server's clock stands")
		}
	}
	slow, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p.with(func(_ int, r *http.Request) fault {
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			cancel()
			return silence
		}
		return none
	})
	if _, err := s.Quarantine(slow, d); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	late, cancelLate := context.WithCancelCause(ctx)
	defer cancelLate(nil)
	p.with(func(_ int, r *http.Request) fault {
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			cancelLate(nil)
		} else if r.Method == http.MethodDelete {
			t.Errorf("%s: want nothing to be deleted", r.URL.Path)
		}
		return none
	})
	if _, err := s.Quarantine(outOfTime{late}, d); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("out of time: %v", err)
	}
	requireMatch(t, "not yet deleted", direct, d)
	copies, requests := 0, 0
	p.with(func(_ int, r *http.Request) fault {
		if requests++; r.Header.Get("X-Amz-Copy-Source") != "" {
			copies++
		}
		return none
	})
	if _, err := s.Quarantine(ctx, d); err != nil || copies != 0 || requests != 3 {
		t.Fatalf("once more: %v, with %d requests and %d copies; want it to look at both and to delete", err, requests, copies)
	}
	p.with(nil)
	requireUnknown(t, direct, d)
}

// outOfTime is a context that is out of time when the one below is cancelled.
type outOfTime struct{ context.Context }

func (c outOfTime) Err() error {
	if c.Context.Err() != nil {
		return context.DeadlineExceeded
	}
	return nil
}

// TestQuarantine_cut in the middle of its parts leaves an upload that is listed, and can be aborted.
func TestQuarantine_cut(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	s := open(t, cfg)
	bucket, key := cfg.Bucket, placeOf(digest.FromString("damaged"))
	if _, err := server.Client(server.Endpoint).CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
	found := 0
	for pending, err := range s.Uploads(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		found++
		if err := s.Abort(ctx, pending.Name); err != nil {
			t.Fatal(err)
		}
	}
	if left := server.Objects(t, bucket); found != 1 || len(left) != 0 {
		t.Errorf("%d were found, and the bucket holds %v", found, left)
	}
}
