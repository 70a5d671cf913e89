package postgrestest

import (
	"fmt"
	"os"
	"os/exec"
	osuser "os/user"
	"strconv"
	"syscall"
)

// PostgreSQL refuses to run as root, so that root's tests run it as one of these.
var ordinary = []string{"postgres", "nobody"}

// ids returns the user to run as; ok is false if that is who we are.
func ids() (uid, gid int, ok bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	for _, name := range ordinary {
		if u, err := osuser.Lookup(name); err == nil {
			uid, _ = strconv.Atoi(u.Uid)
			gid, _ = strconv.Atoi(u.Gid)
			return uid, gid, true
		}
	}
	return 65534, 65534, true
}

// confine makes cmd run as an ordinary user, and end with us.
func confine(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if uid, gid, ok := ids(); ok {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
}

// handOver gives folder to that user.
func handOver(folder string) error {
	uid, gid, ok := ids()
	if !ok {
		return nil
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	if err := os.Chown(folder, uid, gid); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	return nil
}
