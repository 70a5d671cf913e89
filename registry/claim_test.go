package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// twins are two registries over the same stores, with one clock.
func twins(t *testing.T) (a, b *Registry, c *clock) {
	t.Helper()
	c = &clock{}
	blobs, index, uploads := blob.NewMemory(), kv.NewMemory(), kv.NewMemory()
	on := func(conf *Config) {
		conf.Blobs, conf.Index, conf.Uploads, conf.Shared, conf.Now = blobs, index, uploads, true, c.now
	}
	return open(t, on), open(t, on), c
}

// stuck is content that does not end: its last byte is not to be had until it is let go.
type stuck struct {
	content []byte
	reading chan struct{} // closed when it was asked for the last byte
	let     chan struct{}
	asked   bool
}

func newStuck(content []byte) *stuck {
	return &stuck{content: content, reading: make(chan struct{}), let: make(chan struct{})}
}

func (s *stuck) Read(p []byte) (int, error) {
	if len(s.content) == 0 {
		return 0, io.EOF
	}
	if len(s.content) == 1 && !s.asked {
		s.asked = true
		close(s.reading)
		<-s.let
	}
	n := copy(p, s.content[:max(1, len(s.content)-1)])
	s.content = s.content[n:]
	return n, nil
}

// TestClaim_an_upload_moves_between_registries: each part goes to another one, small and large.
func TestClaim_an_upload_moves_between_registries(t *testing.T) {
	for name, size := range map[string]int{"in its row": 3000, "in the store": 3 * smallBlob} {
		t.Run(name, func(t *testing.T) {
			a, b, _ := twins(t)
			ctx := t.Context()
			content := octets(name, size)
			d := digest.FromBytes(content)
			up, err := a.Begin(ctx, "x", "")
			if err != nil {
				t.Fatal(err)
			}
			third := int64(size / 3)
			for i, r := range []*Registry{b, a} {
				if _, err := r.Append(ctx, "x", up.ID, int64(i)*third, third, bytes.NewReader(content[int64(i)*third:int64(i+1)*third])); err != nil {
					t.Fatalf("part %d: %v", i, err)
				}
			}
			if got, err := b.Upload(ctx, "x", up.ID); err != nil || got.Size != 2*third {
				t.Fatalf("the status is %d, %v, want %d", got.Size, err, 2*third)
			}
			if err := b.Finish(ctx, "x", up.ID, 2*third, -1, bytes.NewReader(content[2*third:]), d); err != nil {
				t.Fatal(err)
			}
			if got, err := readBlob(ctx, a, "x", d); err != nil || !bytes.Equal(got, content) {
				t.Fatalf("read %d bytes, %v, want the %d of the content", len(got), err, len(content))
			}
			if left := rows(t, a.uploads, ""); len(left) > 0 {
				t.Errorf("uploads' rows are left: %q", left)
			}
		})
	}
}

// TestClaim_keeps_another_registry_out: while one writes, the other is told so, and its bytes are not mixed in. What needs no claim afterwards is given back.
func TestClaim_keeps_another_registry_out(t *testing.T) {
	a, b, _ := twins(t)
	ctx := t.Context()
	up, err := a.Begin(ctx, "x", "")
	if err != nil {
		t.Fatal(err)
	}
	slow, wrote := newStuck(octets("slow", 40_000)), make(chan error)
	go func() {
		_, err := a.Append(ctx, "x", up.ID, 0, 40_000, slow)
		wrote <- err
	}()
	<-slow.reading
	impatient, cancel := context.WithCancel(ctx)
	cancel()
	for what, do := range map[string]func() error{
		"append": func() error {
			_, err := b.Append(impatient, "x", up.ID, -1, -1, strings.NewReader("other"))
			return err
		},
		"cancel": func() error { return b.Cancel(impatient, "x", up.ID) },
	} {
		if err := do(); Code(err) != Busy && !errors.Is(err, context.Canceled) {
			t.Errorf("%s by the other registry: %v, want to be told that it is busy", what, err)
		}
	}
	if _, _, err := b.tryClaim(ctx, "x", up.ID); !errors.Is(err, errHeld) {
		t.Errorf("another claim: %v, want that it is held", err)
	}
	close(slow.let)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if _, err := b.Append(ctx, "x", up.ID, 7, 1, strings.NewReader("x")); Code(err) != RangeInvalid {
		t.Errorf("a gap: %v, want %s", err, RangeInvalid)
	}
	if size, err := a.Append(ctx, "x", up.ID, 40_000, 1, strings.NewReader("x")); err != nil || size != 40_001 {
		t.Errorf("after a refusal the upload goes on to %d, %v, want 40001", size, err)
	}
}

// TestClaim_is_renewed: what is renewed is held for longer; what somebody else has is not renewed.
func TestClaim_is_renewed(t *testing.T) {
	a, b, c := twins(t)
	ctx := t.Context()
	up, err := a.Begin(ctx, "x", "")
	if err != nil {
		t.Fatal(err)
	}
	u, _, err := a.tryClaim(ctx, "x", up.ID)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		c.advance(claimGood / 2)
		if err := a.renew(ctx, "x", up.ID, u.holder); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := b.tryClaim(ctx, "x", up.ID); !errors.Is(err, errHeld) {
		t.Errorf("a claim that is renewed: %v, want that it is held", err)
	}
	c.advance(claimGood)
	other, former, err := b.tryClaim(ctx, "x", up.ID)
	if err != nil || !former {
		t.Fatalf("a claim that is renewed no more: former %t, %v, want it taken over", former, err)
	}
	if err := a.renew(ctx, "x", up.ID, u.holder); !errors.Is(err, errHeld) {
		t.Errorf("renewing a lost claim: %v, want that it is held", err)
	}
	if err := a.saveUpload(ctx, "x", u); Code(err) != Busy {
		t.Errorf("recording what was written under a lost claim: %v, want %s", err, Busy)
	}
	a.dropUpload(ctx, "x", u)
	a.endClaim(ctx, "x", u)
	if err := b.renew(ctx, "x", up.ID, other.holder); err != nil {
		t.Errorf("the new holder's claim after the former one tried everything: %v", err)
	}
}

// TestClaim_late_writer: a registry stalls in the middle of a chunk, another one takes the upload over and finishes it, and meanwhile or afterwards the first one
// goes on. Nothing of what it writes is counted, wherever it stalled.
func TestClaim_late_writer(t *testing.T) {
	for name, counted := range map[string]int{"nothing counted": 0, "in the row": 5000, "in the store": 3 * smallBlob} {
		// By how much the other one has appended when the first one goes on; negative: it has finished.
		for late, appended := range map[string]int{"before the last bytes": 40_000, "before the digest": 50_000, "in the end": -1} {
			t.Run(name+", "+late, func(t *testing.T) { lateWriter(t, counted, appended) })
		}
	}
}

func lateWriter(t *testing.T, counted, appended int) {
	a, b, c := twins(t)
	ctx := t.Context()
	content, wrong := octets("right", counted+50_000), octets("wrong", 60_000)
	d := digest.FromBytes(content)
	up, err := a.Begin(ctx, "x", "")
	if err == nil && counted > 0 {
		_, err = a.Append(ctx, "x", up.ID, 0, int64(counted), bytes.NewReader(content[:counted]))
	}
	if err != nil {
		t.Fatal(err)
	}
	slow, wrote := newStuck(wrong), make(chan error, 1)
	go func() {
		_, err := a.Append(ctx, "x", up.ID, int64(counted), -1, slow)
		wrote <- err
	}()
	<-slow.reading
	goOn := func() {
		close(slow.let)
		if err := <-wrote; Code(err) != Busy {
			t.Errorf("the late writer: %v, want %s", err, Busy)
		}
	}
	c.advance(claimGood)
	at := counted
	if appended > 0 {
		at += appended
		if _, err := b.Append(ctx, "x", up.ID, int64(counted), int64(appended), bytes.NewReader(content[counted:at])); err != nil {
			t.Fatal(err)
		}
		goOn()
		if got, err := a.Upload(ctx, "x", up.ID); err != nil || got.Size != int64(at) {
			t.Errorf("the upload has %d bytes, %v, want %d", got.Size, err, at)
		}
	}
	var rest io.Reader // none, after the last byte
	if at < len(content) {
		rest = bytes.NewReader(content[at:])
	}
	if err := b.Finish(ctx, "x", up.ID, int64(at), -1, rest, d); err != nil {
		t.Fatalf("finish by who took it over: %v", err)
	}
	if appended < 0 {
		goOn()
	}
	if got, err := readBlob(ctx, a, "x", d); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v, want the %d of the content", len(got), err, len(content))
	}
	verified(t, a.blobs, a.index)
	if left := rows(t, a.uploads, ""); len(left) > 0 {
		t.Errorf("uploads' rows are left: %q", left)
	}
}

// TestClaim_late_writer_who_finishes: the former holder stalls in its last request and finishes all the same. Its own content is stored or nothing is, and the
// upload of who took it over goes on.
func TestClaim_late_writer_who_finishes(t *testing.T) {
	a, b, c := twins(t)
	ctx := t.Context()
	first, right, other := octets("first", 20_000), octets("right", 30_000), octets("other", 30_000)
	up, err := a.Begin(ctx, "x", "")
	if err == nil {
		_, err = a.Append(ctx, "x", up.ID, 0, -1, bytes.NewReader(first))
	}
	if err != nil {
		t.Fatal(err)
	}
	late := bytes.Join([][]byte{first, other}, nil)
	slow, finished := newStuck(other), make(chan error, 1)
	go func() { finished <- a.Finish(ctx, "x", up.ID, -1, -1, slow, digest.FromBytes(late)) }()
	<-slow.reading
	c.advance(claimGood)
	if _, err := b.Append(ctx, "x", up.ID, 20_000, -1, bytes.NewReader(right[:10_000])); err != nil {
		t.Fatal(err)
	}
	close(slow.let)
	err = <-finished
	got, readErr := readBlob(ctx, b, "x", digest.FromBytes(late))
	switch {
	case err == nil && (readErr != nil || !bytes.Equal(got, late)):
		t.Errorf("the late one was told that its blob is stored; it reads %d bytes, %v", len(got), readErr)
	case err != nil && readErr == nil:
		t.Errorf("the late one was refused (%v), and its blob is here", err)
	}
	whole := bytes.Join([][]byte{first, right}, nil)
	if err := a.Finish(ctx, "x", up.ID, 30_000, -1, bytes.NewReader(right[10_000:]), digest.FromBytes(whole)); err != nil {
		t.Fatalf("the upload that was taken over cannot be finished: %v", err)
	}
	if got, err := readBlob(ctx, b, "x", digest.FromBytes(whole)); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("read %d bytes, %v, want the %d of the content", len(got), err, len(whole))
	}
	verified(t, a.blobs, a.index)
}

// TestClaim_take_over_that_fails leaves the upload to be taken over again, never to be gone on with as it was.
func TestClaim_take_over_that_fails(t *testing.T) {
	a, b, c := twins(t)
	ctx := t.Context()
	up, err := a.Begin(ctx, "x", "")
	if err == nil {
		_, err = a.Append(ctx, "x", up.ID, 0, -1, bytes.NewReader(octets("some", 2*smallBlob)))
	}
	if err == nil {
		_, _, err = a.tryClaim(ctx, "x", up.ID) // and then it dies
	}
	if err != nil {
		t.Fatal(err)
	}
	c.advance(claimGood)
	whole := b.blobs
	b.blobs = refusing{whole}
	if _, err := b.Append(ctx, "x", up.ID, -1, -1, strings.NewReader("x")); err == nil {
		t.Fatal("a store that takes nothing took an upload over")
	}
	b.blobs = whole
	if size, err := b.Append(ctx, "x", up.ID, 2*smallBlob, 1, strings.NewReader("x")); err != nil || size != 2*smallBlob+1 {
		t.Fatalf("the next try goes on to %d, %v, want %d", size, err, 2*smallBlob+1)
	}
	u, err := b.loadUpload(ctx, "x", up.ID)
	if err != nil || u.name == "" || u.name == up.ID {
		t.Errorf("the upload that was taken over is named %q, %v, want a new name", u.name, err)
	}
}

// refusing is a store that is full.
type refusing struct{ blob.Store }

func (refusing) Append(context.Context, string, int64, io.Reader) (int64, error) {
	return 0, blob.ErrFull
}

// TestClaim_expiry spares what is claimed, however long ago it was recorded, and bytes under another name than the upload's id.
func TestClaim_expiry(t *testing.T) {
	a, b, c := twins(t)
	c.advance(time.Since(epoch)) // the store has a clock of its own
	ctx := t.Context()
	up, err := a.Begin(ctx, "x", "")
	if err == nil {
		_, err = a.Append(ctx, "x", up.ID, 0, -1, bytes.NewReader(octets("some", 2*smallBlob)))
	}
	if err == nil {
		_, _, err = a.tryClaim(ctx, "x", up.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.advance(claimGood)
	if _, err := b.Append(ctx, "x", up.ID, -1, -1, strings.NewReader("x")); err != nil { // it moves
		t.Fatal(err)
	}
	u, _, err := b.tryClaim(ctx, "x", up.ID)
	if err != nil {
		t.Fatal(err)
	}
	c.advance(a.uploadTTL * 2)
	if err := b.renew(ctx, "x", up.ID, u.holder); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ExpireUploads(ctx); err != nil {
		t.Fatal(err)
	}
	b.endClaim(ctx, "x", u)
	if size, err := a.Append(ctx, "x", up.ID, 2*smallBlob+1, 1, strings.NewReader("y")); err != nil || size != 2*smallBlob+2 {
		t.Fatalf("after others expired it goes on to %d, %v, want %d", size, err, 2*smallBlob+2)
	}
	c.advance(a.uploadTTL * 2)
	if _, err := a.ExpireUploads(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Upload(ctx, "x", up.ID); Code(err) != BlobUploadUnknown {
		t.Errorf("one that nobody claims: %v, want that it expired", err)
	}
}
