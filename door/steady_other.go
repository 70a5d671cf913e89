//go:build !linux

package door

import "net"

// acknowledged is not known here: only what the kernel took from us shows that a client moves.
func acknowledged(*net.TCPConn) (n uint64, known bool) { return 0, false }
