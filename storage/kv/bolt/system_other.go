//go:build !unix

package bolt

import (
	"os"
	"time"
)

// lock leaves it to bbolt to take the file; its time-out comes out as kv.ErrBusy as well.
func lock(*os.File, time.Duration) error { return nil }

func unlock(*os.File) {}

// syncFolder does nothing where folders cannot be synced.
func syncFolder(string) error { return nil }
