package wire

import (
	"fmt"
	"os"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

// Main runs m's tests with one program that serves them all, and returns the exit status. Between start and the first test it calls
// ready with that program.
func Main(m *testing.M, ready func(*program.Program), opts ...program.Option) (status int) {
	h := &process{}
	defer h.end()
	ready(program.Start(h, opts...))
	status = m.Run()
	h.end()
	if h.failed && status == 0 {
		status = 1
	}
	return status
}

// process stands in for a test where the whole test process is meant: what a test would clean up at its end is cleaned up at the end of
// the process.
type process struct {
	testing.TB
	cleanups []func()
	failed   bool
}

func (*process) Helper()            {}
func (p *process) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }
func (p *process) Errorf(format string, args ...any) {
	p.failed = true
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (p *process) Fatal(args ...any) { p.Fatalf("%s", fmt.Sprint(args...)) }

func (p *process) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	p.end()
	os.Exit(1)
}

func (p *process) TempDir() string {
	dir, err := os.MkdirTemp("", "entrepot-conformance")
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (p *process) end() {
	for len(p.cleanups) > 0 {
		last := p.cleanups[len(p.cleanups)-1]
		p.cleanups = p.cleanups[:len(p.cleanups)-1]
		last()
	}
}
