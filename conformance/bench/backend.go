package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

// ground is what a server stands on besides its folder: a database, a bucket. It is started before the server, outlives the server's restarts and ends after it.
type ground struct {
	env      []string     // how this registry is told of it
	database string       // its URL
	pids     func() []int // the database's processes
	exec     func(sql string) error
	end      func()
}

const (
	settleRest = 75 * time.Second // in which the journal of the filling is saved
	settleWait = 3 * time.Minute  // how long a registry may have things to do after it was filled
)

// settle waits until the registry has nothing left to do after it was filled, and has the database do what it does by itself within minutes: vacuum.
func (g *ground) settle(ctx context.Context) error {
	select {
	case <-time.After(settleRest):
	case <-ctx.Done():
		return ctx.Err()
	}
	db, err := g.openDatabase(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	for end := time.Now().Add(settleWait); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		busy := false
		from, to := kv.Prefix("settle/")
		for _, err := range db.Scan(ctx, from, to) {
			if err != nil {
				return err
			}
			busy = true
			break
		}
		if !busy {
			return g.exec("vacuum analyze")
		}
	}
	return fmt.Errorf("the registry is still busy with what it was filled with after %s", settleWait)
}

// cpu is the processor time that the database's processes have taken. One that has ended is not counted: connections last longer than a round.
func (g *ground) cpu() time.Duration {
	var sum time.Duration
	for _, pid := range g.pids() {
		if took, err := cpuOf(pid); err == nil {
			sum += took
		}
	}
	return sum
}

// onServers starts a PostgreSQL server, which syncs, and an S3 server with a bucket: this registry wants both or neither.
func onServers(dir string) (*ground, error) {
	h := &holder{}
	g := &ground{end: h.end}
	secret := filepath.Join(dir, "s3-secret")
	err := h.try(func() {
		server := postgrestest.Start(h, "max_wal_size=4GB") // checkpoints are no part of what is measured
		g.database = server.Database(h)
		g.exec = func(sql string) error { return h.try(func() { server.Exec(h, g.database, sql) }) }
		g.pids = func() []int { return postgresAt(server.Addr()) }
		s3 := s3test.Start(h)
		g.env = []string{"ENTREPOT_INDEX_POSTGRES_URL=" + g.database, "ENTREPOT_STORAGE_S3_BUCKET=" + s3.Bucket(h), "ENTREPOT_STORAGE_S3_ENDPOINT=" + s3.Endpoint,
			"ENTREPOT_STORAGE_S3_FORCEPATHSTYLE=true", "ENTREPOT_STORAGE_S3_ACCESSKEY=" + s3.AccessKey, "ENTREPOT_STORAGE_S3_SECRETKEYFILE=" + secret}
		if err := os.WriteFile(secret, []byte(s3.SecretKey+"\n"), 0o600); err != nil {
			h.Fatal(err)
		}
	})
	if err != nil {
		h.end()
	}
	return g, err
}

// postgresAt returns the processes of the PostgreSQL server that listens at an address: the one that was started with its port, and those that this one started.
func postgresAt(addr string) (pids []int) {
	_, port, _ := bytes.Cut([]byte(addr), []byte(":"))
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte("\x00-p\x00"+string(port)+"\x00")) {
			continue
		}
		first, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		pids = append(pids, first)
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", first, first))
		for _, f := range bytes.Fields(children) {
			if pid, err := strconv.Atoi(string(f)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// openDatabase opens the database as this registry does.
func (g *ground) openDatabase(ctx context.Context) (*postgres.DB, error) {
	return postgres.Open(ctx, postgres.Config{URL: g.database})
}

// holder stands in for a test towards packages that start servers for tests.
type holder struct {
	testing.TB
	cleanups []func()
}

// failure is what such a test fails of.
type failure struct{ error }

func (*holder) Helper()                   {}
func (h *holder) Cleanup(f func())        { h.cleanups = append(h.cleanups, f) }
func (*holder) Errorf(f string, a ...any) { fmt.Fprintf(os.Stderr, f+"\n", a...) }
func (*holder) Fatalf(f string, a ...any) { panic(failure{fmt.Errorf(f, a...)}) }
func (*holder) Fatal(a ...any)            { panic(failure{fmt.Errorf("%s", fmt.Sprint(a...))}) }

func (h *holder) TempDir() string {
	dir, err := os.MkdirTemp("", "entrepot-bench-")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// try runs what may fail as a test does.
func (h *holder) try(do func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = r
		default:
			panic(r)
		}
	}()
	do()
	return nil
}

func (h *holder) end() {
	for len(h.cleanups) > 0 {
		last := h.cleanups[len(h.cleanups)-1]
		h.cleanups = h.cleanups[:len(h.cleanups)-1]
		last()
	}
}
