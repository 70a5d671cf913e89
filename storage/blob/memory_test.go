package blob_test

import (
	"testing"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
)

func TestMemory(t *testing.T) {
	blobtest.Run(t, func(testing.TB) blob.Store { return blob.NewMemory() })
}
