package api

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestResume_after_a_broken_connection: a client that goes away amid a chunk asks how far it came and goes on from there.
func TestResume_after_a_broken_connection(t *testing.T) {
	h, _ := stalling(t, 64<<10)
	content := octets("resumed", 200_000)
	for _, sent := range []int{0, 1, 5000, 16_384, 16_385, 100_000, 199_999} {
		where := h.begin("resume/a")
		l := h.dial(4 << 10)
		l.ask(t, "PATCH %s HTTP/1.1\nHost: h\nContent-Length: %d\nContent-Range: 0-%d\n\n", where, len(content), len(content)-1)
		if _, err := l.Write(content[:sent]); err != nil {
			t.Fatal(err)
		}
		l.Close()
		// The server may not have noticed yet: then it tells of more with the next answer. "0-0" says one byte or none.
		res, done := h.do("GET", where, nil).want(t, 204), false
		for try := 0; try < 20 && !done; try++ {
			_, to, _ := strings.Cut(res.Header.Get("Range"), "-")
			end, err := strconv.Atoi(to)
			if err != nil || end+1 > max(sent, 1) {
				t.Fatalf("%d bytes were sent, and the answer is %d with Range: %s", sent, res.StatusCode, res.Header.Get("Range"))
			}
			from := end + 1
			if end == 0 {
				from = try % 2
			}
			res = h.do("PUT", where+"?digest="+string(digest.FromBytes(content)), content[from:], "Content-Range", fmt.Sprintf("%d-%d", from, len(content)-1))
			if done = res.StatusCode == 201; !done {
				res.want(t, 416)
			}
		}
		if !done {
			t.Errorf("after %d bytes: it never comes to an end", sent)
		}
		if got := h.do("GET", "/v2/resume/a/blobs/"+string(digest.FromBytes(content)), nil); !bytes.Equal(got.body, content) {
			t.Errorf("after %d bytes: %d other bytes", sent, len(got.body))
		}
	}
}

// TestPages walks lists page by page: every entry comes once, in order, and the last page leads nowhere.
func TestPages(t *testing.T) {
	h := build(t)
	d, _ := h.pushImage("page/a", "latest", "1")
	var want []string
	for i := range 7 {
		tag := fmt.Sprintf("v%d", i)
		h.pushImage("page/a", tag, "1")
		h.pushImage(fmt.Sprintf("page/r%d", i), "x", "1")
		want = append(want, tag)
		body := strings.Replace(string(imageOf([]byte("{}"), tag)), `"schemaVersion"`, fmt.Sprintf(`"artifactType":"application/t%d","subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":1},"schemaVersion"`, i%2, d), 1)
		h.do("PUT", "/v2/page/a/manifests/"+string(digest.FromString(body)), []byte(body)).want(t, 201)
	}
	for path, entries := range map[string]int{
		"/v2/page/a/tags/list": 1 + len(want), "/v2/_catalog": 1 + len(want), "/v2/page/a/referrers/" + string(d): len(want),
		"/v2/page/a/referrers/" + string(d) + "?artifactType=application/t0": 4, "/v2/page/a/referrers/" + string(d) + "?artifactType=application/t": 0,
	} {
		for _, n := range []int{1, 2, 3, 100} {
			next, all := path, ""
			if strings.Contains(path, "?") {
				next += "&"
			} else {
				next += "?"
			}
			next += fmt.Sprint("n=", n)
			pages := 0
			for ; next != "" && pages < 20; pages++ {
				res := h.do("GET", next, nil).want(t, 200)
				all += string(res.body)
				next = ""
				if m := nextPage.FindStringSubmatch(res.Header.Get("Link")); m != nil {
					next = m[1]
				}
			}
			if pages > max(1, (entries+n-1)/n) {
				t.Errorf("%s: %d pages of %d for %d entries", path, pages, n, entries)
			}
			found := strings.Count(all, `"v`) + strings.Count(all, `"latest"`)
			switch {
			case strings.Contains(path, "_catalog"):
				found = strings.Count(all, `"page/`)
			case strings.Contains(path, "referrers"):
				found = strings.Count(all, `"digest"`)
			}
			if found != entries {
				t.Errorf("%s by %d: %d entries, want %d: %s", path, n, found, entries, all)
			}
		}
	}
	if res := h.do("GET", "/v2/page/a/referrers/"+string(d)+"?artifactType=x", nil); res.Header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("headers %v", res.Header)
	}
	if res := h.do("GET", "/v2/page/a/tags/list?n=0", nil); !strings.Contains(string(res.body), `"tags":[]`) || res.Header.Get("Link") != "" {
		t.Errorf("%s, Link: %s", res.body, res.Header.Get("Link"))
	}
}

func TestAudit(t *testing.T) {
	h := build(t)
	h.pushImage("audit/a", "latest", "1")
	if _, err := h.reg.Journal().Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.pushImage("audit/a", "later", "2")
	res := h.do("GET", "/api/v1/audit", nil).want(t, 200)
	if n := bytes.Count(res.body, []byte("\n")); n != 3 || !strings.Contains(string(res.body), `"seq":2`) || !strings.Contains(string(res.body), `{"event":`) {
		t.Errorf("%d lines: %s", n, res.body)
	}
	if res := h.do("GET", "/api/v1/audit?after=1&n=1", nil).want(t, 200); bytes.Count(res.body, []byte("\n")) != 1 || !strings.HasPrefix(string(res.body), `{"seq":2`) {
		t.Errorf("after the first: %s", res.body)
	}
	if res := h.do("POST", "/api/v1/audit/verify", nil).want(t, 200); !strings.Contains(string(res.body), `"ok":true`) {
		t.Errorf("verify: %s", res.body)
	}
	if res := h.do("GET", "/api/v1/audit", nil); res.Header.Get("X-Content-Type-Options") != "nosniff" || res.StatusCode != http.StatusOK {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}
