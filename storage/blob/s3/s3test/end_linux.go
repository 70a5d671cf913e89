package s3test

import (
	"os/exec"
	"syscall"
)

// follow makes cmd end with the thread that starts it.
func follow(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
