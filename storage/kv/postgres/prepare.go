package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// prepareTables prepares the tables on the first connection that is made.
func (db *DB) prepareTables(ctx context.Context, wire *pgconn.PgConn) error {
	db.tables.Lock()
	defer db.tables.Unlock()
	if db.table.name != "" {
		return nil
	}
	t, err := db.findTables(ctx, wire)
	if err != nil {
		return unprepared{err}
	}
	db.table = t
	return nil
}

// unprepared is why the tables could not be prepared, which is judged already.
type unprepared struct{ error }

func (u unprepared) Unwrap() error { return u.error }

// findTables finds the tables, makes them if there are none, and brings them to this program's version.
func (db *DB) findTables(ctx context.Context, wire *pgconn.PgConn) (t table, err error) {
	t = table{db.config.Schema, db.config.Table}
	if t.schema == "" {
		if t.schema, err = value(ctx, wire, `select coalesce(current_schema(), '')`); err != nil {
			return t, judge(ctx, err)
		}
		if t.schema == "" {
			return t, errors.New("none of the schemas in the user's search_path exists: name one, or create it")
		}
	}
	version, err := t.version(ctx, wire)
	if err == nil && version < len(t.migrations()) {
		err = db.migrate(ctx, wire, t)
	}
	if err == nil && version > len(t.migrations()) {
		err = fmt.Errorf("tables %s are of version %d, this program knows up to %d: run the newer release that made them", t, version, len(t.migrations()))
	}
	return t, err
}

// migrate applies what is missing. Replicas that start together go one after another.
func (db *DB) migrate(ctx context.Context, wire *pgconn.PgConn, t table) error {
	if err := simple(ctx, wire, `begin`, fmt.Sprintf(`select pg_advisory_xact_lock(%d)`, t.lockKey("migrate"))); err != nil {
		return judge(ctx, err)
	}
	version, err := t.version(ctx, wire) // another replica may have been faster
	if err != nil {
		return err
	}
	all := t.migrations()
	sql := []string{fmt.Sprintf(`create table if not exists %s (version int primary key, applied timestamptz not null default now())`, t.suffix("_version"))}
	for v := version; v < len(all); v++ {
		sql = append(sql, all[v], fmt.Sprintf(`insert into %s (version) values (%d)`, t.suffix("_version"), v+1))
	}
	if err := simple(ctx, wire, append(sql, `commit`)...); err != nil {
		return fmt.Errorf("bring tables %s from version %d to %d: %w", t, version, len(all), judge(ctx, err))
	}
	if version > 0 {
		return nil
	}
	for _, sql := range t.tuning() {
		if err := simple(ctx, wire, sql); err != nil {
			db.log.Info("postgresql does without a setting of the index", "sql", sql, "err", err)
		}
	}
	return nil
}

// version returns the version of the tables, 0 if there are none.
func (t table) version(ctx context.Context, wire *pgconn.PgConn) (int, error) {
	exists, err := value(ctx, wire, fmt.Sprintf(`select count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where n.nspname = %s and c.relname = %s`, literal(t.schema), literal(t.name+"_version")))
	if err != nil || exists == "0" {
		return 0, judge(ctx, err)
	}
	text, err := value(ctx, wire, fmt.Sprintf(`select coalesce(max(version), 0) from %s`, t.suffix("_version")))
	if err != nil {
		return 0, judge(ctx, err)
	}
	return strconv.Atoi(text)
}

// lockKey is the key of an advisory lock. Those are shared by all that use the database, so that it has to be one that nobody else hits on.
func (t table) lockKey(name string) int64 {
	sum := sha256.Sum256([]byte("entrepot\x00" + t.schema + "\x00" + t.name + "\x00" + name))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// value runs SQL that returns one value, as text.
func value(ctx context.Context, wire *pgconn.PgConn, sql string) (string, error) {
	results, err := wire.Exec(ctx, sql).ReadAll()
	switch {
	case err != nil:
		return "", err
	case len(results) != 1 || len(results[0].Rows) != 1:
		return "", fmt.Errorf("the server answered %d rows, not one", len(results))
	}
	return string(results[0].Rows[0][0]), nil
}
