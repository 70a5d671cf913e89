//go:build clients

package clients

import (
	"archive/tar"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A developer builds an image, pushes it, and another machine pulls and runs it.
func TestDockerPushPullRun(t *testing.T) {
	r := registry(t)
	s := docker(t, nil)
	s.env = append(s.env, "DOCKER_BUILDKIT=0")
	sum := s.buildContext("app", 1<<20)

	s.run("docker", "build", "--network", "none", "-t", r+"/docker/app:1", "app")
	s.run("docker", "push", r+"/docker/app:1")
	pushed := s.run("docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", r+"/docker/app:1")

	// A second tag uploads nothing, and another repository takes over what the registry has already.
	s.run("docker", "tag", r+"/docker/app:1", r+"/docker/app:2")
	contains(t, s.run("docker", "push", r+"/docker/app:2"), "Layer already exists")
	s.run("docker", "tag", r+"/docker/app:1", r+"/docker/other/app:1")
	contains(t, s.run("docker", "push", r+"/docker/other/app:1"), "Mounted from docker/app")

	// The other machine: the same engine after it has forgotten everything.
	s.run("docker", "rmi", r+"/docker/app:1", r+"/docker/app:2", r+"/docker/other/app:1")
	s.run("docker", "system", "prune", "--all", "--force")
	equal(t, s.run("docker", "image", "ls", "--quiet", "--all"), "")
	s.run("docker", "pull", r+"/docker/other/app:1")
	equal(t, s.run("docker", "run", "--rm", "--network", "none", r+"/docker/other/app:1"), greeting)
	equal(t, s.run("docker", "run", "--rm", "--network", "none", r+"/docker/other/app:1", "sum", "/big"), sum)

	// By digest the same image comes, and its content is there already.
	equal(t, s.run("docker", "pull", "--quiet", strings.TrimSpace(pushed)), pushed)
	equal(t, s.run("docker", "run", "--rm", "--network", "none", strings.TrimSpace(pushed), "sum", "/big"), sum)

	contains(t, s.fails("docker", "pull", r+"/docker/app:none"), "not found")
	contains(t, s.fails("docker", "pull", r+"/docker/nothing:1"), "not found")
}

// BuildKit resolves, pulls and pushes with code of its own, apart from the engine's.
func TestDockerBuildKit(t *testing.T) {
	r := registry(t)
	s := docker(t, nil)
	s.env = append(s.env, "DOCKER_BUILDKIT=1")
	base := newImage(t)
	base.push(t, r, "docker/base", "1")

	// The base image comes from the registry too.
	sum := s.buildContext("kit", 1<<20)
	s.write("kit/Dockerfile", "FROM "+r+"/docker/base:1\nCOPY big /bigger\nRUN [\"/hello\", \"sum\", \"/bigger\"]\n")
	s.run("docker", "build", "--network", "none", "-t", r+"/docker/kit:1", "kit")
	s.run("docker", "push", r+"/docker/kit:1")

	s.run("docker", "rmi", r+"/docker/kit:1")
	s.run("docker", "system", "prune", "--all", "--force")
	equal(t, s.run("docker", "run", "--rm", "--network", "none", r+"/docker/kit:1", "sum", "/bigger"), sum)
	equal(t, s.run("docker", "run", "--rm", "--network", "none", r+"/docker/kit:1", "sum", "/big"), base.noise.String())
}

// A large layer goes up in pieces and comes back unharmed; what was pulled can be saved to a file and loaded from it.
func TestDockerLargeLayer(t *testing.T) {
	r := registry(t)
	s := docker(t, nil)
	s.env = append(s.env, "DOCKER_BUILDKIT=0")
	sum := s.buildContext("large", 50<<20)
	s.run("docker", "build", "--network", "none", "-t", r+"/docker/large:1", "large")
	s.run("docker", "push", r+"/docker/large:1")
	s.run("docker", "rmi", r+"/docker/large:1")
	s.run("docker", "system", "prune", "--all", "--force")

	s.run("docker", "pull", r+"/docker/large:1")
	s.run("docker", "save", "-o", "large.tar", r+"/docker/large:1")
	contains(t, strings.Join(names(t, filepath.Join(s.dir, "large.tar")), "\n"), "manifest.json")
	s.run("docker", "rmi", r+"/docker/large:1")
	contains(t, s.run("docker", "load", "-i", "large.tar"), r+"/docker/large:1")
	equal(t, s.run("docker", "run", "--rm", "--network", "none", r+"/docker/large:1", "sum", "/big"), sum)
}

// As a mirror of Docker Hub the registry is asked at its root path for library/<name>.
func TestDockerMirror(t *testing.T) {
	r := registry(t)
	i := newImage(t)
	i.push(t, r, "library/greeter", "latest", "1")
	s := docker(t, map[string]any{"registry-mirrors": []string{"http://" + r}})
	s.run("docker", "pull", "greeter")
	contains(t, s.run("docker", "image", "inspect", "greeter"), i.digest.String())
	equal(t, s.run("docker", "run", "--rm", "--network", "none", "greeter"), greeting)
	s.run("docker", "pull", "greeter:1")
	equal(t, s.run("docker", "run", "--rm", "--network", "none", "greeter:1", "sum", "/big"), i.noise.String())
}

// What docker pushed can be read by any client: the manifest stands under its tag, by its own media type.
func TestDockerPushIsPlain(t *testing.T) {
	r := registry(t)
	s := docker(t, nil)
	s.run("docker", "import", s.importable(), r+"/docker/imported:1")
	s.run("docker", "push", r+"/docker/imported:1")
	status, body := asks(t, http.MethodGet, "http://"+r+"/v2/docker/imported/manifests/1")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	equal(t, field(t, body, "schemaVersion"), "2")
	equal(t, field(t, body, "config", "mediaType"), `"application/vnd.docker.container.image.v1+json"`)
	_, tags := asks(t, http.MethodGet, "http://"+r+"/v2/docker/imported/tags/list")
	equal(t, field(t, tags, "tags"), `["1"]`)
}

// importable writes a root file system as a tar and returns its path.
func (s *session) importable() string {
	s.t.Helper()
	return s.write("root.tar", string(layer(s.t, "hello", 0o755, hello(s.t))))
}

// names lists the files of a tar.
func names(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, h.Name)
	}
}
