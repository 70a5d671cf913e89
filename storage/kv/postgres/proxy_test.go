//go:build backends

package postgres_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a DB and its server.
type proxy struct {
	listener net.Listener
	server   string
	sent     atomic.Int64 // pieces that clients sent, which are their round trips
	mu       sync.Mutex
	stalled  chan struct{} // closed when it goes on; nil while it does
	commit   func(piece []byte, client, server net.Conn)
	muted    net.Conn // hears nothing more
	conns    map[net.Conn]bool
}

// through returns a proxy and the URL that leads through it.
func through(t testing.TB, to string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: u.Host, conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.resume()
		p.cut()
		all.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		reset(client)
		return
	}
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(client, server, true) })
	both.Go(func() { p.pass(server, client, false) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.mu.Unlock()
}

// pass hands on what comes, piece by piece. One request of the driver is one piece, as it is written at once and small.
func (p *proxy) pass(from, to net.Conn, requests bool) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 1<<20)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		stalled, commit, muted := p.stalled, p.commit, p.muted == to
		// A bind to the prepared statement of that name.
		isCommit := requests && commit != nil && bytes.Contains(buf[:n], []byte("\x00commit\x00"))
		if isCommit {
			p.commit = nil // the first one only
		}
		p.mu.Unlock()
		if stalled != nil {
			<-stalled
		}
		if requests {
			p.sent.Add(1)
		}
		if isCommit {
			commit(bytes.Clone(buf[:n]), from, to)
			continue
		}
		if muted {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// onCommit has do called instead of handing on the next request that commits.
func (p *proxy) onCommit(do func(piece []byte, client, server net.Conn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commit = do
}

// mute keeps all answers from client.
func (p *proxy) mute(client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muted = client
}

func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = make(chan struct{})
}

func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
	}
	p.stalled = nil
}

// cut resets all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
