package artifacts

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// onDisk is a house on bolt and a disk, as it is in production.
func onDisk(t testing.TB) *house {
	t.Helper()
	dir := t.TempDir()
	index, err := bolt.Open(filepath.Join(dir, "index.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	blobs, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := suite.OpenKeys(suite.KeysConfig{Index: index, Service: "registry.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, index: index}
	h.Catalog = New(Config{Index: index, Keys: keys})
	if h.reg, err = registry.Open(context.Background(), registry.Config{Blobs: blobs, Index: index, Admissions: []registry.Admission{h.Catalog}}); err != nil {
		t.Fatal(err)
	}
	if err := h.Prepare(context.Background(), h.reg); err != nil {
		t.Fatal(err)
	}
	return h
}

// filled writes the rows of components whose packages are deployed, as if they had been pushed and promoted.
func (h *house) filled(n int) {
	h.t.Helper()
	const at = 500
	for first := 0; first < n; first += at {
		err := h.index.Update(h.t.Context(), func(tx kv.Tx) error {
			for i := first; i < min(n, first+at); i++ {
				name := fmt.Sprintf("cloud/grp%d/svc-%d", i%20, i)
				pkg := fmt.Sprintf("svc-%d", i)
				control := fmt.Sprintf("Package: %s\nVersion: 1.0.0-1\nArchitecture: amd64\nMaintainer: Team %d <team%d@example.com>\nInstalled-Size: %d\nDepends: libc6 (>= 2.31), adduser\nSection: net\nPriority: optional\nDescription: service number %d\n It does what services do, and is described in a few lines\n as packages are.\n", pkg, i%50, i%50, 1000+i, i)
				file := File{Name: pkg + "_1.0.0-1_amd64.deb", Digest: digest.FromString(control), Size: int64(10_000 + i), Package: &Package{pkg, "1.0.0-1", "amd64"}}
				v := Version{Component: name, Version: "1.0.0", Good: true, Formats: map[Kind]Format{Deb: {Tag: "deb-1.0.0", Files: []File{file}}}}
				for key, row := range map[string]any{
					keyComponent(name): Component{Name: name, Latest: "1.0.0"}, keyVersion(name, "1.0.0"): v, keyPool(name, file.Name, "1.0.0"): pooled{file, control},
					keyDeployed(prod, name): Deployed{Component: name, Place: prod, Version: "1.0.0"},
				} {
					if err := write(tx, key, row); err != nil {
						return err
					}
				}
			}
			return nil
		})
		h.ok(err)
	}
}

// BenchmarkMove_into_large_suite is the publication of one new package into a suite of 10,000: the time of a promotion. It is to take a second at most.
func BenchmarkMove_into_large_suite(b *testing.B) {
	h := onDisk(b)
	h.filled(10_000)
	h.ok(h.publishers.of(prod).again(b.Context(), h.Catalog))
	const name = "cloud/dmp/new"
	for i := range b.N + 1 {
		number := fmt.Sprintf("1.0.%d", i)
		d := h.must(h.push(name, h.files(name, "", "", map[string][]byte{"x.deb": debtest.Build(debtest.Spec{Package: "new", Version: number, Arch: "amd64"})}), "deb-"+number))
		_ = d
		h.ok(h.index.Update(b.Context(), func(tx kv.Tx) error {
			v, err := read[Version](b.Context(), tx, keyVersion(name, number))
			h.ok(err)
			v.Good = true
			return write(tx, keyVersion(name, number), v)
		}))
	}
	h.Catalog.rules = map[string]Level{"version.manifest.missing": Off, "version.metadata.missing": Off, "version.ownership.missing": Off}
	b.ResetTimer()
	for i := range b.N {
		h.promote(name, fmt.Sprintf("1.0.%d", i), prod)
	}
}
