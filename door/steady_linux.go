package door

import (
	"net"

	"golang.org/x/sys/unix"
)

// acknowledged returns how many bytes the other side has acknowledged so far.
func acknowledged(c *net.TCPConn) (n uint64, known bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n, known = info.Bytes_acked, true
		}
	})
	return n, known
}
