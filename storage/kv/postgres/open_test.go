//go:build backends

package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

func testOpenRefusesWhatCannotWork(t *testing.T, server *postgrestest.Server) {
	good := server.Database(t)
	const secret = "canary-secret"
	broken := func(change func(u *url.URL)) string {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	newer := server.Database(t)
	server.Exec(t, newer, "create table entrepot_version (version int, applied timestamptz); insert into entrepot_version values (99, now())")
	for name, c := range map[string]struct {
		config postgres.Config
		says   string
		away   bool
	}{
		"no url":             {postgres.Config{}, "no url", false},
		"a broken url":       {postgres.Config{URL: "postgres://user:" + secret + "@host:no-port/x"}, "has to look like", false},
		"a broken url in %":  {postgres.Config{URL: "postgres://user:" + secret + "%zz@host/x"}, "has to look like", false},
		"a wrong password":   {postgres.Config{URL: broken(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), secret) })}, "password", false},
		"no such database":   {postgres.Config{URL: broken(func(u *url.URL) { u.Path = "absent" })}, "absent", false},
		"nobody listens":     {postgres.Config{URL: "postgres://user:" + secret + "@127.0.0.1:1/x?sslmode=disable"}, "refused", true},
		"a table's name":     {postgres.Config{URL: good, Table: `x"; drop table y`}, "small letters", false},
		"a long name":        {postgres.Config{URL: good, Table: strings.Repeat("x", 49)}, "small letters", false},
		"no such schema":     {postgres.Config{URL: good, Schema: "absent"}, "absent", false},
		"negative":           {postgres.Config{URL: good, MaxConns: -1}, "must be positive", false},
		"a newer version":    {postgres.Config{URL: newer}, "are of version 99, this program knows up to 1", false},
		"a server without S": {postgres.Config{URL: broken(func(u *url.URL) { u.RawQuery = "sslmode=require" })}, "TLS", true},
	} {
		db, err := postgres.Open(t.Context(), c.config)
		if err == nil {
			_ = db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, postgres.ErrUnavailable) != c.away {
			t.Errorf("%s: %v, want %q in it, and ErrUnavailable: %v", name, err, c.says, c.away)
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, secret) {
			t.Errorf("%s: the error holds the password", name)
		}
	}
}

// testSchema keeps indexes of one name apart by their schemas.
func testSchema(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	server.Exec(t, url, `create schema other`)
	server.Exec(t, url, `create schema "it's ""odd"""`)
	odd := strings.Replace(url, "?", `?search_path="it's%20""odd"""&`, 1)
	for i, config := range []postgres.Config{{URL: url}, {URL: url, Schema: "other"}, {URL: odd}, {URL: url, Table: "second"}} {
		db := open(t, config)
		if err := scanNone(t, db); err != nil {
			t.Errorf("index %d: %v", i, err)
		}
		put(t, db, "a", "1")
		if db.Size() == 0 {
			t.Errorf("index %d has no size", i)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func scanNone(t *testing.T, db kv.DB) error {
	for p, err := range db.Scan(t.Context(), "", "") {
		return errors.Join(err, fmt.Errorf("it holds %q", p.Key))
	}
	return nil
}

func testSizeIsAskedForOnceAMinute(t *testing.T, server *postgrestest.Server) {
	var now atomic.Int64
	db := open(t, postgres.Config{URL: server.Database(t), Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	defer func() { _ = db.Close() }()
	now.Store(1000)
	small := db.Size()
	put(t, db, "a", strings.Repeat("x", 1<<20))
	now.Store(1059)
	if size := db.Size(); size != small {
		t.Errorf("the size is %d after 59 s, was %d", size, small)
	}
	now.Store(1061)
	large := db.Size()
	if large < small+1<<20 {
		t.Errorf("the size is %d after 61 s, was %d, and 1 MiB was put", large, small)
	}
	server.Stop(t, postgrestest.Fast)
	now.Store(2000)
	if size := db.Size(); size != large {
		t.Errorf("the size is %d without the server, want the last one, %d", size, large)
	}
}

// testSecretsAreNotLogged looks for the password in all that is logged while everything goes wrong.
func testSecretsAreNotLogged(t *testing.T, server *postgrestest.Server) {
	dsn := server.Database(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	var log bytes.Buffer
	db := open(t, postgres.Config{URL: dsn, Timeout: 2 * time.Second, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	l := listen(t, db, "c")
	l.want(t, "")
	server.Stop(t, postgrestest.Immediate)
	for name, do := range calls(t.Context(), db) {
		if err := do(); err == nil || strings.Contains(fmt.Sprintf("%v %#v", err, err), password) {
			t.Errorf("%s: %v, want an error without the password", name, err)
		}
	}
	server.Continue(t)
	l.want(t, "")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "notifications of c") || strings.Contains(text, password) {
		t.Errorf("the log should tell of the lost connection, and not the password:\n%s", text)
	}
}
