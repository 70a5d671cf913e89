package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// placing is a store that takes content in one step, and links to it.
type placing struct {
	blob.Store
	placed int
}

func (p *placing) Place(ctx context.Context, d digest.Digest, src io.Reader) (int64, error) {
	body, err := io.ReadAll(src)
	if err != nil {
		return 0, err
	}
	p.placed++
	name := blob.Named(newUUID(), d)
	if _, err := p.Append(ctx, name, 0, bytes.NewReader(body)); err != nil {
		return 0, err
	}
	return int64(len(body)), p.Commit(ctx, name, d)
}

func (p *placing) Link(_ context.Context, d digest.Digest, _ time.Duration) (string, error) {
	return "https://s3.example.com/" + string(d), nil
}

func openPlacing(t *testing.T) (*Registry, *placing) {
	store := &placing{Store: blob.NewMemory()}
	return open(t, func(c *Config) { c.Blobs, c.LinkTTL = store, time.Minute }), store
}

// TestPlace: what is pushed in one step is stored in one step if the store can, once, and only if it is what the digest names.
func TestPlace(t *testing.T) {
	large := octets("placed", 3*smallBlob)
	d := digest.FromBytes(large)
	r, store := openPlacing(t)
	mustPush(t, r, "a", large)
	mustPush(t, r, "b", large, []byte("small"))
	if store.placed != 1 {
		t.Errorf("%d contents were placed, want 1", store.placed)
	}
	for _, repo := range []string{"a", "b"} {
		if err := read(t.Context(), r, repo, d); err != nil {
			t.Error(err)
		}
	}
	for what, c := range map[string]struct {
		length int64
		src    io.Reader
		code   string
	}{
		"other content":              {int64(len(large)), bytes.NewReader(octets("other", len(large))), DigestInvalid},
		"less than announced":        {int64(len(large)), bytes.NewReader(large[:len(large)-1]), SizeInvalid},
		"more than announced":        {int64(len(large)), strings.NewReader(string(large) + "x"), SizeInvalid},
		"nothing":                    {int64(len(large)), strings.NewReader(""), SizeInvalid},
		"nothing of what is there":   {int64(len(large)), strings.NewReader(""), SizeInvalid},
		"what is there, and not had": {int64(len(large)), bytes.NewReader(octets("other", len(large))), DigestInvalid},
	} {
		r, store := openPlacing(t)
		if strings.Contains(what, "is there") {
			mustPush(t, r, "other", large)
		}
		if err := r.PutBlob(t.Context(), "a", d, c.length, c.src); Code(err) != c.code {
			t.Errorf("%s: %v, want %s", what, err, c.code)
		}
		if _, err := r.Blob(t.Context(), "a", d); Code(err) != BlobUnknown {
			t.Errorf("%s: it is held: %v", what, err)
		}
		if store.placed > 1 {
			t.Errorf("%s: it was stored", what)
		}
	}
	broken := errors.New("the client went away")
	if err := r.PutBlob(t.Context(), "a", digest.FromString("x"), 3*smallBlob, io.MultiReader(bytes.NewReader(large[:smallBlob]), iotest.ErrReader(broken))); !Interrupted(err) {
		t.Errorf("a client that breaks off: %v", err)
	}
	for what, content := range reservedContents {
		if err := push(t.Context(), r, "a", content); Code(err) != BlobUploadInvalid {
			t.Errorf("%s is taken: %v", what, err)
		}
	}
}

// TestLinkBlob: only for what a repository holds, and what is worth a redirect.
func TestLinkBlob(t *testing.T) {
	large := octets("linked", 3*smallBlob)
	r, _ := openPlacing(t)
	mustPush(t, r, "a", large, []byte("small"))
	if link, err := r.LinkBlob(t.Context(), "a", digest.FromBytes(large)); err != nil || link != "https://s3.example.com/"+digest.FromBytes(large).String() {
		t.Errorf("%q, %v", link, err)
	}
	if link, err := r.LinkBlob(t.Context(), "a", digest.FromString("small")); err != nil || link != "" {
		t.Errorf("a small one, which lies in the index: %q, %v", link, err)
	}
	if link, err := r.LinkBlob(t.Context(), "b", digest.FromBytes(large)); Code(err) != BlobUnknown || link != "" {
		t.Errorf("another repository: %q, %v", link, err)
	}
}

// TestPlace_beside_the_reaper: while older content of the digest is being deleted, the client is told to come again.
func TestPlace_beside_the_reaper(t *testing.T) {
	large, clock := octets("placed and swept", 3*smallBlob), &ahead{}
	r := open(t, func(c *Config) { c.Blobs, c.Now = &placing{Store: blob.NewMemory()}, clock.now })
	mustPush(t, r, "a", large)
	clock.advance(r.grace + time.Minute)
	if _, err := r.Sweep(t.Context(), SweepOptions{}); err != nil {
		t.Fatal(err)
	}
	clock.advance(r.doomed + time.Second)
	batch, err := r.condemned(t.Context(), prefixDoomed)
	if err == nil {
		batch, err = r.condemn(t.Context(), batch)
	}
	if err != nil || len(batch) != 1 {
		t.Fatal(batch, err)
	}
	if err := push(t.Context(), r, "a", large); Code(err) != Busy {
		t.Errorf("%v, want %s", err, Busy)
	}
}
