//go:build backends

package s3_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

var ctx = context.Background()

func TestStore(t *testing.T) {
	server := s3test.Start(t)
	blobtest.Run(t, func(t testing.TB) blob.Store { return open(t, configFor(server, server.Bucket(t))) })
}

func TestReopen(t *testing.T) {
	server := s3test.Start(t)
	buckets := map[string]string{}
	blobtest.RunReopen(t, func(t testing.TB, dir string) blob.Store {
		if buckets[dir] == "" {
			buckets[dir] = server.Bucket(t)
		}
		return open(t, configFor(server, buckets[dir]))
	})
}

// configFor returns a configuration for a bucket of a test server. Its parts are small, so that little content has several.
func configFor(server *s3test.Server, bucket string) s3.Config {
	return s3.Config{
		Bucket: bucket, Endpoint: server.Endpoint, PathStyle: true, AccessKey: server.AccessKey, SecretKey: server.SecretKey, Prefix: "some/where",
		PartSize: 5 << 20, Memory: 64 << 20, Stall: 20 * time.Second, Leftover: time.Nanosecond, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func open(t testing.TB, cfg s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}
