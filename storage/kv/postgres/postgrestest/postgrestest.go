// Package postgrestest runs a PostgreSQL server of its own for a test.
//
//	server := postgrestest.Start(t)
//	db, err := postgres.Open(t.Context(), postgres.Config{URL: server.Database(t)})
//	…
//	server.Restart(t, postgrestest.Immediate) // as if the machine had lost its power
//
// The server lives in a temporary folder, listens on a port of 127.0.0.1 that was free, asks for a password, and ends with the test. It syncs
// as a real one does; Start(t, "fsync=off") and any other setting change that. It needs the programs initdb and postgres, the newest below
// /usr/lib/postgresql or those of the PATH; if they are missing the test fails and says so.
package postgrestest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	user     = "entrepot"
	password = "pg-test-password"
	patience = 60 * time.Second // for whatever the server has to do
)

// Mode is how a server is stopped.
type Mode syscall.Signal

const (
	// Fast cuts all connections, rolls back what they were at, and writes everything down.
	Fast = Mode(syscall.SIGINT)
	// Immediate lets everything fall, as a crash does; the next start recovers from the log.
	Immediate = Mode(syscall.SIGQUIT)
)

// Server is a running, or stopped, PostgreSQL.
type Server struct {
	programs, folder string
	port             int
	settings         []string
	process          *process
	databases        atomic.Int64
}

// Start makes a server and runs it until the test is over. Settings are lines of postgresql.conf, such as "fsync=off".
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := &Server{programs: programs(t), settings: settings}
	// Not t.TempDir: another user may have to enter it, and a socket's path must be short.
	folder, err := os.MkdirTemp("", "entrepot-postgres-")
	if err != nil {
		t.Fatalf("make a folder for postgresql: %v", err)
	}
	s.folder = folder
	t.Cleanup(func() {
		s.Stop(t, Immediate)
		if err := os.RemoveAll(folder); err != nil {
			t.Errorf("remove postgresql's folder: %v", err)
		}
	})
	if err := handOver(folder); err != nil {
		t.Fatalf("give %s to the user that postgresql runs as: %v", folder, err)
	}
	s.init(t)
	// A port that is free now may be taken a moment later by another test.
	for range 5 {
		s.port = freePort(t)
		if err = s.run(); err == nil {
			return s
		}
	}
	t.Fatalf("start postgresql: %v", err)
	return nil
}

// Addr is where the server listens, as host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Database makes a new, empty database and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	s.Exec(t, s.url("postgres"), "create database "+name)
	return s.url(name)
}

// Exec runs SQL in the database at url.
func (s *Server) Exec(t testing.TB, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("connect to postgresql: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Stop stops the server, if it runs, and waits until it has ended.
func (s *Server) Stop(t testing.TB, how Mode) {
	t.Helper()
	if s.process == nil {
		return
	}
	s.process.signal(syscall.Signal(how))
	if !s.process.ended(patience) {
		s.process.signal(syscall.SIGKILL)
		t.Errorf("postgresql did not stop within %v", patience)
	}
	s.process = nil
}

// Restart stops the server and starts it again at the same address.
func (s *Server) Restart(t testing.TB, how Mode) {
	t.Helper()
	s.Stop(t, how)
	s.Continue(t)
}

// Continue starts a server that was stopped; one that runs goes on.
func (s *Server) Continue(t testing.TB) {
	t.Helper()
	if s.process != nil {
		return
	}
	if err := s.run(); err != nil {
		t.Fatalf("start postgresql again: %v", err)
	}
}

func (s *Server) url(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: s.Addr(), Path: database, RawQuery: "sslmode=disable"}).String()
}

func (s *Server) init(t testing.TB) {
	t.Helper()
	secret := filepath.Join(s.folder, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(s.programs, "initdb"), "--pgdata="+s.data(), "--username="+user, "--pwfile="+secret,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Dir = s.folder
	confine(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// run starts the server and waits until it answers.
func (s *Server) run() error {
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	args := []string{"-D", s.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-k", s.folder}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(filepath.Join(s.programs, "postgres"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.folder, log, log
	confine(cmd)
	if s.process, err = start(cmd); err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; {
		if err = s.answers(); err == nil {
			return nil
		}
		if s.process.ended(20*time.Millisecond) || time.Now().After(end) {
			s.process.signal(syscall.SIGQUIT)
			s.process = nil
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("it does not answer: %w\n%s", err, said[max(0, len(said)-2000):])
		}
	}
}

func (s *Server) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// programs finds the folder of initdb and postgres.
func programs(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		version := func(path string) int {
			n, _ := strconv.Atoi(strings.Split(path, "/")[4])
			return n
		}
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		t.Fatal("this test needs a PostgreSQL server: install the package postgresql (initdb is neither below /usr/lib/postgresql nor in the PATH)")
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(path)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
