//go:build backends

package s3

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// twoBuckets are a folder that holds content under a key, opened and read, and an empty store of the same server.
type twoBuckets struct {
	server *s3test.Server
	from   string
	store  *Store
	opened io.ReadCloser
	size   int64
}

const oddKey = "some where/+Ü/data"

func newTwoBuckets(t *testing.T, content []byte) twoBuckets {
	t.Helper()
	server := s3test.Start(t)
	b := twoBuckets{server: server, from: server.Bucket(t)}
	config := func(bucket string) Config {
		return Config{Bucket: bucket, Endpoint: server.Endpoint, PathStyle: true, AccessKey: server.AccessKey, SecretKey: server.SecretKey,
			Stall: 20 * time.Second, Log: slog.New(slog.DiscardHandler)}
	}
	b.put(t, content)
	folder, err := OpenFolder(t.Context(), config(b.from))
	if err != nil {
		t.Fatal(err)
	}
	if b.opened, b.size, err = folder.Open(t.Context(), oddKey); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.opened.Close() })
	if got, err := io.ReadAll(b.opened); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes were read, %v; want the %d that were put", len(got), err, len(content))
	}
	if b.store, err = Open(t.Context(), config(server.Bucket(t))); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b twoBuckets) put(t *testing.T, content []byte) {
	t.Helper()
	if _, err := b.server.Client(b.server.Endpoint).PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &b.from, Key: aws.String(oddKey), Body: bytes.NewReader(content), ContentEncoding: aws.String("gzip"), Metadata: map[string]string{"former": "yes"},
	}); err != nil {
		t.Fatal(err)
	}
}

func (b twoBuckets) original() original {
	from := b.opened.(*download)
	return original{bucket: b.from, key: from.key, etag: from.etag, size: from.end}
}

func noise(size int) []byte {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	return content
}

// ways are a copy in one request, and one of parts.
var ways = map[string][2]int64{"whole": {mostCopied, copiedPart}, "in parts": {6 << 20, 5 << 20}}

func TestDuplicate_makes_content_of_an_object(t *testing.T) {
	content := noise(13 << 20)
	d := digest.FromBytes(content)
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			b := newTwoBuckets(t, content)
			if err := b.store.duplicate(t.Context(), b.original(), d, way[0], way[1]); err != nil {
				t.Fatal(err)
			}
			rc, err := b.store.Open(t.Context(), d, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer rc.Close()
			if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes are content, %v; want the %d of the object", len(got), err, len(content))
			}
			head, err := b.store.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.store.cfg.Bucket, Key: aws.String(b.store.blobKey(d))})
			if err != nil || aws.ToString(head.ContentEncoding) != "" || len(head.Metadata) > 0 || aws.ToString(head.ContentType) != contentType {
				t.Errorf("content came with %q, %v and %q, %v; want nothing of the original but its bytes", aws.ToString(head.ContentEncoding), head.Metadata, aws.ToString(head.ContentType), err)
			}
			if keys := b.server.Objects(t, b.store.cfg.Bucket); len(keys) != 1 {
				t.Errorf("the bucket holds %q, want the content alone", keys)
			}
		})
	}
}

// An object that took the place of the one that was read is not copied, and nothing is left.
func TestDuplicate_refuses_what_was_changed(t *testing.T) {
	content := noise(13 << 20)
	d := digest.FromBytes(content)
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			b := newTwoBuckets(t, content)
			b.put(t, append([]byte("x"), content[1:]...))
			if err := b.store.duplicate(t.Context(), b.original(), d, way[0], way[1]); code(err) != "PreconditionFailed" || errors.Is(err, ErrUnavailable) {
				t.Errorf("%v, want that it was changed", err)
			}
			if keys := b.server.Objects(t, b.store.cfg.Bucket); len(keys) > 0 {
				t.Errorf("the bucket holds %q, want nothing", keys)
			}
		})
	}
}

// Should a server copy something else all the same, the checksum that it makes of the copy gives it away. One that makes none (minio) is trusted to heed the ETag.
func TestDuplicate_drops_a_copy_that_is_something_else(t *testing.T) {
	b := newTwoBuckets(t, noise(1<<20))
	o := b.original()
	probe, err := b.store.composer.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: &b.store.cfg.Bucket, Key: aws.String(b.store.prefix() + "probe"), CopySource: o.source(), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	})
	if err != nil {
		t.Fatal(err)
	}
	if probe.CopyObjectResult == nil || aws.ToString(probe.CopyObjectResult.ChecksumSHA256) == "" {
		if os.Getenv(s3test.Variable) == "" {
			t.Error("this server should tell the SHA-256 of a copy")
		}
		return
	}
	d := digest.FromString("something else")
	err = b.store.duplicate(t.Context(), o, d, mostCopied, copiedPart)
	if err == nil || !strings.Contains(err.Error(), "is not that") {
		t.Errorf("%v, want that the copy is something else", err)
	}
	if _, err := b.store.Stat(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("its content: %v, want none", err)
	}
}

func TestDuplicate_by_the_function_that_is_handed_out(t *testing.T) {
	content := []byte("content")
	b := newTwoBuckets(t, content)
	duplicate := b.store.Duplicate(b.opened)
	if duplicate == nil {
		t.Fatal("an object of the same server is not copied")
	}
	if err := duplicate(t.Context(), "sha256:../../x"); err == nil {
		t.Error("a digest that is none: no error")
	}
	if err := duplicate(t.Context(), digest.FromBytes(content)); err != nil {
		t.Error(err)
	}
	if info, err := b.store.Stat(t.Context(), digest.FromBytes(content)); err != nil || info.Size != b.size {
		t.Errorf("%+v, %v; want %d bytes of content", info, err, b.size)
	}
}
