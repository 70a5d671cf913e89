package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
	"github.com/entrepot/entrepot/storage/kv"
)

// TestUpload_pieces pushes contents around the sizes at which something changes, in pieces around them too, with both digests, a right and a
// wrong guess of the algorithm, into memory and into files.
func TestUpload_pieces(t *testing.T) {
	sizes := []int{0, 1, smallBlob - 1, smallBlob, smallBlob + 1, overlapFrom, 600_000}
	for _, place := range []string{"memory", "files"} {
		t.Run(place, func(t *testing.T) {
			r := open(t)
			if place == "files" {
				r = open(t, onDisk(t))
			}
			for _, size := range sizes {
				content := octets(fmt.Sprint(size), size)
				for _, pieces := range []int{1, 3} {
					for _, guess := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
						for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
							repo := fmt.Sprintf("u%d/p%d/g%s/%s", size, pieces, guess, algorithm)
							d := algorithm.FromBytes(content)
							if err := pieceByPiece(t.Context(), r, repo, content, pieces, guess, d); err != nil {
								t.Fatalf("%s: %v", repo, err)
							}
							got, err := readBlob(t.Context(), r, repo, d)
							if err != nil || !bytes.Equal(got, content) {
								t.Fatalf("%s: %d bytes, %v", repo, len(got), err)
							}
						}
					}
				}
			}
			if left := rows(t, r.uploads, prefixUpload); len(left) > 0 {
				t.Errorf("%d uploads are left", len(left))
			}
			verified(t, r.blobs, r.index)
		})
	}
}

func pieceByPiece(ctx context.Context, r *Registry, repo string, content []byte, pieces int, guess digest.Algorithm, d digest.Digest) error {
	up, err := r.Begin(ctx, repo, guess)
	if err != nil {
		return err
	}
	each := len(content)/pieces + 1
	offset := 0
	for ; len(content)-offset > each; offset += each {
		if size, err := r.Append(ctx, repo, up.ID, int64(offset), int64(each), bytes.NewReader(content[offset:offset+each])); err != nil || size != int64(offset+each) {
			return fmt.Errorf("append at %d: %d, %w", offset, size, err)
		}
	}
	return r.Finish(ctx, repo, up.ID, int64(offset), int64(len(content)-offset), iotest.HalfReader(bytes.NewReader(content[offset:])), d)
}

// TestUpload_broken_off resumes behind what arrived, wherever the client went away.
func TestUpload_broken_off(t *testing.T) {
	gone := errors.New("connection reset by peer")
	for _, place := range []string{"memory", "files"} {
		r := open(t)
		if place == "files" {
			r = open(t, onDisk(t))
		}
		content := octets("broken", 300_000)
		for _, at := range []int{0, 1, 100, smallBlob - 1, smallBlob, smallBlob + 1, 40_000, overlapFrom + 1, 299_999, 300_000} {
			up, err := r.Begin(t.Context(), "a", "")
			if err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			src := io.MultiReader(bytes.NewReader(content[:at]), iotest.ErrReader(gone))
			size, err := r.Append(ctx, "a", up.ID, 0, int64(len(content)), src)
			leave()
			if !Interrupted(err) || !errors.Is(err, gone) || Code(err) != "" {
				t.Errorf("%s, broken off at %d: %v", place, at, err)
			}
			now, err := r.Upload(t.Context(), "a", up.ID)
			if err != nil || now.Size != size || size != int64(at) {
				t.Errorf("%s, broken off at %d: told %d, now %d, %v", place, at, size, now.Size, err)
			}
			_, err = r.Append(t.Context(), "a", up.ID, size+1, -1, strings.NewReader("x"))
			wantCode(t, err, RangeInvalid)
			if err := r.Finish(t.Context(), "a", up.ID, size, -1, bytes.NewReader(content[size:]), digest.FromBytes(content)); err != nil {
				t.Errorf("%s, broken off at %d: %v", place, at, err)
			}
			if got, err := readBlob(t.Context(), r, "a", digest.FromBytes(content)); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s, broken off at %d: %d bytes, %v", place, at, len(got), err)
			}
			if err := r.DeleteBlob(t.Context(), "a", digest.FromBytes(content)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestUpload_refusals is what is said of uploads that are not as they should be.
func TestUpload_refusals(t *testing.T) {
	r := open(t)
	ctx := t.Context()
	begin := func() string {
		up, err := r.Begin(ctx, "a", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Append(ctx, "a", up.ID, 0, 3, strings.NewReader("abc")); err != nil {
			t.Fatal(err)
		}
		return up.ID
	}
	d := digest.FromString("abcdef")
	for what, c := range map[string]struct {
		code string
		do   func(id string) error
	}{
		"a gap":                       {RangeInvalid, func(id string) error { _, err := r.Append(ctx, "a", id, 4, 1, strings.NewReader("x")); return err }},
		"an overlap":                  {RangeInvalid, func(id string) error { _, err := r.Append(ctx, "a", id, 2, 1, strings.NewReader("x")); return err }},
		"a last gap":                  {RangeInvalid, func(id string) error { return r.Finish(ctx, "a", id, 4, 1, strings.NewReader("x"), d) }},
		"too little":                  {SizeInvalid, func(id string) error { _, err := r.Append(ctx, "a", id, 3, 9, strings.NewReader("def")); return err }},
		"wrong bytes":                 {DigestInvalid, func(id string) error { return r.Finish(ctx, "a", id, 3, 3, strings.NewReader("xyz"), d) }},
		"no digest":                   {DigestInvalid, func(id string) error { return r.Finish(ctx, "a", id, 3, 3, strings.NewReader("def"), "sha256:0") }},
		"md5":                         {DigestInvalid, func(string) error { _, err := r.Begin(ctx, "a", "md5"); return err }},
		"another repository's append": {BlobUploadUnknown, func(id string) error { _, err := r.Append(ctx, "b", id, 3, 3, strings.NewReader("def")); return err }},
		"another repository's finish": {BlobUploadUnknown, func(id string) error { return r.Finish(ctx, "b", id, 3, 3, strings.NewReader("def"), d) }},
		"another repository's look":   {BlobUploadUnknown, func(id string) error { _, err := r.Upload(ctx, "b", id); return err }},
		"another repository's cancel": {BlobUploadUnknown, func(id string) error { return r.Cancel(ctx, "b", id) }},
		"a name beside it":            {BlobUploadUnknown, func(id string) error { _, err := r.Upload(ctx, "a!"+id[:3], id); return err }},
		"an id with a separator":      {BlobUploadUnknown, func(id string) error { _, err := r.Upload(ctx, "a", id[:35]+"!"); return err }},
		"a bad name":                  {NameInvalid, func(id string) error { return r.Cancel(ctx, "A", id) }},
		"no such upload":              {BlobUploadUnknown, func(string) error { return r.Cancel(ctx, "a", newUUID()) }},
	} {
		id := begin()
		if err := c.do(id); Code(err) != c.code {
			t.Errorf("%s: %v, want %s", what, err, c.code)
		}
		if c.code == DigestInvalid && what == "wrong bytes" {
			_, err := r.Upload(ctx, "a", id)
			wantCode(t, err, BlobUploadUnknown)
			continue
		}
		up, err := r.Upload(ctx, "a", id)
		if err != nil || up.Size != 3 && what != "too little" {
			t.Errorf("%s: the upload has %d bytes, %v", what, up.Size, err)
			continue
		}
		if up.Size == 3 {
			if err := r.Finish(ctx, "a", id, 3, 3, strings.NewReader("def"), d); err != nil {
				t.Errorf("%s, and then rightly: %v", what, err)
			}
		}
	}
}

// held blocks until it is told to go on.
type heldReader struct {
	begun, goOn chan struct{}
	src         io.Reader
	once        bool
}

func newHeld(content []byte) *heldReader {
	return &heldReader{begun: make(chan struct{}), goOn: make(chan struct{}), src: bytes.NewReader(content)}
}

func (h *heldReader) Read(p []byte) (int, error) {
	if !h.once {
		h.once = true
		close(h.begun)
		<-h.goOn
	}
	return h.src.Read(p)
}

// TestUpload_two_writers: while one writes, another is told to wait; what it sends never gets in between.
func TestUpload_two_writers(t *testing.T) {
	for _, size := range []int{100, 50_000} {
		r := open(t)
		content := octets("writer", size)
		up, err := r.Begin(t.Context(), "a", "")
		if err != nil {
			t.Fatal(err)
		}
		slow := newHeld(content)
		first := make(chan error, 1)
		go func() {
			_, err := r.Append(context.Background(), "a", up.ID, 0, int64(size), slow)
			first <- err
		}()
		<-slow.begun
		hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = r.Append(hurried, "a", up.ID, 0, 7, strings.NewReader("another"))
		wantCode(t, err, Busy)
		err = r.Finish(hurried, "a", up.ID, 0, 7, strings.NewReader("another"), digest.FromString("another"))
		wantCode(t, err, Busy)
		wantCode(t, r.Cancel(hurried, "a", up.ID), Busy)
		cancel()
		patient := make(chan error, 1)
		go func() {
			_, err := r.Append(context.Background(), "a", up.ID, 0, 7, strings.NewReader("another"))
			patient <- err
		}()
		time.Sleep(20 * time.Millisecond)
		close(slow.goOn)
		if err := <-first; err != nil {
			t.Error(err)
		}
		wantCode(t, <-patient, RangeInvalid)
		if err := r.Finish(t.Context(), "a", up.ID, int64(size), -1, nil, digest.FromBytes(content)); err != nil {
			t.Error(err)
		}
		if len(r.writing.held) != 0 {
			t.Errorf("locks that nobody holds: %v", r.writing.held)
		}
	}
}

// TestUpload_id_works_in_its_own_repository_only_while_written: whoever asks through another repository learns nothing, and waits for nobody
// (Quay CVE-2026-32589).
func TestUpload_id_works_in_its_own_repository_only_while_written(t *testing.T) {
	r := open(t)
	up, err := r.Begin(t.Context(), "a", "")
	if err != nil {
		t.Fatal(err)
	}
	slow := newHeld([]byte("abc"))
	first := make(chan error, 1)
	go func() {
		_, err := r.Append(context.Background(), "a", up.ID, 0, 3, slow)
		first <- err
	}()
	<-slow.begun
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = r.Append(ctx, "b", up.ID, 0, 3, strings.NewReader("xyz"))
	wantCode(t, err, BlobUploadUnknown)
	wantCode(t, r.Cancel(ctx, "b", up.ID), BlobUploadUnknown)
	close(slow.goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// TestUpload_keeps_what_was_acknowledged_when_the_store_refuses_the_rest: bytes that lay in the upload's row, and that a client was told are
// here, stay when the blob store does not take them over.
func TestUpload_keeps_what_was_acknowledged_when_the_store_refuses_the_rest(t *testing.T) {
	store := blobtest.Faulty(blob.NewMemory())
	r := open(t, func(c *Config) { c.Blobs = store })
	content := octets("acknowledged", 30_000)
	for n := 1; n <= 2; n++ { // refused at once, or half of it written
		up, err := r.Begin(t.Context(), "a", "")
		if err != nil {
			t.Fatal(err)
		}
		size, err := r.Append(t.Context(), "a", up.ID, 0, 10_000, bytes.NewReader(content[:10_000]))
		if err != nil || size != 10_000 {
			t.Fatal(size, err)
		}
		store.FailAt(n, blob.ErrFull)
		_, err = r.Append(t.Context(), "a", up.ID, 10_000, 20_000, bytes.NewReader(content[10_000:]))
		wantCode(t, err, Full)
		store.FailAt(0, nil)
		now, err := r.Upload(t.Context(), "a", up.ID)
		if err != nil || now.Size < 10_000 {
			t.Errorf("failure %d: of 10000 acknowledged bytes %d are left, %v", n, now.Size, err)
		}
		if err := r.Finish(t.Context(), "a", up.ID, now.Size, -1, bytes.NewReader(content[now.Size:]), digest.FromBytes(content)); err != nil {
			t.Errorf("failure %d, and then all is well again: %v", n, err)
		}
	}
}

// TestUpload_whose_bytes_are_gone_is_unknown: a commit that took effect, whose record failed, may leave an upload without bytes. Its client is told to begin
// anew.
func TestUpload_whose_bytes_are_gone_is_unknown(t *testing.T) {
	r := open(t)
	content := octets("gone", 60_000)
	up, err := r.Begin(t.Context(), "a", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Append(t.Context(), "a", up.ID, 0, 40_000, bytes.NewReader(content[:40_000])); err != nil {
		t.Fatal(err)
	}
	if err := r.blobs.Abort(t.Context(), up.ID); err != nil {
		t.Fatal(err)
	}
	_, err = r.Append(t.Context(), "a", up.ID, 40_000, -1, bytes.NewReader(content[40_000:]))
	wantCode(t, err, BlobUploadUnknown)
	_, err = r.Upload(t.Context(), "a", up.ID)
	wantCode(t, err, BlobUploadUnknown)
	if left := rows(t, r.uploads, prefixUpload); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	verified(t, r.blobs, r.index)
}

// meanwhile is a database in which something happens after a scan has read a page.
type meanwhile struct {
	kv.DB
	happen func()
}

func (m *meanwhile) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		for p, err := range m.DB.Scan(ctx, from, to) {
			if m.happen != nil {
				happen := m.happen
				m.happen = nil
				happen()
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

func TestExpireUploads(t *testing.T) {
	var c clock
	r := open(t, func(conf *Config) { conf.Now, conf.UploadTTL = c.now, time.Hour })
	begin := func(n int) string {
		up, err := r.Begin(t.Context(), "a", "")
		if err == nil {
			_, err = r.Append(t.Context(), "a", up.ID, 0, -1, bytes.NewReader(octets("x", n)))
		}
		if err != nil {
			t.Fatal(err)
		}
		return up.ID
	}
	begin(5)
	begin(50_000)
	c.advance(50 * time.Minute)
	fresh := begin(5)
	c.advance(20 * time.Minute)
	n, err := r.ExpireUploads(t.Context())
	if err != nil || n != 2 {
		t.Errorf("%d expired, %v", n, err)
	}
	if _, err := r.Upload(t.Context(), "a", fresh); err != nil {
		t.Errorf("the fresh one: %v", err)
	}
	if left := rows(t, r.uploads, prefixUpload); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	for pending := range r.blobs.Uploads(t.Context()) {
		t.Errorf("bytes left: %v", pending)
	}
	if err := r.uploads.Update(t.Context(), func(tx kv.Tx) error { tx.Put(keyUpload("a", newUUID()), []byte("damaged")); return nil }); err != nil {
		t.Fatal(err)
	}
	if n, err := r.ExpireUploads(t.Context()); err != nil || n != 1 {
		t.Errorf("%d damaged ones expired, %v", n, err)
	}
}

// TestExpireUploads_spares_one_that_goes_on: an upload that looked abandoned when it was listed may be written before its turn comes.
func TestExpireUploads_spares_one_that_goes_on(t *testing.T) {
	var c clock
	rows := &meanwhile{DB: kv.NewMemory()}
	r := open(t, func(conf *Config) { conf.Now, conf.UploadTTL, conf.Uploads = c.now, time.Hour, rows })
	up, err := r.Begin(t.Context(), "a", "")
	if err != nil {
		t.Fatal(err)
	}
	c.advance(2 * time.Hour)
	rows.happen = func() {
		if _, err := r.Append(t.Context(), "a", up.ID, 0, 3, strings.NewReader("abc")); err != nil {
			t.Error(err)
		}
	}
	if n, err := r.ExpireUploads(t.Context()); err != nil || n != 0 {
		t.Errorf("%d expired, %v", n, err)
	}
	if now, err := r.Upload(t.Context(), "a", up.ID); err != nil || now.Size != 3 {
		t.Errorf("the upload that was just written: %d bytes, %v", now.Size, err)
	}
}

// TestUpload_of_what_is_here_already leaves nothing behind, however it is pushed: the bytes are stored once.
func TestUpload_of_what_is_here_already(t *testing.T) {
	r, ctx := open(t, onDisk(t)), t.Context()
	for _, size := range []int{100, 3 * smallBlob} {
		content := octets("again", size)
		d := digest.FromBytes(content)
		for _, repo := range []string{"a/x", "a/x", "b/x"} {
			if err := r.PutBlob(ctx, repo, d, int64(size), bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			if err := pieceByPiece(ctx, r, repo, content, 3, digest.SHA256, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	for left, err := range r.blobs.Uploads(ctx) {
		t.Errorf("left behind: %s with %d bytes, %v", left.Name, left.Size, err)
	}
	if left := rows(t, r.uploads, prefixUpload); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	verified(t, r.blobs, r.index)
}

// TestPush_of_what_was_lost: content that the index knows and the store has not, as after a backup was restored, comes back with a push, however it is sent.
func TestPush_of_what_was_lost(t *testing.T) {
	r := open(t)
	ctx := t.Context()
	content := octets("lost", 3*smallBlob)
	d := digest.FromBytes(content)
	for what, send := range map[string]func() error{
		"in one step": func() error { return push(ctx, r, "a/x", content) },
		"as an upload": func() error {
			up, err := r.Begin(ctx, "b/y", "")
			if err == nil {
				err = r.Finish(ctx, "b/y", up.ID, 0, int64(len(content)), bytes.NewReader(content), d)
			}
			return err
		},
	} {
		if err := send(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := r.blobs.Delete(ctx, d); err != nil {
			t.Fatal(err)
		}
		if err := send(); err != nil {
			t.Fatalf("%s, again: %v", what, err)
		}
		if _, err := r.blobs.Stat(ctx, d); err != nil {
			t.Errorf("%s: it was taken and is not there: %v", what, err)
		}
	}
	verified(t, r.blobs, r.index)
}
