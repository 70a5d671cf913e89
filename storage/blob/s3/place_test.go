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
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

func TestPlace_content_of_any_size(t *testing.T) {
	server := s3test.Start(t)
	p := newProxy(t, server)
	for _, size := range []int{0, 1, 5<<20 - 1, 5 << 20, 5<<20 + 1, 11 << 20} {
		cfg := configFor(server, server.Bucket(t))
		direct := open(t, cfg)
		cfg.Endpoint = p.URL
		s := open(t, cfg)
		content := noise(11, size)
		copies := 0
		p.with(func(_ int, r *http.Request) fault {
			if r.Header.Get("X-Amz-Copy-Source") != "" {
				copies++
			}
			return none
		})
		n, err := s.Place(ctx, digest.FromBytes(content), iotest.HalfReader(bytes.NewReader(content)))
		if err != nil || n != int64(size) {
			t.Fatalf("place %d bytes: %d, %v", size, n, err)
		}
		if requests := p.with(nil); copies > 0 || size <= int(cfg.PartSize) && requests != 2 {
			t.Errorf("%d bytes took %d requests and %d copies; want no copy, and a PUT and a HEAD for what fits into a part", size, requests, copies)
		}
		requireOnly(t, fmt.Sprint(size, " bytes"), server, cfg, direct, content)
	}
}

// TestPlace_keeps_nothing_of_a_source_that_fails shows that it is the source that judges the content.
func TestPlace_keeps_nothing_of_a_source_that_fails(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	s := open(t, cfg)
	content := noise(12, 11<<20)
	d := digest.FromBytes(content)
	for _, came := range []int{0, 1000, 10 << 20, len(content)} {
		src := io.MultiReader(bytes.NewReader(content[:came]), iotest.ErrReader(io.ErrNoProgress))
		if n, err := s.Place(ctx, d, src); err != io.ErrNoProgress || n != int64(came) {
			t.Fatalf("after %d bytes: %d, %v; want the source's error as it is", came, n, err)
		}
		if got := server.Objects(t, cfg.Bucket); len(got) > 0 {
			t.Fatalf("after %d bytes the bucket holds %v", came, got)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	src := io.MultiReader(bytes.NewReader(content), readFunc(func([]byte) (int, error) { cancel(); return 0, nil }))
	if _, err := s.Place(gone, d, src); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	if got := server.Objects(t, cfg.Bucket); len(got) > 0 {
		t.Fatalf("after it was cancelled the bucket holds %v", got)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// TestPlace_with_faults_of_each_request lets each request fail, one at a time. The content is there or it is not, and it is there if Place says so.
func TestPlace_with_faults_of_each_request(t *testing.T) {
	server := s3test.Start(t)
	for _, size := range []int{1000, 11 << 20} {
		content := noise(13, size)
		d := digest.FromBytes(content)
		for _, what := range []fault{slowDown, reset, lost} {
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
				_, err := s.Place(ctx, d, bytes.NewReader(content))
				requests = max(requests, p.with(nil))
				where := fmt.Sprintf("%d bytes, %s of request %d", size, what, n)
				if err != nil {
					requireUnavailable(t, where, err)
					if _, err := direct.Stat(ctx, d); err == nil {
						requireMatch(t, where, direct, d)
					} else if !errors.Is(err, blob.ErrNotFound) {
						t.Fatalf("%s: %v", where, err)
					}
					if _, err := direct.Place(ctx, d, bytes.NewReader(content)); err != nil {
						t.Fatalf("%s: again: %v", where, err)
					}
				}
				requireOnly(t, where, server, cfg, direct, content)
				p.CloseClientConnections()
			}
		}
	}
}

// TestPlace_and_append_share_memory lets more of both run than fit into it, some of them with slow sources.
func TestPlace_and_append_share_memory(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	cfg.Memory = 16 << 20
	s := open(t, cfg)
	const each = 6
	var all sync.WaitGroup
	release := make(chan struct{})
	var digests []digest.Digest
	for i := range 2 * each {
		content := noise(byte(20+i), 6<<20)
		d := digest.FromBytes(content)
		digests = append(digests, d)
		src := io.Reader(bytes.NewReader(content))
		if i%3 == 0 {
			src = io.MultiReader(bytes.NewReader(content[:1000]), &waiting{release}, bytes.NewReader(content[1000:]))
		}
		all.Go(func() {
			if err := pushEither(s, i < each, fmt.Sprint("upload-", i), d, src); err != nil {
				t.Error(err)
			}
		})
	}
	time.AfterFunc(2*time.Second, func() { close(release) })
	all.Wait()
	for _, d := range digests {
		requireMatch(t, "shared memory", s, d)
	}
	keys := server.Objects(t, cfg.Bucket)
	if slices.Sort(keys); len(keys) != 2*each {
		t.Errorf("the bucket holds %v, want %d blobs", keys, 2*each)
	}
}

func pushEither(s *s3.Store, place bool, name string, d digest.Digest, src io.Reader) error {
	if place {
		_, err := s.Place(ctx, d, src)
		return err
	}
	if _, err := s.Append(ctx, name, 0, src); err != nil {
		return err
	}
	return s.Commit(ctx, name, d)
}
