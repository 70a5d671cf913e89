package advisory

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// Line ends in names, tags and queries must not become headers of a reply, nor lines of the log.
func TestHeaderInjection(t *testing.T) {
	p := program.Start(t, program.Config("log: {level: debug, format: text}\n"))
	r := wire.At(p.URL)
	repo := wire.Repo(t)
	desc, body := r.PushImage(t, repo, "here")
	blob := r.PushBlob(t, repo, wire.Random(10))
	for _, evil := range []string{"%0d%0aX-Evil:%20yes", "%0aX-Evil:%20yes", "%0d%0a%0d%0a<script>", "%E5%98%8A%E5%98%8DX-Evil:yes", "%250d%250aX-Evil:yes", "%00", "%7f", "%22%3E"} {
		for _, c := range [][2]string{
			{"GET", "/v2/" + evil + "/tags/list"}, {"GET", "/v2/" + repo + evil + "/tags/list"}, {"GET", "/v2/" + repo + "/manifests/" + evil}, {"GET", "/v2/" + repo + "/manifests/here" + evil},
			{"PUT", "/v2/" + repo + "/manifests/" + evil}, {"PUT", wire.ManifestPath(repo, desc.Digest) + "?tag=" + evil}, {"GET", "/v2/" + repo + "/tags/list?n=1&last=" + evil},
			{"GET", "/v2/_catalog?n=1&last=" + evil}, {"GET", wire.ReferrersPath(repo, desc.Digest) + "?artifactType=" + evil}, {"GET", "/v2/" + repo + "/blobs/" + evil},
			{"GET", "/v2/" + repo + "/referrers/" + evil}, {"POST", wire.UploadsPath(repo) + "?digest-algorithm=" + evil}, {"POST", wire.UploadsPath(repo) + "?digest=" + evil},
			{"POST", wire.UploadsPath(repo) + "?mount=" + blob.String() + "&from=" + evil}, {"GET", wire.UploadsPath(repo) + evil}, {"GET", "/v2/?ns=" + evil}, {"GET", wire.ManifestPath(repo, "here") + "?ns=" + evil},
			{"GET", "/" + evil}, {"DELETE", "/v2/" + repo + "/manifests/" + evil},
		} {
			got := r.Do(t, c[0], c[1], body, "Content-Type", image)
			if got.Header.Get("X-Evil") != "" || got.Status >= 500 {
				t.Errorf("%s: status %d, headers %v", got.Asked, got.Status, got.Header)
			}
			for name, values := range got.Header {
				if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
					t.Errorf("%s: header %s is %q", got.Asked, name, values)
				}
			}
		}
	}
	var tags struct{ Tags []string }
	r.Do(t, "GET", "/v2/"+repo+"/tags/list", nil).Want(t, 200).JSON(t, &tags)
	if len(tags.Tags) != 1 {
		t.Errorf("tags are %q", tags.Tags)
	}
	p.Stop()
	for line := range strings.SplitSeq(p.Log(), "\n") {
		if strings.HasPrefix(line, "X-Evil") || strings.HasPrefix(line, "<script>") || strings.ContainsAny(line, "\r\x00") {
			t.Errorf("a client wrote a line of the log: %q", line)
		}
	}
}

// Path traversal: in each element of each path, by each spelling, the answer is a refusal, and no file is made or read outside the
// data folder.
func TestPathTraversal(t *testing.T) {
	p := program.Start(t)
	r := wire.At(p.URL)
	outside := filepath.Join(p.Dir, "outside.txt")
	if err := os.WriteFile(outside, []byte("never to be served"), 0o600); err != nil {
		t.Fatal(err)
	}
	repo := wire.Repo(t)
	desc, body := r.PushImage(t, repo, "here")
	before := files(t, p.Dir)
	up := []string{
		"../", "../../../../", "..%2f", "..%2F..%2F", "%2e%2e/", "%2e%2e%2f", "%2E%2E%2F%2E%2E%2F", "%252e%252e%252f", "..%252f", "..\\", "..%5c", "%c0%ae%c0%ae/", "....//", ".//", "/", "%2f", "..;/", "%00/../", "~/", "./",
	}
	goals := []string{"outside.txt", "etc/passwd", "data/index.db", "config.yml", "index.db"}
	for _, u := range up {
		for _, goal := range goals {
			x := u + goal
			for _, c := range [][2]string{
				{"GET", "/" + x}, {"GET", "/v2/" + x}, {"GET", "/v2/" + x + "/tags/list"}, {"GET", "/v2/" + x + "/manifests/here"}, {"GET", "/v2/" + repo + "/" + x + "/manifests/here"},
				{"GET", "/v2/" + repo + "/manifests/" + x}, {"GET", "/v2/" + repo + "/blobs/" + x}, {"GET", "/v2/" + repo + "/blobs/sha256:" + x}, {"GET", "/v2/" + repo + "/blobs/sha256:" + x + desc.Digest.Encoded()},
				{"GET", "/v2/" + repo + "/referrers/" + x}, {"GET", "/v2/" + repo + "/blobs/uploads/" + x}, {"PUT", "/v2/" + repo + "/manifests/" + x}, {"PUT", "/v2/" + x + "/manifests/evil"},
				{"POST", "/v2/" + x + "/blobs/uploads/"}, {"DELETE", "/v2/" + repo + "/blobs/" + x}, {"DELETE", "/v2/" + repo + "/manifests/" + x}, {"DELETE", "/v2/" + repo + "/blobs/uploads/" + x},
				{"PUT", "/v2/" + repo + "/blobs/uploads/" + x + "?digest=" + desc.Digest.String()}, {"PATCH", "/v2/" + repo + "/blobs/uploads/" + x},
				{"POST", wire.UploadsPath(repo) + "?mount=" + desc.Digest.String() + "&from=" + x}, {"POST", wire.UploadsPath(repo) + "?digest=sha256:" + x}, {"POST", wire.UploadsPath(repo) + "?digest-algorithm=" + x},
				{"GET", "/metrics/" + x}, {"GET", "/readyz/" + x},
			} {
				payload := ""
				if c[0] == "PUT" || c[0] == "PATCH" {
					payload = string(body)
				}
				got, err := r.Raw(c[0] + " " + c[1] + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: " + image + "\r\nContent-Length: " + itoa(len(payload)) + "\r\n\r\n" + payload)
				if err != nil {
					continue // net/http hangs up on what is no request line at all
				}
				if strings.Contains(string(got.Body), "never to be served") || strings.Contains(string(got.Body), "root:") {
					t.Fatalf("%s %s: gives a file of the machine", c[0], c[1])
				}
				switch redirect := slices.Contains([]int{301, 307, 308}, got.Status); {
				case c[0] == "POST" && strings.Contains(c[1], "?"): // a source that cannot be is no source, a query that is none is no query: 202 begins an upload
					if got.Status != 202 && got.Status != 400 && got.Status != 404 {
						t.Errorf("%s %s: status %d", c[0], c[1], got.Status)
					}
				case redirect:
					if loc := got.Header.Get("Location"); strings.Contains(loc, "://") || strings.HasPrefix(loc, "//") {
						t.Errorf("%s %s: redirects to %s", c[0], c[1], loc)
					}
				case got.Status != 400 && got.Status != 404 && got.Status != 405 && got.Status != 401:
					t.Errorf("%s %s: status %d %s", c[0], c[1], got.Status, got.Excerpt())
				}
			}
		}
	}
	for _, path := range files(t, p.Dir) {
		if !slices.Contains(before, path) && !strings.HasPrefix(path, "data"+string(filepath.Separator)) {
			t.Errorf("a file was made outside the data folder: %s", path)
		}
	}
	r.Do(t, "GET", wire.ManifestPath(repo, "here"), nil).Want(t, 200)
}

// A query that cannot be read is refused: to leave out what was not understood is to do something else than what was asked for.
func TestMalformedQuery_IsRefused(t *testing.T) {
	repo := wire.Repo(t)
	_, body := reg.PushImage(t, repo, "here")
	desc := wire.Descriptor(image, body)
	for _, c := range [][2]string{
		{"GET", "/v2/" + repo + "/tags/list?n=0;"}, {"GET", "/v2/" + repo + "/tags/list?n=%zz"}, {"GET", "/v2/_catalog?n=0;x"}, {"GET", wire.ReferrersPath(repo, desc.Digest) + "?artifactType=a;b"},
		{"POST", wire.UploadsPath(repo) + "?digest=sha256:a;b"}, {"POST", wire.UploadsPath(repo) + "?mount=%zz&from=x"}, {"PUT", wire.ManifestPath(repo, desc.Digest) + "?tag=a;b"},
	} {
		payload := ""
		if c[0] == "PUT" {
			payload = string(body)
		}
		got, err := reg.Raw(c[0] + " " + c[1] + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: " + image + "\r\nContent-Length: " + itoa(len(payload)) + "\r\n\r\n" + payload)
		if err != nil || got.Status != 400 {
			t.Errorf("%s %s: status %d, %v", c[0], c[1], got.Status, err)
		}
	}
}

// Names of stored files come from digests and ids alone: nothing that a client chose is a name in the data folder.
func TestDataFolder_HoldsNoNameOfAClient(t *testing.T) {
	p := program.Start(t)
	r := wire.At(p.URL)
	r.PushImage(t, "choicename/choicerepo", "choicetag")
	r.Begin(t, "choicename/choicerepo")
	name := regexp.MustCompile(`choice(name|repo|tag)`)
	for _, path := range files(t, p.Dir) {
		if name.MatchString(path) {
			t.Errorf("%s bears a name that a client chose", path)
		}
	}
}

// files lists the files under a folder, by their relative paths.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // files come and go while the program runs
		}
		rel, err := filepath.Rel(dir, path)
		all = append(all, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Stored scripts (Harbor's CVE-2025-32019): what is pushed never comes back as something that a browser runs.
func TestPushedText_IsNeverAPage(t *testing.T) {
	repo := wire.Repo(t)
	m := reg.Image(t, repo)
	m.Annotations = map[string]string{"org.opencontainers.image.description": "<script>alert(1)</script>"}
	reg.PushManifest(t, repo, "page", image, m)
	evil := wire.JSON(m)
	for i, mediaType := range []string{"text/html", "application/xhtml+xml", "image/svg+xml", "text/html; charset=utf-8"} {
		ref := "p" + itoa(i)
		if got := reg.Put(t, repo, ref, mediaType, evil); got.Status == 201 {
			got = reg.Do(t, "GET", wire.ManifestPath(repo, ref), nil)
			if ct := got.Header.Get("Content-Type"); strings.Contains(ct, "html") || strings.Contains(ct, "svg") {
				t.Errorf("a manifest is served as %s", ct)
			}
		}
	}
	for _, path := range []string{"/v2/" + repo + "/manifests/%3Cscript%3E", "/v2/%3Cscript%3E/tags/list", "/%3Cscript%3Ealert(1)", "/v2/" + repo + "/tags/list?n=%3Cscript%3E"} {
		got := reg.Do(t, "GET", path, nil)
		if ct := got.Header.Get("Content-Type"); strings.Contains(ct, "html") && strings.Contains(string(got.Body), "<script>") {
			t.Errorf("%s: a page with the client's own script", got.Asked)
		}
	}
}
