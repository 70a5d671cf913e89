package importer

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob/s3"
)

func TestOpenFolder_refuses_what_is_none(t *testing.T) {
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	linked := t.TempDir()
	if err := os.MkdirAll(filepath.Join(linked, "docker/registry"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(newTree(t).at(), filepath.Join(linked, "docker/registry/v2")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{empty, file, linked, filepath.Join(empty, "none")} {
		if f, err := OpenFolder(dir); err == nil {
			f.Close()
			t.Errorf("OpenFolder(%s): no error, want that it is no data folder", dir)
		}
	}
}

// Everything comes that is sound, and everything that is not is told of, by itself.
func TestFolder_damaged_entries_stop_nothing_else(t *testing.T) {
	eachMedium(t, func(t *testing.T, f tree) {
		good, _ := f.image("team/app", "good", "good")
		_, cut := f.image("team/app", "cut", "cut")
		_, changed := f.image("team/app", "changed", "changed")
		_, unlinked := f.image("team/app", "unlinked", "unlinked")
		_, gone := f.image("team/app", "gone", "gone")
		_, crossed := f.image("team/app", "crossed", "crossed")
		rotten, _ := f.image("team/app", "rotten", "rotten")
		deleted, _ := f.image("team/app", "deleted", "deleted")
		f.image("other", "good", "other")

		overwrite := func(path, content string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		remove := func(path string) {
			t.Helper()
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
		overwrite(f.data(cut.Digest), "cut")
		overwrite(f.data(changed.Digest), strings.Repeat("Changed ", 10_000))
		remove(f.at("repositories/team/app/_layers/sha256", unlinked.Digest.Encoded()))
		remove(f.data(gone.Digest))
		overwrite(f.data(rotten.Digest), "{}")
		remove(f.at("repositories/team/app/_manifests/revisions/sha256", deleted.Digest.Encoded()))
		f.write(string(good.Digest), "repositories/team/app/_layers/sha256", crossed.Digest.Encoded(), "link")
		long := strings.Repeat("a", 1<<20)
		f.write(long, "repositories/team/app/_manifests/tags/long/current/link")
		f.write("../../../../../../../etc/passwd", "repositories/team/app/_manifests/tags/path/current/link")
		f.write(string(good.Digest)+"\n", "repositories/team/app/_manifests/tags/newline/current/link")
		f.write(string(good.Digest), "repositories/team/app/_manifests/tags/.bad/current/link")
		f.write(string(good.Digest), "repositories/Upper/_manifests/tags/1.0/current/link")
		f.manifest("team/app", "old", map[string]any{"schemaVersion": 1, "name": "team/app"})

		to := newLocal(t)
		report := runAll(t, Config{From: f.open(), To: to, Tagged: true})
		told(t, report, "its file is damaged", "names "+string(good.Digest), "tag changed: blob", "tag unlinked: blob", "tag gone: blob", "tag rotten: manifest", "tag deleted: it names", "tag long: the link",
			"tag path: the link", "tag newline: the link", `".bad" among the tags`, `"Upper" is no name`, "schema 1")
		for _, name := range [][2]string{{"team/app", "good"}, {"other", "good"}} {
			if _, err := to.Registry.Resolve(t.Context(), name[0], name[1]); err != nil {
				t.Errorf("%s:%s did not come: %v", name[0], name[1], err)
			}
		}
		var tags []string
		for tag, err := range to.Registry.Tags(t.Context(), "team/app", "") {
			if err != nil {
				t.Fatal(err)
			}
			tags = append(tags, tag)
		}
		if !slices.Equal(tags, []string{"good"}) {
			t.Errorf("tags of team/app are %v, want the good one alone", tags)
		}
		for _, d := range []digest.Digest{cut.Digest, crossed.Digest, changed.Digest, unlinked.Digest, gone.Digest} {
			if _, err := to.Registry.Blob(t.Context(), "team/app", d); registry.Code(err) != registry.BlobUnknown {
				t.Errorf("damaged layer %s: %v, want that it did not come", d, err)
			}
		}
	})
}

// A repository reads what it has a link to, and not what another one has.
func TestFolder_links_say_who_may_read(t *testing.T) {
	eachMedium(t, func(t *testing.T, f tree) {
		_, private := f.image("private", "1.0", "private")
		m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: private, Layers: []ocispec.Descriptor{}}
		m.SchemaVersion = 2
		f.manifest("public", "1.0", m)
		to := newLocal(t)
		report := runAll(t, Config{From: f.open(), To: to, Repositories: []string{"public"}})
		told(t, report, "no link to it") // told once, although the manifest is there without its tag as well
		if report.Came.Tags+report.Came.Blobs > 0 {
			t.Errorf("%+v came, want nothing", report.Came)
		}
	})
}

// A server that lists names which lead elsewhere is not followed there, nor round in circles.
func TestFolder_names_that_lead_elsewhere_are_not_followed(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prefix := r.URL.Query().Get("prefix")
		asked = append(asked, prefix)
		fmt.Fprint(w, "<ListBucketResult><IsTruncated>false</IsTruncated>")
		switch {
		case len(asked) > 50: // it goes round in circles
		case prefix == layout+"/repositories/":
			fmt.Fprintf(w, "<CommonPrefixes><Prefix>%steam/</Prefix></CommonPrefixes>", prefix)
		case strings.HasSuffix(prefix, "team/"):
			for _, name := range []string{"../", "./", "/", "a/b/", "_manifests/"} {
				fmt.Fprintf(w, "<CommonPrefixes><Prefix>%s%s</Prefix></CommonPrefixes>", prefix, name)
			}
		}
		fmt.Fprint(w, "</ListBucketResult>")
	}))
	defer server.Close()
	bucket, err := s3.OpenFolder(t.Context(), s3.Config{Bucket: "old", Endpoint: server.URL, PathStyle: true, AccessKey: "key", SecretKey: "secret", Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFolder(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	var names, faults []string
	for name, err := range f.Repositories(t.Context()) {
		if err != nil {
			faults = append(faults, err.Error())
		} else {
			names = append(names, name)
		}
	}
	if !slices.Equal(names, []string{"team"}) || len(faults) != 4 {
		t.Errorf("repositories are %q, with the faults %q; want the one, and a fault for each name that leads elsewhere", names, faults)
	}
	if len(asked) != 3 {
		t.Errorf("asked for %q, want the two folders that there are, the first of them twice", asked)
	}
}
