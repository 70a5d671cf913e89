//go:build clients

package suite

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts/apt/apttest"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

// archive serves snapshots as a registry does: one at a time, and the files of all by their hashes.
type archive struct {
	*httptest.Server

	mu      sync.Mutex
	now     *Snapshot
	old     map[string]File // by their hashes
	pool    map[string][]byte
	key     []byte
	log     []string
	without map[string]bool // paths that are not there
	after   map[string]func()
}

func serve(t *testing.T) *archive {
	t.Helper()
	a := &archive{old: map[string]File{}, pool: map[string][]byte{}, without: map[string]bool{}, after: map[string]func(){}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *archive) base() string { return a.URL + "/apt" }

func (a *archive) publish(s *Snapshot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = s
	for _, f := range s.Files {
		a.old[f.SHA256] = f
	}
}

// asked returns the paths asked for since the last call.
func (a *archive) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	log := a.log
	a.log = nil
	return log
}

func (a *archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	path := strings.TrimPrefix(r.URL.Path, "/apt/")
	a.log = append(a.log, strings.TrimPrefix(r.URL.EscapedPath(), "/apt/"))
	content, date, ok := a.find(path)
	after := a.after[path]
	a.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
	} else {
		http.ServeContent(w, r, "", date, bytes.NewReader(content))
	}
	if after != nil {
		after()
	}
}

func (a *archive) find(path string) ([]byte, time.Time, bool) {
	if a.without[path] {
		return nil, time.Time{}, false
	}
	if path == "key.asc" {
		return a.key, noon, a.key != nil
	}
	if body, ok := a.pool[path]; ok {
		return body, noon, true
	}
	name, ok := strings.CutPrefix(path, "dists/"+a.now.Suite+"/")
	if !ok {
		return nil, time.Time{}, false
	}
	f, ok := a.now.Find(name)
	if hash, _, by := ByHash(name); by && !ok {
		f, ok = a.old[hash]
	}
	return f.Content, a.now.Date, ok
}

// add makes a true package and puts it into the pool.
func (a *archive) add(name, version, architecture string) Package {
	spec := debtest.Spec{
		Package: name, Version: version, Arch: architecture, Compression: "gz", More: "Multi-Arch: foreign\n",
		Files: map[string]string{"usr/share/" + name + "/version-" + architecture: version + "\n"},
	}
	body := debtest.Build(spec)
	p := pkg(name, version, architecture)
	p.Control, p.Size, p.SHA256 = strings.TrimSuffix(spec.Text(), "\n"), int64(len(body)), sum(body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pool[p.Filename] = body
	return p
}

// hostKeyring is where hosts have the keyring that they trust.
const hostKeyring = "etc/apt/keyrings/entrepot.asc"

// trust writes the source and the keyring of an archive.
func trust(t *testing.T, h *apttest.Host, a *archive, keys ...*key) {
	t.Helper()
	ring, err := keyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	h.Write(t, hostKeyring, string(ring))
	h.Write(t, "etc/apt/sources.list.d/entrepot.sources", fmt.Sprintf("Types: deb\nURIs: %s\nSuites: cloud-prod\nComponents: dmp\nSigned-By: %s\n",
		a.base(), h.Path(hostKeyring)))
}

// contains tells whether any path contains a text.
func contains(paths []string, text string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return strings.Contains(p, text) })
}
