//go:build unix

package importer

import (
	"io/fs"
	"os"
	"syscall"
)

// ownAlone tells whether a file is this user's, and writable to nobody else.
func ownAlone(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}
