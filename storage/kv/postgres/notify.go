package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// MaxPayload is the longest payload of a notification, in bytes; PostgreSQL itself takes less than 8000.
const MaxPayload = 7000

// maxChannel is the longest name of a channel, in bytes; PostgreSQL would cut longer ones.
const maxChannel = 63

// Notify tells everybody who listens to channel, in this process and in others on the same database. It is no part of an Update: notify after
// it, about what can be read by then. A notification may be lost, and equal ones that come together may arrive as one.
func (db *DB) Notify(ctx context.Context, channel, payload string) error {
	if err := checkChannel(channel); err != nil {
		return err
	}
	if len(payload) > MaxPayload {
		return fmt.Errorf("notify %s: the payload has %d bytes, %d at most are taken: send where to look instead", channel, len(payload), MaxPayload)
	}
	if err := db.enter(ctx); err != nil {
		return err
	}
	defer db.calls.Done()
	return wrap(ctx, db.read(ctx, func(l *link) error {
		op, cancel := context.WithTimeout(ctx, l.timeout)
		defer cancel()
		_, err := l.wire.ExecParams(op, `select pg_notify($1, $2)`, [][]byte{raw(channel), raw(payload)}, nil, nil, nil).Close()
		return judge(ctx, err)
	}), "notify %s", channel)
}

// Listen calls got with the payload of each notification of channel, one call after another, until ctx ends or the DB is closed. Each time it
// begins to listen, at first and after its connection was lost, it calls got(""): something may have been missed, so look at everything. It
// uses one connection of its own, makes it again when it is lost, and notices within about 10 s that the server is silent.
func (db *DB) Listen(ctx context.Context, channel string, got func(payload string)) {
	ctx, done, err := db.calling(ctx)
	if err != nil {
		return
	}
	defer done()
	if err := checkChannel(channel); err != nil {
		db.log.Error("cannot listen to notifications", "err", err)
		return
	}
	_ = db.rejoin(ctx, "notifications of "+channel, func(ctx context.Context) error { return db.listen(ctx, channel, got) })
}

// listen listens on one connection until it is lost.
func (db *DB) listen(ctx context.Context, channel string, got func(string)) error {
	config := db.single.Copy()
	var waiting []string
	config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { waiting = append(waiting, n.Payload) }
	wire, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return judge(ctx, err)
	}
	defer closeWire(wire)
	err = within(ctx, db.config.Timeout, func(ctx context.Context) error { return simple(ctx, wire, `listen `+quote(channel)) })
	if err != nil {
		return judge(ctx, err)
	}
	got("")
	for {
		for _, payload := range waiting {
			got(payload)
		}
		waiting = waiting[:0]
		if err := await(ctx, wire); err != nil {
			return err
		}
	}
}

func checkChannel(channel string) error {
	if channel == "" || len(channel) > maxChannel {
		return fmt.Errorf("channel %.70q: its name must have 1 to %d bytes", channel, maxChannel)
	}
	return nil
}
