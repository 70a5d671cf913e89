//go:build backends

package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// TestReplicas takes uploads in turns: begun by one, gone on with by another, finished by a third.
func TestReplicas_go_on_with_each_others_uploads(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	replicas := []*s3.Store{open(t, cfg), open(t, cfg), open(t, cfg)}
	content := noise(7, 17<<20)
	at := func(i int) *s3.Store { return replicas[i%len(replicas)] }
	var pushers sync.WaitGroup
	for i, step := range []int{17 << 20, 6 << 20, 1 << 20, 700_001} {
		pushers.Go(func() {
			name, d := fmt.Sprint("upload-", i), digest.SHA512.FromBytes(content[i:])
			content := content[i:]
			for n, offset := i, 0; offset < len(content); n++ {
				end := min(len(content), offset+step)
				// Every third is torn, and repeated by the next replica.
				if n%3 == 2 {
					torn := io.MultiReader(bytes.NewReader(content[offset:end-step/2]), iotest.ErrReader(io.ErrClosedPipe))
					if size, err := at(n).Append(ctx, name, int64(offset), torn); err != io.ErrClosedPipe || size != int64(max(offset, end-step/2)) {
						t.Errorf("torn append: %d, %v", size, err)
						return
					}
				}
				if size, err := at(n+1).Append(ctx, name, int64(offset), bytes.NewReader(content[offset:end])); err != nil || size != int64(end) {
					t.Errorf("append: %d, %v; want %d", size, err, end)
					return
				}
				offset = end
			}
			if err := at(i+2).Commit(ctx, name, d); err != nil {
				t.Error(err)
				return
			}
			requireMatch(t, name, at(i), d)
		})
	}
	pushers.Wait()
	if got := server.Objects(t, cfg.Bucket); len(got) != 4 {
		t.Fatalf("the bucket holds %v, want four blobs", got)
	}
}

// TestFollow reads an upload while it grows, as clients of a proxy do: whatever the source has brought is there at once, and who is in the middle of
// reading goes on when the upload has become content.
func TestFollow_a_growing_upload(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	s := open(t, cfg)
	content := noise(8, 12<<20+1)
	d := digest.FromBytes(content)
	name := blob.Named("fill", d)
	source, client := io.Pipe()
	appended := make(chan error, 1)
	go func() {
		size, err := s.Append(ctx, name, 0, source)
		if err == nil && size != int64(len(content)) {
			err = fmt.Errorf("size %d", size)
		}
		appended <- err
	}()
	for sent := 0; sent < len(content); {
		next := min(len(content), sent*7+70_000)
		if _, err := client.Write(content[sent:next]); err != nil {
			t.Fatal(err)
		}
		sent = next
		requireFollowed(t, s, name, content[:sent])
	}
	slow, err := s.Resume(ctx, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(slow, head); err != nil {
		t.Fatal(err)
	}
	client.Close()
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, name, d); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(slow)
	if err != nil || !bytes.Equal(append(head, rest...), content) {
		t.Fatalf("who had followed half way read %d bytes, %v; want %d", len(head)+len(rest), err, len(content))
	}
}

// requireFollowed reads until all that was sent is there: the last of it may just be passing from hand to hand.
func requireFollowed(t *testing.T, s *s3.Store, name string, want []byte) {
	t.Helper()
	var got []byte
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		rc, err := s.Resume(ctx, name, int64(len(got)))
		if errors.Is(err, blob.ErrUploadUnknown) {
			continue // nothing was received yet
		}
		if err != nil {
			t.Fatal(err)
		}
		more, err := io.ReadAll(rc)
		rc.Close()
		if got = append(got, more...); err != nil || !bytes.HasPrefix(want, got) {
			t.Fatalf("followed %d bytes that are not the beginning of the content, %v", len(got), err)
		}
		if len(got) == len(want) {
			return
		}
	}
	t.Fatalf("followed %d bytes of %d", len(got), len(want))
}

// TestMemory lets uploads whose sources do not go on hold all memory between them.
func TestMemory_is_given_up_by_who_does_not_use_it(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	cfg.Memory = 16 << 20 // 64 slabs
	s := open(t, cfg)
	const slow, each = 6, 4 << 20 // half as much again as the memory
	content := noise(9, each)
	d := digest.FromBytes(content)
	var appends sync.WaitGroup
	release := make(chan struct{})
	for i := range slow {
		appends.Go(func() {
			name := fmt.Sprint("slow-", i)
			src := io.MultiReader(bytes.NewReader(content), &waiting{release})
			if size, err := s.Append(ctx, name, 0, src); err != nil || size != each {
				t.Errorf("append: %d, %v", size, err)
				return
			}
			if err := s.Commit(ctx, name, d); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range slow {
		requireFollowed(t, s, fmt.Sprint("slow-", i), content)
	}
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if size, err := s.Append(limited, "quick", 0, bytes.NewReader(noise(10, 9<<20))); err != nil || size != 9<<20 {
		t.Errorf("while others are slow: %d, %v", size, err)
	}
	close(release)
	appends.Wait()
	requireMatch(t, "slow", s, d)
}

// waiting brings nothing until it is released, and then ends.
type waiting struct{ release <-chan struct{} }

func (w *waiting) Read([]byte) (int, error) {
	<-w.release
	return 0, io.EOF
}

// TestForeign shows that what others keep in the bucket is neither listed nor touched.
func TestForeign_objects_are_left_alone(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	s := open(t, cfg)
	foreign := []string{
		"some/where/blobs/sha256/7d/README", "some/where/blobs/x", "some/where/else", "some/where/uploads/a/README", "some/where/uploads/stray",
		"some/whereabouts/blobs/sha256/aa/" + strings.Repeat("a", 64), "top",
	}
	for _, key := range foreign {
		_, err := server.Client(server.Endpoint).PutObject(ctx, &sdk.PutObjectInput{Bucket: &cfg.Bucket, Key: &key, Body: strings.NewReader("precious")})
		if err != nil {
			t.Fatal(err)
		}
	}
	d := put(t, s, "a", []byte("content"))
	if err := s.Abort(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	for info, err := range s.List(ctx) {
		if err != nil || info.Digest != d {
			t.Errorf("listed %v, %v", info, err)
		}
	}
	for pending, err := range s.Uploads(ctx) {
		t.Errorf("listed upload %v, %v", pending, err)
	}
	if err := s.Delete(ctx, d); err != nil {
		t.Fatal(err)
	}
	slices.Sort(foreign)
	if got := server.Objects(t, cfg.Bucket); !slices.Equal(got, foreign) {
		t.Errorf("the bucket holds %v, want %v", got, foreign)
	}
}

func TestDeleteAll_takes_more_than_a_thousand(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	s := open(t, cfg)
	var all []digest.Digest
	for i := range 1203 {
		all = append(all, digest.FromString(fmt.Sprint(i)))
	}
	for _, i := range []int{0, 999, 1000, 1202} {
		put(t, s, "upload", []byte(fmt.Sprint(i)))
	}
	kept := put(t, s, "upload", []byte("kept"))
	if err := s.DeleteAll(ctx, all); err != nil {
		t.Fatal(err)
	}
	for info, err := range s.List(ctx) {
		if err != nil || info.Digest != kept {
			t.Errorf("listed %v, %v; want %s alone", info, err, kept)
		}
	}
	if _, err := s.Stat(ctx, kept); err != nil {
		t.Error(err)
	}
	if err := s.DeleteAll(ctx, []digest.Digest{kept, "sha256:.."}); err == nil {
		t.Error("a digest that is none was deleted")
	}
	if _, err := s.Stat(ctx, kept); err != nil {
		t.Errorf("after a refused deletion: %v", err)
	}
}

// TestLeftover shows that what a killed Commit leaves is listed when it is old enough, and goes away.
func TestLeftover_multipart_uploads(t *testing.T) {
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	d := digest.FromString("content")
	key := "some/where/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded()
	for range 2 {
		if _, err := server.Client(server.Endpoint).CreateMultipartUpload(ctx, &sdk.CreateMultipartUploadInput{Bucket: &cfg.Bucket, Key: aws.String(key)}); err != nil {
			t.Fatal(err)
		}
	}
	young := cfg
	young.Leftover = time.Hour
	for pending, err := range open(t, young).Uploads(ctx) {
		t.Errorf("listed although a Commit may be at work: %v, %v", pending, err)
	}
	s := open(t, cfg)
	listed := 0
	for pending, err := range s.Uploads(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		listed++
		if !blob.ValidUpload(pending.Name) || blob.Expected(pending.Name) != d || time.Since(pending.Modified).Abs() > time.Minute {
			t.Errorf("listed %+v", pending)
		}
		if err := s.Abort(ctx, pending.Name); err != nil {
			t.Fatal(err)
		}
		if got := server.Objects(t, cfg.Bucket); len(got) != 2-listed {
			t.Errorf("after %d were aborted there are %v", listed, got)
		}
	}
	if listed != 2 {
		t.Errorf("listed %d, want 2", listed)
	}
}

func TestCheck_says_what_to_do(t *testing.T) {
	server := s3test.Start(t)
	good := configFor(server, server.Bucket(t))
	for want, change := range map[string]func(*s3.Config){
		"there is no such bucket; create it":                   func(c *s3.Config) { c.Bucket = "absent-bucket" },
		"the credentials are wrong or have expired; check acc": func(c *s3.Config) { c.SecretKey = "wrong-secret" },
		"check that the endpoint is right":                     func(c *s3.Config) { c.Endpoint, c.Attempts = "http://127.0.0.1:1", 1 },
	} {
		cfg := good
		change(&cfg)
		s, err := s3.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Check(ctx)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), cfg.SecretKey) {
			t.Errorf("%v; want %q in it and no secret", err, want)
		}
	}
}
