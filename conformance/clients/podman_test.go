//go:build clients

package clients

import (
	"runtime"
	"testing"
)

// containers returns a session of podman, buildah and skopeo with storage of its own. The registry is a mirror of docker.io too.
func containers(t *testing.T, r string) *session {
	t.Helper()
	return storage(t, `[[registry]]
location = "`+r+`"
insecure = true
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "`+r+`"
insecure = true
`)
}

// storage returns a session of the three with a storage and logins of its own, and with these settings for registries.
func storage(t *testing.T, registries string) *session {
	t.Helper()
	s := newSession(t)
	// In HOME, where all three look: skopeo heeds no variable for it.
	s.write(".config/containers/registries.conf", registries)
	s.write(".config/containers/policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	driver := "overlay"
	if stacked(t, s.dir) {
		driver = "vfs"
	}
	config := s.write("storage.conf", `[storage]
driver = "`+driver+`"
graphroot = "`+s.dir+`/root"
runroot = "`+s.dir+`/run"
`)
	auth := s.write("auth.json", "{}")
	s.env = append(s.env, "CONTAINERS_STORAGE_CONF="+config, "REGISTRY_AUTH_FILE="+auth, "TMPDIR="+s.dir)
	return s
}

// podmanRun runs an image once. It adds what podman needs where no init system and no special rights are.
func (s *session) podmanRun(image string, words ...string) string {
	s.t.Helper()
	args := []string{"--cgroup-manager", "cgroupfs", "--events-backend", "file", "run", "--rm", "--network", "none",
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", image}
	return s.run("podman", append(args, words...)...)
}

func TestPodman(t *testing.T) {
	r := registry(t)
	i := newImage(t)
	i.push(t, r, "podman/app", "1")
	i.push(t, r, "library/greeter", "1")
	s := containers(t, r)

	s.run("podman", "pull", r+"/podman/app:1")
	equal(t, s.podmanRun(r+"/podman/app:1"), greeting)
	equal(t, s.podmanRun(r+"/podman/app:1", "sum", "/big"), i.noise.String())

	// What it pushes elsewhere, in either format, it pulls and runs again.
	for _, format := range []string{"oci", "v2s2"} {
		to := r + "/podman/" + format + ":1"
		s.run("podman", "push", "--format", format, r+"/podman/app:1", to)
		s.run("podman", "rmi", "--all", "--force")
		s.run("podman", "pull", to)
		equal(t, s.podmanRun(to, "sum", "/big"), i.noise.String())
		s.run("podman", "tag", to, r+"/podman/app:1")
	}

	s.run("podman", "rmi", "--all", "--force")
	s.run("podman", "pull", "docker.io/library/greeter:1")
	equal(t, s.podmanRun("docker.io/library/greeter:1"), greeting)
}

// buildah builds, pushes, and pushes a list of images for two platforms with everything that it names.
func TestBuildah(t *testing.T) {
	r := registry(t)
	s := containers(t, r)
	sum := s.buildContext("app", 1<<20)
	for _, arch := range []string{"amd64", "arm64"} {
		// The chroot isolation needs no runtime; RUN only for the platform of the machine.
		if arch != runtime.GOARCH {
			s.write("app/Dockerfile", "FROM scratch\nCOPY hello /hello\nCOPY big /big\nENTRYPOINT [\"/hello\"]\n")
		}
		s.run("buildah", "bud", "--isolation", "chroot", "--arch", arch, "-t", r+"/buildah/app:"+arch, "app")
		s.run("buildah", "push", r+"/buildah/app:"+arch)
	}
	s.run("buildah", "manifest", "create", "both")
	s.run("buildah", "manifest", "add", "both", "docker://"+r+"/buildah/app:amd64")
	s.run("buildah", "manifest", "add", "both", "docker://"+r+"/buildah/app:arm64")
	s.run("buildah", "manifest", "push", "--all", "both", "docker://"+r+"/buildah/multi:1")

	contains(t, s.run("skopeo", "inspect", "--raw", "docker://"+r+"/buildah/multi:1"), `"architecture":"amd64"`, `"architecture":"arm64"`)
	s.run("buildah", "rmi", "--all", "--force")
	s.run("podman", "pull", r+"/buildah/multi:1")
	equal(t, s.podmanRun(r+"/buildah/multi:1", "sum", "/big"), sum)
}
