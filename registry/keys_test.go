package registry

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

var update = flag.Bool("update", false, "write the golden files anew")

// volatile is what differs from one run to the next, and what stands for it in the golden file.
var volatile = []struct {
	found *regexp.Regexp
	put   string
}{
	{regexp.MustCompile(`"(hash|prev)":"[0-9a-f]{64}"`), `"$1":"<hash>"`},
	{regexp.MustCompile(`"time":"[^"]*"`), `"time":"<time>"`},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`"id":"[0-9A-Z]{26}"`), `"id":"<id>"`},
	{regexp.MustCompile(`^journal/new/[0-9A-Z]{26}`), "journal/new/<id>"},
}

// TestKeys prints every key and value of a sample: what is stored under which key changes only on purpose.
func TestKeys(t *testing.T) {
	var c clock
	index, uploads, store := kv.NewMemory(), kv.NewMemory(), blob.NewMemory()
	r := open(t, func(conf *Config) { conf.Blobs, conf.Index, conf.Uploads, conf.Now = store, index, uploads, c.now })
	ctx := as(t.Context(), "user:alice")
	const repo = "cloud/dmp/ms-ingestion"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(repo, ref string, body []byte, tags ...string) digest.Digest {
		t.Helper()
		res, err := r.PutManifest(ctx, Put{Repo: repo, Ref: ref, Tags: tags, Body: body})
		must(err)
		return res.Descriptor.Digest
	}
	config, small, large := []byte(`{"architecture":"amd64"}`), []byte("a small layer"), octets("large", smallBlob+1)
	must(push(ctx, r, repo, config))
	must(push(ctx, r, repo, small))
	must(push(ctx, r, repo, large))
	c.advance(time.Hour)
	body := imageOf(config, [][]byte{small, large})
	image := put(repo, "1.0.2", body)
	put(repo, string(image), body, "1.0", "latest")
	c.advance(time.Hour)
	list := indexOf(body)
	put(repo, "multi", list)
	put(repo, "latest", list) // moves
	signature := []byte("{}")
	must(push(ctx, r, repo, signature))
	put(repo, string(digest.FromBytes(referrerOf(body, "application/vnd.example.signature", signature))), referrerOf(body, "application/vnd.example.signature", signature))
	mounted, err := r.Mount(ctx, "ran/other", digest.FromBytes(large), repo, func(string) bool { return true })
	if must(err); !mounted {
		t.Fatal("not mounted")
	}
	gone := []byte("soon gone")
	must(push(ctx, r, "ran/other", gone))
	goneManifest := put("ran/other", "old", imageOf(gone, nil))
	must(r.DeleteTag(ctx, repo, "1.0", nil))
	must(r.DeleteManifest(ctx, "ran/other", goneManifest, nil))
	must(r.DeleteBlob(ctx, "ran/other", digest.FromBytes(gone)))
	up, err := r.Begin(ctx, repo, "")
	must(err)
	_, err = r.Append(ctx, repo, up.ID, 0, 4, strings.NewReader("half"))
	must(err)

	var got strings.Builder
	fmt.Fprintf(&got, "# index, before anything is sealed or settled\n%s\n# uploads\n%s\n", printed(t, index), printed(t, uploads))
	_, err = r.Journal().Seal(ctx)
	must(err)
	_, err = r.Settle(ctx)
	must(err)
	must(r.saveSegments(ctx, true))
	fmt.Fprintf(&got, "# index, when the journal is sealed and all is settled: what is there besides, or is another\n")
	before := got.String()
	for line := range strings.Lines(printed(t, index)) {
		if !strings.Contains(before, line) {
			got.WriteString(line)
		}
	}
	golden := filepath.Join("testdata", "keys.golden")
	if *update {
		must(os.MkdirAll("testdata", 0o755))
		must(os.WriteFile(golden, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(err)
	if got.String() != string(want) {
		t.Errorf("the keys of a sample push are others than in %s; if that is meant, raise IndexVersion, write to keys.go what it means, and run with -update. They are:\n%s", golden, got.String())
	}
	verified(t, store, index)
}

// printed writes a database as text: a line per pair, in order, without what differs from run to run.
func printed(t *testing.T, db kv.View) string {
	t.Helper()
	var b strings.Builder
	for p, err := range db.Scan(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%s = %q", p.Key, clipped(p.Value))
		if strings.HasPrefix(p.Key, prefixSegment) || p.Key == keySegment {
			line = regexp.MustCompile(`sha256:[0-9a-f]{64}`).ReplaceAllString(line, "sha256:<hash>")
		}
		if strings.HasPrefix(p.Key, prefixList) {
			line = p.Key + " = <state>"
		}
		line = strings.ReplaceAll(line, `\"`, `"`)
		for _, v := range volatile {
			line = v.found.ReplaceAllString(line, v.put)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// clipped shows of content that is no text only how long it is.
func clipped(value []byte) string {
	line, rest, found := strings.Cut(string(value), "\n")
	if found && strings.HasPrefix(line, "sha256\t") { // an upload's row: the hash's state is the library's business
		f := strings.Split(line, "\t")
		return strings.Join(f[:5], "\t") + "\t<state>\n" + rest
	}
	return string(value)
}

// TestKeys_sort_as_their_names_do: a list in key order is a list in name order, and no repository's rows lie among another one's.
func TestKeys_sort_as_their_names_do(t *testing.T) {
	r := open(t)
	config := []byte("{}")
	repos := []string{"a", "a-b", "a.b", "a/b", "a0", "a_b", "ab"} // in byte order
	for _, repo := range repos {
		mustPush(t, r, repo, config)
		for _, tag := range []string{"z", "v1", "v1-a", "v1.0", "_", "A"} {
			mustPut(t, r, repo, tag, imageOf(config, nil))
		}
	}
	var listed []string
	for repo, err := range r.Repositories(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, repo)
	}
	if strings.Join(listed, " ") != strings.Join(repos, " ") {
		t.Errorf("repositories %v, want %v", listed, repos)
	}
	for _, repo := range repos {
		for after, want := range map[string]string{"": "A _ v1 v1-a v1.0 z", "A": "_ v1 v1-a v1.0 z", "v1": "v1-a v1.0 z", "v1-": "v1-a v1.0 z", "z": "", "~": "", "\xff": ""} {
			var tags []string
			for tag, err := range r.Tags(t.Context(), repo, after) {
				if err != nil {
					t.Fatal(err)
				}
				tags = append(tags, tag)
			}
			if strings.Join(tags, " ") != want {
				t.Errorf("tags of %s after %q: %v, want %s", repo, after, tags, want)
			}
		}
	}
}

// TestKeys_fit takes everything as long as it may be: no key outgrows what every driver takes.
func TestKeys_fit(t *testing.T) {
	r := open(t)
	config := []byte("{}")
	repo, tag := strings.Repeat("a", MaxName), strings.Repeat("t", MaxTag)
	body := imageOf(config, nil)
	d := digest.SHA512.FromBytes(config)
	if err := r.PutBlob(t.Context(), repo, d, 2, strings.NewReader("{}")); err != nil {
		t.Fatal(err)
	}
	mustPush(t, r, repo, config)
	subject := digest.SHA512.FromBytes(body)
	mustPut(t, r, repo, string(subject), body, tag)
	referrer := []byte(`{"schemaVersion":2,"config":` + desc("a/b", d, 2) + `,"subject":` + desc(typeImage, subject, len(body)) + `,"artifactType":"` + strings.Repeat("é", 127) + `"}`)
	mustPut(t, r, repo, string(digest.SHA512.FromBytes(referrer)), referrer, tag)
	for n := range r.Referrers(t.Context(), repo, subject, strings.Repeat("é", 127), "") {
		if !strings.Contains(string(n.Descriptor), "éé") {
			t.Errorf("referrer %s", n.Descriptor)
		}
	}
	if got := len(rows(t, r.index, prefixRef)); got != 1 {
		t.Errorf("%d referrers", got)
	}
	verified(t, r.blobs, r.index)
}
