package registry

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// TestOpen_refuses_an_index_of_another_time: a newer program's is not touched, and what is no version is said to be damage.
func TestOpen_refuses_an_index_of_another_time(t *testing.T) {
	for version, reason := range map[string]string{strconv.Itoa(IndexVersion + 1): "newer", "x": "damaged", "": "damaged"} {
		index := kv.NewMemory()
		if err := index.Update(t.Context(), func(tx kv.Tx) error { tx.Put(keyVersion, []byte(version)); return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Config{Blobs: blob.NewMemory(), Index: index}); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("version %q: %v, want a word of %q", version, err, reason)
		}
	}
	r := open(t, func(c *Config) { c.Uploads = nil })
	if err := r.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if again := open(t, func(c *Config) { c.Index, c.Blobs = r.index, r.blobs }); again.ManifestBytes() != DefaultManifestBytes {
		t.Errorf("manifests of %d bytes", again.ManifestBytes())
	}
	set(t, r.index, keyVersion, []byte(strconv.Itoa(IndexVersion+1))) // by a newer program beside it
	if err := r.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("ready on an index of a newer version: %v", err)
	}
	if err := r.index.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Ready(t.Context()); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("ready, though closed: %v", err)
	}
}

// TestRun_leaves_nothing_behind: when it ends, what was pushed lies in the blob store as well, and the journal is sealed and saved.
func TestRun_leaves_nothing_behind(t *testing.T) {
	r := open(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(ended)
	}()
	rich(t, r)
	stop()
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Fatal("it does not end")
	}
	if left := rows(t, r.index, prefixSettle); len(left) > 0 {
		t.Errorf("not settled: %v", left)
	}
	fresh, _, problems := reindexed(t, r.blobs)
	if got, want := visible(t, fresh), visible(t, r.index); got != want || len(problems) > 0 {
		t.Errorf("problems %v, the new index shows\n%s\nthe old one\n%s", problems, got, want)
	}
	if err := r.measure(t.Context()); err != nil || r.StoredBytes() < int64(len(sampleLarge)) {
		t.Errorf("%d bytes are stored, %v", r.StoredBytes(), err)
	}
	before := r.StoredBytes()
	mustPush(t, r, sample, []byte("more"), []byte("more"))
	if r.StoredBytes() != before+4 {
		t.Errorf("%d bytes more", r.StoredBytes()-before)
	}
}

// clerk is an admission.
type clerk struct {
	refuse error
	record func(kv.Tx) error
	stays  map[string]bool // tags that stay where they are
	fixed  map[string]bool // tags that nobody sets or removes
	seen   []Push
}

func (c *clerk) Admit(_ context.Context, p Push) (Verdict, error) {
	c.seen = append(c.seen, p)
	v := Verdict{Tag: func(_ context.Context, _ kv.Tx, tag string, was *Stored) (bool, error) {
		if c.fixed[tag] {
			return false, &Error{Code: Denied, Detail: tag}
		}
		return was != nil && c.stays[tag], nil
	}}
	if c.record != nil {
		v.Record = func(_ context.Context, tx kv.Tx, _ Stored) error { return c.record(tx) }
	}
	return v, c.refuse
}

func (c *clerk) Remove(_ context.Context, _ kv.Tx, _, tag string, _ Stored) error {
	if c.fixed[tag] {
		return &Error{Code: Denied, Detail: tag}
	}
	return nil
}

// TestAdmission_rules_tags: it may leave a tag where it is, which the journal then does not say otherwise, and refuse to have it set or removed.
func TestAdmission_rules_tags(t *testing.T) {
	c := &clerk{stays: map[string]bool{"1.0": true}, fixed: map[string]bool{}}
	r := open(t, func(conf *Config) { conf.Admissions = []Admission{c} })
	config := []byte("{}")
	mustPush(t, r, "a", config)
	put := func(ref, note string) (digest.Digest, error) {
		mustPush(t, r, "a", []byte(note))
		body := imageOf(config, [][]byte{[]byte(note)})
		_, err := r.PutManifest(t.Context(), Put{Repo: "a", Ref: ref, Body: body})
		return digest.FromBytes(body), err
	}
	first, err := put("1.0", "first")
	if err != nil {
		t.Fatal(err)
	}
	second, err := put("1.0", "second")
	if err != nil {
		t.Fatal(err)
	}
	if d, err := r.Resolve(t.Context(), "a", "1.0"); err != nil || d.Digest != first {
		t.Errorf("the tag names %v, %v", d.Digest, err)
	}
	if d, err := r.Resolve(t.Context(), "a", string(second)); err != nil || d.Digest != second {
		t.Errorf("what was pushed is %v, %v", d.Digest, err)
	}
	for line, err := range r.Journal().Tail(t.Context(), 0, 0) {
		if err != nil || line.Event.Tag != "" && line.Event.Digest != string(first) {
			t.Errorf("the journal says %+v, %v", line.Event, err)
		}
	}
	c.fixed["1.0"], c.fixed["new"] = true, true
	_, err = put("new", "third")
	wantCode(t, err, Denied)
	_, err = r.Resolve(t.Context(), "a", "new")
	wantCode(t, err, ManifestUnknown)
	wantCode(t, r.DeleteTag(t.Context(), "a", "1.0", nil), Denied)
	wantCode(t, r.DeleteManifest(t.Context(), "a", first, nil), Denied)
	if d, err := r.Resolve(t.Context(), "a", "1.0"); err != nil || d.Digest != first {
		t.Errorf("in the end the tag names %v, %v", d.Digest, err)
	}
}

// TestAdmission: what it records and the manifest are there together or not at all.
func TestAdmission(t *testing.T) {
	c := &clerk{}
	r := open(t, func(conf *Config) { conf.Admissions = []Admission{&clerk{}, c} })
	config := []byte("{}")
	mustPush(t, r, "a", config)
	body := imageOf(config, nil)
	put := func() error {
		_, err := r.PutManifest(t.Context(), Put{Repo: "a", Ref: "x", Tags: []string{"y"}, Body: body})
		return err
	}
	nothing := func(why string) {
		t.Helper()
		_, err := r.Resolve(t.Context(), "a", "x")
		wantCode(t, err, ManifestUnknown)
		if left := rows(t, r.index, "comp/"); len(left) > 0 {
			t.Errorf("%s: recorded %v", why, left)
		}
	}
	c.refuse = &Error{Code: Denied, Detail: "no"}
	wantCode(t, put(), Denied)
	nothing("refused")
	fault := errors.New("out of ink")
	c.refuse, c.record = nil, func(tx kv.Tx) error { tx.Put("comp/a", nil); return fault }
	if err := put(); !errors.Is(err, fault) {
		t.Error(err)
	}
	nothing("the record failed")
	c.record = func(tx kv.Tx) error { tx.Put("comp/a", nil); return nil }
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if len(rows(t, r.index, "comp/")) != 1 {
		t.Error("nothing is recorded")
	}
	last := c.seen[len(c.seen)-1]
	if last.Repo != "a" || strings.Join(last.Tags, " ") != "x y" || last.Manifest.Descriptor.Digest != digest.FromBytes(body) || string(last.Bytes) != string(body) {
		t.Errorf("it was shown %+v", last)
	}
}

// TestVerify_finds damage of every kind.
func TestVerify_finds(t *testing.T) {
	cases := map[string]struct {
		damage func(tx kv.Tx)
		found  string
	}{
		"a damaged blob row":      {func(tx kv.Tx) { tx.Put(keyBlob(digest.FromBytes(sampleLarge)), []byte("x")) }, "its row in the index is damaged"},
		"a wrong size":            {func(tx kv.Tx) { tx.Put(keyBlob(digest.FromBytes(sampleLarge)), stock{size: 7}.row()) }, "instead of 7"},
		"other bytes":             {func(tx kv.Tx) { tx.Put(keyData(digest.FromBytes(sampleSmall)), make([]byte, len(sampleSmall))) }, "its content has the digest"},
		"a missing blob":          {func(tx kv.Tx) { tx.Delete(keyBlob(digest.FromBytes(sampleLarge))) }, "which is not there"},
		"a damaged manifest row":  {func(tx kv.Tx) { tx.Put(keyRev(sample, digest.FromBytes(sampleImage1)), []byte("x")) }, "is damaged"},
		"a missing manifest":      {func(tx kv.Tx) { tx.Delete(keyMan(digest.FromBytes(sampleImage1))) }, "is missing"},
		"another manifest":        {func(tx kv.Tx) { tx.Put(keyMan(digest.FromBytes(sampleImage1)), sampleImage2) }, "do not match"},
		"a manifest that is none": {func(tx kv.Tx) { tx.Put(keyMan(digest.FromBytes(sampleImage1)), []byte("{}")) }, "do not match the digest"},
		"a missing edge": {func(tx kv.Tx) {
			tx.Delete(keyEdge(digest.FromBytes(sampleSmall), sample, digest.FromBytes(sampleImage1)))
		}, "does not keep"},
		"a damaged tag":          {func(tx kv.Tx) { tx.Put(keyTag(sample, "1.0"), []byte("x")) }, "is damaged"},
		"a tag of nothing":       {func(tx kv.Tx) { tx.Put(keyTag(sample, "1.0"), Stored{}.row()) }, "does not have"},
		"a missing pack":         {func(tx kv.Tx) { tx.Put(keyPack(digest.FromString("none")), nil) }, "its content is missing"},
		"a changed journal line": {func(tx kv.Tx) { tx.Put("journal/log/0000000000000001", []byte("x")) }, "journal"},
	}
	for what, c := range cases {
		r := open(t)
		rich(t, r)
		saveAll(t, r)
		if err := r.index.Update(t.Context(), func(tx kv.Tx) error { c.damage(tx); return nil }); err != nil {
			t.Fatal(err)
		}
		var problems []string
		if _, err := Verify(t.Context(), r.blobs, r.index, func(p string) { problems = append(problems, p) }); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !strings.Contains(strings.Join(problems, "\n"), c.found) {
			t.Errorf("%s: %q, want a word of %q", what, problems, c.found)
		}
	}
}
