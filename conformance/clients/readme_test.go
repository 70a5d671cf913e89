//go:build clients

package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

// The README's tour, word for word: every line of every block that is marked <!-- tour: NAME --> is typed into a shell, in a copy of the
// folder that it would be typed in. Only the registry's port is another one.
func TestReadmeTour(t *testing.T) {
	r := registry(t)
	engine := docker(t, nil)
	cri := node(t, r+"/no/pause:1")
	s := newSession(t)
	s.env = append(s.env, "ENTREPOT_SERVER="+r, "HELM_CONFIG_HOME="+s.dir+"/config", "HELM_CACHE_HOME="+s.dir+"/cache", "HELM_DATA_HOME="+s.dir+"/share")
	s.env = append(s.env, pick(engine.env, "DOCKER_HOST", "DOCKER_CONFIG")...)
	s.env = append(s.env, pick(cri.env, "CONTAINER_RUNTIME_ENDPOINT", "IMAGE_SERVICE_ENDPOINT")...)

	// The shell finds the clients where the other tests do.
	shelf := filepath.Join(s.dir, "path")
	if err := os.Mkdir(shelf, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"docker", "oras", "crictl", "helm", "curl"} {
		if err := os.Symlink(client(t, name), filepath.Join(shelf, name)); err != nil {
			t.Fatal(err)
		}
	}
	// What installs packages does so in a folder.
	debian := newHost(t, "")
	s.env = append(s.env, pick(debian.env, "APT_CONFIG", "DESTDIR", "DEBIAN_FRONTEND")...)
	s.env = append(s.env, "PATH="+shelf+":"+os.Getenv("PATH"))

	readme, err := os.ReadFile(filepath.Join(program.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"deploy/Dockerfile", "deploy/data/README", "LICENSE"} {
		content, err := os.ReadFile(filepath.Join(program.Root(), path))
		if err != nil {
			t.Fatal(err)
		}
		s.write(path, string(content))
	}
	s.write("bin/entrepot", "")
	static := exec.Command("go", "build", "-o", filepath.Join(s.dir, "bin", "entrepot"), "./cmd/entrepot")
	static.Dir = program.Root()
	static.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := static.CombinedOutput(); err != nil {
		t.Fatalf("build entrepot: %v\n%s", err, out)
	}
	if err := os.Chmod(filepath.Join(s.dir, "bin", "entrepot"), 0o755); err != nil {
		t.Fatal(err)
	}

	blocks := regexp.MustCompile("(?s)<!-- tour: ([a-z]+) -->\n```sh\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	lines := 0
	for _, block := range blocks {
		for line := range strings.Lines(block[2]) {
			line = strings.ReplaceAll(strings.TrimSpace(line), "127.0.0.1:5000", r)
			if out, err := s.shell(line); err != nil {
				t.Fatalf("the tour of %s stops at\n$ %s\n%s%v", block[1], line, out, err)
			}
			if strings.Contains(line, "/apt/setup.sh") {
				debian.rebase("cloud-staging")
			}
			lines++
		}
	}
	if len(blocks) != 8 || lines < 55 {
		t.Fatalf("only %d lines in %d tours were found in README.md: has its form changed?", lines, len(blocks))
	}
}

// shell types a line into a shell.
func (s *session) shell(line string) (string, error) {
	s.t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", line)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	cmd.WaitDelay = patience
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// pick returns those variables of an environment that have one of the names.
func pick(env []string, names ...string) (picked []string) {
	for _, v := range env {
		for _, name := range names {
			if strings.HasPrefix(v, name+"=") {
				picked = append(picked, v)
			}
		}
	}
	return picked
}
