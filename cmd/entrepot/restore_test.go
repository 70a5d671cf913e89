//go:build backends

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/registry"
	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
	"github.com/entrepot/entrepot/storage/kv"
)

// A new machine has nothing but the configuration of the bucket: which backups there are is listed, and the newest is restored, or the one that is named.
func TestRestore_from_a_bucket(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	store, err := s3.Open(t.Context(), s3.Config{
		Bucket: bucket, Endpoint: server.Endpoint, PathStyle: true, AccessKey: server.AccessKey, SecretKey: server.SecretKey, Prefix: "some/where",
	})
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "s3.secret")
	if err := os.WriteFile(secret, []byte(server.SecretKey), 0o600); err != nil {
		t.Fatal(err)
	}
	// config returns the configuration of a machine that has no index yet.
	config := func() string {
		dir := t.TempDir()
		file := filepath.Join(dir, "registry.yml")
		text := fmt.Sprintf("data: %q\nstorage:\n  s3: {bucket: %s, prefix: some/where, endpoint: %q, forcePathStyle: true, accessKey: %s, secretKeyFile: %q}\n",
			filepath.Join(dir, "data"), bucket, server.Endpoint, server.AccessKey, secret)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	wants(t, 0, "there are no backups", "restore", "--list", "--config", config())
	wants(t, 1, "there are none", "restore", "--from-bucket", "--config", config())
	index := kv.NewMemory()
	if _, err := registry.Open(t.Context(), registry.Config{Blobs: store, Index: index}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, at := range []time.Time{time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC), time.Date(2026, 5, 11, 12, 0, 0, 0, time.UTC)} {
		var b bytes.Buffer
		if _, err := registrytransfer.Backup(t.Context(), index, &b, at); err != nil {
			t.Fatal(err)
		}
		names = append(names, "entrepot-"+at.Format("20060102T150405Z")+".backup")
		if err := store.Backups().Put(t.Context(), names[len(names)-1], &b); err != nil {
			t.Fatal(err)
		}
	}
	code, out := says(t, "restore", "--list", "--config", config())
	if want := names[1] + "  2026-05-11T12:00:00Z\n" + names[0] + "  2026-05-10T12:00:00Z\n"; code != 0 || !strings.Contains(out, want) {
		t.Errorf("listed is, with the exit status %d,\n%s\nwant\n%s", code, out, want)
	}
	wants(t, 0, "as of 2026-05-11T12:00:00Z from "+names[1], "restore", "--from-bucket", "--config", config())
	again := config()
	wants(t, 0, "as of 2026-05-10T12:00:00Z from "+names[0], "restore", "--from-bucket", names[0], "--config", again)
	wants(t, 1, "not empty", "restore", "--from-bucket", "--config", again)
	wants(t, 1, "not exist", "restore", "--from-bucket", "entrepot-20200101T000000Z.backup", "--config", config())
	wants(t, 1, "not the name of a backup", "restore", "--from-bucket", "../blobs", "--config", config())
	plain, _ := configFor(t)
	wants(t, 1, "set storage.s3.bucket", "restore", "--from-bucket", "--config", plain)
	wants(t, 1, "set storage.s3.bucket", "restore", "--list", "--config", plain)
	wants(t, 2, "--from-bucket", "restore", "--config", plain)
	wants(t, 2, "--list takes no name", "restore", "--list", names[0], "--config", plain)
}
