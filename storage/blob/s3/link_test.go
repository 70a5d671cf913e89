//go:build backends

package s3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// TestLink_is_all_that_a_client_needs follows a link with nothing in hand, and shows that it opens nothing else and ends.
func TestLink_is_all_that_a_client_needs(t *testing.T) {
	server := s3test.Start(t)
	public := newProxy(t, server)
	cfg := configFor(server, server.Bucket(t))
	cfg.PublicEndpoint = public.URL
	s := open(t, cfg)
	d, other := put(t, s, "a", []byte("content")), put(t, s, "b", []byte("other"))
	link, err := s.Link(ctx, d, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(link, public.URL+"/") {
		t.Fatalf("link %s does not lead to %s", link, public.URL)
	}
	brief, err := s.Link(ctx, d, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, c := range []struct {
		what, link, ranged string
		status             int
		body               string
	}{
		{"as it is", link, "", http.StatusOK, "content"},
		{"a range", link, "bytes=3-5", http.StatusPartialContent, "ten"},
		{"for other content", strings.Replace(link, d.Encoded()[:2]+"/"+d.Encoded(), other.Encoded()[:2]+"/"+other.Encoded(), 1), "", http.StatusForbidden, ""},
		{"for longer", strings.Replace(link, "X-Amz-Expires=60", "X-Amz-Expires=600", 1), "", http.StatusForbidden, ""},
	} {
		if status, kind, body := get(t, c.link, c.ranged); status != c.status || c.body != "" && (body != c.body || kind != "application/octet-stream") {
			t.Errorf("%s: %d %s %.100q, want %d %q", c.what, status, kind, body, c.status, c.body)
		}
	}
	for deadline := began.Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if status, _, _ := get(t, brief, ""); status == http.StatusForbidden {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a link for one second still works after 30")
		}
	}
}

func get(t *testing.T, link, ranged string) (status int, kind, body string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ranged != "" {
		r.Header.Set("Range", ranged)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Content-Type"), string(content)
}
