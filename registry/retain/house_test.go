package retain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// tester is what of a test is needed here, which those of package rapid have too.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// house is a registry whose time the test moves.
type house struct {
	t     tester
	ctx   context.Context
	reg   *registry.Registry
	index kv.DB
	ahead atomic.Int64
	count int
}

const day = 24 * time.Hour

var epoch = time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)

func (h *house) now() time.Time          { return epoch.Add(time.Duration(h.ahead.Load())) }
func (h *house) advance(d time.Duration) { h.ahead.Add(int64(d)) }

func build(ctx context.Context, t tester, admissions ...registry.Admission) *house {
	t.Helper()
	h := &house{t: t, ctx: ctx, index: kv.NewMemory()}
	var err error
	h.reg, err = registry.Open(ctx, registry.Config{Blobs: blob.NewMemory(), Index: h.index, Now: h.now, Admissions: admissions})
	h.must(err)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// retention is by rules, with a grace of a day.
func (h *house) retention(rules []Rule, change ...func(*Config)) *Retention {
	h.t.Helper()
	c := Config{Registry: h.reg, Index: h.index, Rules: rules, Grace: day, Rate: 1_000_000, Now: h.now}
	for _, f := range change {
		f(&c)
	}
	r, err := New(c)
	h.must(err)
	return r
}

// put stores a manifest under tags, or without one.
func (h *house) put(repo string, body []byte, tags ...string) digest.Digest {
	h.t.Helper()
	d := digest.FromBytes(body)
	_, err := h.reg.PutManifest(h.ctx, registry.Put{Repo: repo, Ref: string(d), Tags: tags, Body: body})
	h.must(err)
	return d
}

// image stores one that is like no other.
func (h *house) image(repo string, tags ...string) digest.Digest {
	h.t.Helper()
	return h.put(repo, h.manifest(repo, nil), tags...)
}

// about stores an image that refers to another manifest.
func (h *house) about(repo string, subject digest.Digest, tags ...string) digest.Digest {
	h.t.Helper()
	return h.put(repo, h.manifest(repo, &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 10}), tags...)
}

func (h *house) manifest(repo string, subject *ocispec.Descriptor) []byte {
	h.t.Helper()
	h.count++
	config := []byte(fmt.Sprintf(`{"number": %d}`, h.count))
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
	h.must(h.reg.PutBlob(h.ctx, repo, d.Digest, d.Size, bytes.NewReader(config)))
	return encode(h.t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: d, Layers: []ocispec.Descriptor{}, Subject: subject,
	})
}

// indexOf stores an index of manifests.
func (h *house) indexOf(repo string, parts []digest.Digest, tags ...string) digest.Digest {
	h.t.Helper()
	h.count++
	m := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{},
		Annotations: map[string]string{"number": fmt.Sprint(h.count)}}
	for _, d := range parts {
		m.Manifests = append(m.Manifests, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: 10})
	}
	return h.put(repo, encode(h.t, m), tags...)
}

func encode(t tester, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tags are those of a repository, sorted.
func (h *house) tags(repo string) (all []string) {
	h.t.Helper()
	for tag, err := range h.reg.Tags(h.ctx, repo, "") {
		if registry.Code(err) == registry.NameUnknown {
			return nil
		}
		h.must(err)
		all = append(all, tag)
	}
	return all
}

// has tells whether a repository has something, by its tag or digest.
func (h *house) has(repo, ref string) bool {
	_, err := h.reg.Stored(h.ctx, repo, ref)
	if err != nil && registry.Code(err) == "" {
		h.t.Fatal(err)
	}
	return err == nil
}

// plan returns all fates, by repository and what each is about.
func (h *house) plan(r *Retention) (map[string]Fate, Tally) {
	h.t.Helper()
	all := map[string]Fate{}
	tally, err := r.Plan(h.ctx, "", func(f Fate) {
		key := f.Repo + " " + name(f)
		if _, twice := all[key]; twice {
			h.t.Errorf("the plan tells twice of %s", key)
		}
		all[key] = f
	})
	h.must(err)
	return all, tally
}

// going are the keys of what goes, sorted.
func going(plan map[string]Fate) (all []string) {
	for key, f := range plan {
		if f.Goes {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

func (h *house) run(r *Retention) Result {
	h.t.Helper()
	result, err := r.Start(h.ctx, nil)
	h.must(err)
	return result
}

// state are all tags and manifests of some repositories, as going writes them.
func (h *house) state() (all []string) {
	h.t.Helper()
	seen := map[string]bool{}
	from, to := kv.Prefix("rev/")
	for p, err := range h.index.Scan(h.ctx, from, to) {
		h.must(err)
		parts := strings.Split(strings.TrimPrefix(p.Key, "rev/"), "!")
		seen[parts[0]+" "+parts[len(parts)-1]] = true
	}
	return slices.Sorted(maps.Keys(seen))
}
