//go:build linux || darwin

package postgres

import (
	"crypto/tls"
	"net"
	"syscall"
)

// readable tells whether there is something to read from c, be it its end. It takes nothing from it and does not wait.
func readable(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	r, err := s.SyscallConn()
	if err != nil {
		return true
	}
	found := false
	err = r.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		found = err != syscall.EAGAIN && err != syscall.EINTR
	})
	return found || err != nil
}
