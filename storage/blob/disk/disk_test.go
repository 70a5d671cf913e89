package disk_test

import (
	"testing"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
	"github.com/entrepot/entrepot/storage/blob/disk"
)

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t testing.TB) blob.Store { return open(t, t.TempDir()) })
}

func TestReopen(t *testing.T) {
	blobtest.RunReopen(t, func(t testing.TB, dir string) blob.Store { return open(t, dir) })
}

func open(t testing.TB, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
