//go:build backends

package replicas

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

// open lets everybody do everything.
const open = "auth: {anonymous: full}\n"

// house is some replicas over one bucket and one database.
type house struct {
	s3       *s3test.Server
	bucket   string
	database string // its URL
	replicas []*program.Program
	front    *wire.Registry // each request to the next of them
	url      string         // of the front
}

// stores are what replicas stand on.
type stores struct {
	s3               *s3test.Server
	postgres         *postgrestest.Server
	bucket, database string
	endpoint         string // of S3, as the replicas reach it
	direct           bool   // blobs come from the replicas, and not by a link
}

func newStores(t testing.TB) *stores {
	t.Helper()
	s := &stores{s3: s3test.Start(t), postgres: postgrestest.Start(t, "fsync=off")}
	s.bucket, s.database, s.endpoint = s.s3.Bucket(t), s.postgres.Database(t), s.s3.Endpoint
	return s
}

// start starts some replicas with the same settings.
func start(t testing.TB, s *stores, count int, settings string) *house {
	t.Helper()
	h := &house{s3: s.s3, bucket: s.bucket, database: s.database}
	h.replicas = make([]*program.Program, count)
	var starting sync.WaitGroup
	for n := range h.replicas {
		starting.Go(func() { h.replicas[n] = s.replica(t, settings) }) // all at once: the stores may be empty
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var addrs []string
	for _, p := range h.replicas {
		addrs = append(addrs, p.Addr)
	}
	front := httptest.NewServer(newRound(addrs))
	t.Cleanup(front.Close)
	h.url, h.front = front.URL, wire.At(front.URL)
	return h
}

// replica starts one more registry over the stores.
func (s *stores) replica(t testing.TB, settings string) *program.Program {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(s.s3.SecretKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return program.Start(t, program.Alone("it is one of the replicas that the test puts together"), program.In(dir), program.Listen(address(t)), program.Config(s.settings()+settings))
}

// address is one that stays free while a replica is killed and started again: no other test takes ports of that host.
func address(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 2+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *stores) settings() string {
	return fmt.Sprintf(`log: {level: warn}
storage:
  s3:
    bucket: %s
    endpoint: %s
    redirect: %t
    forcePathStyle: true
    accessKey: %s
    secretKeyFile: secret
index:
  postgres:
    url: %s
    connections: 8
`, s.bucket, s.endpoint, !s.direct, s.s3.AccessKey, s.database)
}

// at is one of the replicas alone.
func (h *house) at(n int) *wire.Registry { return wire.At(h.replicas[n].URL) }

// verify ends all replicas and has the program look whether everything in the stores is as it must be.
func (h *house) verify(t testing.TB) {
	t.Helper()
	for _, p := range h.replicas {
		p.Stop()
	}
	out, err := h.replicas[0].CLI("verify", "--config", "config.yml")
	if err != nil {
		t.Errorf("entrepot verify: %v\n%s", err, out)
	}
}

// logs are what the replicas wrote, for messages.
func (h *house) logs() string {
	var b strings.Builder
	for i, p := range h.replicas {
		log := p.Log()
		fmt.Fprintf(&b, "--- replica %d:\n%s", i, log[max(0, len(log)-4000):])
	}
	return b.String()
}

// soon waits until something is so, and ends the test if that takes longer than within.
func soon(t testing.TB, within time.Duration, what string, so func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !so() {
		if time.Since(began) > within {
			t.Fatalf("after %v it is still not so that %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}
