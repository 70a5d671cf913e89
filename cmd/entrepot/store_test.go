package main

import (
	"testing"
	"time"
)

func TestKept(t *testing.T) {
	for want, c := range map[string]Config{
		"everything in ./data":                                {Data: "./data"},
		"content in /srv/content and the index in d/index.db": {Data: "d", Storage: Storage{Disk: Disk{Path: "/srv/content"}}},
		"content in d and the index in /srv/ssd/index.db":     {Data: "d", Index: Index{Bolt: Bolt{Path: "/srv/ssd/index.db"}}},
		"content in s3://bucket and the index in d/index.db":  {Data: "d", Storage: Storage{S3: S3{Bucket: "bucket"}}},
		"content in s3://bucket/a/b and the index in PostgreSQL": {Data: "d", Storage: Storage{S3: S3{Bucket: "bucket", Prefix: "a/b/"}},
			Index: Index{Postgres: Postgres{URL: "postgres://somebody:secret@db/entrepot"}}},
	} {
		if got := c.kept(); got != want {
			t.Errorf("kept: %s, want %s", got, want)
		}
	}
}

// TestRegistryConfig_of_backups: content is kept for backups that are made by a schedule, unless that is turned off.
func TestRegistryConfig_of_backups(t *testing.T) {
	for _, b := range []struct {
		Backup
		keeps bool
	}{{Backup{Content: true}, false}, {Backup{Every: time.Hour}, false}, {Backup{Every: time.Hour, Content: true}, true}} {
		if c := (&store{}).registryConfig(Config{Backup: b.Backup}, nil); (c.KeptSince != nil) != b.keeps {
			t.Errorf("%+v: kept: %v", b, c.KeptSince != nil)
		}
	}
}
