//go:build !backends

package artifacts

import (
	"testing"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// newStores makes what a registry of a test stands on: with the tag backends that is PostgreSQL and S3.
func newStores(testing.TB) (kv.DB, blob.Store) { return kv.NewMemory(), blob.NewMemory() }
