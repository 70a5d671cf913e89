//go:build backends

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

const patience = 60 * time.Second

// until waits for what must happen.
func until(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen within %v", what, patience)
		}
	}
}

func put(t testing.TB, db kv.DB, key, value string) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put(key, []byte(value)); return nil }); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func want(t testing.TB, v kv.View, key, value string) {
	t.Helper()
	if got, err := v.Get(context.Background(), key); err != nil || string(got) != value {
		t.Errorf("%s is %q, %v, want %q", key, got, err, value)
	}
}

// testCommitWhoseAnswerIsLost cuts the connection at the moment of the commit. The server may have got it, or not, or get it later.
func testCommitWhoseAnswerIsLost(t *testing.T, server *postgrestest.Server) {
	direct := server.Database(t)
	for i, c := range []struct {
		name string
		do   func(p *proxy, late chan<- func(), committed func()) func(piece []byte, client, server net.Conn)
		runs int // of fn
	}{
		{"the server never gets it", func(p *proxy, late chan<- func(), committed func()) func([]byte, net.Conn, net.Conn) {
			return func(_ []byte, client, server net.Conn) { reset(server); reset(client); late <- func() {} }
		}, 2},
		{"the server gets it, its answer is lost", func(p *proxy, late chan<- func(), committed func()) func([]byte, net.Conn, net.Conn) {
			return func(piece []byte, client, server net.Conn) {
				p.mute(client)
				_, _ = server.Write(piece)
				committed()
				reset(client)
				late <- func() {}
			}
		}, 1},
		{"the server gets it after it was asked", func(p *proxy, late chan<- func(), committed func()) func([]byte, net.Conn, net.Conn) {
			return func(piece []byte, client, server net.Conn) {
				released, delivered := make(chan struct{}), make(chan struct{})
				late <- func() { close(released); <-delivered }
				reset(client)
				<-released // the other direction ends with the client, but writes towards the server still work
				_, _ = server.Write(piece)
				close(delivered)
			}
		}, 2},
	} {
		for _, reads := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reads %v", c.name, reads), func(t *testing.T) {
				p, url := through(t, direct)
				table := fmt.Sprintf("lost_%d_%v", i, reads)
				db := open(t, postgres.Config{URL: url, Table: table})
				plain := open(t, postgres.Config{URL: direct, Table: table})
				defer func() { _, _ = db.Close(), plain.Close() }()
				put(t, db, "n", "10")
				late := make(chan func(), 1)
				p.onCommit(c.do(p, late, func() {
					until(t, "the commit", func() bool { _, err := plain.Get(t.Context(), "run"); return err == nil })
				}))
				runs := 0
				err := db.Update(t.Context(), func(tx kv.Tx) error {
					runs++
					tx.Put("run", []byte(strconv.Itoa(runs)))
					if reads {
						return increment(tx, "n")
					}
					return nil
				})
				if err != nil || runs != c.runs {
					t.Errorf("update: %v after %d runs, want none after %d", err, runs, c.runs)
				}
				(<-late)()
				// Whatever reached the server is done when its session ends.
				until(t, "the end of the session that was cut", func() bool {
					n := sessions(t, direct, "state = 'active' or state like 'idle in%'")
					return n == 0
				})
				want(t, plain, "run", strconv.Itoa(c.runs))
				if reads {
					want(t, plain, "n", "11")
				}
			})
		}
	}
}

func increment(tx kv.Tx, key string) error {
	text, err := tx.Get(context.Background(), key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	n, _ := strconv.Atoi(string(text))
	tx.Put(key, []byte(strconv.Itoa(n+1)))
	return nil
}

// testRestartUnderLoad stops and starts the server, gently and not, while many write. What was answered as done is there, once; what was
// answered as failed is not.
func testRestartUnderLoad(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	replicas := []*postgres.DB{open(t, postgres.Config{URL: url}), open(t, postgres.Config{URL: url})}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var done, failed sync.Map
	var counts [4]atomic.Int64
	var successes atomic.Int64
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("w/%d/%d", w, i)
				err := replicas[w%2].Update(context.Background(), func(tx kv.Tx) error {
					tx.Put(key, []byte(key))
					if i%2 == 0 { // every other one is blind
						return increment(tx, fmt.Sprintf("count/%d", w%4))
					}
					return nil
				})
				switch {
				case err == nil:
					done.Store(key, true)
					successes.Add(1)
					if i%2 == 0 {
						counts[w%4].Add(1)
					}
				case errors.Is(err, postgres.ErrUnavailable) && !errors.Is(err, postgres.ErrUnknown):
					failed.Store(key, true)
				default:
					t.Errorf("update: %v, want ErrUnavailable with a known outcome", err)
					return
				}
			}
		})
	}
	for _, how := range []postgrestest.Mode{postgrestest.Fast, postgrestest.Immediate, postgrestest.Immediate, postgrestest.Fast} {
		before := successes.Load()
		until(t, "work before a restart", func() bool { return successes.Load() > before+150 })
		server.Restart(t, how)
	}
	before := successes.Load()
	until(t, "work after the last restart", func() bool { return successes.Load() > before+150 })
	stop()
	all.Wait()
	found := map[string]bool{}
	for p, err := range replicas[0].Scan(t.Context(), "w/", "w0") {
		if err != nil {
			t.Fatal(err)
		}
		found[p.Key] = true
		if _, ok := failed.Load(p.Key); ok {
			t.Errorf("%s was reported as failed, and is there", p.Key)
		}
	}
	done.Range(func(key, _ any) bool {
		if !found[key.(string)] {
			t.Errorf("%s was reported as done, and is not there", key)
		}
		return true
	})
	for i := range counts {
		want(t, replicas[1], fmt.Sprintf("count/%d", i), fmt.Sprint(counts[i].Load()))
	}
	for _, db := range replicas {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func testServerThatIsAway(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	db := open(t, postgres.Config{URL: url})
	defer func() { _ = db.Close() }()
	put(t, db, "a", "1")
	server.Stop(t, postgrestest.Fast)
	began := time.Now()
	// The blind put comes first: it must not be sent on the connection that the server has closed, as its outcome would be unknown.
	all := calls(t.Context(), db)
	for _, name := range []string{"put", "get", "scan", "read and put", "scan in a transaction", "notify"} {
		if err := all[name](); !errors.Is(err, postgres.ErrUnavailable) || errors.Is(err, postgres.ErrUnknown) {
			t.Errorf("%s: %v, want ErrUnavailable and no doubt", name, err)
		}
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: url}); !errors.Is(err, postgres.ErrUnavailable) {
		t.Errorf("open: %v, want ErrUnavailable", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("to hear that the server refuses connections took %v", took)
	}
	server.Continue(t)
	for name, do := range calls(t.Context(), db) {
		if err := do(); err != nil {
			t.Errorf("%s after the server is back: %v", name, err)
		}
	}
	want(t, db, "a", "1")
}

// calls are all ways to use a DB.
func calls(ctx context.Context, db *postgres.DB) map[string]func() error {
	return map[string]func() error{
		"get":  func() error { _, err := db.Get(ctx, "a"); return err },
		"scan": func() error { return scan(ctx, db) },
		"put":  func() error { return db.Update(ctx, func(tx kv.Tx) error { tx.Put("b", nil); return nil }) },
		"read and put": func() error {
			return db.Update(ctx, func(tx kv.Tx) error { return increment(tx, "n") })
		},
		"scan in a transaction": func() error { return db.Update(ctx, func(tx kv.Tx) error { return scan(ctx, tx) }) },
		"notify":                func() error { return db.Notify(ctx, "c", "p") },
	}
}

func scan(ctx context.Context, v kv.View) error {
	for _, err := range v.Scan(ctx, "", "") {
		if err != nil {
			return err
		}
	}
	return nil
}

// testServerThatHangs takes everything and answers nothing.
func testServerThatHangs(t *testing.T, server *postgrestest.Server) {
	p, url := through(t, server.Database(t))
	db := open(t, postgres.Config{URL: url, Timeout: time.Second, ConnectTimeout: time.Second})
	defer func() { _ = db.Close() }()
	put(t, db, "a", "1")
	// A commit that is sent, and of which nothing is heard, is not called a failure.
	p.onCommit(func(_ []byte, client, _ net.Conn) { p.stall(); p.mute(client) })
	if err := calls(t.Context(), db)["put"](); !errors.Is(err, postgres.ErrUnknown) || !errors.Is(err, postgres.ErrUnavailable) {
		t.Errorf("put: %v, want ErrUnknown and ErrUnavailable", err)
	}
	for _, name := range []string{"get", "scan", "read and put", "notify"} {
		began := time.Now()
		if err := calls(t.Context(), db)[name](); !errors.Is(err, postgres.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	for name, do := range calls(ended(t), db) {
		if err := do(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a deadline: %v, want its error", name, err)
		}
	}
	p.resume()
	p.cut() // what was held back is of no use to anybody
	for name, do := range calls(t.Context(), db) {
		until(t, name+" when the server answers again", func() bool { return do() == nil })
	}
}

// ended returns a ctx whose deadline is close.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// testConnectionLostInATransaction has the server end the session between two reads.
func testConnectionLostInATransaction(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	db := open(t, postgres.Config{URL: url})
	defer func() { _ = db.Close() }()
	put(t, db, "n", "1")
	runs := 0
	if err := db.Update(t.Context(), func(tx kv.Tx) error {
		runs++
		err := increment(tx, "n")
		if runs == 1 {
			server.Exec(t, url, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'entrepot'")
		}
		_, _ = tx.Get(t.Context(), "other") // what it fails with decides, although fn looks away
		return err
	}); err != nil || runs != 2 {
		t.Errorf("update: %v after %d runs, want none after 2", err, runs)
	}
	want(t, db, "n", "2")

	// A connection that was lost while it was idle is not used: what is sent on it might have to be settled.
	put(t, db, "a", "1")
	server.Exec(t, url, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'entrepot'")
	until(t, "the end of the sessions", func() bool { return sessions(t, url, "true") == 0 })
	runs = 0
	if err := db.Update(t.Context(), func(tx kv.Tx) error { runs++; tx.Put("a", []byte("2")); return nil }); err != nil || runs != 1 {
		t.Errorf("update after the connections were lost: %v after %d runs, want none after 1", err, runs)
	}
}

// testConnectionsThatRunOut has one Update hold the only one.
func testConnectionsThatRunOut(t *testing.T, server *postgrestest.Server) {
	db := open(t, postgres.Config{URL: server.Database(t), MaxConns: 1, Timeout: 2 * time.Second})
	defer func() { _ = db.Close() }()
	if err := db.Update(t.Context(), func(tx kv.Tx) error {
		_, _ = tx.Get(t.Context(), "a")
		if _, err := db.Get(t.Context(), "a"); !errors.Is(err, postgres.ErrUnavailable) {
			t.Errorf("get: %v, want ErrUnavailable", err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// testErrorsOfTheServer has a trigger answer writes with the error that their key names.
func testErrorsOfTheServer(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	db := open(t, postgres.Config{URL: url})
	defer func() { _ = db.Close() }()
	server.Exec(t, url, `create function refuse() returns trigger language plpgsql as
		$$ begin raise exception 'told to' using errcode = convert_from(new.key, 'UTF8'); end $$`)
	server.Exec(t, url, `create trigger refuse before insert on entrepot for each row execute function refuse()`)
	for code, wanted := range map[string]error{
		"53100": kv.ErrFull, "53200": postgres.ErrUnavailable, "53300": postgres.ErrUnavailable, "57014": postgres.ErrUnavailable,
		"57P01": postgres.ErrUnavailable, "25006": postgres.ErrUnavailable, "08006": postgres.ErrUnavailable, "XX001": nil,
	} {
		err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put(code, []byte("v")); return nil })
		if err == nil || wanted != nil && !errors.Is(err, wanted) || wanted == nil && errors.Is(err, postgres.ErrUnavailable) {
			t.Errorf("%s: %v, want %v", code, err, wanted)
		}
		if !strings.Contains(err.Error(), "told to") {
			t.Errorf("%s: %v, want what the server said in it", code, err)
		}
	}
	if err := scan(t.Context(), db); err != nil {
		t.Error(err)
	}
}

// testRoundTrips counts what the driver sends.
func testRoundTrips(t *testing.T, server *postgrestest.Server) {
	p, url := through(t, server.Database(t))
	db := open(t, postgres.Config{URL: url})
	defer func() { _ = db.Close() }()
	put(t, db, "a", "1") // connects
	for name, c := range map[string]struct {
		trips int64
		do    func() error
	}{
		"get":        {1, func() error { _, err := db.Get(t.Context(), "a"); return err }},
		"short scan": {1, func() error { return scan(t.Context(), db) }},
		"two puts and a deletion": {1, func() error {
			return db.Update(t.Context(), func(tx kv.Tx) error { tx.Put("a", nil); tx.Put("b", nil); tx.Delete("c"); return nil })
		}},
		"two reads and a put": {3, func() error {
			return db.Update(t.Context(), func(tx kv.Tx) error { _, _ = tx.Get(t.Context(), "z"); return increment(tx, "n") })
		}},
		"a read": {2, func() error {
			return db.Update(t.Context(), func(tx kv.Tx) error { _, err := tx.Get(t.Context(), "a"); return err })
		}},
		"nothing": {0, func() error { return db.Update(t.Context(), func(kv.Tx) error { return nil }) }},
	} {
		before := p.sent.Load()
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if trips := p.sent.Load() - before; trips != c.trips {
			t.Errorf("%s took %d round trips, want %d", name, trips, c.trips)
		}
	}
}
