package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

var (
	// ErrElsewhere says that the index's database has no way to show it as it is at one moment. It has means of its own to save it.
	ErrElsewhere = errors.New("the database of this index cannot show it as it is at one moment; save it with its own means, such as pg_dump or an archive of write-ahead logs")
	// ErrUnderway says that a backup is being made.
	ErrUnderway = errors.New("a backup is being made; wait until that one is done")
)

// Backup writes an index as it is at one moment, with a list of the content that it needs. It may be used meanwhile; w is to be quick, as writers may have to wait for
// it. ErrElsewhere if the index is no [kv.Snapshotter]. With an error what was written is worth nothing.
func Backup(ctx context.Context, index kv.View, w io.Writer, now time.Time) (s Summary, err error) {
	power, ok := index.(kv.Snapshotter)
	if !ok {
		return s, ErrElsewhere
	}
	err = power.Snapshot(ctx, func(view kv.View) error {
		var err error
		s, err = writeBackup(ctx, view, now, w)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("back up the index: %w", err)
	}
	return s, nil
}

// Backups makes backups for clients. They are put aside in a file first: no writer of the index waits for a client's network.
type Backups struct {
	Index kv.DB
	// Folder is where a backup lies until it is sent; it is made if need be, and needs room for one. What a killed process has left there goes with the next backup.
	// Empty: the machine's folder for temporary files.
	Folder string
	Now    func() time.Time // time.Now if nil

	one sync.Mutex
}

// spool is the name of a backup that is put aside.
const spool = "backup.spool"

// Make makes a backup, on behalf of whom ctx names, and returns it with its length in bytes. One is made at a time: ErrUnderway. Closing it lets the next begin.
func (b *Backups) Make(ctx context.Context) (backup io.ReadCloser, size int64, s Summary, err error) {
	if !b.one.TryLock() {
		return nil, 0, s, ErrUnderway
	}
	defer func() {
		if err != nil {
			b.one.Unlock()
		}
	}()
	if _, ok := b.Index.(kv.Snapshotter); !ok {
		return nil, 0, s, ErrElsewhere
	}
	// Who took everything there is to know must be in the journal before he has it.
	err = b.Index.Update(ctx, func(tx kv.Tx) error {
		journal.Append(ctx, tx, journal.Event{Action: "backup.make", Result: "ok"})
		return nil
	})
	if err != nil {
		return nil, 0, s, fmt.Errorf("record that a backup is made: %w", err)
	}
	now := time.Now
	if b.Now != nil {
		now = b.Now
	}
	f, s, err := putAside(ctx, b.Index, b.Folder, spool, now())
	if err != nil {
		return nil, 0, s, err
	}
	if size, err = f.Seek(0, io.SeekCurrent); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		discard(f)
		return nil, 0, s, fmt.Errorf("read the backup that was put aside: %w", err)
	}
	return &made{File: f, of: b}, size, s, nil
}

// putAside makes a backup in a file of a folder, as Backups and Schedule describe it. The file is read and written from its end on; who has it discards it.
func putAside(ctx context.Context, index kv.View, folder, name string, now time.Time) (*os.File, Summary, error) {
	f, err := asideFile(folder, name)
	if err != nil {
		return nil, Summary{}, fmt.Errorf("put a backup aside: %w", err)
	}
	s, err := Backup(ctx, index, f, now)
	if err != nil {
		discard(f)
		return nil, s, err
	}
	return f, s, nil
}

func asideFile(folder, name string) (*os.File, error) {
	if folder == "" {
		f, err := os.CreateTemp("", "entrepot-*.spool")
		if err == nil {
			_ = os.Remove(f.Name()) // nothing is left of it then, however this process ends; where that cannot be, discard removes it
		}
		return f, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(folder, name)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) { // not written into: it might be a link to elsewhere
		return nil, fmt.Errorf("remove an earlier one: %w", err)
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

func discard(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// made is a backup that was put aside.
type made struct {
	*os.File
	of   *Backups
	once sync.Once
}

func (m *made) Close() error {
	m.once.Do(func() {
		discard(m.File)
		m.of.one.Unlock()
	})
	return nil
}
