package apt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
)

const upload = "/apt/upload/" + service + "/"

func TestUpload_stores_a_package_as_a_version(t *testing.T) {
	h := build(t, with(closed))
	content := string(hello("hello", "1.0.2-1", "amd64"))
	got := h.do("PUT", upload+"hello.deb?version=v1.0.2", content, "as", "dev").want(201).has("Content-Type", "application/json")
	var kept struct {
		Repo, Tag, Version, Next string
		File                     digest.Digest
		Size                     int64
		Same                     bool
	}
	if err := json.Unmarshal([]byte(got.body), &kept); err != nil {
		t.Fatal(err)
	}
	if kept.Repo != service || kept.Tag != "deb-1.0.2" || kept.Version != "1.0.2" || kept.File != digest.FromString(content) || kept.Size != int64(len(content)) || kept.Same {
		t.Errorf("the answer is %s", got.body)
	}
	if !strings.Contains(kept.Next, "promote "+service+" 1.0.2 to a place") {
		t.Errorf("what to do next: %q", kept.Next)
	}
	f, err := h.catalog.Pooled(h.ctx, service, "hello_1.0.2-1_amd64.deb")
	if err != nil || f.Digest != kept.File {
		t.Errorf("in the pool there is %+v, %v", f, err)
	}
	v, err := h.catalog.Version(h.ctx, service, "1.0.2")
	if err != nil || v.Formats[artifacts.Deb].By != "user:dev" {
		t.Errorf("the version is %+v, %v", v, err)
	}
	h.do("PUT", upload+"hello.deb?version=1.0.2", content, "as", "dev").want(200, `"same":true`)
	// Another architecture of the same version, and a version that the package says itself.
	h.do("PUT", upload+"hello_arm64.deb?version=1.0.2", string(hello("hello", "1.0.2-1", "arm64")), "as", "dev").want(201)
	h.do("PUT", upload+"any.deb", string(hello("hello", "1.0.3-1", "amd64")), "as", "dev").want(201, `"version":"1.0.3"`, "promote "+service+" 1.0.3")
	h.promote(service, "1.0.2", prod)
	for _, architecture := range []string{"amd64", "arm64"} {
		list := h.get("/apt/dists/cloud-prod/dmp/binary-"+architecture+"/Packages", "as", "host").want(200, "\nVersion: 1.0.2-1\n").body
		if strings.Contains(list, "1.0.3") {
			t.Errorf("what was not promoted is listed: %s", list)
		}
	}
}

func TestUpload_refuses_what_it_cannot_take(t *testing.T) {
	h := build(t, with(closed))
	content := string(hello("hello", "1.0.2", "amd64"))
	h.do("PUT", upload+"hello.deb", content, "as", "dev").want(201)
	for path, c := range map[string]struct {
		body   string
		status int
		words  []string
	}{
		upload:                                               {content, 400, []string{"/apt/upload/<domain>/<group>/<service>/<file>.deb", "curl -T ms-ingestion_1.0.2_amd64.deb", h.server.URL}},
		upload[:len(upload)-1]:                               {content, 400, []string{"curl -T"}},
		"/apt/upload":                                        {content, 400, []string{"curl -T"}},
		"/apt/upload/":                                       {content, 400, []string{"curl -T"}},
		"/apt/upload/hello.deb":                              {content, 400, []string{"curl -T"}},
		"/apt/upload/cloud/DMP/x/hello.deb":                  {content, 400, []string{"curl -T"}},
		"/apt/upload/a/cloud/dmp/x/hello.deb":                {content, 400, []string{"curl -T"}},
		upload + "hello.rpm":                                 {content, 400, []string{"end in .deb", "curl -T", service}},
		upload + "hello.deb?verison=1.0.2":                   {content, 400, []string{`"verison" is no parameter here`, "version"}},
		upload + "hello.deb?version=1&version=2":             {content, 400, []string{"give version once"}},
		upload + "hello.deb?version=one":                     {content, 422, []string{"the package is not taken", "write digits"}},
		upload + "a.deb?version=" + strings.Repeat("1", 200): {content, 400, []string{"more than 128 characters"}},
		upload + "a%20b.deb":                                 {content, 422, []string{"letters, digits"}},
		upload + "no.deb?version=1.0.9":                      {"this is no package", 422, []string{"package"}},
		upload + "empty.deb?version=1.0.9":                   {"", 422, []string{"package"}},
		upload + "cut.deb?version=1.0.9":                     {content[:len(content)/2], 422, []string{"package"}},
		upload + "hello.deb?version=1.0.3":                   {string(hello("hello", "1.0.2", "amd64")) + " ", 422, nil},
	} {
		h.do("PUT", path, c.body, "as", "dev").want(c.status, c.words...)
	}
	h.do("PUT", upload+"hello.deb?version=1.0.9", content, "as", "dev", "Content-Encoding", "gzip").want(415, "without Content-Encoding")
	// The same package with other bytes.
	other := strings.Replace(content, "1767225600", "1767225601", 1)
	if other == content {
		t.Fatal("the other package is the same")
	}
	h.do("PUT", upload+"hello.deb?version=1.0.2", other, "as", "dev").want(403)
	h.do("PUT", upload+"hello.deb?version=1.0.9", other, "as", "dev").want(403, "other bytes")
	for _, number := range []string{"1.0.3", "1.0.9"} {
		if v, err := h.catalog.Version(h.ctx, service, number); !errors.Is(err, artifacts.ErrUnknown) {
			t.Errorf("there is %+v, %v", v, err)
		}
	}
	h.do("GET", upload+"hello.deb", "", "as", "dev").want(405).has("Allow", "PUT")
	h.do("POST", upload+"hello.deb", content, "as", "dev").want(405)
}

func TestUpload_takes_the_right_to_push(t *testing.T) {
	h := build(t, with(open(service)))
	content := string(hello("hello", "1.0.2", "amd64"))
	for who, status := range map[string]int{"": 401, "wrong": 401, "host": 403, "all": 403, "nobody": 403, "scoped": 403} {
		h.do("PUT", upload+"hello.deb", content, "as", who).want(status)
	}
	h.do("PUT", "/apt/upload/cloud/ops/hidden/hello.deb", content, "as", "nobody").want(404)
	if _, err := h.catalog.Component(h.ctx, service); !errors.Is(err, artifacts.ErrUnknown) {
		t.Errorf("what was refused is stored: %v", err)
	}
}

// A body that breaks off, or stands still, is told so and leaves nothing.
func TestUpload_of_a_body_that_does_not_come(t *testing.T) {
	h := build(t, func(h *house) { h.stall = 200 * time.Millisecond })
	content := string(hello("hello", "1.0.2", "amd64"))
	for name, c := range map[string]struct {
		after func(net.Conn)
		want  string
	}{
		"breaks off":   {func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }, "400"},
		"stands still": {func(net.Conn) {}, "408"},
	} {
		conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "PUT %shello.deb HTTP/1.1\r\nHost: registry.example.com\r\nContent-Length: %d\r\n\r\n%s", upload, len(content), content[:100])
		c.after(conn)
		answer, err := io.ReadAll(conn)
		conn.Close()
		if !strings.HasPrefix(string(answer), "HTTP/1.1 "+c.want) || !strings.Contains(string(answer), "send it again") {
			t.Errorf("a body that %s is answered %q, %v", name, answer, err)
		}
	}
	if _, err := h.catalog.Component(h.ctx, service); !errors.Is(err, artifacts.ErrUnknown) {
		t.Errorf("half a package is stored: %v", err)
	}
	h.do("PUT", upload+"hello.deb", content).want(201)
}

func TestUpload_by_many_at_once(t *testing.T) {
	h := build(t)
	done := make(chan error)
	architectures := []string{"amd64", "arm64", "armhf", "i386", "riscv64", "s390x"}
	for _, architecture := range architectures {
		go func() {
			res, err := h.server.Client().Do(h.request("PUT", upload+architecture+".deb?version=1.0.2", string(hello("hello", "1.0.2", architecture))))
			if err == nil {
				res.Body.Close()
			}
			if err == nil && res.StatusCode != 201 {
				err = fmt.Errorf("%s: %s", architecture, res.Status)
			}
			done <- err
		}()
	}
	for range architectures {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	v, err := h.catalog.Version(h.ctx, service, "1.0.2")
	if err != nil || len(v.Formats[artifacts.Deb].Files) != len(architectures) {
		t.Errorf("the version is %+v, %v", v, err)
	}
}
