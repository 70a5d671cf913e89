//go:build unix

package importer

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What lies behind a symbolic link, in place of a folder or a file, is not read; nor is a pipe, on which one would wait for ever.
func TestFolder_follows_no_links(t *testing.T) {
	f := newTree(t)
	f.image("team/app", "good", "good")
	_, outside := f.image("team/app", "outside", "outside")
	_, piped := f.image("team/app", "piped", "piped")
	_, inside := f.image("team/app", "inside", "inside")
	secret := newTree(t)
	secret.image("secret", "1.0", "secret")
	replace := func(path string, with func() error) {
		t.Helper()
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := with(); err != nil {
			t.Fatal(err)
		}
	}
	copied := filepath.Join(t.TempDir(), "layer")
	if err := os.Rename(f.data(outside.Digest), copied); err != nil {
		t.Fatal(err)
	}
	replace(f.data(outside.Digest), func() error { return os.Symlink(copied, f.data(outside.Digest)) })
	replace(f.data(piped.Digest), func() error { return syscall.Mkfifo(f.data(piped.Digest), 0o600) })
	folder := filepath.Dir(f.data(inside.Digest))
	if err := os.Rename(folder, f.at("aside")); err != nil {
		t.Fatal(err)
	}
	replace(folder, func() error { return os.Symlink("../../../aside", folder) })
	replace(f.at("repositories/linked"), func() error {
		return os.Symlink(secret.at("repositories/secret"), f.at("repositories/linked"))
	})

	to := newLocal(t)
	report := runAll(t, Config{From: f.open(), To: to, Tagged: true})
	told(t, report, "tag outside: blob", "tag piped: blob", "tag inside: blob", `"linked" is a symbolic link`)
	if report.Came.Tags != 1 {
		t.Errorf("%d tags came, want the good one alone", report.Came.Tags)
	}
}
