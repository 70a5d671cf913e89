package manage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// scrubbing serves the routes before a registry, one of whose two blobs is lost.
func scrubbing(t testing.TB) (h *house, lost digest.Digest) {
	t.Helper()
	h = &house{t: t, index: kv.NewMemory(), stopping: make(chan struct{})}
	blobs := blob.NewMemory()
	now := time.Now()
	var err error
	if h.reg, err = registry.Open(t.Context(), registry.Config{Blobs: blobs, Index: h.index, Now: func() time.Time { return now }}); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]byte{bytes.Repeat([]byte("x"), 20_000), bytes.Repeat([]byte("y"), 30_000)} {
		lost = digest.FromBytes(c)
		if err := h.reg.PutBlob(t.Context(), "team/app", lost, int64(len(c)), bytes.NewReader(c)); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Hour)
	if err := blobs.Delete(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	scrubber := registry.NewScrubber(registry.ScrubConfig{Registry: h.reg, Rate: -1, Every: 24 * time.Hour})
	identify := func(_ context.Context, shown auth.Credentials) (auth.Identity, error) {
		name, ok := strings.CutPrefix(shown.Authorization, "Bearer ")
		if !ok {
			return auth.Identity{}, auth.ErrWrong
		}
		return auth.Identity{Kind: auth.User, Name: name}, nil
	}
	handler := door.New(door.Config{Policy: auth.NewRules([]auth.Grant{{Who: "user:root", Role: auth.Admin, On: auth.Everywhere}}, true),
		Identify: identify, Log: slog.New(slog.DiscardHandler)}, Routes(Config{Scrubber: scrubber, Stopping: h.stopping})...)
	h.server = httptest.NewServer(handler)
	t.Cleanup(h.server.Close)
	return h, lost
}

func TestScrub_over_http(t *testing.T) {
	h, lost := scrubbing(t)
	status, media, body := h.do("root", "POST", "/api/v1/scrub/runs", "{}")
	if status != 200 || media != "application/x-ndjson" {
		t.Fatalf("%d, %s: %s", status, media, body)
	}
	lines := bufio.NewScanner(bytes.NewReader(body))
	var said struct {
		Progress *registry.ScrubTally
		Result   *registry.ScrubResult
	}
	progress := 0
	for lines.Scan() {
		said.Progress = nil
		if err := json.Unmarshal(lines.Bytes(), &said); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		if said.Progress != nil {
			progress++
		}
	}
	r := said.Result
	if r == nil || progress == 0 || r.Things != 2 || r.Bytes != 20_000 || r.Damaged != 1 || len(r.Damages) != 1 || r.Damages[0].Digest != lost || r.By != "user:root" {
		t.Errorf("%d lines of progress, %s", progress, body)
	}
	status, media, body = h.do("root", "GET", "/api/v1/scrub", "")
	var state registry.ScrubState
	if err := json.Unmarshal(body, &state); err != nil || status != 200 || media != "application/json" {
		t.Fatalf("%d, %s, %v: %s", status, media, err, body)
	}
	if state.Running != nil || state.Last == nil || state.Next == nil || state.Every != "24h0m0s" || len(state.Damages) != 1 || state.Damages[0].What != registry.DamageMissing {
		t.Errorf("%s", body)
	}
}

func TestScrub_refuses(t *testing.T) {
	h, _ := scrubbing(t)
	for name, c := range map[string]struct {
		who, method, path, body string
		status                  int
	}{
		"nobody":         {"", "POST", "/api/v1/scrub/runs", "{}", 401},
		"nobody asks":    {"", "GET", "/api/v1/scrub", "", 401},
		"a stranger":     {"stranger", "POST", "/api/v1/scrub/runs", "{}", 403},
		"one asks":       {"stranger", "GET", "/api/v1/scrub", "", 403},
		"a field":        {"root", "POST", "/api/v1/scrub/runs", `{"rate": 1}`, 400},
		"a form":         {"root", "POST", "/api/v1/scrub/runs", "", 400},
		"a parameter":    {"root", "GET", "/api/v1/scrub?all=true", "", 400},
		"another method": {"root", "DELETE", "/api/v1/scrub", "", 405},
	} {
		if status, _, body := h.do(c.who, c.method, c.path, c.body); status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, status, c.status, body)
		}
	}
	row := `{"began": "` + time.Now().UTC().Format(time.RFC3339) + `", "open": true, "holder": "another", "beat": "` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`
	if err := h.index.Update(t.Context(), func(tx kv.Tx) error { tx.Put("meta/scrub", []byte(row)); return nil }); err != nil {
		t.Fatal(err)
	}
	if status, _, body := h.do("root", "POST", "/api/v1/scrub/runs", "{}"); status != 409 || !strings.Contains(string(body), "another replica scrubs") {
		t.Errorf("%d, %s; want to be told that another replica is at it", status, body)
	}
}
