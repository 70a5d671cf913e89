package api

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/artifacts/intake"
)

const ofVersion = "/api/v1/components/" + service + "/versions/1.0.2"

// TestFiles are taken without an OCI client.
func TestFiles(t *testing.T) {
	h := build(t)
	r := h.do("dev", "PUT", ofVersion+"/generic/fw.bin", "firmware").want(t, 201)
	k := into[intake.Kept](t, r)
	if k.Repo != service || k.Tag != "generic-1.0.2" || k.Name != "fw.bin" || k.Size != 8 || k.Version != "1.0.2" || k.Same || r.Header.Get("Location") != ofVersion+"/generic/fw.bin" {
		t.Errorf("%+v, Location %s", k, r.Header.Get("Location"))
	}
	h.do("dev", "PUT", ofVersion+"/generic/fw.bin", "firmware").want(t, 200).says(t, `"same":true`)
	h.do("dev", "PUT", ofVersion+"/generic/fw.bin", "other").problem(t, 403)
	h.do("dev", "PUT", "/api/v1/components/"+service+"/versions/v1.0.2/generic/b.txt", "b").want(t, 201)
	h.send("dev", "PUT", ofVersion+"/generic/chunked.bin", io.MultiReader(strings.NewReader("of no "), strings.NewReader("length"))).want(t, 201).says(t, `"size":12`)
	v := into[artifacts.State](t, h.get("reader", ofVersion).want(t, 200).says(t, "oras pull registry.example.com/"+service+":generic-1.0.2"))
	if n := len(v.Formats[artifacts.Generic].Files); n != 3 {
		t.Errorf("the version has %d files, want 3", n)
	}
	deb := debtest.Build(debtest.Spec{Package: "ms-ingestion", Version: "1.0.2-1", Arch: "amd64"})
	r = h.do("dev", "PUT", ofVersion+"/deb/whatever.deb", string(deb)).want(t, 201)
	if got := r.Header.Get("Location"); got != ofVersion+"/deb/ms-ingestion_1.0.2-1_amd64.deb" {
		t.Errorf("the package is at %s", got)
	}
	h.get("reader", ofVersion).want(t, 200).says(t, "apt-get install ms-ingestion=1.0.2-1", `"architecture":"amd64"`)

	h.do("dev", "PUT", ofVersion+"/docker/x.tar", "x").problem(t, 400, "docker push registry.example.com/"+service+":1.0.2")
	h.do("dev", "PUT", ofVersion+"/rpm/x.rpm", "x").problem(t, 404, "docker, deb, generic")
	h.do("dev", "PUT", ofVersion+"/generic/x.gz", "x", "Content-Encoding", "gzip").problem(t, 415, "Content-Encoding")
	h.do("reader", "PUT", ofVersion+"/generic/x", "x").problem(t, 403, "push")
	h.do("stranger", "PUT", ofVersion+"/generic/x", "x").problem(t, 404)
	h.do("", "PUT", ofVersion+"/generic/x", "x").problem(t, 401)
	h.do("dev", "PUT", ofVersion+"/SHA256SUMS", "x").want(t, 405)
}

// TestFiles_with_a_digest are what was announced, or nothing is kept.
func TestFiles_with_a_digest(t *testing.T) {
	h := build(t)
	sum := sha256.Sum256([]byte("firmware"))
	right, coded := hex.EncodeToString(sum[:]), "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":"
	none := strings.Repeat("0", 64)
	bodies := map[string]func() io.Reader{
		"with a length": func() io.Reader { return strings.NewReader("firmware") },
		"in chunks":     func() io.Reader { return io.MultiReader(strings.NewReader("firm"), strings.NewReader("ware")) },
	}
	for name, body := range bodies {
		for _, headers := range [][2]string{{"X-Checksum-Sha256", none}, {"Repr-Digest", "sha-256=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"}} {
			h.send("dev", "PUT", ofVersion+"/generic/fw.bin", body(), headers[0], headers[1]).problem(t, 400, "another SHA-256").says(t, right, none)
			h.get("root", ofVersion).problem(t, 404)
			if _, err := h.reg.Blob(t.Context(), service, digest.Digest("sha256:"+right)); err == nil {
				t.Errorf("%s, %s: the content was kept", name, headers[0])
			}
		}
	}
	for _, headers := range [][]string{
		{"X-Checksum-Sha256", "x"}, {"X-Checksum-Sha256", right[:62]}, {"Repr-Digest", "sha-256=" + right}, {"Repr-Digest", "sha-256=:AAAA:"}, {"X-Checksum-Sha256", none, "Repr-Digest", coded},
	} {
		h.do("dev", "PUT", ofVersion+"/generic/fw.bin", "firmware", headers...).problem(t, 400)
	}
	for i, headers := range [][]string{
		{"X-Checksum-Sha256", right}, {"X-Checksum-Sha256", strings.ToUpper(right)}, {"Repr-Digest", coded}, {"Repr-Digest", "sha-512=:AAAA:, " + coded}, {"Repr-Digest", "md5=:AAAA:"},
		{"X-Checksum-Sha256", right, "Repr-Digest", coded},
	} {
		for name, body := range bodies {
			h.send("dev", "PUT", fmt.Sprintf("%s/generic/fw%d%d.bin", ofVersion, i, len(name)), body(), headers...).want(t, 201)
		}
	}
	h.do("dev", "PUT", ofVersion+"/metadata.yaml", metadataYAML(service, ""), "X-Checksum-Sha256", right).problem(t, 400, "another SHA-256")
}

// TestFiles_broken_off are not kept, and neither are documents.
func TestFiles_broken_off(t *testing.T) {
	h := build(t)
	h.image(service, "1.0.2", "")
	for _, path := range []string{ofVersion + "/generic/fw.bin", ofVersion + "/metadata.yaml"} {
		c, err := net.Dial("tcp", h.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: registry.example.com\r\nAuthorization: Bearer dev\r\nContent-Length: 100\r\n\r\narchitecture", path)
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 400 || !strings.Contains(string(body), "broke off") {
			t.Errorf("%s: %d %s, %v", path, res.StatusCode, body, err)
		}
	}
	h.get("root", ofVersion).want(t, 200).says(t, "!generic", `"documents":{}`)
	h.do("dev", "PUT", ofVersion+"/deb/x.deb", "no package").problem(t, 422)
}

// TestDocuments are attached, or refused with all that is wrong.
func TestDocuments(t *testing.T) {
	h := build(t)
	h.do("dev", "PUT", ofVersion+"/metadata.yaml", metadataYAML(service, "")).problem(t, 404, "push the artifact first")
	d := h.image(service, "1.0.2", "")
	r := h.do("dev", "PUT", ofVersion+"/docker/manifest.yaml", manifestYAML("1.0.2", d)).want(t, 201)
	if k := into[intake.Kept](t, r); k.Tag != "1.0.2" || k.Name != "manifest.yaml" || r.Header.Get("Location") != ofVersion+"/docker/manifest.yaml" {
		t.Errorf("%+v, Location %s", k, r.Header.Get("Location"))
	}
	h.do("dev", "PUT", ofVersion+"/metadata.yaml", metadataYAML(service, "")).want(t, 201)
	h.do("dev", "PUT", ofVersion+"/metadata.yaml", metadataYAML(service, "")).want(t, 200).says(t, `"same":true`)
	h.do("dev", "PUT", ofVersion+"/metadata.yaml", metadataYAML(other, "port_exposed: 70000\n")).problem(t, 422, "mend metadata.yaml").
		says(t, "metadata.group.mismatch", "metadata.service_name.mismatch", "port_exposed")
	h.do("dev", "PUT", ofVersion+"/deb/manifest.yaml", manifestYAML("1.0.2", d)).problem(t, 404, "push the artifact first")
	h.do("dev", "PUT", ofVersion+"/rpm/manifest.yaml", manifestYAML("1.0.2", d)).problem(t, 404, "docker, deb, generic")
	h.do("dev", "PUT", ofVersion+"/metadata.yaml", strings.Repeat("#", 256<<10+1)).problem(t, 413)
	h.do("reader", "PUT", ofVersion+"/metadata.yaml", metadataYAML(service, "")).problem(t, 403)
	h.do("stranger", "PUT", ofVersion+"/metadata.yaml", metadataYAML(service, "")).problem(t, 404)
}

// TestGroups have an owner and a policy, which those who govern set and replace.
func TestGroups(t *testing.T) {
	h := build(t)
	const group = "/api/v1/groups/cloud/dmp"
	h.get("root", group+"/ownership.yaml").problem(t, 404, "cloud/dmp:ownership")
	h.do("lead", "PUT", group+"/ownership.yaml", ownership).want(t, 201).says(t, `"tag":"ownership"`)
	h.do("lead", "PUT", group+"/ownership.yaml", ownership).want(t, 200)
	h.do("maintainer", "PUT", group+"/ownership.yaml", ownership+"ci_pipeline: https://ci.example.com\n").want(t, 201)
	r := h.get("dev", group+"/ownership.yaml").want(t, 200)
	if string(r.body) != ownership+"ci_pipeline: https://ci.example.com\n" || r.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%s of type %s", r.body, r.Header.Get("Content-Type"))
	}
	h.do("lead", "PUT", group+"/policy.yaml", "rules:\n  version.metadata.missing: deny\n").want(t, 201)
	h.get("dev", group+"/policy.yaml").want(t, 200).says(t, "version.metadata.missing: deny")
	h.do("lead", "PUT", group+"/ownership.yaml", ownership+"slack_channel: x\n").problem(t, 422).says(t, "ownership.slack_channel.form")
	h.do("dev", "PUT", group+"/ownership.yaml", ownership).problem(t, 403, "govern")
	h.do("reader", "PUT", group+"/policy.yaml", "rules: {}\n").problem(t, 404)
	h.get("reader", group+"/ownership.yaml").problem(t, 404)
	h.get("root", "/api/v1/groups/cloud/nothing/policy.yaml").problem(t, 404, "PUT it here")
}

// TestFile hands on to whoever serves files what was asked for.
func TestFile(t *testing.T) {
	h := build(t)
	for _, path := range []string{"/docker/manifest.yaml", "/deb/x_1%2b2_amd64.deb", "/metadata.yaml", "/SHA256SUMS", "/generic/fw.bin"} {
		h.get("reader", ofVersion+path).want(t, 200)
	}
	want := []string{
		service + " 1.0.2 docker/manifest.yaml", service + " 1.0.2 deb/x_1+2_amd64.deb", service + " 1.0.2 metadata.yaml", service + " 1.0.2 SHA256SUMS", service + " 1.0.2 generic/fw.bin",
	}
	if !slices.Equal(h.files, want) {
		t.Errorf("%q, want %q", h.files, want)
	}
	h.get("reader", ofVersion+"/rpm/x").problem(t, 404)
	h.get("stranger", ofVersion+"/SHA256SUMS").problem(t, 404)
	bare := build(t, func(c *Config) { c.File = nil })
	bare.get("reader", ofVersion+"/generic/fw.bin").problem(t, 404, "OCI client")
}
