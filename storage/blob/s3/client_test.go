//go:build backends

package s3_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// TestConflicts_that_pass are met by coming again.
func TestConflicts_that_pass(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	p := newProxy(t, server)
	cfg.Endpoint = p.URL
	s := open(t, cfg)
	content := noise(3, 6<<20)
	d := digest.FromBytes(content)
	upload := blob.Named("upload", d)
	refused := map[string]bool{}
	p.with(func(_ int, r *http.Request) fault { // everything that changes something is refused once
		if r.Method != http.MethodPut && r.Method != http.MethodPost || refused[r.Method+r.URL.String()] {
			return none
		}
		refused[r.Method+r.URL.String()] = true
		return conflict
	})
	if _, err := s.Append(ctx, upload, 0, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, upload, d); err != nil {
		t.Fatal(err)
	}
	rc, err := s.Open(ctx, d, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	p.with(nil)
	if len(refused) < 2 {
		t.Errorf("%v were refused, want at least what stores a piece and what makes content of it", refused)
	}
}
