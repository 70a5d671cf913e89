package remote

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// allTags turns pages until there are no more.
func allTags(t *testing.T, r *Remote, repo, last string, n int) (all []string, pages int, err error) {
	t.Helper()
	for next := last; ; pages++ {
		var tags []string
		if tags, next, err = r.Tags(t.Context(), repo, next, n); err != nil {
			return all, pages, err
		}
		if all = append(all, tags...); next == "" {
			return all, pages + 1, nil
		}
	}
}

func TestTags_page_by_page(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "", 1)
	var want []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("1.%02d", i))
		up.Tag(repo, want[i], image.Descriptor.Digest)
	}
	r := open(t, up)
	for _, c := range []struct{ size, n, pages int }{{0, 0, 1}, {0, 10, 3}, {5, 0, 5}, {5, 100, 5}, {0, 25, 1}, {0, 1, 25}} {
		up.PageSize(c.size)
		got, pages, err := allTags(t, r, repo, "", c.n)
		if err != nil || !slices.Equal(got, want) || pages != c.pages {
			t.Errorf("%+v: %d tags on %d pages, %v", c, len(got), pages, err)
		}
	}
	if got, _, err := allTags(t, r, repo, "1.20", 2); err != nil || !slices.Equal(got, want[21:]) {
		t.Errorf("after 1.20: %v, %v", got, err)
	}
	_, _, err := r.Tags(t.Context(), "team/none", "", 0)
	wantKind(t, err, ErrNotFound)
	for _, bad := range []string{"a/b", "1?x=y", "x?y", "2?%zz", "2?x=" + strings.Repeat("y", maxCursor), "&n=5"} {
		_, _, err := r.Tags(t.Context(), repo, bad, 0)
		wantKind(t, err, ErrNotFound)
	}
}

func TestTags_that_have_no_end(t *testing.T) {
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 1)
	r := open(t, up)
	up.Fault(upstreamtest.Always(upstreamtest.LinkLoop(true)))
	_, pages, err := allTags(t, r, repo, "", 1)
	wantKind(t, err, ErrBad)
	wantText(t, err, "the same again")
	if pages > 1 {
		t.Errorf("after %d pages", pages)
	}
	up.Fault(upstreamtest.Always(upstreamtest.LinkLoop(false)))
	_, pages, err = allTags(t, r, repo, "", 1)
	wantText(t, err, "no end")
	if pages != maxPages-1 {
		t.Errorf("after %d pages", pages)
	}
	up.Fault(upstreamtest.Always(upstreamtest.Endless()))
	_, _, err = r.Tags(t.Context(), repo, "", 0)
	wantKind(t, err, ErrBad)
	up.Fault(upstreamtest.Always(upstreamtest.Status(200)))
	_, _, err = r.Tags(t.Context(), repo, "", 0)
	wantText(t, err, "not the JSON")
}

func TestTags_that_are_none_are_left_out(t *testing.T) {
	up := upstreamtest.New(t)
	up.Fault(upstreamtest.Always(func(_ *upstreamtest.Upstream, w http.ResponseWriter, _ *http.Request, _ upstreamtest.Request, _ http.Handler) {
		w.Header().Set("Link", `</v2/other/app/tags/list?last=1&n=9>; rel=next`)
		fmt.Fprintf(w, `{"name":"x","tags":["1","../2","","<script>","%s","-x","ok"]}`, strings.Repeat("a", 129))
	}))
	r := open(t, up)
	tags, next, err := r.Tags(t.Context(), repo, "", 0)
	if err != nil || !slices.Equal(tags, []string{"1", "ok"}) {
		t.Errorf("%q, %v", tags, err)
	}
	if _, _, err := r.Tags(t.Context(), repo, next, 0); err == nil {
		t.Error("the same page again is no loop")
	}
	wantCount(t, up, 2, "GET", "/v2/team/app/tags/list") // whatever path the link has
}

func TestNextQuery(t *testing.T) {
	for link, want := range map[string]string{
		`</x?n=5&last=a>; rel="next"`: "last=a&n=5", `<https://evil.example.com/x?n=5>; rel=next`: "n=5", `<?n=5>;title="a, b";REL="prev next"`: "n=5",
		`</x?n=1>; rel="first", </x?n=2>; rel="next"`: "n=2", `</x?n=1>; rel="next", </x?n=2>; rel="last"`: "n=1", `</x?n=5>; rel=next; a=b`: "n=5",
		`</x?n=5>; rel="nextish"`: "", `</x?n=5>; rel=nextish`: "", `</x?n=5>`: "", `</x>; rel="next"`: "", ``: "", `<`: "", `>;rel=next`: "", `<<<<`: "",
	} {
		if got, err := nextQuery(http.Header{"Link": {link}}); got != want || err != nil {
			t.Errorf("%s is %q, %v, want %q", link, got, err, want)
		}
	}
	for _, bad := range []string{`<:>; rel=next`, `<?a=%zz>; rel=next`, `<?a;b>; rel=next`} {
		if got, err := nextQuery(http.Header{"Link": {bad}}); err == nil {
			t.Errorf("%s is %q", bad, got)
		}
	}
}

func TestReferrers(t *testing.T) {
	for what, fault := range map[string]upstreamtest.Fault{
		"by the API": nil, "by the tag": upstreamtest.NoReferrersAPI(), "a router without the path": onReferrers(upstreamtest.Status(405)),
		"a page for everything": onReferrers(upstreamtest.Status(200)), "an API that calls it an error": onReferrers(upstreamtest.Status(400)),
	} {
		t.Run(what, func(t *testing.T) {
			up := upstreamtest.New(t)
			subject, other := up.PushImage(repo, "1", 10), up.PushImage(repo, "2", 10)
			var want []string
			for _, kind := range []string{"application/vnd.example.sbom", "application/vnd.example.signature", "application/vnd.example.a"} {
				d := up.PushReferrer(repo, subject.Descriptor, kind).Descriptor
				want = append(want, string(d.Digest)+" "+kind)
			}
			if up.Fault(upstreamtest.Always(fault)); what != "by the API" {
				up.TagReferrers(repo, subject.Descriptor.Digest)
			}
			r := open(t, up)
			for _, size := range []int{0, 2} {
				up.PageSize(size)
				got, err := r.Referrers(t.Context(), repo, subject.Descriptor.Digest)
				if err != nil {
					t.Fatal(err)
				}
				var seen []string
				for _, d := range got {
					seen = append(seen, string(d.Digest)+" "+d.ArtifactType)
				}
				slices.Sort(seen)
				if slices.Sort(want); !slices.Equal(seen, want) {
					t.Errorf("pages of %d: %q, want %q", size, seen, want)
				}
			}
			if got, err := r.Referrers(t.Context(), repo, other.Descriptor.Digest); err != nil || len(got) != 0 {
				t.Errorf("of one without any: %v, %v", got, err)
			}
		})
	}
}

func onReferrers(f upstreamtest.Fault) upstreamtest.Fault {
	return func(u *upstreamtest.Upstream, w http.ResponseWriter, r *http.Request, q upstreamtest.Request, honest http.Handler) {
		if q.Kind == "referrers" {
			f(u, w, r, q, honest)
			return
		}
		honest.ServeHTTP(w, r)
	}
}

func TestReferrers_that_are_not_what_they_should_be(t *testing.T) {
	up := upstreamtest.New(t)
	subject := up.PushImage(repo, "1", 10)
	up.PushReferrer(repo, subject.Descriptor, "a/b")
	r := open(t, up)
	ask := func() error {
		_, err := r.Referrers(t.Context(), repo, subject.Descriptor.Digest)
		return err
	}
	for says, fault := range map[string]upstreamtest.Fault{
		"no end":        upstreamtest.LinkLoop(false),
		"the same":      upstreamtest.LinkLoop(true),
		"no index":      answer200(`{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"latest","size":1}]}`),
		"packed":        upstreamtest.Gzip(),
		"4194304 bytes": answer200(strings.Repeat(" ", 5<<20)),
		"10000 referrers": answer200(`{"schemaVersion":2,"manifests":[` + strings.Repeat(fmt.Sprintf(`{"mediaType":"a/b","digest":%q,"size":1},`,
			subject.Descriptor.Digest), 10_000) + fmt.Sprintf(`{"mediaType":"a/b","digest":%q,"size":1}]}`, subject.Descriptor.Digest)),
	} {
		up.Fault(upstreamtest.Always(fault))
		up.Forget()
		err := ask()
		wantKind(t, err, ErrBad)
		wantText(t, err, says)
		if n := len(up.Requests()); n > maxReferrerPages {
			t.Errorf("%s: %d requests", says, n)
		}
	}
	up.Fault(upstreamtest.Always(upstreamtest.TooMany(0)))
	wantKind(t, ask(), ErrLimited)
	up.Fault(upstreamtest.Always(upstreamtest.Status(500)))
	wantKind(t, ask(), ErrDown)
	up.Fault(upstreamtest.Always(onReferrers(upstreamtest.Status(404))))
	up.PutManifest(repo, strings.Replace(string(subject.Descriptor.Digest), ":", "-", 1), ocispec.MediaTypeImageManifest, subject.Bytes)
	wantText(t, ask(), "image manifest")
}

func answer200(body string) upstreamtest.Fault {
	return func(_ *upstreamtest.Upstream, w http.ResponseWriter, _ *http.Request, _ upstreamtest.Request, _ http.Handler) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		fmt.Fprint(w, body)
	}
}
