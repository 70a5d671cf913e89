package registry

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

const sample = "cloud/dmp/ms-ingestion"

var (
	sampleConfig = []byte(`{"architecture":"amd64"}`)
	sampleSmall  = octets("sample small", 500)
	sampleLarge  = octets("sample large", 5*smallBlob)
	sampleImage1 = imageOf(sampleConfig, [][]byte{sampleSmall, sampleLarge}, annotated("1"))
	sampleImage2 = imageOf(sampleConfig, [][]byte{sampleLarge}, annotated("2"))
	sampleIndex  = indexOf(sampleImage1, sampleImage2)
	sampleNote   = referrerOf(sampleImage1, "application/x-note", sampleConfig)
)

// rich fills a registry with everything that there is, and with what was there and is no more.
func rich(t *testing.T, r *Registry) {
	t.Helper()
	mustPush(t, r, sample, sampleConfig, sampleSmall, sampleLarge)
	mustPut(t, r, sample, "1.0", sampleImage1)
	mustPut(t, r, sample, string(digest.FromBytes(sampleImage1)), sampleImage1, "1", "latest")
	mustPut(t, r, sample, "2.0", sampleImage2)
	mustPut(t, r, sample, "latest", sampleImage2)
	mustPut(t, r, sample, "multi", sampleIndex)
	mustPut(t, r, sample, string(digest.FromBytes(sampleNote)), sampleNote)
	if _, err := r.Mount(t.Context(), "ran/other", digest.FromBytes(sampleLarge), sample, func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	mustPush(t, r, "ran/other", sampleConfig)
	mustPut(t, r, "ran/other", "same", sampleImage2)
	mustPush(t, r, "was/once", sampleConfig, sampleLarge)
	mustPut(t, r, "was/once", "here", sampleImage2)
	if err := r.DeleteManifest(t.Context(), "was/once", digest.FromBytes(sampleImage2), nil); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteBlob(t.Context(), "was/once", digest.FromBytes(sampleLarge)); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteTag(t.Context(), sample, "1", nil); err != nil {
		t.Fatal(err)
	}
	// A manifest that was deleted and pushed again.
	if err := r.DeleteManifest(t.Context(), sample, digest.FromBytes(sampleIndex), nil); err != nil {
		t.Fatal(err)
	}
	mustPut(t, r, sample, "multi", sampleIndex)
}

// visible is what clients can see of an index: without times, which a new index has from the journal.
func visible(t *testing.T, v kv.View) string {
	t.Helper()
	var b strings.Builder
	for _, prefix := range []string{prefixRepo, prefixHold, prefixBlob, prefixRev, prefixTag, prefixRef, prefixEdge} {
		from, to := kv.Prefix(prefix)
		for p, err := range v.Scan(t.Context(), from, to) {
			if err != nil {
				t.Fatal(err)
			}
			value := string(p.Value)
			switch prefix {
			case prefixRepo:
				value = ""
			case prefixBlob:
				if !strings.Contains(p.Key, "!") {
					continue // what lies in no repository is seen by nobody
				}
			case prefixHold:
				value, _, _ = strings.Cut(value, "\t")
			case prefixRev, prefixTag:
				f := fields(value)
				f[4] = ""
				value = strings.Join(f[:], "\t")
			}
			fmt.Fprintf(&b, "%s = %s\n", p.Key, value)
		}
	}
	return b.String()
}

// reindexed builds a new index and returns it with what was said about it.
func reindexed(t *testing.T, store blob.Store) (kv.DB, Reindexed, []string) {
	t.Helper()
	fresh := kv.NewMemory()
	var problems []string
	done, err := Reindex(t.Context(), store, fresh, func(problem string) { problems = append(problems, problem) })
	if err != nil {
		t.Fatalf("reindex: %v", err)
	}
	return fresh, done, problems
}

func TestReindex_brings_everything_back(t *testing.T) {
	for _, place := range []string{"memory", "files"} {
		t.Run(place, func(t *testing.T) {
			r := open(t)
			if place == "files" {
				r = open(t, onDisk(t))
			}
			rich(t, r)
			saveAll(t, r)
			mustPush(t, r, sample, []byte("and a little more"))
			saveAll(t, r)
			fresh, done, problems := reindexed(t, r.blobs)
			if len(problems) > 0 {
				t.Errorf("problems: %v", problems)
			}
			if got, want := visible(t, fresh), visible(t, r.index); got != want {
				t.Errorf("the new index shows\n%s\nthe old one\n%s", got, want)
			}
			if done.Tags != 5 || done.Manifests != 4 || done.Blobs != 4 || done.Events == 0 || done.Until.IsZero() {
				t.Errorf("done: %+v", done)
			}
			verified(t, r.blobs, fresh)
			again := open(t, func(c *Config) { c.Blobs, c.Index = r.blobs, fresh })
			whole(t, again, "after reindex")
			// Life goes on in it, and it can be lost again.
			mustPush(t, again, sample, []byte("after the loss"))
			mustPut(t, again, sample, "after", imageOf([]byte("after the loss"), nil))
			saveAll(t, again)
			twice, _, problems := reindexed(t, r.blobs)
			if got, want := visible(t, twice), visible(t, fresh); got != want || len(problems) > 0 {
				t.Errorf("lost twice: %v\n%s\nwant\n%s", problems, got, want)
			}
			verified(t, r.blobs, twice)
		})
	}
}

func TestReindex_wants_an_empty_index(t *testing.T) {
	r := open(t)
	if _, err := Reindex(t.Context(), r.blobs, r.index, func(string) {}); err == nil {
		t.Error("an index with content is written over")
	}
}

// rot changes a byte in the middle of stored content.
func rot(t *testing.T, store blob.Store, d digest.Digest) {
	t.Helper()
	content := stored(t, store, d)
	content[len(content)/2] ^= 1
	if _, err := store.Append(t.Context(), "rot", 0, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := store.Commit(t.Context(), "rot", d); err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, store blob.Store, d digest.Digest) []byte {
	t.Helper()
	rc, err := store.Open(t.Context(), d, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(rc); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestReindex_reports_what_is_lost takes content away, or lets it rot. What needs it is told of; the rest comes back.
func TestReindex_reports_what_is_lost(t *testing.T) {
	damages := map[string]func(t *testing.T, store blob.Store, d digest.Digest){
		"rotten": rot,
		"missing": func(t *testing.T, store blob.Store, d digest.Digest) {
			if err := store.Delete(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		},
	}
	for how, damage := range damages {
		t.Run("blob/"+how, func(t *testing.T) {
			r := open(t)
			rich(t, r)
			saveAll(t, r)
			damage(t, r.blobs, digest.FromBytes(sampleLarge))
			fresh, done, problems := reindexed(t, r.blobs)
			if !strings.Contains(strings.Join(problems, "\n"), string(digest.FromBytes(sampleLarge))) {
				t.Errorf("nothing is said of the blob: %q", problems)
			}
			if done.Tags != 5 || done.Manifests != 4 {
				t.Errorf("done: %+v", done)
			}
			back := open(t, func(c *Config) { c.Blobs, c.Index = r.blobs, fresh })
			_, err := readBlob(t.Context(), back, sample, digest.FromBytes(sampleLarge))
			wantCode(t, err, BlobUnknown)
			whole(t, back, "after reindex")
		})
		t.Run("pack/"+how, func(t *testing.T) {
			r := open(t)
			mustPush(t, r, sample, sampleConfig, sampleSmall, sampleLarge)
			mustPut(t, r, sample, "1.0", sampleImage1)
			mustPut(t, r, sample, "latest", sampleImage1)
			saveAll(t, r)
			before := rows(t, r.index, prefixPack)
			mustPut(t, r, sample, "2.0", sampleImage2)
			mustPut(t, r, sample, "latest", sampleImage2)
			saveAll(t, r)
			for key := range rows(t, r.index, prefixPack) {
				if _, old := before[key]; !old {
					damage(t, r.blobs, digest.Digest(strings.TrimPrefix(key, prefixPack)))
				}
			}
			fresh, _, problems := reindexed(t, r.blobs)
			if !strings.Contains(strings.Join(problems, "\n"), string(digest.FromBytes(sampleImage2))) || !strings.Contains(strings.Join(problems, "\n"), "2.0") {
				t.Errorf("nothing is said of the manifest and its tag: %q", problems)
			}
			back := open(t, func(c *Config) { c.Blobs, c.Index = r.blobs, fresh })
			if desc, err := back.Resolve(t.Context(), sample, "1.0"); err != nil || desc.Digest != digest.FromBytes(sampleImage1) {
				t.Errorf("the tag that lost nothing: %v, %v", desc, err)
			}
			_, err := back.Resolve(t.Context(), sample, "2.0")
			wantCode(t, err, ManifestUnknown)
			whole(t, back, "after reindex")
			verified(t, r.blobs, fresh)
		})
		t.Run("journal/"+how, func(t *testing.T) {
			r := open(t)
			rich(t, r)
			saveAll(t, r)
			for _, d := range rows(t, r.index, prefixSegment) {
				damage(t, r.blobs, digest.Digest(d))
			}
			fresh, done, problems := reindexed(t, r.blobs)
			if how == "rotten" && len(problems) == 0 {
				t.Error("nothing is said of the journal")
			}
			if done.Events != 0 || done.Blobs == 0 {
				t.Errorf("done: %+v", done)
			}
			verified(t, r.blobs, fresh)
		})
	}
}

// TestReindex_does_not_set_a_tag_back: a tag whose last manifest is lost names nothing. To let it name the one before would be to deploy an
// old version in silence.
func TestReindex_does_not_set_a_tag_back(t *testing.T) {
	r := open(t)
	mustPush(t, r, sample, sampleConfig, sampleLarge)
	mustPush(t, r, sample, sampleSmall)
	mustPut(t, r, sample, "latest", sampleImage1)
	saveAll(t, r)
	before := rows(t, r.index, prefixPack)
	mustPut(t, r, sample, "latest", sampleImage2)
	saveAll(t, r)
	for key := range rows(t, r.index, prefixPack) {
		if _, old := before[key]; !old {
			if err := r.blobs.Delete(t.Context(), digest.Digest(strings.TrimPrefix(key, prefixPack))); err != nil {
				t.Fatal(err)
			}
		}
	}
	fresh, _, _ := reindexed(t, r.blobs)
	back := open(t, func(c *Config) { c.Blobs, c.Index = r.blobs, fresh })
	desc, err := back.Resolve(t.Context(), sample, "latest")
	if err == nil && desc.Digest == digest.FromBytes(sampleImage1) {
		t.Errorf("latest named %s, its manifest is lost, and now it names %s, which it named before", digest.FromBytes(sampleImage2), desc.Digest)
	}
}

// TestReindex_counts_what_came_back_before_a_gap: when segments are missing, the report tells of what there is nevertheless.
func TestReindex_counts_what_came_back_before_a_gap(t *testing.T) {
	r := open(t)
	rich(t, r)
	saveAll(t, r)
	// A second segment, as if the first were closed, and then the first is lost.
	head, err := r.journal.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range rows(t, r.index, prefixSegment) {
		if err := r.blobs.Delete(t.Context(), digest.Digest(d)); err != nil {
			t.Fatal(err)
		}
	}
	body, err := r.journal.Export(t.Context(), 5, head+1)
	if err == nil {
		err = r.store(t.Context(), digest.FromBytes(body), body)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, done, problems := reindexed(t, r.blobs)
	if len(problems) != 1 || !strings.Contains(problems[0], "lines 1 to 4 are missing") {
		t.Errorf("problems: %q", problems)
	}
	if done.Blobs == 0 || done.Manifests == 0 {
		t.Errorf("content is there, and the report says %+v", done)
	}
}

// TestReindex_of_segments_that_overlap takes the longer one of two that begin at the same line: a crash may leave an older copy.
func TestReindex_of_segments_that_overlap(t *testing.T) {
	r := open(t)
	rich(t, r)
	saveAll(t, r)
	body, err := r.journal.Export(t.Context(), 1, 4)
	if err == nil {
		err = r.store(t.Context(), digest.FromBytes(body), body)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !journal.IsSegment(body[:64]) {
		t.Error("a segment is not known as such by its first 64 bytes")
	}
	fresh, _, problems := reindexed(t, r.blobs)
	if got, want := visible(t, fresh), visible(t, r.index); got != want || len(problems) > 0 {
		t.Errorf("problems %v, the new index shows\n%s\nthe old one\n%s", problems, got, want)
	}
}

// TestReindex_of_a_long_journal: it is saved in several segments, of which only the last is ever written anew.
func TestReindex_of_a_long_journal(t *testing.T) {
	r := open(t)
	rich(t, r)
	for i := range segmentSize + 200 {
		mustPut(t, r, sample, "latest", [][]byte{sampleImage1, sampleImage2}[i%2])
		if i%1000 == 0 {
			saveAll(t, r)
		}
	}
	saveAll(t, r)
	segments := rows(t, r.index, prefixSegment)
	if len(segments) != 2 {
		t.Errorf("segments: %v", segments)
	}
	kept := map[digest.Digest]bool{}
	for info, err := range r.blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if content := stored(t, r.blobs, info.Digest); journal.IsSegment(content) {
			kept[info.Digest] = true
		}
	}
	for at, d := range segments {
		if !kept[digest.Digest(d)] {
			t.Errorf("%s is not among the content", at)
		}
		delete(kept, digest.Digest(d))
	}
	if len(kept) > 0 {
		t.Errorf("segments that were replaced are still there: %v", kept)
	}
	fresh, done, problems := reindexed(t, r.blobs)
	if got, want := visible(t, fresh), visible(t, r.index); got != want || len(problems) > 0 || done.Events < segmentSize {
		t.Errorf("%+v, problems %v, the new index shows\n%s\nthe old one\n%s", done, problems, got, want)
	}
	verified(t, r.blobs, fresh)
}
