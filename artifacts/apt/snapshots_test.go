package apt

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts"
)

const forever = "public, max-age=31536000, immutable"

func TestSnapshots_are_served_as_they_were(t *testing.T) {
	h := build(t)
	h.stock()
	type past struct{ date, release, packages string }
	var all []past
	for _, number := range []string{"1.1.0", "2.0.0", ""} {
		all = append(all, past{
			h.snapshot("cloud-prod").Date.Format(dateForm), h.get("/apt/dists/cloud-prod/InRelease").want(200).body,
			h.get("/apt/dists/cloud-prod/dmp/binary-amd64/Packages").want(200).body,
		})
		if number != "" {
			h.promote(service, number, prod)
		}
	}
	for i, p := range all {
		base := "/apt/snapshots/" + p.date + "/dists/cloud-prod/"
		got := h.get(base+"InRelease").want(200).has("Cache-Control", forever, "Content-Type", plain)
		if got.body != p.release {
			t.Errorf("InRelease of %s is not what it was", p.date)
		}
		h.get(base+"InRelease", "If-None-Match", got.Header.Get("Etag")).want(304)
		h.get(base+"InRelease", "If-Modified-Since", got.Header.Get("Last-Modified")).want(304)
		if got := h.get(base+"dmp/binary-amd64/Packages").want(200).has("Cache-Control", forever); got.body != p.packages {
			t.Errorf("Packages of %s is not what it was", p.date)
		}
		h.get(base+"dmp/binary-amd64/by-hash/SHA256/"+sum(p.packages)).want(200).has("Cache-Control", forever)
		h.do("HEAD", base+"Release.gpg", "").want(200)

		// Between two of them it is the older one, and caches ask again.
		date, _ := parseDate(p.date)
		later := "/apt/snapshots/" + date.Add(30*time.Second).Format(dateForm) + "/dists/cloud-prod/"
		if got := h.get(later+"InRelease").want(200).has("Cache-Control", "no-cache"); got.body != p.release {
			t.Errorf("half a minute after %s there is another InRelease", p.date)
		}
		if i == 0 {
			continue
		}
		before := "/apt/snapshots/" + date.Add(-time.Second).Format(dateForm) + "/dists/cloud-prod/"
		if got := h.get(before + "dmp/binary-amd64/Packages").want(200); got.body != all[i-1].packages {
			t.Errorf("a second before %s there is another list than of %s", p.date, all[i-1].date)
		}
	}
	if h.get("/apt/snapshots/99990101T000000Z/dists/cloud-prod/InRelease").want(200).has("Cache-Control", "no-cache").body != all[2].release {
		t.Error("in the far future there is something else than now")
	}
	oldest := "/apt/snapshots/20000101T000000Z/dists/"
	h.get(oldest+"cloud-prod/InRelease").want(404, "no snapshot of suite cloud-prod is kept that is so old", "/apt/snapshots/?suite=cloud-prod")
	h.get(oldest+"cloud-test/InRelease").want(404, "there is no suite cloud-test")
	h.get("/apt/snapshots/"+all[0].date+"/dists/cloud-prod/nothing").want(404, "no such file")
}

func TestSnapshots_have_dates_of_one_form(t *testing.T) {
	h := build(t)
	h.stock()
	for _, date := range []string{
		"", "now", "20260102", "20260102T030405", "20260102T030405z", "20260102T030405+0000", "20260102T030405.5Z", "20260102T030405,5Z", "20261302T030405Z", "20260230T030405Z",
		"20260102T246060Z", "2026-01-02T03:04:05Z", "020260102T030405Z", "-0260102T030405Z", "../dists", "..",
	} {
		h.get("/apt/snapshots/"+date+"/dists/cloud-prod/InRelease").want(404, "no such path")
		h.get("/apt/snapshots/"+date+"/pool/"+service+"/hello_1.0~rc1+b2_amd64.deb").want(404, "no such path")
	}
}

func TestSnapshots_have_the_pool(t *testing.T) {
	h := build(t)
	h.stock()
	date := h.snapshot("cloud-prod").Date.Format(dateForm)
	got := h.get("/apt/snapshots/"+date+"/pool/"+service+"/hello_1.0%7erc1%2bb2_amd64.deb").want(200).has("Cache-Control", forever)
	if got.body != string(hello("hello", "1:1.0~rc1+b2", "amd64")) {
		t.Error("it is another package")
	}
	h.get("/apt/snapshots/"+date+"/pool/"+service+"/other.deb").want(404, "no such package")
}

func TestSnapshots_are_listed(t *testing.T) {
	h := build(t)
	h.stock()
	var want []string
	for _, number := range []string{"1.1.0", "2.0.0", "1.0.0"} {
		want = append(want, h.snapshot("cloud-prod").Date.Format(dateForm))
		h.promote(service, number, prod)
	}
	want = append(want, h.snapshot("cloud-prod").Date.Format(dateForm))
	// The first promotion to the suite was before that of the other component.
	all := strings.Fields(h.get("/apt/snapshots/?suite=cloud-prod").want(200).has("Content-Type", plain, "Vary", "Accept", "Cache-Control", private).body)
	if len(all) != 5 || fmt.Sprint(all[1:]) != fmt.Sprint(want) {
		t.Fatalf("listed are %v, want one more than %v", all, want)
	}
	h.get("/apt/snapshots?suite=cloud-prod").want(200, want...)
	json := h.get("/apt/snapshots/?suite=cloud-prod", "Accept", "application/json").want(200).has("Content-Type", "application/json", "Link", "")
	if want := `{"items":["` + strings.Join(all, `","`) + `"]}` + "\n"; json.body != want {
		t.Errorf("as JSON it is %s, want %s", json.body, want)
	}
	// Page by page.
	var seen []string
	next := "/apt/snapshots/?suite=cloud-prod&limit=2"
	for range 10 {
		res := h.get(next).want(200)
		seen = append(seen, strings.Fields(res.body)...)
		link := res.Header.Get("Link")
		if link == "" {
			break
		}
		next = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	}
	if fmt.Sprint(seen) != fmt.Sprint(all) {
		t.Errorf("by pages there is %v, want %v", seen, all)
	}
	if got := h.get("/apt/snapshots/?suite=cloud-prod&limit=2", "Accept", "application/json").body; got != `{"items":["`+all[0]+`","`+all[1]+`"],"next":"`+all[1]+`"}`+"\n" {
		t.Errorf("a page as JSON is %s", got)
	}
	if got := h.get("/apt/snapshots/?suite=cloud-prod&after=" + all[4]).want(200).body; got != "" {
		t.Errorf("after the last one there is %q", got)
	}
	for query, word := range map[string]string{
		"": "name a suite", "?suite=": "name a suite", "?suite=A/B": "name a suite", "?suite=cloud-prod&after=now": "after is a date", "?suite=cloud-prod&limit=0": "limit is a number",
		"?suite=cloud-prod&limit=1001": "limit is a number", "?suite=cloud-prod&limit=x": "limit is a number", "?suite=cloud-prod&since=x": "no parameter here", "?suite=a&suite=b": "give suite once",
	} {
		h.get("/apt/snapshots/"+query).want(400, word)
	}
	h.get("/apt/snapshots/?suite=cloud-test").want(404, "there is no suite cloud-test")
}

func TestSnapshots_go_when_they_are_old(t *testing.T) {
	h := build(t)
	h.stock()
	first := h.snapshot("cloud-prod").Date.Format(dateForm)
	h.clock.pass(8 * 24 * time.Hour)
	for range 6 {
		h.promote(service, "1.1.0", prod)
		h.move(artifacts.Order{Kind: artifacts.Rollback, Component: service, Place: prod})
	}
	h.clock.pass(8 * 24 * time.Hour)
	h.promote(service, "1.1.0", prod)
	h.get("/apt/snapshots/"+first+"/dists/cloud-prod/InRelease").want(404, "is kept that is so old")
	if n := len(strings.Fields(h.get("/apt/snapshots/?suite=cloud-prod").want(200).body)); n < 10 || n > 12 {
		t.Errorf("%d are kept", n)
	}
}
