package door

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Steady returns a listener whose connections cut a client that does not take what is sent to it: one that has acknowledged nothing for the time
// given. One that is slow but moves is left alone, however long it takes. It works with and without TLS, and lets files go
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

// mouthful is how much of a file is sent at once. With more in flight the receiver finds less of it in the processor's cache.
const mouthful = 256 << 10

// steadyConn gives each write a deadline of a part of the time and, when it passes, looks whether the client moved meanwhile. One goroutine writes
// at a time, as net/http and crypto/tls do.
type steadyConn struct {
	*net.TCPConn
	stall time.Duration
	until time.Time // the deadline that is set
	moved time.Time // when the client was last seen to move
	acked uint64    // what it had acknowledged by then
}

// SetWriteDeadline does nothing: the deadline of writes is the connection's own. (net/http sets and takes away one around a TLS handshake.)
func (c *steadyConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets the deadline of reads alone.
func (c *steadyConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *steadyConn) Write(p []byte) (total int, err error) {
	c.begin()
	for {
		n, err := c.TCPConn.Write(p[total:])
		total += n
		if err == nil || !c.goOn(err, n > 0) {
			return total, err
		}
	}
}

func (c *steadyConn) ReadFrom(src io.Reader) (total int64, err error) {
	limited, ok := src.(*io.LimitedReader)
	var file *os.File
	if ok {
		file, ok = limited.R.(*os.File)
	}
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, src)
	}
	c.begin()
	for limited.N > 0 {
		part := &io.LimitedReader{R: file, N: min(limited.N, mouthful)}
		want := part.N
		n, err := c.TCPConn.ReadFrom(part)
		total, limited.N = total+n, limited.N-n
		switch {
		case err == nil && n < want: // the file ended
			return total, nil
		case err == nil:
			c.begin()
		case !c.goOn(err, n > 0):
			return total, err
		}
		// Where a file is not sent by sendfile, also when the deadline had passed before it began, it is read and written: what was read but
		// not written is read again.
		if ahead := want - part.N - n; ahead > 0 {
			if _, err := file.Seek(-ahead, io.SeekCurrent); err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// begin lets a write have a deadline. One that is not half used up is good enough: setting it costs as much as a short write.
func (c *steadyConn) begin() {
	c.moved = time.Now() // all that was written before has found room
	if c.until.Sub(c.moved) < c.stall/8 {
		c.renew(c.moved)
		c.acked, _ = acknowledged(c.TCPConn)
	}
}

func (c *steadyConn) renew(now time.Time) {
	c.until = now.Add(c.stall / 4)
	_ = c.TCPConn.SetWriteDeadline(c.until) // fails on a closed connection, as the write then does
}

// goOn tells whether err is a deadline that passed before the client had stood still for too long, and sets the next. What the client acknowledged tells that
// better than what was handed on: the kernel takes much at once that a client may never take, and reports room for more only in large steps.
func (c *steadyConn) goOn(err error, handedOn bool) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	now := time.Now()
	if acked, known := acknowledged(c.TCPConn); known && acked > c.acked || !known && handedOn {
		c.moved, c.acked = now, acked
	}
	if now.Sub(c.moved) >= c.stall {
		_ = c.CloseWrite() // and nothing more is tried
		return false
	}
	c.renew(now)
	return true
}
