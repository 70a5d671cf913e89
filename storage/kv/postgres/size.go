package postgres

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// sizeAge is how long a size is good for.
const sizeAge = time.Minute

// size is what Size found last.
type size struct {
	mu    sync.Mutex
	bytes int64
	asked time.Time
}

// Size implements kv.DB: the bytes of the table of pairs with its index, as they were at most a minute ago, or when the server last answered.
func (db *DB) Size() int64 {
	db.size.mu.Lock()
	defer db.size.mu.Unlock()
	now := db.config.Now()
	if !db.size.asked.IsZero() && now.Sub(db.size.asked) < sizeAge {
		return db.size.bytes
	}
	db.size.asked = now
	ctx, cancel := context.WithTimeout(db.ending, 5*time.Second)
	defer cancel()
	if db.enter(ctx) != nil {
		return db.size.bytes
	}
	defer db.calls.Done()
	_ = db.read(ctx, func(l *link) error {
		text, err := value(ctx, l.wire, fmt.Sprintf(`select pg_total_relation_size(%s)`, literal(db.table.String())))
		if err != nil {
			return judge(ctx, err)
		}
		db.size.bytes, err = strconv.ParseInt(text, 10, 64)
		return err
	})
	return db.size.bytes
}
