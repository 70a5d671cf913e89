//go:build backends

package s3_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// What is to be killed needs a process of its own. The test binary is that process too, when the environment names a bucket.
const bucketVariable, endpointVariable = "S3_TEST_BUCKET", "S3_TEST_ENDPOINT"

func TestMain(m *testing.M) {
	if os.Getenv(bucketVariable) == "" {
		os.Exit(m.Run())
	}
	server := &s3test.Server{Endpoint: os.Getenv(endpointVariable), AccessKey: "testkey", SecretKey: "testsecret"}
	if err := pushForever(configFor(server, os.Getenv(bucketVariable))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestCrash kills a pusher at random moments. What it had counted and acknowledged must be there, what is listed must match its digest, and what is
// unfinished can be aborted without anything being left.
func TestCrash(t *testing.T) {
	const kills = 12
	server := s3test.Start(t)
	cfg := configFor(server, server.Bucket(t))
	s := open(t, cfg)
	committed, unfinished := 0, 0
	for range kills {
		counted, acknowledged := crash(t, cfg)
		committed += len(acknowledged)
		for _, d := range acknowledged {
			if _, err := s.Stat(ctx, d); err != nil {
				t.Fatalf("an acknowledged commit is gone: %v", err)
			}
		}
		for name, c := range counted {
			requireCounted(t, s, name, c)
		}
		unfinished += sweepAll(t, server, cfg, s)
	}
	t.Logf("%d kills, %d commits acknowledged, %d uploads left and aborted", kills, committed, unfinished)
	if committed < kills || unfinished == 0 {
		t.Fatalf("%d commits and %d unfinished uploads in %d lives tell nothing", committed, unfinished, kills)
	}
}

// counted is what a pusher was told that an upload holds.
type counted struct {
	size   int64
	sum    string        // of these bytes
	become digest.Digest // of the whole content
}

// crash starts a pusher, kills it at some moment after its first commit, and returns what it was told.
func crash(t *testing.T, cfg s3.Config) (map[string]counted, []digest.Digest) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), bucketVariable+"="+cfg.Bucket, endpointVariable+"="+cfg.Endpoint)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	uploads, acknowledged := map[string]counted{}, []digest.Digest(nil)
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // a line without its end was cut by the kill
		}
		if err != nil {
			t.Fatal(err)
		}
		var what, name string
		var c counted
		if _, err := fmt.Sscan(line, &what, &name, &c.size, &c.sum, &c.become); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if what == "counted" {
			uploads[name] = c
			continue
		}
		delete(uploads, name)
		if acknowledged = append(acknowledged, c.become); len(acknowledged) == 1 {
			time.AfterFunc(time.Duration(rand.Int64N(int64(700*time.Millisecond))), func() { cmd.Process.Kill() })
		}
	}
	cmd.Wait() // it was killed, and says so
	if len(acknowledged) == 0 {
		t.Fatal("the pusher ended by itself")
	}
	return uploads, acknowledged
}

// requireCounted requires that an upload holds what was counted; or that it has become content, of which its pusher did not hear.
func requireCounted(t *testing.T, s *s3.Store, name string, c counted) {
	t.Helper()
	rc, err := s.Resume(ctx, name, 0)
	if errors.Is(err, blob.ErrUploadUnknown) {
		requireMatch(t, name, s, c.become)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	got := sha256.New()
	if n, err := io.CopyN(got, rc, c.size); err != nil || fmt.Sprintf("%x", got.Sum(nil)) != c.sum {
		// A Commit that was killed while it deleted the pieces.
		if _, committed := s.Stat(ctx, c.become); committed == nil {
			return
		}
		t.Fatalf("%s: of %d counted bytes are %d there, %v, or they are others", name, c.size, n, err)
	}
}

// sweepAll sweeps until the bucket is empty, since the server may still be carrying out what the killed one asked for. It returns how many uploads
// there were.
func sweepAll(t *testing.T, server *s3test.Server, cfg s3.Config, s *s3.Store) (uploads int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		uploads += sweep(t, s)
		left := server.Objects(t, cfg.Bucket)
		if len(left) == 0 {
			return uploads
		}
		if time.Now().After(deadline) {
			t.Fatalf("left over: %v", left)
		}
	}
}

// sweep verifies all content, aborts all uploads, and deletes the content.
func sweep(t *testing.T, s *s3.Store) (uploads int) {
	t.Helper()
	for pending, err := range s.Uploads(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		uploads++
		if err := s.Abort(ctx, pending.Name); err != nil {
			t.Fatal(err)
		}
	}
	for info, err := range s.List(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		requireMatch(t, "listed", s, info.Digest)
		if err := s.Delete(ctx, info.Digest); err != nil {
			t.Fatal(err)
		}
	}
	return uploads
}

// pushForever pushes random content of all sizes from four goroutines, in one to three appends, and prints what it is told.
func pushForever(cfg s3.Config) error {
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := s3.Open(ctx, cfg)
	if err != nil {
		return err
	}
	life := rand.Uint32()
	failed := make(chan error)
	for i := range 4 {
		go func() {
			for j := 0; ; j++ {
				size := rand.IntN(1 << (8 + 4*rand.IntN(5)))
				content := noise(byte(rand.Int()), size)
				content = append(content, fmt.Sprint(life, i, j)...)
				if err := pushTold(s, fmt.Sprintf("upload-%d-%d-%d", life, i, j), content); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

func pushTold(s *s3.Store, name string, content []byte) error {
	d := digest.FromBytes(content)
	for at := 0; at < len(content); {
		end := min(len(content), at+1+rand.IntN(len(content)))
		if _, err := s.Append(ctx, name, int64(at), bytes.NewReader(content[at:end])); err != nil {
			return err
		}
		at = end
		fmt.Println(strings.Join([]string{"counted", name, fmt.Sprint(at), fmt.Sprintf("%x", sha256.Sum256(content[:at])), string(d)}, " "))
	}
	if err := s.Commit(ctx, name, d); err != nil {
		return err
	}
	fmt.Println("committed", name, len(content), "-", d)
	return nil
}
