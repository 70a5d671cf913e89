//go:build backends

package s3_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// TestFollowing_an_upload_goes_on_after_a_read_into_nothing, as one makes who may not have more yet: the content is on its way, and nowhere in the bucket.
func TestFollowing_an_upload_goes_on_after_a_read_into_nothing(t *testing.T) {
	server := s3test.Start(t)
	s, err := s3.Open(t.Context(), configFor(server, server.Bucket(t)))
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	d := digest.FromBytes(content)
	upload := blob.Named("2edaa586-2de0-4c77-b43a-d5817e795d31", d)
	in, out := io.Pipe()
	stored := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), upload, 0, in)
		_ = in.CloseWithError(err) // so that the test does not wait for who has gone
		if err == nil {
			err = s.Commit(t.Context(), upload, d)
		}
		stored <- err
	}()
	if _, err := out.Write(content); err != nil { // it has been received, and is not sent before more comes or it ends
		t.Fatalf("%v, %v", err, <-stored)
	}
	got := make([]byte, 1000)
	following := resumed(t, s, upload, got)
	defer following.Close()
	for range 10 {
		if n, err := following.Read(nil); n != 0 || err != nil {
			t.Fatalf("a read into nothing: %d, %v", n, err)
		}
	}
	_ = out.Close()
	rest, err := io.ReadAll(following)
	if got = append(got, rest...); err != nil || !bytes.Equal(got, content[:len(got)]) || len(got) < 1001 {
		t.Errorf("%d bytes were read, %v, want those of the content", len(got), err)
	}
	if err := <-stored; err != nil {
		t.Error(err)
	}
}

// resumed reads the beginning of an upload on its way, once it is there, and returns the reader.
func resumed(t *testing.T, s *s3.Store, upload string, beginning []byte) io.ReadCloser {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		following, err := s.Resume(t.Context(), upload, 0)
		if errors.Is(err, blob.ErrUploadUnknown) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(following, beginning); err == nil {
			return following
		}
		following.Close()
	}
	t.Fatal("the upload does not grow")
	return nil
}
