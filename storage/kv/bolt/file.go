package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/entrepot/entrepot/storage/kv"
)

const (
	defaultTimeout = 200 * time.Millisecond
	// mapped is how much of the file is mapped at least. Address space costs nothing, and a file that outgrows it has to be mapped anew,
	// for which a writer waits until no reader is under way.
	mapped = 64 << 20
	// bootID names a file whose content changes whenever the machine starts.
	bootID = "/proc/sys/kernel/random/boot_id"
)

func open(path string, opts Options) (*DB, error) {
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	if opts.Lazy {
		db, err := attach(path, opts, false)
		var fault syscall.Errno
		if err != nil && !errors.Is(err, kv.ErrBusy) && !errors.As(err, &fault) { // the content's fault, not the system's
			db, err = attach(path, opts, true)
		}
		return db, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, err
		}
	}
	return attach(path, opts, false)
}

// create makes an empty index beside path and gives it its name when it is whole and on disk. If another process was faster, its file stays.
func create(path string) (err error) {
	draft, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(draft.Name())) }()
	if err := draft.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(draft.Name(), 0o600, settings(Options{}))
	if err != nil {
		return err
	}
	if err := errors.Join(makeBucket(db), db.Close()); err != nil {
		return err
	}
	err = os.Link(draft.Name(), path)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) { // a filesystem without hard links
		err = os.Rename(draft.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(syncFolder(path), syncFolder(filepath.Dir(path))) // the folder may be as new as the file
}

// attach opens the file; anew empties it first.
func attach(path string, opts Options, anew bool) (_ *DB, err error) {
	db := &DB{}
	defer func() {
		// bbolt panics, or touches memory that is not there, when what it reads makes no sense.
		if reason := recover(); reason != nil {
			err = fmt.Errorf("file is damaged: %v", reason)
		}
		if err != nil && db.file != nil {
			unlock(db.file) // a mapping that a panic left behind keeps the file from being closed
			_ = db.file.Close()
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	how := settings(opts)
	how.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		if !opts.Lazy {
			flag &^= os.O_CREATE // create has made it, whole
		}
		if db.file, err = os.OpenFile(path, flag, mode); err != nil {
			return nil, err
		}
		if err := lock(db.file, opts.Timeout); err != nil {
			return nil, err
		}
		return db.file, prepare(db.file, opts.Lazy, anew)
	}
	if db.bolt, err = bbolt.Open(path, 0o600, how); err != nil {
		return nil, err
	}
	if err := db.check(opts.Lazy); err != nil {
		return nil, errors.Join(err, db.bolt.Close())
	}
	return db, nil
}

func settings(opts Options) *bbolt.Options {
	return &bbolt.Options{
		Timeout:         time.Second, // never waited for: the file is locked before bbolt sees it
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapped,
		NoSync:          opts.Lazy,
		NoGrowSync:      opts.Lazy,
		NoStatistics:    true,
	}
}

// check sees to it that the file holds our bucket.
func (db *DB) check(lazy bool) error {
	tx, err := db.bolt.Begin(false)
	if err != nil {
		return err
	}
	ours, empty := tx.Bucket(bucketName) != nil, false
	if !ours {
		first, _ := tx.Cursor().First()
		empty = first == nil
	}
	_ = tx.Rollback()
	switch {
	case ours:
		return nil
	case lazy && empty:
		return makeBucket(db.bolt)
	}
	return errors.New("file is a bolt database, but not an index")
}

func makeBucket(db *bbolt.DB) error {
	return db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucketName)
		return err
	})
}

// prepare compares the file with its mark. The mark lies beside a file that is written lazily and says since which start of the machine.
func prepare(f *os.File, lazy, anew bool) error {
	name := f.Name() + ".boot"
	mark, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	marked, now := err == nil, boot()
	stale := marked && now != "" && string(mark) != now
	switch {
	case lazy:
		if stale || anew {
			if err := f.Truncate(0); err != nil {
				return err
			}
		}
		if marked && !stale {
			return nil
		}
		return writeMark(name, now) // before the first lazy write: without a mark that write could not be told from a synced one
	case stale:
		return errors.New("file was written lazily and the machine has restarted since: what it holds cannot be relied on, remove it")
	case marked:
		return errors.Join(f.Sync(), remove(name))
	}
	return nil
}

func boot() string {
	id, err := os.ReadFile(bootID)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

func writeMark(name, id string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(id)
	return errors.Join(err, f.Sync(), f.Close(), syncFolder(name))
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
