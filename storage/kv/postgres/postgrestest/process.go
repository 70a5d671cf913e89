package postgrestest

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a program that was started and is waited for.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// start runs cmd. It does so on a thread that lives until the program has ended: the kernel ends the program with that thread, and so with a
// test that is killed, where the system offers it.
func start(cmd *exec.Cmd) (*process, error) {
	p, began := &process{cmd, make(chan struct{})}, make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		began <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(p.done)
	}()
	return p, <-began
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// ended waits for the end, but not longer than patience, and tells whether it came.
func (p *process) ended(patience time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(patience):
		return false
	}
}
