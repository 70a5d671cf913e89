package proxy

import (
	"net"
	"strings"
	"testing"
)

// TestNames_ns: ?ns= means the upstream of that name in every question, and the answer says so.
func TestNames_ns(t *testing.T) {
	t.Parallel()
	h := build(t)
	image := h.up.PushImage(there, "1", 50_000)
	h.up.PushReferrer(there, image.Descriptor, "application/vnd.example.signature")
	for _, path := range []string{"manifests/1", "manifests/" + string(image.Descriptor.Digest), "blobs/" + string(image.Layers[0].Digest), "blobs/" + string(image.Config.Digest), "tags/list", "referrers/" + string(image.Descriptor.Digest)} {
		for _, method := range []string{"HEAD", "GET", "HEAD"} {
			r := h.do(method, h.url, there+"/"+path+"?ns="+name)
			if r.status != 200 || r.header.Get("OCI-Namespace") != name {
				t.Errorf("%s %s: %v, OCI-Namespace %q: %.300q", method, path, r.answer, r.header.Get("OCI-Namespace"), r.body)
			}
		}
		if r := h.get(h.url, there+"/"+path); r.status != 404 && !strings.HasPrefix(path, "referrers/") {
			t.Errorf("without a name, %s: %v", path, r.answer)
		}
	}
	if r := h.get(h.url, there+"/tags/list?ns="+name); !strings.Contains(string(r.body), `"1"`) {
		t.Errorf("tags: %.300q", r.body)
	}
	if r := h.get(h.url, there+"/referrers/"+string(image.Descriptor.Digest)+"?ns="+name); !strings.Contains(string(r.body), "vnd.example.signature") {
		t.Errorf("referrers: %.300q", r.body)
	}
}

// TestNames_root: whoever names no registry means one of them.
func TestNames_root(t *testing.T) {
	t.Parallel()
	h := build(t, func(p *plan) { p.root = name })
	image := h.up.PushImage(there, "1", 10)
	if r := h.get(h.url, there+"/manifests/1"); r.names != image.Descriptor.Digest {
		t.Errorf("%v: %.300q", r.answer, r.body)
	}
}

// TestNames_percent_encoded are what they stand for, and what they must not stand for goes nowhere.
func TestNames_percent_encoded(t *testing.T) {
	t.Parallel()
	h := build(t)
	image := h.up.PushImage(there, "1", 50_000)
	digest := string(image.Layers[0].Digest)
	for _, path := range []string{
		name + "%2Fteam%2Fapp/manifests/1", name + "/team/%61pp/manifests/%31", app + "/manifests/" + strings.Replace(string(image.Descriptor.Digest), ":", "%3A", 1),
		app + "/blobs/" + strings.Replace(digest, ":", "%3a", 1), "team%2Fapp/manifests/1?ns=up%2Eexample%2Ecom",
	} {
		if r := h.get(h.url, path); r.status != 200 {
			t.Errorf("%s: %v: %.300q", path, r.answer, r.body)
		}
	}
	for _, q := range h.up.Requests() {
		if q.Repo != there || strings.ContainsAny(q.Path, "%") {
			t.Errorf("the upstream was asked %s %s", q.Method, q.Path)
		}
	}
	h.up.Forget()
	for _, path := range []string{
		name + "/../../secret/manifests/1", name + "/%2e%2e/%2e%2e/secret/manifests/1", name + "/team%2F..%2F..%2Fapp/manifests/1", name + "//manifests/1", name + "/%2Fteam/app/manifests/1",
		name + "/team/app%3Fx=/manifests/1", name + "/team/app%23/manifests/1", name + "/Team/App/manifests/1", name + "/team/app%00/manifests/1", name + "/team/app%0d%0aHost:x/manifests/1",
		app + "/manifests/1%3Fx", app + "/manifests/..%2f..%2ftoken", app + "/manifests/1%20", app + "/manifests/sha256:..%2f..%2fx", app + "/manifests/md5:00000000000000000000000000000000",
		app + "/blobs/sha256:zz", app + "/blobs/..%2fmanifests%2f1", app + "/blobs/sha256:" + strings.Repeat("A", 64), name + "/" + strings.Repeat("a/", 200) + "a/manifests/1",
		app + "/referrers/sha256:zz", name + "/tags/list", name + "/manifests/1", name + "%2Fmanifests/1",
	} {
		r := h.get(h.url, path)
		if r.status < 400 || r.status >= 500 {
			t.Errorf("%s: %v: %.300q", path, r.answer, r.body)
		}
	}
	if n := len(h.up.Requests()); n > 0 {
		t.Errorf("the upstream was asked:\n%s", h.requests())
	}
}

// TestNames_that_are_not_configured are looked up and never dialled, wherever they stand.
func TestNames_that_are_not_configured(t *testing.T) {
	t.Parallel()
	for _, root := range []string{"", name} {
		h := build(t, func(p *plan) { p.root = root })
		stranger, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		dialled := make(chan string, 1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := stranger.Accept()
				if err != nil {
					return
				}
				select {
				case dialled <- conn.RemoteAddr().String():
				default:
				}
				conn.Close()
			}
		}()
		at := stranger.Addr().String()
		_, port, _ := net.SplitHostPort(at)
		for _, path := range []string{
			"team/app/manifests/1?ns=" + at, "team/app/manifests/1?ns=http://" + at, "team/app/manifests/1?ns=localhost:" + port, "team/app/tags/list?ns=" + at, "team/app/referrers/" + nobody + "?ns=" + at,
			"team/app/blobs/" + nobody + "?ns=" + at, at + "/team/app/manifests/1", "localhost:" + port + "/team/app/manifests/1", "team/app/manifests/1?ns=" + name + "@" + at, "team/app/manifests/1?ns=" + name + "&ns=" + at,
			"team/app/manifests/1?ns=" + name + ":" + port, "team/app/manifests/1?ns=//" + at, name + "@" + at + "/app/manifests/1", "team/app/manifests/1?ns=UP.EXAMPLE.COM",
		} {
			for _, method := range []string{"GET", "HEAD"} {
				if r := h.do(method, h.url, path); r.status == 200 && !strings.Contains(path, "/referrers/") || r.status >= 500 {
					t.Errorf("%s %s: %v: %.300q", method, path, r.answer, r.body)
				}
			}
		}
		stranger.Close()
		<-done
		select {
		case from := <-dialled:
			t.Errorf("somebody was dialled, from %s", from)
		default:
		}
		if n := len(h.up.Requests()); n > 0 && root == "" {
			t.Errorf("the upstream was asked:\n%s", h.requests())
		}
	}
}
