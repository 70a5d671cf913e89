package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"time"
)

// Shelf is where a Schedule keeps backups: a [Folder], or a bucket's (storage/blob/s3). It may hold other things, which are let be.
type Shelf interface {
	// Put keeps what src has to its end under a name that nothing has yet; otherwise it is [fs.ErrExist]. It is there whole and for good when Put returns nil, and
	// before that not at all. If Put fails, or its process is killed, nothing is under the name, but for a store that cannot be asked what became of it.
	Put(ctx context.Context, name string, src io.Reader) error
	// Open reads what is under a name until ctx ends; [fs.ErrNotExist] if nothing is.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// List yields the names there are. An error ends it.
	List(ctx context.Context) iter.Seq2[string, error]
	// Delete removes what is under a name. That nothing is there is no error.
	Delete(ctx context.Context, name string) error
	// String tells where it is.
	String() string
}

const (
	nameTime = "20060102T150405Z"
	// mostKept bounds how many backups are believed to be on a shelf.
	mostKept = 100_000
)

var (
	namePattern  = regexp.MustCompile(`^entrepot-[0-9]{8}T[0-9]{6}Z\.backup$`)
	draftPattern = regexp.MustCompile(`^\.entrepot-[0-9]{8}T[0-9]{6}Z\.backup\.[0-9]+\.part$`)
)

// nameOf returns what a backup of a moment is called. Names sort as the moments do.
func nameOf(made time.Time) string { return "entrepot-" + made.UTC().Format(nameTime) + ".backup" }

// MadeAt returns the moment that a backup's name tells, and false if it is no such name.
func MadeAt(name string) (made time.Time, ok bool) {
	if !namePattern.MatchString(name) {
		return made, false
	}
	made, err := time.Parse(nameTime, name[len("entrepot-"):len(name)-len(".backup")])
	return made, err == nil
}

// Kept returns the names of the backups on a shelf, the newest first.
func Kept(ctx context.Context, shelf Shelf) (names []string, err error) {
	for name, err := range shelf.List(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list the backups in %s: %w", shelf, err)
		}
		if _, ok := MadeAt(name); !ok {
			continue
		}
		if names = append(names, name); len(names) > mostKept {
			return nil, fmt.Errorf("there are more than %d backups in %s", mostKept, shelf)
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// Folder is the Shelf in a folder of this machine, or one that several share. The folder exists already.
type Folder struct{ path string }

// OpenFolder returns a folder as a Shelf. It must exist: one that is made in the place of a medium that is not mounted would help nobody.
func OpenFolder(path string) (*Folder, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the folder of backups: %w; make it, or mount it, and let this program write there", err)
	}
	return &Folder{path}, nil
}

// String implements Shelf.
func (f *Folder) String() string { return "folder " + f.path }

// draftAge is when a draft is taken for what a killed process left.
const draftAge = time.Hour

// Put implements Shelf: src goes to a file with another name, which gets its own when it is on disk. Others than its owner cannot read it.
func (f *Folder) Put(ctx context.Context, name string, src io.Reader) (err error) {
	f.tidy()
	path, err := f.file(name)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(f.path, "."+name+".*.part") // with the mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) // does nothing once it has its name
	_, err = io.Copy(draft, &untilDone{ctx, src})
	if err == nil {
		err = draft.Sync()
	}
	if closed := draft.Close(); err == nil {
		err = closed
	}
	if err == nil {
		if _, there := os.Lstat(path); there == nil {
			err = fmt.Errorf("%s is there already: %w", path, fs.ErrExist)
		} else if !errors.Is(there, fs.ErrNotExist) {
			err = there
		}
	}
	if err == nil {
		err = os.Rename(draft.Name(), path)
	}
	if err != nil {
		return err
	}
	if err = SyncFolder(f.path); err != nil {
		_ = os.Remove(path)
	}
	return err
}

// tidy removes what killed processes left.
func (f *Folder) tidy() {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return // whoever writes there hears of it
	}
	for _, e := range entries {
		if !draftPattern.MatchString(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > draftAge {
			_ = os.Remove(filepath.Join(f.path, e.Name()))
		}
	}
}

// file returns the path of a backup. Nothing else in the folder is this program's.
func (f *Folder) file(name string) (string, error) {
	if _, ok := MadeAt(name); !ok {
		return "", fmt.Errorf("%.80q is not the name of a backup", name)
	}
	return filepath.Join(f.path, name), nil
}

// Open implements Shelf.
func (f *Folder) Open(_ context.Context, name string) (io.ReadCloser, error) {
	path, err := f.file(name)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// List implements Shelf.
func (f *Folder) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		entries, err := os.ReadDir(f.path)
		for _, e := range entries {
			if ctx.Err() != nil {
				err = ctx.Err()
				break
			}
			if _, ok := MadeAt(e.Name()); ok && e.Type().IsRegular() && !yield(e.Name(), nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

// Delete implements Shelf.
func (f *Folder) Delete(_ context.Context, name string) error {
	path, err := f.file(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SyncFolder makes renames within a folder durable, where folders can be synced.
func SyncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// untilDone reads until ctx ends.
type untilDone struct {
	ctx context.Context
	src io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.src.Read(p)
}
