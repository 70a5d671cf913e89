//go:build clients

package apt

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/intake"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// onDisk is a house whose index is a file, too, as in production.
func onDisk(t testing.TB, change ...func(*house)) *house {
	t.Helper()
	index, err := bolt.Open(filepath.Join(t.TempDir(), "index.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	return build(t, append(change, func(h *house) { h.index = index })...)
}

// since has the clock of a house begin so long ago.
func since(d time.Duration) func(*house) {
	return func(h *house) { h.clock.now = time.Now().Add(-d).Truncate(time.Second) }
}

// restart has the registry begin anew over what it has stored, with other settings and at another address.
func (h *house) restart(change func(*artifacts.Config, *suite.KeysConfig)) {
	h.t.Helper()
	c := artifacts.Config{Index: h.index, Now: h.clock.Now, Log: h.logger(), Rules: map[string]artifacts.Level{
		"version.manifest.missing": artifacts.Off, "version.metadata.missing": artifacts.Off, "version.ownership.missing": artifacts.Off,
	}}
	k := suite.KeysConfig{Index: h.index, Service: "registry.example.com", Now: h.clock.Now}
	change(&c, &k)
	var err error
	if h.keys, err = suite.OpenKeys(k); err != nil {
		h.t.Fatal(err)
	}
	c.Keys = h.keys
	h.catalog = artifacts.New(c)
	h.reg, err = registry.Open(h.ctx, registry.Config{Blobs: h.blobs, Index: h.index, Uploads: kv.NewMemory(), Admissions: []registry.Admission{h.catalog}})
	if err == nil {
		err = h.catalog.Prepare(h.ctx, h.reg)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.shelf = &intake.Shelf{Registry: h.reg, Catalog: h.catalog}
	routes := Routes(Config{Catalog: h.catalog, Registry: h.reg, Keys: h.keys, Shelf: h.shelf, Log: h.logger()})
	h.handler = door.New(door.Config{Policy: h.policy, Identify: identify, Log: h.logger()}, routes...)
	h.server.Close()
	h.server = httptest.NewServer(h.handler)
	h.t.Cleanup(h.server.Close)
}

func (h *house) logger() *slog.Logger { return slog.New(slog.NewTextHandler(h.log, nil)) }

// atTrueTime has the house's clock be that of the machine.
func atTrueTime(c *artifacts.Config, k *suite.KeysConfig) { c.Now, k.Now = time.Now, time.Now }

// dates returns when the snapshots of a suite that are kept were published.
func (h *house) dates(suite string) (all []time.Time, err error) {
	for date, err := range h.catalog.Snapshots(h.ctx, suite) {
		if err != nil {
			return nil, err
		}
		all = append(all, date)
	}
	return all, nil
}

// Unwrap lets the door set deadlines for what it reads.
func (s *statusOf) Unwrap() http.ResponseWriter { return s.ResponseWriter }
