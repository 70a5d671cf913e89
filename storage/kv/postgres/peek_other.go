//go:build !linux && !darwin

package postgres

import "net"

// readable does without: a connection that the server has closed is found out when it is used.
func readable(net.Conn) bool { return false }
