package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// TestVerify_repairs what can be, tells what it did and what is lost, and changes nothing without being told to.
func TestVerify_repairs(t *testing.T) {
	dir := t.TempDir()
	c, err := loadConfig("", []string{"ENTREPOT_DATA=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("layer"), 20_000)
	d := digest.FromBytes(content)
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + string(d) + `","size":100000},"layers":[]}`
	on := func(do func(s *store, r *registry.Registry)) {
		t.Helper()
		s, err := openStore(t.Context(), c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		r, err := registry.Open(t.Context(), s.registryConfig(c, slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		do(s, r)
	}
	on(func(s *store, r *registry.Registry) {
		if err := r.PutBlob(t.Context(), "team/app", d, int64(len(content)), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.PutManifest(t.Context(), registry.Put{Repo: "team/app", Ref: "1.0", Body: []byte(manifest)}); err != nil {
			t.Fatal(err)
		}
		err := s.index.Update(t.Context(), func(tx kv.Tx) error {
			tx.Delete("edge/" + string(d) + "!team/app!" + string(digest.FromString(manifest)))
			tx.Put("blob/"+string(d)+"!team/other", nil)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	verify := func(code int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(t.Context(), append([]string{"verify", "--data", dir}, args...), nil, &out, &errs, nil); got != code {
			t.Errorf("%q: exit status %d, want %d: %s%s", args, got, code, out.String(), errs.String())
		}
		return out.String()
	}
	for range 2 {
		if out := verify(1); !strings.Contains(out, "does not keep "+string(d)+" alive") || !strings.Contains(out, "is said to be held by repository team/other") {
			t.Errorf("%s", out)
		}
	}
	out := verify(0, "--repair")
	if !strings.Contains(out, "keeps "+string(d)+" alive again") || !strings.Contains(out, "changed 2 rows of the index; 0 things are lost") || strings.Count(out, "\nread 1 blobs") != 2 {
		t.Errorf("%s", out)
	}
	verify(0)
	on(func(s *store, _ *registry.Registry) {
		if err := s.blobs.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	})
	if out := verify(1, "--repair"); !strings.Contains(out, "this hits team/app:1.0@sha256:") || !strings.Contains(out, "changed 0 rows of the index; 1 things are lost") {
		t.Errorf("%s", out)
	}
}
