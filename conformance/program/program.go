// Package program starts the true entrepot program, as a user would, for tests that look at it from outside.
//
//	p := program.Start(t)                        // builds it once, serves on a free loopback port from a private folder
//	res, err := http.Get(p.URL + "/v2/")
//	p.Kill()                                     // kill -9
//	p.Restart()                                  // the same folder, the same port
//
// Everything it starts ends with the test, by its own pid.
//
// With ENTREPOT_TEST_AS_REPLICAS=3 in the environment a Program is that many replicas of the program over one bucket and one database, which are made for it, behind
// a proxy that sends each request to the next of them. The test is not told: URL and Addr are the proxy's, and all replicas are started, stopped and killed
// together. It needs what `make backends` needs. A suite whose TestMain calls Run has the servers started once; in others every Start starts its own.
//
//	func TestMain(m *testing.M) { os.Exit(program.Run(m)) }
//
// A test that is about one process or about the folder says so, and why: program.Start(t, program.Alone("it fills the folder's disk")).
package program

import (
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
	Dir  string // the folder it runs in; its data is in Dir/data, unless it is many replicas

	t      testing.TB
	bin    string
	under  []string
	args   []string
	env    []string
	ask    *http.Client
	alone  string  // why it is one process whatever the environment says
	stores *stores // what the replicas stand on; nil: it is one process

	mu    sync.Mutex
	runs  []*process
	front *front // before replicas that run
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

// Alone says why the program is one process with its data in its folder, even where ENTREPOT_TEST_AS_REPLICAS asks for replicas.
func Alone(why string) Option { return func(p *Program) { p.alone = why } }

// Start starts the program and waits until it is ready; a program that does not get ready fails the test with its log.
func Start(t testing.TB, opts ...Option) *Program {
	t.Helper()
	p := &Program{t: t, bin: Build(t), Dir: t.TempDir(), ask: http.DefaultClient}
	// The port stays taken until the program is about to take it: what has to be started first opens many.
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	p.Addr = held.Addr().String()
	p.URL = "http://" + p.Addr
	for _, o := range opts {
		o(p)
	}
	switch count := replicas(t); {
	case count > 1 && p.alone != "":
		t.Logf("this is one process and not %d replicas: %s", count, p.alone)
	case count > 1:
		p.stores = storesOf(t, p.Dir, count)
	}
	t.Cleanup(p.Stop)
	held.Close()
	p.run()
	return p
}

func (p *Program) run() {
	p.t.Helper()
	addrs := []string{p.Addr}
	var front *front
	if p.stores != nil {
		front = p.newFront()
		addrs = freeAddrs(p.t, p.stores.count)
	}
	runs := make([]*process, len(addrs))
	p.mu.Lock()
	p.runs, p.front = runs, front
	p.mu.Unlock()
	for i, addr := range addrs { // all at once: the stores may be empty
		var err error
		if runs[i], err = begin(p.command(addr)); err != nil {
			p.t.Fatalf("start entrepot: %v", err)
		}
	}
	for i, addr := range addrs {
		p.wait(runs[i], addr)
	}
	if front != nil {
		front.serve(addrs)
	}
}

// command is the program that listens on addr.
func (p *Program) command(addr string) *exec.Cmd {
	argv := slices.Concat(p.under, []string{p.bin, "serve"}, p.args)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = p.Dir
	cmd.Env = slices.Concat(os.Environ(), []string{"ENTREPOT_LISTEN=" + addr}, p.stores.environment(), p.env)
	return cmd
}

// wait waits until a process is ready at addr.
func (p *Program) wait(run *process, addr string) {
	p.t.Helper()
	url := strings.Replace(p.URL, p.Addr, addr, 1) + "/readyz"
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if res, err := p.ask.Get(url); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if run.ended() {
			p.t.Fatalf("entrepot ended at start:\n%s", run.log.String())
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("entrepot is not ready after 30 s:\n%s", run.log.String())
		}
	}
}

// running returns what was last started.
func (p *Program) running() ([]*process, *front) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.runs), func(run *process) bool { return run == nil }), p.front
}

// PID returns the process id.
func (p *Program) PID() int {
	runs, _ := p.running()
	if len(runs) != 1 {
		p.t.Fatalf("these are %d processes: a test that needs the id of one starts it with program.Alone", len(runs))
	}
	return runs[0].cmd.Process.Pid
}

// Log returns what the program has written since it was last started: of replicas, one after the other.
func (p *Program) Log() string { return p.logs(func(log string) string { return log }) }

// Tail returns the last lines of the log, of each replica so many, for messages.
func (p *Program) Tail(lines int) string {
	return p.logs(func(log string) string {
		all := strings.SplitAfter(log, "\n")
		return strings.Join(all[max(0, len(all)-lines-1):], "")
	})
}

func (p *Program) logs(part func(log string) string) string {
	runs, _ := p.running()
	if len(runs) == 1 {
		return part(runs[0].log.String())
	}
	var all strings.Builder
	for i, run := range runs {
		fmt.Fprintf(&all, "--- replica %d, process %d:\n%s", i+1, run.cmd.Process.Pid, part(run.log.String()))
	}
	return all.String()
}

// Kill ends the program at once, as a power switch would (kill -9), and waits until it is gone.
func (p *Program) Kill() {
	runs, front := p.running()
	front.close()
	p.end(runs, syscall.SIGKILL)
}

// Stop ends the program in order (SIGTERM); one that does not end within 30 s is killed and fails the test.
func (p *Program) Stop() {
	runs, front := p.running()
	front.refuse()
	if !p.end(runs, syscall.SIGTERM) {
		p.t.Errorf("entrepot did not end within 30 s of SIGTERM:\n%s", p.Log())
		p.end(runs, syscall.SIGKILL)
	}
	front.close()
}

// end sends a signal to all that run, and tells whether they have ended soon.
func (p *Program) end(runs []*process, s syscall.Signal) bool {
	for _, run := range runs {
		run.signal(s)
	}
	patience := time.After(30 * time.Second)
	for _, run := range runs {
		select {
		case <-run.end:
		case <-patience:
			return false
		}
	}
	return true
}

// Signal sends a signal, to every replica, and does not wait for what comes of it.
func (p *Program) Signal(s os.Signal) {
	runs, _ := p.running()
	for _, run := range runs {
		run.signal(s)
	}
}

// Ended returns a channel that is closed when the program has ended, with all its replicas, by itself or by a signal.
func (p *Program) Ended() <-chan struct{} {
	runs, _ := p.running()
	if len(runs) == 1 {
		return runs[0].end
	}
	all := make(chan struct{})
	go func() {
		for _, run := range runs {
			<-run.end
		}
		close(all)
	}()
	return all
}

// Status waits until the program has ended and returns its exit status, -1 if a signal ended it; of replicas, the first that is not 0.
func (p *Program) Status() int {
	<-p.Ended()
	runs, _ := p.running()
	for _, run := range runs {
		if status := run.cmd.ProcessState.ExitCode(); status != 0 {
			return status
		}
	}
	return 0
}

// Restart starts the program again in the same folder and on the same port, after Kill or Stop.
func (p *Program) Restart() { p.t.Helper(); p.run() }

// CLI runs an entrepot verb in the program's folder, and over the same stores as the program, and returns what it printed on both outputs.
func (p *Program) CLI(args ...string) (string, error) {
	cmd := exec.Command(p.bin, args...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), p.stores.environment()...)
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
	if err := removeAfter(dir); err != nil {
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

// removeAfter has a folder removed when this process has ended, however it ends: a test process has no hook for that, and the folder would stay for ever.
// A shell waits for the end of a pipe whose other end nobody closes before.
func removeAfter(dir string) error {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		return err
	}
	in := os.NewFile(uintptr(ends[0]), "pipe")
	defer in.Close()
	cmd := exec.Command("sh", "-c", `trap "" INT TERM HUP; read -r _; rm -rf "$0"`, dir)
	cmd.Stdin = in
	return cmd.Start()
}

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

// freeAddrs finds ports that were free a moment ago, no two of them the same.
func freeAddrs(t testing.TB, count int) (addrs []string) {
	t.Helper()
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}
