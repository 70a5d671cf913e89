package oracle

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// entrepot starts the true program in a folder of its own and returns its URL. It is the one that ENTREPOT_BIN names, or is built
// from the tree around this module.
func entrepot(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("ENTREPOT_BIN")
	if bin == "" {
		bin = filepath.Join(t.TempDir(), "entrepot")
		build := exec.Command("go", "build", "-o", bin, "./cmd/entrepot")
		build.Dir = filepath.Join("..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build entrepot: %v\n%s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()

	log := &log{}
	cmd := exec.Command(bin, "serve")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "ENTREPOT_LISTEN="+addr)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start entrepot: %v", err)
	}
	end := make(chan struct{})
	go func() { defer close(end); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-end:
		case <-time.After(30 * time.Second):
			t.Error("entrepot did not end within 30 s of SIGTERM")
			_ = cmd.Process.Kill()
			<-end
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if res, err := http.Get("http://" + addr + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return "http://" + addr
			}
		}
		select {
		case <-end:
			t.Fatalf("entrepot ended at start:\n%s", log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("entrepot is not ready after 30 s:\n%s", log)
		}
	}
}

// log gathers a program's output while it runs.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
