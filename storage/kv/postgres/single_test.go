//go:build backends

package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

// listener collects what a Listen gets.
type listener struct{ got chan string }

func listen(t *testing.T, db *postgres.DB, channel string) listener {
	l, ctx := listener{make(chan string, 100)}, t.Context()
	go db.Listen(ctx, channel, func(payload string) { l.got <- payload })
	return l
}

func (l listener) want(t *testing.T, payload string) {
	t.Helper()
	select {
	case got := <-l.got:
		if got != payload {
			t.Errorf("got %.40q, want %.40q", got, payload)
		}
	case <-time.After(patience):
		t.Fatalf("did not get %.40q within %v", payload, patience)
	}
}

func testListenHearsWhatOthersNotify(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	a, b := open(t, postgres.Config{URL: url}), open(t, postgres.Config{URL: url})
	defer func() { _ = a.Close() }()
	odd := `Odd "channel" of a'b`
	l, other := listen(t, a, odd), listen(t, a, "other")
	l.want(t, "") // it listens
	other.want(t, "")
	long := strings.Repeat("x", postgres.MaxPayload)
	for _, payload := range []string{"one", "it's", long, "ä"} {
		if err := b.Notify(t.Context(), odd, payload); err != nil {
			t.Fatal(err)
		}
		l.want(t, payload)
	}
	if err := b.Notify(t.Context(), odd, long+"x"); err == nil || !strings.Contains(err.Error(), "7001 bytes") {
		t.Errorf("notify with too much: %v, want an error that names the size", err)
	}
	if err := b.Notify(t.Context(), strings.Repeat("c", 64), ""); err == nil {
		t.Error("a channel whose name PostgreSQL would cut was taken")
	}
	if n := len(other.got); n > 0 {
		t.Errorf("another channel got %d notifications", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func testListenGoesOnAfterItsConnectionWasLost(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	db := open(t, postgres.Config{URL: url})
	l := listen(t, db, "c")
	l.want(t, "")
	for _, how := range []func(){
		func() {
			server.Exec(t, url, "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%'")
		},
		func() { server.Restart(t, postgrestest.Immediate) },
	} {
		how()
		l.want(t, "") // something may have been missed
		if err := db.Notify(t.Context(), "c", "again"); err != nil {
			t.Fatal(err)
		}
		l.want(t, "again")
	}
	ended := make(chan bool)
	go func() { db.Listen(context.Background(), "c", func(string) {}); close(ended) }()
	if err := db.Close(); err != nil { // waits for both
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("Close did not end Listen")
	}
}

// testLeadPassesFromOneToTheNext has three replicas lead in turn, never two at once.
func testLeadPassesFromOneToTheNext(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	var inside, led atomic.Int32
	done := make(chan error, 3)
	for range 3 {
		db := open(t, postgres.Config{URL: url})
		defer func() { _ = db.Close() }()
		go func() {
			done <- db.Lead(t.Context(), "job", func(ctx context.Context) error {
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d lead at once", n)
				}
				time.Sleep(50 * time.Millisecond) // long enough for another to barge in
				inside.Add(-1)
				led.Add(1)
				return errEnough
			})
		}()
	}
	for range 3 {
		select {
		case err := <-done:
			if !errors.Is(err, errEnough) {
				t.Errorf("lead: %v, want what the job returned", err)
			}
		case <-time.After(patience):
			t.Fatalf("%d led within %v, want 3", led.Load(), patience)
		}
	}
	// Another name is another lead, another table another index.
	a, b := open(t, postgres.Config{URL: url}), open(t, postgres.Config{URL: url, Table: "other"})
	defer func() { _, _ = a.Close(), b.Close() }()
	if err := a.Lead(t.Context(), "job", func(ctx context.Context) error {
		return errors.Join(
			a.Lead(ctx, "other job", func(context.Context) error { return nil }),
			b.Lead(ctx, "job", func(context.Context) error { return nil }))
	}); err != nil {
		t.Error(err)
	}
}

var errEnough = errors.New("enough")

// testLeadThatIsLost ends the leader's session: its job is told at once, and another replica, or the same, takes over.
func testLeadThatIsLost(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	began, causes := make(chan string, 10), make(chan error, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for _, name := range []string{"a", "b"} {
		db := open(t, postgres.Config{URL: url})
		defer func() { _ = db.Close() }()
		go func() {
			ended <- db.Lead(ctx, "job", func(ctx context.Context) error {
				began <- name
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return ctx.Err()
			})
		}()
	}
	receive(t, began, "a first leader")
	for _, how := range []func(){
		func() {
			server.Exec(t, url, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
		},
		func() { server.Restart(t, postgrestest.Immediate) },
	} {
		how()
		if cause := receive(t, causes, "the end of the job's ctx"); !errors.Is(cause, postgres.ErrLost) {
			t.Errorf("the job's ctx ended because of %v, want ErrLost", cause)
		}
		receive(t, began, "a next leader")
	}
	stop()
	receive(t, causes, "the end of the last job")
	for range 2 {
		if err := receive(t, ended, "the end of Lead"); !errors.Is(err, context.Canceled) {
			t.Errorf("lead: %v, want context.Canceled", err)
		}
	}
}

// testLeadNoticesASilentServer stalls the connection without closing it.
func testLeadNoticesASilentServer(t *testing.T, server *postgrestest.Server) {
	p, url := through(t, server.Database(t))
	db := open(t, postgres.Config{URL: url})
	began, lost := make(chan bool, 1), make(chan time.Time, 1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- db.Lead(ctx, "job", func(ctx context.Context) error {
			began <- true
			<-ctx.Done()
			lost <- time.Now()
			return nil
		})
	}()
	receive(t, began, "the lead")
	p.stall()
	stalled := time.Now()
	if took := receive(t, lost, "the end of the job's ctx").Sub(stalled); took > 20*time.Second {
		t.Errorf("a silent server was noticed after %v, want about 10 s", took)
	}
	stop()
	p.resume()
	receive(t, ended, "the end of Lead")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func receive[T any](t *testing.T, from <-chan T, what string) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(patience):
		t.Fatalf("%s did not come within %v", what, patience)
	}
	return got
}
