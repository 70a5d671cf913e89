package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	godigest "github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	content "github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// largeIndex is filled below the server, for it would take it an hour to be told of so many. The registry's own code writes the rows of one image; those of all
// others are the same with another repository, tag and digest. What it writes for later (the journal's events, what waits to be copied) is left out: a registry
// that has so many has done with most of that long ago.
var largeIndex = &stock{"a large index", func(ctx context.Context, s *site) error {
	s.stop()
	index, err := s.openIndex(ctx)
	if err != nil {
		return err
	}
	err = fillLarge(ctx, index, s.img, s.opt.manifests)
	if closed := index.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	_, err = s.start(ctx, s.peer.ready)
	return err
}}

// openIndex opens the index of a server that is stopped.
func (s *site) openIndex(ctx context.Context) (kv.DB, error) {
	if s.ground != nil {
		return s.ground.openDatabase(ctx)
	}
	return bolt.Open(filepath.Join(s.dir, "data", "index.db"), bolt.Options{})
}

// perRepo is how many manifests a repository of a large index has, each with a tag.
const perRepo = 1000

// largeName is where the manifest of a number is, as fixed in length as its tag.
func largeName(i int) (repo, tag string) {
	return fmt.Sprintf("bench/large-%06d", i/perRepo), fmt.Sprintf("v%09d", i)
}

// model is the rows of one image, and what is in them another's.
type model struct {
	repo, tag, digest string
	body              []byte
	each, shared      []kv.Pair // rows of a manifest; rows of its repository
}

func fillLarge(ctx context.Context, index kv.DB, img image, n int) error {
	m, err := newModel(ctx, img)
	if err != nil {
		return err
	}
	in := &filling{ctx: ctx, index: index}
	for _, row := range m.shared {
		for i := 0; i < n; i += perRepo {
			repo, _ := largeName(i)
			put := strings.NewReplacer(m.repo, repo)
			in.put(put.Replace(row.Key), []byte(put.Replace(string(row.Value))))
		}
	}
	digests := make([]string, n)
	for i := range digests {
		digests[i] = godigest.FromBytes(img.numbered(i)).String()
	}
	// Row by row, each in the order of its keys: what is written together then lies together.
	for _, row := range m.each {
		type at struct {
			key string
			i   int
		}
		all := make([]at, n)
		for i := range all {
			all[i] = at{m.other(row.Key, i, digests[i]), i}
		}
		slices.SortFunc(all, func(a, b at) int { return strings.Compare(a.key, b.key) })
		for _, a := range all {
			value := img.numbered(a.i)
			if !bytes.Equal(row.Value, m.body) {
				value = []byte(m.other(string(row.Value), a.i, digests[a.i]))
			}
			in.put(a.key, value)
		}
	}
	return in.flush()
}

// newModel has a registry push one image into an index of its own.
func newModel(ctx context.Context, img image) (*model, error) {
	index := kv.NewMemory()
	reg, err := registry.Open(ctx, registry.Config{Index: index, Blobs: content.NewMemory()})
	if err != nil {
		return nil, err
	}
	m := &model{body: img.numbered(0)}
	m.repo, m.tag = largeName(0)
	for _, b := range []blob{img.config, img.layer} {
		var bytes bytes.Buffer
		_ = b.write(&bytes, 0, b.size)
		if err := reg.PutBlob(ctx, m.repo, godigest.Digest(b.digest), b.size, &bytes); err != nil {
			return nil, err
		}
	}
	put, err := reg.PutManifest(ctx, registry.Put{Repo: m.repo, Ref: m.tag, ContentType: imageType, Body: m.body})
	if err != nil {
		return nil, err
	}
	m.digest = put.Descriptor.Digest.String()
	for row, err := range index.Scan(ctx, "", "") {
		switch {
		case err != nil:
			return nil, err
		case strings.HasPrefix(row.Key, "journal/"), strings.HasPrefix(row.Key, "settle/"):
		case strings.Contains(row.Key, m.digest):
			m.each = append(m.each, row)
		case strings.Contains(row.Key, m.tag):
			m.each = append(m.each, row)
		case !strings.HasPrefix(row.Key, "meta/"):
			m.shared = append(m.shared, row)
		}
	}
	return m, nil
}

// other makes a text about the first manifest one about another.
func (m *model) other(text string, i int, digest string) string {
	repo, tag := largeName(i)
	return strings.NewReplacer(m.digest, digest, m.repo, repo, m.tag, tag).Replace(text)
}

// numbered is a manifest whose digest follows from its number; all have the same length.
func (i image) numbered(n int) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},`+
		`"layers":[{"mediaType":%q,"digest":%q,"size":%d}],"annotations":{"bench":"%016x-%012d"}}`,
		imageType, configType, i.config.digest, i.config.size, layerType, i.layer.digest, i.layer.size, seed, n)
}

// filling writes many rows, some at once.
type filling struct {
	ctx   context.Context
	index kv.DB
	rows  []kv.Pair
	err   error
}

func (f *filling) put(key string, value []byte) {
	if f.rows = append(f.rows, kv.Pair{Key: key, Value: value}); len(f.rows) == 10_000 {
		f.err = f.flush()
	}
}

func (f *filling) flush() error {
	if f.err != nil || len(f.rows) == 0 {
		return f.err
	}
	err := f.index.Update(f.ctx, func(tx kv.Tx) error {
		for _, row := range f.rows {
			tx.Put(row.Key, row.Value)
		}
		return nil
	})
	f.rows = f.rows[:0]
	return err
}

// sizeOf is the size of a file.
func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
