// Package s3test starts a real S3 server for tests: versitygw, over a folder of the test's own.
//
//	server := s3test.Start(t)
//	cfg := s3.Config{Bucket: server.Bucket(t), Endpoint: server.Endpoint, PathStyle: true, AccessKey: server.AccessKey, SecretKey: server.SecretKey}
//
// `make tools` builds the binary into .cache/tools. Another server can be named by ENTREPOT_TEST_S3_SERVER: the path of a binary, or the name of one in
// .cache/tools, such as the minio that conformance/tools/build minio makes. One whose name begins with minio is started as such, all others as versitygw.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Variable names another server than versitygw. The program leaves variables with this beginning alone.
const Variable = "ENTREPOT_TEST_S3_SERVER"

// patience is how long a server may take to start, on a machine that has much else to do.
const patience = 60 * time.Second

// Server is a running S3 server. It knows one account, to which every bucket belongs.
type Server struct {
	Endpoint  string // http://127.0.0.1:<port>
	AccessKey string
	SecretKey string

	buckets atomic.Int64
}

// Start starts a server that ends with the test, and waits until it answers. A missing binary fails the test.
func Start(t testing.TB) *Server {
	t.Helper()
	binary := find(t)
	// Between asking for a free port and taking it somebody else may take it.
	for range 5 {
		s := &Server{AccessKey: "testkey", SecretKey: "testsecret"}
		if s.start(t, binary) {
			return s
		}
	}
	t.Fatal("the S3 server found no free port")
	return nil
}

// find returns the path of the server's binary.
func find(t testing.TB) string {
	t.Helper()
	name := os.Getenv(Variable)
	switch {
	case name == "":
		name = "versitygw"
	case strings.ContainsRune(name, filepath.Separator):
		return name
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("the test does not run within the module")
		}
	}
	binary := filepath.Join(dir, ".cache", "tools", name)
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("no S3 server to test with: %s is missing; run conformance/tools/build %s, or set %s to a binary", binary, name, Variable)
	}
	return binary
}

// start starts the binary, and tells whether it answers. It does not if the port was taken.
func (s *Server) start(t testing.TB, binary string) bool {
	t.Helper()
	address := freeAddress(t)
	s.Endpoint = "http://" + address
	cmd := command(binary, address, t.TempDir())
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey,
		"MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey, "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off", "MINIO_BROWSER=off")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	ended, err := launch(cmd)
	if err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // of what it wrote nothing is wanted any more
		<-ended
	})
	for deadline := time.Now().Add(patience); ; {
		if s.answers() {
			return true
		}
		select {
		case <-ended:
			if strings.Contains(output.String(), "in use") {
				return false
			}
			t.Fatalf("%s ended: %s", binary, output.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer within %v", binary, patience)
		}
	}
}

// launch starts cmd; ended is closed when it has ended. It does so on a thread that lives as long: where the system offers it, the server ends with that thread,
// and so with a test that is killed.
func launch(cmd *exec.Cmd) (ended chan struct{}, err error) {
	follow(cmd)
	ended = make(chan struct{})
	began := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		began <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	return ended, <-began
}

func command(binary, address, dir string) *exec.Cmd {
	if strings.HasPrefix(filepath.Base(binary), "minio") {
		return exec.Command(binary, "server", "--quiet", "--address", address, dir)
	}
	return exec.Command(binary, "--port", address, "--quiet", "--keep-alive", "posix", dir)
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answers tells whether the account can list its buckets.
func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := s.Client(s.Endpoint).ListBuckets(ctx, nil)
	return err == nil
}

// Client returns a plain client of the server, at its own endpoint or at another one that leads there.
func (s *Server) Client(endpoint string) *s3.Client {
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, UsePathStyle: true, RetryMaxAttempts: 1,
		HTTPClient:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, "")),
	})
}

// Bucket makes a new bucket and returns its name.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", s.buckets.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := s.Client(s.Endpoint).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatalf("make bucket %s: %v", name, err)
	}
	return name
}

// Objects returns the keys in a bucket, and those of its multipart uploads with a ? at the end.
func (s *Server) Objects(t testing.TB, bucket string) []string {
	t.Helper()
	keys, err := s.objects(bucket)
	if err != nil {
		t.Fatalf("list bucket %s: %v", bucket, err)
	}
	return keys
}

func (s *Server) objects(bucket string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := s.Client(s.Endpoint)
	var keys []string
	for pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, object := range page.Contents {
			keys = append(keys, *object.Key)
		}
	}
	multiparts, err := client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		return nil, err
	}
	if aws.ToBool(multiparts.IsTruncated) {
		return nil, errors.New("there are more multipart uploads than one page holds")
	}
	for _, m := range multiparts.Uploads {
		keys = append(keys, *m.Key+"?")
	}
	return keys, nil
}

// Remove removes a bucket with all that is in it.
func (s *Server) Remove(t testing.TB, bucket string) {
	t.Helper()
	if err := s.remove(bucket); err != nil {
		t.Errorf("remove bucket %s: %v", bucket, err)
	}
}

func (s *Server) remove(bucket string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := s.Client(s.Endpoint)
	multiparts, err := client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		return err
	}
	for _, m := range multiparts.Uploads {
		if _, err := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: m.Key, UploadId: m.UploadId}); err != nil {
			return err
		}
	}
	for pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		var batch types.Delete
		for _, object := range page.Contents {
			batch.Objects = append(batch.Objects, types.ObjectIdentifier{Key: object.Key})
		}
		if len(batch.Objects) == 0 {
			break
		}
		gone, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &batch})
		if err != nil {
			return err
		}
		if len(gone.Errors) > 0 {
			return fmt.Errorf("delete %s: %s", aws.ToString(gone.Errors[0].Key), aws.ToString(gone.Errors[0].Message))
		}
	}
	_, err = client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
	return err
}
