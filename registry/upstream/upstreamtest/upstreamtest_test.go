package upstreamtest

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func get(t *testing.T, method, url string, headers ...string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp, body, err
}

func TestUpstream_is_honest_unless_told_otherwise(t *testing.T) {
	up := New(t)
	image := up.PushImage("a/b", "1", 1000)
	resp, body, err := get(t, "GET", up.URL+"/v2/a/b/manifests/1")
	if err != nil || digest.FromBytes(body) != image.Descriptor.Digest || resp.Header.Get("Content-Type") != image.Descriptor.MediaType {
		t.Errorf("manifest: %v, %v", resp, err)
	}
	blob := up.URL + "/v2/a/b/blobs/" + string(image.Layers[0].Digest)
	resp, body, err = get(t, "GET", blob, "Range", "bytes=900-")
	if err != nil || resp.StatusCode != 206 || len(body) != 100 || up.Count("GET", "", "bytes=900-") != 1 {
		t.Errorf("range: %v, %d bytes, %v", resp, len(body), err)
	}
	for _, path := range []string{"/v2/a/b/manifests/2", "/v2/a/c/tags/list", "/v2/x", "/"} {
		if resp, _, err := get(t, "GET", up.URL+path); err != nil || resp.StatusCode != 404 {
			t.Errorf("%s: %v, %v", path, resp, err)
		}
	}
	up.Fault(Always(TruncateAt(10), "blobs"))
	if _, body, err := get(t, "GET", blob); err == nil || len(body) != 10 {
		t.Errorf("truncated: %d bytes, %v", len(body), err)
	}
	up.Remove("a/b", image.Descriptor.Digest)
	if resp, _, err := get(t, "HEAD", up.URL+"/v2/a/b/manifests/1"); err != nil || resp.StatusCode != 404 {
		t.Errorf("removed: %v, %v", resp, err)
	}
}

func TestUpstream_ends_with_its_test_and_all_that_hangs(t *testing.T) {
	ended := make(chan error, 3)
	began := time.Now()
	t.Run("a test", func(t *testing.T) {
		up := New(t)
		image := up.PushImage("a/b", "1", 1000)
		for kind, fault := range map[string]Fault{"ping": HangBeforeHeaders(), "blobs": HangInBody(5), "manifests": Slow(1)} {
			path := map[string]string{"ping": "/v2/", "blobs": "/v2/a/b/blobs/" + string(image.Layers[0].Digest), "manifests": "/v2/a/b/manifests/1"}[kind]
			up.Fault(Always(fault))
			req, err := http.NewRequest("GET", up.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				ended <- err
			}()
			for up.Asked(kind) == 0 && time.Since(began) < 10*time.Second {
				time.Sleep(time.Millisecond)
			}
		}
	})
	for range 3 {
		if err := <-ended; err == nil {
			t.Error("what hangs came to a good end")
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
