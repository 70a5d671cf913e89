package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// stores are what a registry stands on.
type stores struct {
	blobs blob.Store
	index kv.DB
}

func inMemory() stores { return stores{blob.NewMemory(), kv.NewMemory()} }

func onDisk(t testing.TB, dir string) stores {
	t.Helper()
	s, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.index.Close() })
	return s
}

func openFolder(dir string) (s stores, err error) {
	if s.blobs, err = disk.Open(filepath.Join(dir, "content")); err == nil {
		s.index, err = bolt.Open(filepath.Join(dir, "index.db"), bolt.Options{})
	}
	return s, err
}

// failer is a test, or one try of a property.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// choose makes a number from 0 to n-1.
type choose func(n int) int

// furnish runs a registry on the stores while things are pushed, tagged and deleted, and stops it in order.
func (s stores) furnish(t failer, changes int, choose choose) {
	t.Helper()
	r, err := registry.Open(context.Background(), registry.Config{Blobs: s.blobs, Index: s.index, Uploads: kv.NewMemory(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("%v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.Run(ctx)
	}()
	defer func() {
		stop()
		<-stopped
	}()
	var images []ocispec.Descriptor
	repos := []string{"cloud/dmp/a", "cloud/dmp/b", "ran/c"}
	for range changes {
		repo := repos[choose(len(repos))]
		switch choose(6) {
		case 0:
			tag := fmt.Sprintf("v%d", choose(4))
			if err := r.DeleteTag(ctx, repo, tag, nil); err != nil && registry.Code(err) != registry.ManifestUnknown {
				t.Fatalf("%v", err)
			}
		case 1:
			if len(images) > 0 {
				if err := r.DeleteManifest(ctx, repo, images[choose(len(images))].Digest, nil); err != nil && registry.Code(err) != registry.ManifestUnknown {
					t.Fatalf("%v", err)
				}
			}
		default:
			var subject *ocispec.Descriptor
			if len(images) > 0 && choose(3) == 0 {
				subject = &images[choose(len(images))]
			}
			images = append(images, pushImage(t, r, repo, fmt.Sprintf("v%d", choose(4)), subject, choose))
		}
	}
}

// pushImage pushes an image of a small and a large blob.
func pushImage(t failer, r *registry.Registry, repo, tag string, subject *ocispec.Descriptor, choose choose) ocispec.Descriptor {
	t.Helper()
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Subject: subject, Layers: []ocispec.Descriptor{}}
	for i, size := range []int{1 + choose(300), 16<<10 + 1 + choose(60<<10)} {
		content := bytes.Repeat([]byte{byte(choose(256)), byte(choose(256)), byte(i)}, size/3+1)[:size]
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(content), Size: int64(size)}
		if err := r.PutBlob(context.Background(), repo, d.Digest, d.Size, bytes.NewReader(content)); err != nil {
			t.Fatalf("%v", err)
		}
		if m.Config = d; i > 0 {
			m.Layers = append(m.Layers, d)
		}
	}
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatalf("%v", err)
	}
	put, err := r.PutManifest(context.Background(), registry.Put{Repo: repo, Ref: tag, Body: body})
	if err != nil {
		t.Fatalf("%v", err)
	}
	d := put.Descriptor
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// seeded chooses by a seed, always the same.
func seeded(seed string) choose {
	n := 0
	return func(most int) int {
		n++
		d := digest.FromString(fmt.Sprintf("%s %d", seed, n)).Encoded()
		var v uint32
		_, _ = fmt.Sscanf(d[:8], "%x", &v)
		return int(v % uint32(most))
	}
}

func (s stores) rows(t failer) map[string]string {
	t.Helper()
	all := map[string]string{}
	for pair, err := range s.index.Scan(context.Background(), "", "") {
		if err != nil {
			t.Fatalf("%v", err)
		}
		all[pair.Key] = string(pair.Value)
	}
	return all
}

// contents returns all content, by its digest.
func (s stores) contents(t failer) map[digest.Digest]string {
	t.Helper()
	all := map[digest.Digest]string{}
	for info, err := range s.blobs.List(context.Background()) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		all[info.Digest] = read(t, s.blobs, info.Digest)
	}
	return all
}

func read(t failer, from blob.Reader, d digest.Digest) string {
	t.Helper()
	rc, err := from.Open(context.Background(), d, 0)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer rc.Close()
	content, err := io.ReadAll(rc)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(content)
}

// put stores bytes under a digest, whether they match or not.
func put(t testing.TB, to blob.Store, d digest.Digest, content string) {
	t.Helper()
	_, err := to.Append(t.Context(), "put", 0, bytes.NewReader([]byte(content)))
	if err == nil {
		err = to.Commit(t.Context(), "put", d)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// needed returns what the index needs, in order.
func (s stores) needed(t failer) []digest.Digest {
	t.Helper()
	var all []digest.Digest
	for content, err := range Needed(context.Background(), s.index) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		all = append(all, content.Digest)
	}
	slices.Sort(all)
	return all
}

// like wants a registry to be the same as another one, and sound.
func (s stores) like(t failer, other stores) {
	t.Helper()
	s.likeRows(t, s.rows(t), other)
}

// likeBackupOf is like, for a registry that was restored: its journal tells of that, once.
func (s stores) likeBackupOf(t failer, other stores) {
	t.Helper()
	s.likeRows(t, s.restoredRows(t), other)
}

// restoredRows returns the rows that came out of a backup.
func (s stores) restoredRows(t failer) map[string]string {
	t.Helper()
	is, told := s.rows(t), 0
	for key, row := range is {
		if strings.HasPrefix(key, "journal/new/") && strings.Contains(row, `"`+registry.RestoreAction+`"`) {
			told++
			delete(is, key)
		}
	}
	if told != 1 {
		t.Errorf("the journal tells of %d restorations, want one", told)
	}
	return is
}

func (s stores) likeRows(t failer, is map[string]string, other stores) {
	t.Helper()
	if was := other.rows(t); !maps.Equal(is, was) {
		t.Errorf("the index has %d rows, and that of the other %d, or some differ", len(is), len(was))
	}
	contents, others := s.contents(t), other.contents(t)
	for _, d := range other.needed(t) {
		if contents[d] != others[d] || others[d] == "" {
			t.Errorf("content %s has %d bytes, and in the other %d", d, len(contents[d]), len(others[d]))
		}
	}
	if _, err := registry.Verify(context.Background(), s.blobs, s.index, func(problem string) { t.Errorf("verify: %s", problem) }); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// to says how one registry is copied to another.
func (s stores) to(target stores) Config {
	return Config{From: s.blobs, FromIndex: s.index, To: target.blobs, ToIndex: target.index, Name: "the first", Log: slog.New(slog.DiscardHandler)}
}

func migrate(t failer, c Config) Done {
	t.Helper()
	found := c.Found
	c.Found = func(problem string) {
		if found == nil {
			t.Errorf("found: %s", problem)
		} else {
			found(problem)
		}
	}
	done, err := Migrate(context.Background(), c)
	if err != nil {
		t.Fatalf("migrate: %v", err)
	}
	return done
}
