//go:build !linux

package postgrestest

import "os/exec"

// confine leaves cmd as it is: tests run as an ordinary user here.
func confine(*exec.Cmd) {}

func handOver(string) error { return nil }
