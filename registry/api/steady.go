package api

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Steady returns a listener whose connections cut a client that does not take what is sent to it: one that has acknowledged nothing for the time
// given. One that is slow but moves is left alone, however long it takes. It works beneath HTTP/1.1, TLS and HTTP/2 alike, and lets files go
// out by sendfile. What is received is not watched here but where it is known that something must come ([Config].Stall).
func Steady(l net.Listener, stall time.Duration) net.Listener { return steadyListener{l, stall} }

type steadyListener struct {
	net.Listener
	stall time.Duration
}

func (l steadyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &steadyConn{TCPConn: tcp, stall: l.stall}, nil
	}
	return c, err
}

// steadyConn gives each write a deadline and, when it passes, goes on if the client moved meanwhile. One goroutine writes at a time, as
// net/http and crypto/tls do.
type steadyConn struct {
	*net.TCPConn
	stall time.Duration
	until time.Time // the deadline that is set
	acked uint64    // what the client had acknowledged when it was set
}

func (c *steadyConn) Write(p []byte) (total int, err error) {
	for {
		c.renew()
		n, err := c.TCPConn.Write(p[total:])
		total += n
		if err == nil || !c.moves(err, n > 0) {
			return total, err
		}
	}
}

func (c *steadyConn) ReadFrom(src io.Reader) (total int64, err error) {
	limited, ok := src.(*io.LimitedReader)
	if ok {
		_, ok = limited.R.(*os.File)
	}
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, src)
	}
	for {
		c.renew()
		left := limited.N
		n, err := c.TCPConn.ReadFrom(limited)
		total += n
		// Where files cannot be sent by sendfile they are read and written, and what was read but not written could not be sent again.
		if err == nil || left-limited.N != n || !c.moves(err, n > 0) {
			return total, err
		}
	}
}

// renew sets the deadline anew when a quarter of it has passed: often enough, and seldom enough to cost nothing.
func (c *steadyConn) renew() {
	if now := time.Now(); c.until.Sub(now) < c.stall*3/4 {
		c.until = now.Add(c.stall)
		_ = c.SetWriteDeadline(c.until) // fails on a closed connection, as the write then does
	}
}

// moves tells whether err is a deadline that passed while the client took something, if only slowly: the kernel reports room for more in large steps,
// so that the bytes acknowledged tell more than those handed on.
func (c *steadyConn) moves(err error, handedOn bool) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	before := c.acked
	c.acked = acknowledged(c.TCPConn)
	return handedOn || c.acked > before
}
