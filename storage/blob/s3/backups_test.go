//go:build backends

package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// listed returns the names of the backups that there are.
func listed(t testing.TB, b *s3.Backups) []string {
	t.Helper()
	names := []string{}
	for name, err := range b.List(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func requireBackup(t testing.TB, what string, b *s3.Backups, name string, want []byte) {
	t.Helper()
	rc, err := b.Open(ctx, name)
	if err != nil {
		t.Fatalf("%s: open %s: %v", what, name, err)
	}
	defer rc.Close()
	got, err := io.ReadAll(rc)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s: %s has %d bytes, %v; want the %d that were put", what, name, len(got), err, len(want))
	}
}

func TestBackups_are_put_listed_read_and_deleted(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	s := open(t, cfg)
	b := s.Backups()
	if names := listed(t, b); len(names) > 0 {
		t.Errorf("at first there are %q", names)
	}
	sizes := map[string]int{"a.backup": 0, "b.backup": 1000, "c.backup": 11 << 20}
	for name, size := range sizes {
		if err := b.Put(ctx, name, iotest.HalfReader(bytes.NewReader(noise(31, size)))); err != nil {
			t.Fatal(err)
		}
		requireBackup(t, "put", b, name, noise(31, size))
	}
	if names := listed(t, b); !slices.Equal(names, []string{"a.backup", "b.backup", "c.backup"}) {
		t.Errorf("listed are %q", names)
	}
	keys := server.Objects(t, cfg.Bucket)
	for _, key := range keys {
		if !strings.HasPrefix(key, "some/where/backups/") {
			t.Errorf("something lies under %s", key)
		}
	}
	if err := b.Put(ctx, "b.backup", strings.NewReader("another")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v, want %v", err, fs.ErrExist)
	}
	requireBackup(t, "another of its name", b, "b.backup", noise(31, 1000))
	// Neither knows of the other.
	for info, err := range s.List(ctx) {
		t.Errorf("the store lists %v, %v", info, err)
	}
	content := noise(32, 100)
	if _, err := s.Place(ctx, digest.FromBytes(content), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Delete(ctx, "c.backup"); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Open(ctx, "c.backup"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open one that was deleted: %v, want %v", err, fs.ErrNotExist)
	}
	if names := listed(t, b); !slices.Equal(names, []string{"a.backup", "b.backup"}) {
		t.Errorf("listed are %q", names)
	}
	for _, name := range []string{"", ".", "..", "a/b", "../blobs/sha256", "a b", "ä", strings.Repeat("x", 200)} {
		_, opened := b.Open(ctx, name)
		if b.Put(ctx, name, strings.NewReader("x")) == nil || opened == nil || b.Delete(ctx, name) == nil {
			t.Errorf("the name %q is taken for one", name)
		}
	}
}

// multipartsLeft counts S3's multipart uploads in a bucket.
func multipartsLeft(t testing.TB, server *s3test.Server, bucket string) int {
	t.Helper()
	out, err := server.Client(server.Endpoint).ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

// TestBackups_that_fail_leave_nothing: the source fails, or ctx ends, or each request in turn.
func TestBackups_that_fail_leave_nothing(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	b := open(t, cfg).Backups()
	content := noise(33, 11<<20)
	for _, came := range []int{0, 1000, 10 << 20, len(content)} {
		src := io.MultiReader(bytes.NewReader(content[:came]), iotest.ErrReader(io.ErrNoProgress))
		if err := b.Put(ctx, "x", src); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("after %d bytes: %v, want the source's error", came, err)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	src := io.MultiReader(bytes.NewReader(content), readFunc(func([]byte) (int, error) { cancel(); return 0, nil }))
	if err := b.Put(gone, "x", src); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if keys := server.Objects(t, cfg.Bucket); len(keys) > 0 {
		t.Errorf("the bucket holds %v", keys)
	}
	for _, size := range []int{1000, 11 << 20} {
		for _, what := range []fault{slowDown, reset, lost} {
			for n, requests := 0, 0; n <= requests; n++ { // at first without a fault, to see how many requests there are
				cfg := configFor(server, server.Bucket(t))
				direct := open(t, cfg).Backups()
				p := newProxy(t, server)
				cfg.Endpoint, cfg.Attempts = p.URL, 1
				b := open(t, cfg).Backups()
				p.with(func(i int, _ *http.Request) fault {
					if i == n {
						return what
					}
					return none
				})
				err := b.Put(ctx, "x", bytes.NewReader(content[:size]))
				requests = max(requests, p.with(nil))
				where := fmt.Sprintf("%d bytes, %s of request %d of %d", size, what, n, requests)
				names := listed(t, direct)
				if err == nil {
					requireBackup(t, where, direct, "x", content[:size])
				} else if len(names) > 0 {
					t.Errorf("%s: it failed with %v, and %q is there", where, err, names)
				}
				// The next one goes, and what is left of this one goes with it.
				if err := direct.Put(ctx, "y", bytes.NewReader(content[:size])); err != nil {
					t.Fatalf("%s: the next: %v", where, err)
				}
				if left := multipartsLeft(t, server, cfg.Bucket); left > 0 {
					t.Errorf("%s: %d multipart uploads are left", where, left)
				}
				p.CloseClientConnections()
			}
		}
	}
}
