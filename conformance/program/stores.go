package program

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

// Replicas is the environment variable that says how many replicas a Program is. Without it, or with 1, it is one process with its data in its folder.
const Replicas = "ENTREPOT_TEST_AS_REPLICAS"

// replicas is how many the environment asks for.
func replicas(t testing.TB) int {
	t.Helper()
	text := os.Getenv(Replicas)
	if text == "" {
		return 1
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 || count > 9 {
		t.Fatalf("%s is %q, want a number from 1 to 9", Replicas, text)
	}
	return count
}

// stores are a bucket and a database of a Program's own. Whoever is started in the same folder stands on the same, as one process would. Nil are none.
type stores struct {
	count            int // of the replicas over them
	s3               *s3test.Server
	bucket, database string
	secret           string // a file
}

// environment lets the program stand on the stores.
func (s *stores) environment() []string {
	if s == nil {
		return nil
	}
	return []string{
		"ENTREPOT_STORAGE_S3_BUCKET=" + s.bucket, "ENTREPOT_STORAGE_S3_ENDPOINT=" + s.s3.Endpoint, "ENTREPOT_STORAGE_S3_FORCEPATHSTYLE=true",
		"ENTREPOT_STORAGE_S3_ACCESSKEY=" + s.s3.AccessKey, "ENTREPOT_STORAGE_S3_SECRETKEYFILE=" + s.secret,
		"ENTREPOT_INDEX_POSTGRES_URL=" + s.database, "ENTREPOT_INDEX_POSTGRES_CONNECTIONS=8",
	}
}

// inUse are the stores by the folder of the Programs that stand on them.
var inUse = struct {
	sync.Mutex
	stores map[string]*stores
}{stores: map[string]*stores{}}

// storesOf returns the stores of the folder, which are gone with the test that is the first to ask for them.
func storesOf(t testing.TB, dir string, count int) *stores {
	t.Helper()
	inUse.Lock()
	defer inUse.Unlock()
	if s := inUse.stores[dir]; s != nil {
		return s
	}
	buckets, databases := theServers.get(t)
	s := &stores{count: count, s3: buckets, bucket: buckets.Bucket(t), database: databases.Database(t), secret: filepath.Join(t.TempDir(), "secret")}
	if err := os.WriteFile(s.secret, []byte(buckets.SecretKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inUse.stores[dir] = s
	t.Cleanup(func() {
		inUse.Lock()
		delete(inUse.stores, dir)
		inUse.Unlock()
		buckets.Remove(t, s.bucket)
		dropDatabase(t, databases, s.database)
	})
	return s
}

func dropDatabase(t testing.TB, server *postgrestest.Server, at string) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	server.Exec(t, u.String(), fmt.Sprintf("drop database %s with (force)", name))
}
