//go:build clients

package clients

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// background starts a daemon in the session and waits until it is ready. It ends with the test, by its own pid and in order, so
// that it takes its shims and mounts with it.
func (s *session) background(ready func() bool, name string, args ...string) {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(client(s.t, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdout, cmd.Stderr = log, log
	// In order even if the test process is killed: a daemon that is killed leaves its children running.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started, gone := make(chan error), make(chan struct{})
	go func() {
		// The signal above is sent when this thread ends, not when the process does.
		runtime.LockOSThread()
		started <- cmd.Start()
		if cmd.Process != nil {
			_ = cmd.Wait()
		}
		close(gone)
	}()
	if err := <-started; err != nil {
		s.t.Fatalf("start %s: %v", name, err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-gone:
		case <-time.After(30 * time.Second):
			s.t.Errorf("%s did not end within 30 s of SIGTERM", name)
			_ = cmd.Process.Kill()
			<-gone
		}
		log.Close()
		if s.t.Failed() {
			s.t.Logf("the end of %s's log:\n%s", name, tail(s.read(name+".log")))
		}
	})
	within(s.t, name+" is ready", func() bool {
		select {
		case <-gone:
			s.t.Fatalf("%s ended at start:\n%s", name, tail(s.read(name+".log")))
		default:
		}
		return ready()
	})
}

// docker starts a Docker Engine of the test's own, with the settings of a daemon.json, and returns a session that talks to it. Both have the
// variables given in their environment.
func docker(t *testing.T, settings map[string]any, env ...string) *session {
	t.Helper()
	s := newSession(t, env...)
	s.env = append(s.env, "DOCKER_HOST=unix://"+s.dir+"/d.sock", "DOCKER_CONFIG="+s.dir+"/cfg",
		// The engine takes containerd's shim and runc from the PATH and needs those of its own release.
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	if settings == nil {
		settings = map[string]any{}
	}
	config, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	file := s.write("daemon.json", string(config))
	s.background(func() bool { _, _, err := s.try("", "docker", "info"); return err == nil }, "dockerd",
		"--config-file", file, "--data-root", s.dir+"/data", "--exec-root", s.dir+"/exec",
		"--host", "unix://"+s.dir+"/d.sock", "--pidfile", s.dir+"/d.pid",
		// The machine's own network stays as it is.
		"--iptables=false", "--ip6tables=false", "--bridge=none")
	return s
}

// node starts a containerd of the test's own, as a Kubernetes node runs it, and returns a session whose crictl and ctr talk to it.
// Host names are looked up in certs.d/<host>/hosts.toml of the session's folder. sandbox is the image that holds a pod together.
func node(t *testing.T, sandbox string) *session {
	t.Helper()
	s := newSession(t)
	socket, snapshotter := s.dir+"/c.sock", "overlayfs"
	if stacked(t, s.dir) {
		snapshotter = "native"
	}
	settings, path := containerd1, "/usr/sbin:/usr/bin:/sbin:/bin"
	if newest() {
		// Its shim has to be found before the packaged one.
		settings, path = containerd2, filepath.Dir(client(t, "containerd"))+":"+path
	}
	s.env = append(s.env, "CONTAINER_RUNTIME_ENDPOINT=unix://"+socket, "IMAGE_SERVICE_ENDPOINT=unix://"+socket,
		"CONTAINERD_ADDRESS="+socket, "CONTAINERD_SNAPSHOTTER="+snapshotter, "PATH="+path)
	file := s.write("config.toml", strings.NewReplacer("DIR", s.dir, "SANDBOX", sandbox, "SNAPSHOTTER", snapshotter).Replace(settings))
	s.background(func() bool { _, _, err := s.try("", "crictl", "info"); return err == nil }, "containerd", "--config", file)
	return s
}

// newest says whether the nodes run the containerd 2 of `make tools-extra` instead of the packaged release.
func newest() bool { return os.Getenv("CLIENTS_CONTAINERD") == "2" }

// Both releases may leave the score of the kernel's memory killer alone: a test machine may not let anybody lower it.
const (
	containerd1 = `version = 2
root = "DIR/root"
state = "DIR/state"
[grpc]
  address = "DIR/c.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "DIR/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "SANDBOX"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "SNAPSHOTTER"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "DIR/certs.d"
`
	containerd2 = `version = 3
root = "DIR/root"
state = "DIR/state"
[grpc]
  address = "DIR/c.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "DIR/opt"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "SNAPSHOTTER"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "SANDBOX"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "DIR/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
`
)
