package postgres

import (
	"context"
	"encoding/binary"
	"unsafe"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/entrepot/entrepot/storage/kv"
)

// binaryFormat asks for, and announces, values as they are instead of as text.
var binaryFormat = []int16{1}

// get reads one value; nil if there is none.
func (l *link) get(ctx context.Context, key string) (value []byte, err error) {
	err = l.query(ctx, getStatement, [][]byte{raw(key)}, func(row [][]byte) { value = own(row[0]) })
	return value, err
}

// page appends up to limit pairs to pairs. The value of one is nil if it is large: then it has to be read by itself.
func (l *link) page(ctx context.Context, pairs []kv.Pair, from, to string, limit int) ([]kv.Pair, error) {
	s, params, prefix := tailStatement, [][]byte{number(int64(limit)), number(maxInline)[4:], raw(from)}, ""
	if to != "" {
		prefix = common(from, to)
		s, params = pageStatement, append(params, raw(to), number(int64(len(prefix) + 1))[4:])
	}
	err := l.query(ctx, s, params, func(row [][]byte) {
		p := kv.Pair{Key: prefix + string(row[0])}
		if row[1] != nil {
			p.Value = own(row[1])
		}
		pairs = append(pairs, p)
	})
	return pairs, err
}

// common is what both a and b begin with, and so all that is between them.
func common(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// keys appends up to limit keys to keys.
func (l *link) keys(ctx context.Context, keys []string, from, to string, limit int) ([]string, error) {
	s, params := keysTailStatement, [][]byte{number(int64(limit)), raw(from)}
	if to != "" {
		s, params = keysStatement, append(params, raw(to))
	}
	err := l.query(ctx, s, params, func(row [][]byte) { keys = append(keys, string(row[0])) })
	return keys, err
}

// query sends one statement, behind the transaction's begin if that is due, and hands each of its rows to row, whose values are valid for that
// call only.
func (l *link) query(ctx context.Context, s statement, params [][]byte, row func([][]byte)) error {
	op, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	if l.begin {
		var b pgconn.Batch
		l.add(&b, beginStatement)
		l.add(&b, s, params...)
		l.begin = false
		_, err := l.send(op, &b, row)
		return judge(ctx, err)
	}
	answer := l.wire.ExecStatement(op, l.prepared[s], params, binaryFormat, binaryFormat)
	for answer.NextRow() {
		row(answer.Values())
	}
	_, err := answer.Close()
	return judge(ctx, err)
}

// add appends a statement to what is sent together.
func (l *link) add(b *pgconn.Batch, s statement, params ...[]byte) {
	b.ExecStatement(l.prepared[s], params, binaryFormat, binaryFormat)
}

// send sends b in one round trip. It hands each row to row, if there is one, and tells which command was the last that the server carried out.
func (l *link) send(ctx context.Context, b *pgconn.Batch, row func([][]byte)) (last string, err error) {
	answers := l.wire.ExecBatch(ctx, b)
	for answers.NextResult() {
		answer := answers.ResultReader()
		for answer.NextRow() {
			row(answer.Values())
		}
		if tag, err := answer.Close(); err == nil {
			last = tag.String()
		}
	}
	return last, answers.Close()
}

// raw is s as bytes, without a copy: pgx only reads what it is given.
func raw(s string) []byte {
	if s == "" {
		return []byte{} // nil would be null
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// number encodes an int8.
func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// array encodes a bytea[] of one dimension: the number of dimensions, whether there are nulls, the type; the dimension's length and first index;
// then every element behind its length.
func array(elements [][]byte) []byte {
	size := 20
	for _, e := range elements {
		size += 4 + len(e)
	}
	b := make([]byte, 0, size)
	for _, n := range []uint32{1, 0, bytea, uint32(len(elements)), 1} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	for _, e := range elements {
		b = binary.BigEndian.AppendUint32(b, uint32(len(e)))
		b = append(b, e...)
	}
	return b
}
