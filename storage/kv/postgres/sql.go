package postgres

import (
	"fmt"
	"strings"
)

// table is the name of the table of pairs, ready for use in SQL; suffix names one beside it.
type table struct{ schema, name string }

// String is the table's full name.
func (t table) String() string { return t.suffix("") }

func (t table) suffix(s string) string { return fmt.Sprintf("%s.%s", quote(t.schema), quote(t.name+s)) }

// quote makes s a name in SQL, whatever it holds.
func quote(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), `"`, `""`) + `"`
}

// literal makes s a text in SQL, whatever it holds.
func literal(s string) string {
	return `'` + strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), `'`, `''`) + `'`
}

// statement is one of those that every connection prepares.
type statement int

const (
	beginStatement statement = iota
	commitStatement
	getStatement
	fetchStatement
	pageStatement
	tailStatement
	keysStatement
	keysTailStatement
	putStatement
	putManyStatement
	deleteStatement
	sessionStatement
	statements
)

// Object ids of parameter types, which are the same in every PostgreSQL.
const (
	bytea      uint32 = 17
	int8       uint32 = 20
	int4       uint32 = 23
	byteaArray uint32 = 1001
)

type prepared struct {
	name, sql string
	params    []uint32
}

// page yields the next pairs, with null for values that are kept out of line: their size is known without reading them. What all keys begin with need not be sent with each.
const page = `select %s, case when octet_length(value) <= $2 then value end from %s where %s order by key limit $1`

// statements returns what every connection prepares. All writes but deletions are blind: they read nothing that another transaction's write
// could be in conflict with.
func (t table) statements() [statements]prepared {
	put := fmt.Sprintf(`insert into %s as old (key, value) %%s on conflict (key) do update set value = excluded.value`, t)
	return [statements]prepared{
		beginStatement:  {"begin", `begin isolation level serializable`, nil},
		commitStatement: {"commit", `commit`, nil},
		getStatement:    {"get", fmt.Sprintf(`select value from %s where key = $1`, t), []uint32{bytea}},
		fetchStatement:  {"fetch", fmt.Sprintf(`select key, case when octet_length(value) <= $2 then value end from %s where key = any($1)`, t), []uint32{byteaArray, int4}},
		pageStatement:   {"page", fmt.Sprintf(page, `substring(key from $5)`, t, `key >= $3 and key < $4`), []uint32{int8, int4, bytea, bytea, int4}},
		tailStatement:   {"tail", fmt.Sprintf(page, `key`, t, `key >= $3`), []uint32{int8, int4, bytea}},
		// Nothing but the index is read where the rows have been vacuumed.
		keysStatement:     {"keys", fmt.Sprintf(`select key from %s where key >= $2 and key < $3 order by key limit $1`, t), []uint32{int8, bytea, bytea}},
		keysTailStatement: {"keys_tail", fmt.Sprintf(`select key from %s where key >= $2 order by key limit $1`, t), []uint32{int8, bytea}},
		putStatement:      {"put", fmt.Sprintf(put, `values ($1, $2)`), []uint32{bytea, bytea}},
		putManyStatement:  {"put_many", fmt.Sprintf(put, `select * from unnest($1, $2)`), []uint32{byteaArray, byteaArray}},
		deleteStatement:   {"delete", fmt.Sprintf(`delete from %s where key = any($1)`, t), []uint32{byteaArray}},
		// A session that was fenced (see settle) has a number beyond all others: then this violates "not null" and its transaction fails.
		sessionStatement: {"session", fmt.Sprintf(`insert into %s as old (id, commits) values ($1, $2)
			on conflict (id) do update set commits = case when old.commits < excluded.commits then excluded.commits end, at = now()`,
			t.suffix("_session")), []uint32{bytea, int8}},
	}
}

// migrations are the versions of the tables, from 1 on. Each is applied once, in a transaction.
//
//	1  first release
func (t table) migrations() []string {
	return []string{
		fmt.Sprintf(`create table %s (key bytea primary key, value bytea not null);
			create table %s (id bytea primary key, commits bigint not null, at timestamptz not null default now())`, t, t.suffix("_session")),
	}
}

// tuning is applied after the first migration, one by one; a server that does not know one of them does without.
//
// Values are not compressed: manifests are read far more often than written, and small blobs are compressed already. Rows of up to 8 KB, which
// most manifests are, stay in one piece. Some room is left in each page, so that rows that are written over and over (a blob's touched, a tag,
// the journal's head) need no new entry in the index. Rows that come and go, such as the journal's new events, are vacuumed early.
func (t table) tuning() []string {
	return []string{
		fmt.Sprintf(`alter table %s alter column value set storage external`, t),
		fmt.Sprintf(`alter table %s set (fillfactor = 90, toast_tuple_target = 8160)`, t),
		fmt.Sprintf(`alter table %s set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05)`, t),
		fmt.Sprintf(`alter table %s set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)`, t.suffix("_session")),
	}
}
