package manage

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/transfer"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// backupHouse serves backups of an index; root may manage, and reader may not.
func backupHouse(t *testing.T, of *transfer.Backups) func(who, contentType, body string) (*http.Response, []byte) {
	t.Helper()
	grants := []auth.Grant{{Who: "user:root", Role: auth.Admin, On: auth.Everywhere}, {Who: "user:reader", Role: auth.Reader, On: auth.Everywhere}}
	identify := func(_ context.Context, shown auth.Credentials) (auth.Identity, error) {
		return auth.Identity{Kind: auth.User, Name: strings.TrimPrefix(shown.Authorization, "Bearer ")}, nil
	}
	var routes []door.Route
	for _, r := range (backups{of}).rows() {
		routes = append(routes, r.route())
	}
	server := httptest.NewServer(door.New(door.Config{Policy: auth.NewRules(grants, true), Identify: identify, Log: slog.New(slog.DiscardHandler)}, routes...))
	t.Cleanup(server.Close)
	return func(who, contentType, body string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/v1/backups", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+who)
		req.Header.Set("Content-Type", contentType)
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		all, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		return res, all
	}
}

func TestBackups_are_for_those_who_manage(t *testing.T) {
	index := kv.NewMemory()
	if _, err := registry.Open(t.Context(), registry.Config{Blobs: blob.NewMemory(), Index: index}); err != nil {
		t.Fatal(err)
	}
	of := &transfer.Backups{Index: index, Folder: t.TempDir()}
	ask := backupHouse(t, of)
	for _, c := range []struct {
		who, media, body string
		want             int
	}{
		{"root", "application/json", "{}", 200},
		{"reader", "application/json", "{}", 403},
		{"root", "text/plain", "{}", 400}, // as a stranger's page could have a browser send it
		{"root", "application/json", "", 400},
		{"root", "application/json", `{"to": "/etc"}`, 400},
		{"root", "application/json", "{}", 200}, // the former is not under way any more
	} {
		res, body := ask(c.who, c.media, c.body)
		if res.StatusCode != c.want {
			t.Errorf("%+v: %d %s, want %d", c, res.StatusCode, body, c.want)
		}
		if c.want != 200 {
			continue
		}
		s, err := transfer.ReadBackup(t.Context(), bytes.NewReader(body), nil, nil)
		if err != nil || s.Rows == 0 {
			t.Errorf("what came is %+v, %v; want a backup", s, err)
		}
		if h := res.Header; h.Get("Content-Length") != strconv.Itoa(len(body)) || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/zstd" {
			t.Errorf("with the header %v", h)
		}
	}
}

func TestBackups_that_cannot_be_made(t *testing.T) {
	index := kv.NewMemory()
	if _, err := registry.Open(t.Context(), registry.Config{Blobs: blob.NewMemory(), Index: index}); err != nil {
		t.Fatal(err)
	}
	busy := &transfer.Backups{Index: index, Folder: t.TempDir()}
	rc, _, _, err := busy.Make(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	for _, c := range []struct {
		of   *transfer.Backups
		want int
		code string
	}{
		{nil, 501, "pg_dump"},
		{&transfer.Backups{Index: struct{ kv.DB }{index}}, 501, "pg_dump"},
		{busy, 409, "wait"},
	} {
		res, body := backupHouse(t, c.of)("root", "application/json", "{}")
		if res.StatusCode != c.want || !json.Valid(body) || !bytes.Contains(body, []byte(c.code)) {
			t.Errorf("%d %s, want %d and a word of %q", res.StatusCode, body, c.want, c.code)
		}
	}
}
