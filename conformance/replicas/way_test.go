//go:build backends

package replicas

import (
	"net"
	"sync"
	"testing"
)

// way is a connection to a server that can be cut.
type way struct {
	addr  string // where it begins
	to    string
	mu    sync.Mutex
	state string // open, closed (connections are refused) or silent (nothing passes any more)
	conns map[net.Conn]bool
	turn  *sync.Cond
}

func newWay(t testing.TB, to string) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{addr: l.Addr().String(), to: to, state: "open", conns: map[net.Conn]bool{}}
	w.turn = sync.NewCond(&w.mu)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.set("closed")
		all.Wait()
	})
	return w
}

// set opens or closes the way, or makes it silent. Closing it resets what is open.
func (w *way) set(state string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = state
	if state == "closed" {
		for c := range w.conns {
			reset(c)
		}
	}
	w.turn.Broadcast()
}

// may waits while the way is silent, and tells whether it is open.
func (w *way) may() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.state == "silent" {
		w.turn.Wait()
	}
	return w.state == "open"
}

func (w *way) serve(client net.Conn) {
	w.keep(client, true)
	defer w.keep(client, false)
	if !w.may() {
		return
	}
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	w.keep(server, true)
	defer w.keep(server, false)
	var both sync.WaitGroup
	both.Go(func() { w.pass(client, server) })
	both.Go(func() { w.pass(server, client) })
	both.Wait()
}

func (w *way) pass(from, to net.Conn) {
	defer func() { _ = to.(*net.TCPConn).CloseWrite() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if !w.may() {
			reset(from)
			reset(to)
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// keep remembers an open connection, or ends it.
func (w *way) keep(c net.Conn, open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if open {
		w.conns[c] = true
		return
	}
	delete(w.conns, c)
	reset(c)
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}
