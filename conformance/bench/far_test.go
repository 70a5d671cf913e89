package main

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

func farWith(t *testing.T, size int64) (*far, farImage) {
	t.Helper()
	f, err := newFar()
	if err != nil {
		t.Fatal(err)
	}
	i := farImage{tag: "1", manifest: []byte(`{"schemaVersion":2}`), blobs: []blob{newSupply(size).next()}}
	f.add(i)
	return f, i
}

func TestFar_has_what_its_digests_name_and_counts(t *testing.T) {
	f, i := farWith(t, 3*mib)
	get := func(method, path, span string) (int, []byte) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+f.addr+"/v2/"+farRepo+"/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if span != "" {
			req.Header.Set("Range", span)
		}
		res, err := (&http.Client{Timeout: time.Minute}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, body
	}
	object := "blobs/" + i.blobs[0].digest
	_, whole := get("GET", object, "")
	if digest(whole) != i.blobs[0].digest {
		t.Errorf("a blob of %d bytes is %s, want %s", len(whole), digest(whole), i.blobs[0].digest)
	}
	if status, rest := get("GET", object, "bytes=1000000-"); status != 206 || string(rest) != string(whole[1000000:]) {
		t.Errorf("the rest of it: %d, %d bytes", status, len(rest))
	}
	if _, body := get("HEAD", object, ""); len(body) != 0 {
		t.Errorf("a HEAD came with %d bytes", len(body))
	}
	if _, body := get("GET", "manifests/1", ""); string(body) != string(i.manifest) {
		t.Errorf("the manifest is %q", body)
	}
	if status, _ := get("GET", "manifests/2", ""); status != 404 {
		t.Errorf("a tag that is not there: %d, want 404", status)
	}
	asked, sent := f.sums()
	if want := int64(2*len(whole) - 1000000 + len(i.manifest)); asked != 5 || sent != want {
		t.Errorf("it counts %d requests and %d bytes, want 5 and %d", asked, sent, want)
	}
	if first := f.first(object); first.IsZero() || time.Since(first) > time.Minute {
		t.Errorf("the first byte of the blob went out at %v", first)
	}
}

func TestFar_shares_its_rate(t *testing.T) {
	f, i := farWith(t, mib)
	s := &site{far: f}
	f.forget(4 * mib)
	p, err := s.pullImage(context.Background(), f.addr, farRepo, i, 2)
	if err != nil {
		t.Fatal(err)
	}
	if p.took < 400*time.Millisecond || len(p.lags) != 4 {
		t.Errorf("two clients had 1 MiB each after %v (%d objects), want half a second at 4 MiB a second, and 4", p.took, len(p.lags))
	}
}
