package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// write opens path, puts key and closes it.
func write(t *testing.T, path, key string, opts bolt.Options) {
	t.Helper()
	db, err := bolt.Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(t.Context(), func(tx kv.Tx) error { tx.Put(key, nil); return nil }), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// holds tells which of the keys are in path, which must open.
func holds(t *testing.T, path string, opts bolt.Options, keys ...string) (found string) {
	t.Helper()
	db, err := bolt.Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		switch _, err := db.Get(t.Context(), key); {
		case err == nil:
			found += key
		case !errors.Is(err, kv.ErrNotFound):
			t.Errorf("get %s: %v", key, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestBusy(t *testing.T) {
	for name, opts := range map[string]bolt.Options{"synced": {}, "lazy": {Lazy: true}} {
		path := filepath.Join(t.TempDir(), "entrepot.db")
		db, err := bolt.Open(path, opts)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = bolt.Open(path, opts)
		if !errors.Is(err, kv.ErrBusy) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the second open: %v, want ErrBusy with the path", name, err)
		}
		if waited := time.Since(begin); waited > 2*time.Second {
			t.Errorf("%s: the second open waited %v", name, waited)
		}
		if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put("a", nil); return nil }); err != nil {
			t.Errorf("%s: the first one after the second open: %v", name, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if found := holds(t, path, opts, "a"); found != "a" {
			t.Errorf("%s: the file holds %q", name, found)
		}
	}
}

// TestPatience lets go of the file while another one waits for it.
func TestPatience(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entrepot.db")
	db, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = db.Close() })
	second, err := bolt.Open(path, bolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestLeavesNothingBeside(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "entrepot.db"), "a", bolt.Options{})
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v, %v, want the file alone", files, err)
	}
}

func TestLazyAfterRestart(t *testing.T) {
	path, lazy := filepath.Join(t.TempDir(), "entrepot.db"), bolt.Options{Lazy: true}
	write(t, path, "a", lazy)
	if found := holds(t, path, lazy, "a"); found != "a" {
		t.Errorf("the file holds %q although nothing happened", found)
	}
	restart(t, path)
	if found := holds(t, path, lazy, "a"); found != "" {
		t.Errorf("the file holds %q although the machine restarted", found)
	}
	write(t, path, "b", lazy)
	if found := holds(t, path, lazy, "a", "b"); found != "b" {
		t.Errorf("the file holds %q", found)
	}
}

// restart makes the mark of a lazy file one of another start of the machine.
func restart(t *testing.T, path string) {
	t.Helper()
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err != nil || len(id) == 0 {
		t.Fatalf("this machine does not tell its starts apart: %v", err)
	}
	if err := os.WriteFile(path+".boot", []byte("another start"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLazyAndSyncedByTurns(t *testing.T) {
	path, lazy := filepath.Join(t.TempDir(), "entrepot.db"), bolt.Options{Lazy: true}
	write(t, path, "a", bolt.Options{})
	write(t, path, "b", lazy) // what was synced is not thrown away
	write(t, path, "c", bolt.Options{})
	if found := holds(t, path, bolt.Options{}, "a", "b", "c"); found != "abc" {
		t.Errorf("the file holds %q", found)
	}
	if _, err := os.Stat(path + ".boot"); err == nil {
		t.Error("a synced file is still marked as lazy")
	}
	write(t, path, "d", lazy)
	restart(t, path)
	if _, err := bolt.Open(path, bolt.Options{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("open of a file that nobody can rely on: %v", err)
	}
}

// damage returns ways to spoil a file.
func damage() map[string]func(content []byte) []byte {
	return map[string]func([]byte) []byte{
		"not a database":   func([]byte) []byte { return []byte(strings.Repeat("no database at all\n", 3000)) },
		"very short":       func(c []byte) []byte { return c[:100] },
		"one page":         func(c []byte) []byte { return c[:4096] },
		"two pages":        func(c []byte) []byte { return c[:8192] },
		"zeroes":           func(c []byte) []byte { return make([]byte, len(c)) },
		"all but its head": func(c []byte) []byte { clear(c[8192:]); return c },
	}
}

func TestDamaged(t *testing.T) {
	for name, spoil := range damage() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "entrepot.db")
			write(t, path, "a", bolt.Options{})
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			spoilt := spoil(content)
			if err := os.WriteFile(path, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second would be ErrBusy if the first had kept the file
				_, err := bolt.Open(path, bolt.Options{})
				if err == nil || errors.Is(err, kv.ErrBusy) || !strings.Contains(err.Error(), "open index "+path) {
					t.Errorf("open: %v", err)
				}
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(spoilt) {
				t.Errorf("what is left of the file was changed (%v)", err)
			}
		})
	}
}

func TestLazyDamaged(t *testing.T) {
	for name, spoil := range damage() {
		t.Run(name, func(t *testing.T) {
			path, lazy := filepath.Join(t.TempDir(), "entrepot.db"), bolt.Options{Lazy: true}
			write(t, path, "a", lazy)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, spoil(content), 0o600); err != nil {
				t.Fatal(err)
			}
			write(t, path, "b", lazy)
			if found := holds(t, path, lazy, "a", "b"); found != "b" {
				t.Errorf("the file holds %q", found)
			}
		})
	}
}

func TestForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entrepot.db")
	other, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = other.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("others")); return err })
	if err := errors.Join(err, other.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(path, bolt.Options{}); err == nil || !strings.Contains(err.Error(), path+": file is a bolt database, but not an index") {
		t.Errorf("open: %v", err)
	}
}

func TestNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(file, "entrepot.db")
	if _, err := bolt.Open(path, bolt.Options{}); err == nil || !strings.Contains(err.Error(), "open index "+path) {
		t.Errorf("open below a file: %v", err)
	}
	if _, err := bolt.Open(t.TempDir(), bolt.Options{}); err == nil || !strings.Contains(err.Error(), "open index ") {
		t.Errorf("open of a folder: %v", err)
	}
}
