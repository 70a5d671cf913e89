//go:build backends

package artifacts

import (
	"testing"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

// newStores makes what a registry of a test stands on: a PostgreSQL database and an S3 bucket of its own.
func newStores(t testing.TB) (kv.DB, blob.Store) {
	t.Helper()
	database, bucket := postgrestest.Start(t, "fsync=off"), s3test.Start(t)
	index, err := postgres.Open(t.Context(), postgres.Config{URL: database.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	blobs, err := s3.Open(t.Context(), s3.Config{
		Bucket: bucket.Bucket(t), Endpoint: bucket.Endpoint, AccessKey: bucket.AccessKey, SecretKey: bucket.SecretKey, PathStyle: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return index, blobs
}
