package api

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob/blobtest"
)

func TestHead_is_Get_without_a_body(t *testing.T) {
	h := build(t)
	d, _ := h.pushImage("pull/a", "latest", "1")
	small, large := h.pushBlob("pull/a", []byte("small")), h.pushBlob("pull/a", octets("large", 100_000))
	for _, path := range []string{"/v2/", "/v2/pull/a/manifests/latest", "/v2/pull/a/manifests/" + string(d), "/v2/pull/a/blobs/" + string(small),
		"/v2/pull/a/blobs/" + string(large), "/v2/pull/a/tags/list", "/v2/_catalog", "/v2/pull/a/referrers/" + string(d),
		"/v2/pull/a/manifests/none", "/v2/pull/a/manifests/" + string(small), "/v2/pull/a/blobs/" + string(d), "/v2/PULL/manifests/x", "/v2/none/tags/list"} {
		get, head := h.do("GET", path, nil), h.do("HEAD", path, nil)
		if head.StatusCode != get.StatusCode || len(head.body) > 0 {
			t.Errorf("%s: HEAD %d with %d bytes, GET %d", path, head.StatusCode, len(head.body), get.StatusCode)
		}
		for _, hd := range []http.Header{get.Header, head.Header} {
			delete(hd, "Date")
			delete(hd, "X-Request-Id")
			if get.StatusCode >= 400 {
				delete(hd, "Content-Length")
			}
		}
		if !maps.EqualFunc(get.Header, head.Header, slices.Equal) {
			t.Errorf("%s: GET has headers %v, HEAD %v", path, get.Header, head.Header)
		}
	}
}

func TestIfNoneMatch(t *testing.T) {
	h := build(t)
	d, _ := h.pushImage("pull/a", "latest", "1")
	b := h.pushBlob("pull/a", []byte("a blob"))
	other := digest.FromString("other")
	for path, is := range map[string]digest.Digest{"/v2/pull/a/manifests/latest": d, "/v2/pull/a/manifests/" + string(d): d, "/v2/pull/a/blobs/" + string(b): b} {
		for value, status := range map[string]int{
			`"` + string(is) + `"`: 304, `W/"` + string(is) + `"`: 304, "*": 304, `"` + string(other) + `", "` + string(is) + `"`: 304, `"` + string(other) + `" , W/"` + string(is) + `"`: 304,
			`"` + string(other) + `"`: 200, "": 200, `"x`: 200,
		} {
			for _, method := range []string{"GET", "HEAD"} {
				res := h.do(method, path, nil, "If-None-Match", value)
				if res.StatusCode != status || status == 304 && len(res.body) > 0 {
					t.Errorf("%s %s, If-None-Match: %s: %d, want %d", method, path, value, res.StatusCode, status)
				}
				if res.Header.Get("Etag") != `"`+string(is)+`"` || res.Header.Get("Docker-Content-Digest") != string(is) {
					t.Errorf("%s %s, If-None-Match: %s: headers %v", method, path, value, res.Header)
				}
			}
		}
	}
}

// TestGetBlob_opens_it_once: a whole pull asks the store for the content one time. On S3 every further time is a request, and a chance to fail
// after the answer has begun.
func TestGetBlob_opens_it_once(t *testing.T) {
	var store *blobtest.FaultyStore
	h := build(t, func(h *house) { store = blobtest.Faulty(h.blobs); h.blobs = store })
	content := octets("large", 100_000)
	d := h.pushBlob("pull/a", content)
	store.FailAt(0, nil)
	if res := h.do("GET", "/v2/pull/a/blobs/"+string(d), nil).want(t, 200); !bytes.Equal(res.body, content) {
		t.Errorf("%d other bytes", len(res.body))
	}
	if calls := store.Calls(); calls > 2 { // opening counts twice: it can be refused, and it can break off
		t.Errorf("the content was opened %d times", calls/2)
	}
}

// TestRange serves parts, of a blob that lies in the index and of one that does not.
func TestRange(t *testing.T) {
	h := build(t)
	for _, size := range []int{10, 100_000} {
		content := octets(fmt.Sprint(size), size)
		path := "/v2/pull/a/blobs/" + string(h.pushBlob("pull/a", content))
		for _, c := range []struct {
			value  string
			status int
			want   []byte
		}{
			{"bytes=0-0", 206, content[:1]}, {"bytes=3-", 206, content[3:]}, {"bytes=-4", 206, content[size-4:]}, {"bytes=2-5", 206, content[2:6]},
			{"bytes=0-" + strconv.Itoa(size+5), 206, content}, {fmt.Sprintf("bytes=%d-", size), 416, nil}, {"bytes=9-3", 416, nil}, {"bytes=x", 416, nil},
			{"pages=1-2", 416, nil}, {"", 200, content},
		} {
			res := h.do("GET", path, nil, "Range", c.value)
			if res.StatusCode != c.status || c.want != nil && !bytes.Equal(res.body, c.want) {
				t.Errorf("%s of %d bytes: %d with %d bytes, want %d with %d", c.value, size, res.StatusCode, len(res.body), c.status, len(c.want))
			}
			if c.status == 206 && res.Header.Get("Content-Range") == "" || c.status == 416 && res.Header.Get("Content-Range") != fmt.Sprintf("bytes */%d", size) && c.value[:6] == "bytes=" && c.value != "bytes=x" && c.value != "bytes=9-3" {
				t.Errorf("%s of %d bytes: Content-Range %q", c.value, size, res.Header.Get("Content-Range"))
			}
		}
	}
}

// FuzzRange asks for any part of a small blob.
func FuzzRange(f *testing.F) {
	for _, v := range []string{"", "bytes=0-1", "bytes=-1", "bytes=5-", "bytes=0-0,2-3", "bytes=1-0", "bytes= 0 - 1 ", "bytes=0-9223372036854775808", "items=0-1", "bytes=" + strings.Repeat("0-,", 500)} {
		f.Add(v)
	}
	h := build(f)
	content := []byte("0123456789")
	path := "/v2/pull/a/blobs/" + string(h.pushBlob("pull/a", content))
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", path, http.NoBody)
		r.Header["Range"] = []string{value}
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		switch w.Code {
		case 200:
			if !bytes.Equal(w.Body.Bytes(), content) {
				t.Errorf("%q: %q", value, w.Body)
			}
		case 206:
			if !strings.HasPrefix(w.Header().Get("Content-Type"), "multipart/") && !bytes.Contains(content, w.Body.Bytes()) {
				t.Errorf("%q: %q", value, w.Body)
			}
			if w.Body.Len() > 64<<10 {
				t.Errorf("%q: %d bytes of a blob of 10", value, w.Body.Len())
			}
		case 416:
		default:
			t.Errorf("%q: status %d", value, w.Code)
		}
	})
}

var nextPage = regexp.MustCompile(`^<([^>]*)>; rel="next"$`)

// FuzzQueries lists tags with any query: the answer is a list in order, or a refusal in the envelope, and a next page is one that can be asked.
func FuzzQueries(f *testing.F) {
	for _, q := range []string{"", "n=1", "n=0", "n=-1", "n=1e3", "n=99999999999999999999", "last=b", "n=1&last=a", "n=1&n=2", "last=%00", "last=\xff", "n=2&last=%", "n=2;last=a", "n=+1", "n=1&x=%3E%3C"} {
		f.Add(q)
	}
	h := build(f)
	for _, tag := range []string{"a", "b", "c", "d"} {
		h.pushImage("pull/a", tag, "1")
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/v2/pull/a/tags/list", http.NoBody)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		switch w.Code {
		case 200:
			if !regexp.MustCompile(`^\{"name":"pull/a","tags":\[("[abcd]",?)*\]\}\n$`).Match(w.Body.Bytes()) {
				t.Errorf("%q: %s", query, w.Body)
			}
			link := w.Header().Get("Link")
			if link == "" {
				return
			}
			m := nextPage.FindStringSubmatch(link)
			if m == nil {
				t.Fatalf("%q: Link: %s", query, link)
			}
			next, err := url.Parse(m[1])
			if err != nil || next.Path != "/v2/pull/a/tags/list" || next.Query().Get("last") == "" || next.Host != "" {
				t.Errorf("%q: Link: %s, %v", query, link, err)
			}
		case 400:
			reply{Response: &http.Response{StatusCode: 400, Header: w.Header(), Request: r}, body: w.Body.Bytes()}.fault(t)
		default:
			t.Errorf("%q: status %d", query, w.Code)
		}
	})
}
