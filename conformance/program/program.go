// Package program starts the true entrepot program, as a user would, for tests that look at it from outside.
//
//	p := program.Start(t)                        // builds it once, serves on a free loopback port from a private folder
//	res, err := http.Get(p.URL + "/v2/")
//	p.Kill()                                     // kill -9
//	p.Restart()                                  // the same folder, the same port
//
// Everything it starts ends with the test, by its own pid.
package program

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Binary is the environment variable that names a program built beforehand; without it the program is built once a test process.
const Binary = "ENTREPOT_BIN"

// Program is a running registry.
type Program struct {
	URL  string // http://127.0.0.1:port
	Addr string // 127.0.0.1:port
	Dir  string // the folder it runs in; its data is in Dir/data

	t     testing.TB
	bin   string
	under []string
	args  []string
	env   []string
	ask   *http.Client

	mu  sync.Mutex
	cmd *exec.Cmd
	log *buffer
	end chan struct{}
}

// Option changes how the program is started.
type Option func(*Program)

// Config writes a configuration file for the program and starts it with that.
func Config(yaml string) Option {
	return func(p *Program) {
		path := filepath.Join(p.Dir, "config.yml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			p.t.Fatal(err)
		}
		p.args = append(p.args, "--config", path)
	}
}

// Env adds variables (NAME=value) to the program's environment.
func Env(vars ...string) Option { return func(p *Program) { p.env = append(p.env, vars...) } }

// In runs the program in an existing folder instead of one of its own.
func In(dir string) Option { return func(p *Program) { p.Dir = dir } }

// Listen lets the program serve on an address of the test's choice instead of a free port of 127.0.0.1. A test that starts it again many times
// takes another address of 127.0.0.0/8: there no connection of another process can have got the port meanwhile.
func Listen(addr string) Option {
	return func(p *Program) { p.Addr, p.URL = addr, "http://"+addr }
}

// HTTPS says that the program, by its configuration, speaks TLS; the client is one that trusts it.
func HTTPS(client *http.Client) Option {
	return func(p *Program) { p.URL, p.ask = "https://"+p.Addr, client }
}

// Under starts the program by way of another, such as a shell that makes a filesystem and then becomes the program (exec "$@"), so that
// the process id stays the program's.
func Under(argv ...string) Option { return func(p *Program) { p.under = argv } }

// Start starts the program and waits until it is ready; a program that does not get ready fails the test with its log.
func Start(t testing.TB, opts ...Option) *Program {
	t.Helper()
	p := &Program{t: t, bin: Build(t), Dir: t.TempDir(), ask: http.DefaultClient}
	p.Addr = freeAddr(t)
	p.URL = "http://" + p.Addr
	for _, o := range opts {
		o(p)
	}
	p.run()
	t.Cleanup(p.Stop)
	return p
}

func (p *Program) run() {
	p.t.Helper()
	argv := slices.Concat(p.under, []string{p.bin, "serve"}, p.args)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = p.Dir
	cmd.Env = append(append(os.Environ(), "ENTREPOT_LISTEN="+p.Addr), p.env...)
	log := &buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// Pdeathsig fires when the starting thread ends, so that thread has to live as long as the program.
	started, end := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		if cmd.Process != nil {
			_ = cmd.Wait()
		}
		close(end)
	}()
	if err := <-started; err != nil {
		p.t.Fatalf("start entrepot: %v", err)
	}
	p.mu.Lock()
	p.cmd, p.log, p.end = cmd, log, end
	p.mu.Unlock()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if res, err := p.ask.Get(p.URL + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-end:
			p.t.Fatalf("entrepot ended at start:\n%s", log.String())
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("entrepot is not ready after 30 s:\n%s", log.String())
		}
	}
}

// PID returns the process id.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Log returns what the program has written since it was last started.
func (p *Program) Log() string { return p.log.String() }

// Kill ends the program at once, as a power switch would (kill -9), and waits until it is gone.
func (p *Program) Kill() { p.signal(syscall.SIGKILL) }

// Stop ends the program in order (SIGTERM); one that does not end within 30 s is killed and fails the test.
func (p *Program) Stop() {
	if !p.signal(syscall.SIGTERM) {
		p.t.Errorf("entrepot did not end within 30 s of SIGTERM:\n%s", p.log.String())
		p.Kill()
	}
}

func (p *Program) signal(s syscall.Signal) bool {
	p.mu.Lock()
	cmd, end := p.cmd, p.end
	p.mu.Unlock()
	select {
	case <-end:
		return true
	default:
	}
	_ = cmd.Process.Signal(s)
	select {
	case <-end:
		return true
	case <-time.After(30 * time.Second):
		return false
	}
}

// Signal sends a signal and does not wait for what comes of it.
func (p *Program) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Ended returns a channel that is closed when the program has ended, by itself or by a signal.
func (p *Program) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// Status waits until the program has ended and returns its exit status, -1 if a signal ended it.
func (p *Program) Status() int {
	<-p.Ended()
	return p.cmd.ProcessState.ExitCode()
}

// Restart starts the program again in the same folder and on the same port, after Kill or Stop.
func (p *Program) Restart() { p.t.Helper(); p.run() }

// CLI runs an entrepot verb in the program's folder and returns what it printed on both outputs.
func (p *Program) CLI(args ...string) (string, error) {
	cmd := exec.Command(p.bin, args...)
	cmd.Dir = p.Dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// notice looks at every source of the program, so that `go test` does not answer from its cache when one has changed.
func notice() error {
	return filepath.WalkDir(Root(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (strings.HasPrefix(name, ".") || name == "conformance" || name == "data") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			_, err = os.Stat(path)
		}
		return err
	})
}

var build = sync.OnceValues(func() (string, error) {
	if err := notice(); err != nil {
		return "", err
	}
	if bin := os.Getenv(Binary); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "entrepot-bin")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "entrepot")
	cmd := exec.Command("go", "build", "-o", bin, "github.com/entrepot/entrepot/cmd/entrepot")
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(strings.TrimSpace(string(out)))
	}
	return bin, nil
})

// Build returns the path of the program, built on the first call.
func Build(t testing.TB) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatalf("build entrepot: %v", err)
	}
	return bin
}

// Root returns the folder of the source tree.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// freeAddr finds a port that was free a moment ago.
func freeAddr(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr())
}

// buffer gathers a program's output while others read it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
