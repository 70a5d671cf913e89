package htpasswd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/password"
)

const (
	maxFile   = 8 << 20
	maxLines  = 100_000
	maxLine   = 1024
	maxFaults = 1000 // that are told; of the rest, how many there are
)

// settled is how long a file has to lie unchanged until its time tells that it is the same: a second change may bear the time of the first.
const settled = 2 * time.Second

// snapshot is what tells a changed file without reading it.
type snapshot struct {
	info os.FileInfo
	sure bool // it had settled when it was read
}

func (s snapshot) same(now os.FileInfo) bool {
	return s.info != nil && s.sure && os.SameFile(s.info, now) && s.info.Size() == now.Size() && s.info.ModTime().Equal(now.ModTime())
}

// Reload reads the file again if its time, size or inode say that it changed, and tells whether its users did. After an error (the file cannot be read,
// or has faulty lines) the users are what they were, and the next Reload tries again.
func (f *File) Reload() (changed bool, err error) {
	f.reload.Lock()
	defer f.reload.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return false, fmt.Errorf("read the htpasswd file: %w", err)
	}
	if f.seen.same(info) {
		return false, nil
	}
	content, seen, err := f.read(info)
	if err != nil {
		return false, fmt.Errorf("read the htpasswd file %s: %w", f.path, err)
	}
	users, err := parse(content)
	if err != nil {
		return false, fmt.Errorf("the htpasswd file %s is faulty:\n%w", f.path, err)
	}
	f.seen = seen
	if before := f.users.Load(); before != nil && maps.Equal(*before, users) {
		return false, nil
	}
	f.users.Store(&users)
	f.log.Info("the htpasswd file was read", "path", f.path, "users", len(users))
	return true, nil
}

// read returns the whole content, which nobody changed meanwhile.
func (f *File) read(info os.FileInfo) ([]byte, snapshot, error) {
	if !info.Mode().IsRegular() {
		return nil, snapshot{}, errors.New("it is no regular file")
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, snapshot{}, err
	}
	defer file.Close()
	before, err := file.Stat()
	if err != nil {
		return nil, snapshot{}, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, snapshot{}, err
	}
	if len(content) > maxFile {
		return nil, snapshot{}, fmt.Errorf("it has more than %d MiB", maxFile>>20)
	}
	after, err := file.Stat()
	if err != nil {
		return nil, snapshot{}, err
	}
	if int64(len(content)) != before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return nil, snapshot{}, errors.New("it is being written just now; try again")
	}
	return content, snapshot{info: before, sure: f.now().Sub(before.ModTime()) > settled}, nil
}

// parse returns the users of a file, or all that is wrong with it.
func parse(content []byte) (map[string]user, error) {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	users, lines := map[string]user{}, map[string]int{}
	var faults []error
	number, count := 0, 0
	for line := range strings.Lines(string(content)) {
		if number++; number > maxLines {
			return nil, fmt.Errorf("it has more than %d lines", maxLines)
		}
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, hash, err := parseLine(line)
		if err == nil && lines[name] != 0 {
			err = fmt.Errorf("user %s has line %d already; remove one of them", name, lines[name])
		}
		if err != nil {
			if count++; count <= maxFaults {
				faults = append(faults, fmt.Errorf("line %d: %w", number, err))
			}
			continue
		}
		lines[name], users[name] = number, user{hash: hash, mark: mark(name, hash)}
	}
	if count > maxFaults {
		faults = append(faults, fmt.Errorf("and %d more faulty lines", count-maxFaults))
	}
	return users, errors.Join(faults...)
}

// parseLine reads one line. What it does not understand it does not repeat: that could be anybody's password.
func parseLine(line string) (name, hash string, err error) {
	if len(line) > maxLine {
		return "", "", fmt.Errorf("it is longer than %d bytes", maxLine)
	}
	name, hash, found := strings.Cut(line, ":")
	if !found {
		return "", "", errors.New("there is no colon between a name and a hash")
	}
	if auth.CheckName(name) != nil {
		return "", "", errors.New("what stands before the colon can be nobody's name (empty, too long, with space around it, or with characters that " +
			"names cannot have)")
	}
	if err := password.Check(hash); err != nil {
		return "", "", fmt.Errorf("user %s: %w", name, err)
	}
	return name, hash, nil
}
