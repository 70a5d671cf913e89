//go:build !linux

package s3test

import "os/exec"

// follow leaves cmd as it is.
func follow(*exec.Cmd) {}
