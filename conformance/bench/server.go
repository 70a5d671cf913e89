package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a peer that runs, in a folder of its own, on a port of its own.
type server struct {
	peer *peer
	bin  string
	dir  string
	addr string
	pid  int // of the registry, not of what it runs under

	ground *ground // nil: nothing but the folder

	trace string // strace writes here when the registry runs under it
	cmd   *exec.Cmd
	end   chan struct{}
}

// startServer starts a peer and waits until it is ready. With trace set it runs under strace, which writes every sync to that file.
func startServer(ctx context.Context, p *peer, bin, dir, trace string) (*server, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{peer: p, bin: bin, dir: dir, addr: l.Addr().String(), trace: trace}
	l.Close()
	if p.stand != nil {
		if s.ground, err = p.stand(dir); err != nil {
			s.ground = nil
			return nil, fmt.Errorf("start what %s stands on: %w", p.name, err)
		}
	}
	if _, err = s.start(ctx, p.ready); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends the server, and what it stands on.
func (s *server) close() {
	s.stop()
	if s.ground != nil {
		s.ground.end()
		s.ground = nil
	}
}

// start starts the server and returns how long it took until a GET of target was answered with 200.
func (s *server) start(ctx context.Context, target string) (time.Duration, error) {
	args, env, err := s.peer.command(s.dir, s.addr)
	if err != nil {
		return 0, err
	}
	if s.ground != nil {
		env = append(env, s.ground.env...)
	}
	args = append([]string{s.bin}, args...)
	if s.trace != "" {
		args = append([]string{"strace", "-f", "-qq", "-o", s.trace, "-e", "signal=none", "-e", "trace=" + syncCalls}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), env...)
	// A group of its own keeps an interrupt at the terminal from the server: the bench ends it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if !s.peer.quiet {
		log, err := os.Create(s.log())
		if err != nil {
			return 0, err
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
	}
	// Pdeathsig fires when the starting thread ends, so that thread lives as long as the server.
	started, end, begin := make(chan error), make(chan struct{}), time.Now()
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		if cmd.Process != nil {
			_ = cmd.Wait()
		}
		close(end)
	}()
	if err := <-started; err != nil {
		return 0, fmt.Errorf("start %s: %w", s.peer.name, err)
	}
	s.cmd, s.end, s.pid = cmd, end, cmd.Process.Pid
	if err := s.wait(ctx, target); err != nil {
		s.stop()
		return 0, fmt.Errorf("start %s: %w\n%s", s.peer.name, err, s.lastWords())
	}
	took := time.Since(begin)
	if s.trace != "" {
		if s.pid, err = childOf(s.pid); err != nil {
			s.stop()
			return 0, err
		}
	}
	return took, nil
}

// wait waits until a GET of target is answered with 200.
func (s *server) wait(ctx context.Context, target string) error {
	deadline := time.Now().Add(60 * time.Second)
	get := request(nil, s.addr, "GET", target, acceptManifest)
	last := "no answer"
	for ctx.Err() == nil && time.Now().Before(deadline) {
		select {
		case <-s.end:
			return fmt.Errorf("it ended")
		default:
		}
		if c, err := dial(s.addr, time.Now().Add(5*time.Second)); err == nil {
			res, err := c.send(get, nil)
			c.close()
			if err == nil && res.status == 200 {
				return nil
			}
			if err == nil {
				last = strconv.Itoa(res.status)
			}
		}
		time.Sleep(500 * time.Microsecond)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("GET %s: %s after 60 s", target, last)
}

// stop ends the server, in order when it does so within ten seconds, and waits until it is gone.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(s.pid, syscall.SIGTERM)
	select {
	case <-s.end:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(s.pid, syscall.SIGKILL)
		_ = s.cmd.Process.Kill()
		<-s.end
	}
	s.cmd = nil
}

func (s *server) log() string { return filepath.Join(s.dir, "log") }

// lastWords returns the end of what the server printed.
func (s *server) lastWords() string {
	b, _ := os.ReadFile(s.log())
	return strings.TrimSpace(string(b[max(0, len(b)-2000):]))
}

// childOf returns the process that pid started.
func childOf(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b))
	if len(f) != 1 {
		return 0, fmt.Errorf("process %d has children %q, want one", pid, f)
	}
	return strconv.Atoi(f[0])
}
