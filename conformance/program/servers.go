package program

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

// theServers are those of this process.
var theServers servers

// servers are an S3 server and a PostgreSQL.
type servers struct {
	mu        sync.Mutex
	kept      *keeper // of what runs until the suite ends; nil: each test has its own
	buckets   *s3test.Server
	databases *postgrestest.Server
}

// Run runs the tests of a suite and returns its status, as m.Run does. What replicas stand on is started once for all of them, and ended after the last.
func Run(m *testing.M) int {
	k := &keeper{}
	theServers.mu.Lock()
	theServers.kept = k
	theServers.mu.Unlock()
	code := m.Run()
	k.end()
	if k.failed && code == 0 {
		code = 1
	}
	return code
}

// get returns the servers, started if need be.
func (s *servers) get(t testing.TB) (*s3test.Server, *postgrestest.Server) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		return launch(t)
	}
	if s.databases == nil {
		s.kept.TB = t
		s.buckets, s.databases = launch(s.kept)
	}
	return s.buckets, s.databases
}

// launch starts the servers. Whole suites run nine replicas at a time, and none of what they keep has to outlive a power cut.
func launch(t testing.TB) (*s3test.Server, *postgrestest.Server) {
	t.Helper()
	return s3test.Start(t), postgrestest.Start(t, "fsync=off", "max_connections=500", "shared_buffers=64MB")
}

// keeper is the test that starts something, but what it has cleaned up it keeps until the suite ends.
type keeper struct {
	testing.TB
	ends   []func()
	over   bool // the test has ended, and can be told nothing any more
	failed bool
}

func (k *keeper) Cleanup(end func()) { k.ends = append(k.ends, end) }

func (k *keeper) TempDir() string {
	dir, err := os.MkdirTemp("", "entrepot-program-")
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (k *keeper) Helper() {}

func (k *keeper) Errorf(format string, args ...any) {
	if !k.over {
		k.TB.Errorf(format, args...)
		return
	}
	k.failed = true
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// end cleans up, the last thing first.
func (k *keeper) end() {
	k.over = true
	for i := len(k.ends) - 1; i >= 0; i-- {
		k.ends[i]()
	}
}
