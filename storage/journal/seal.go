package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

const (
	// maxSeal bounds the events that one transaction seals, so that no writer waits long for it.
	maxSeal = 256
	// pollEvery is how often Run looks for events, and so about how long they gather before they are sealed together.
	pollEvery = time.Second
	// maxPause bounds the pause of Run after errors.
	maxPause = 30 * time.Second
	// lastSeal bounds the time that Run takes to seal what is left at its end.
	lastSeal = 5 * time.Second
)

// Journal seals and reads what was appended to a database.
type Journal struct{ db kv.DB }

// New returns the journal of db.
func New(db kv.DB) *Journal { return &Journal{db: db} }

// errHead says that the head is not what the sealer writes.
var errHead = errors.New("journal head is wrong")

// head is the last sealed line's place and hash.
type head struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

func readHead(ctx context.Context, v kv.View) (head, error) {
	text, err := v.Get(ctx, headKey)
	if errors.Is(err, kv.ErrNotFound) {
		return head{Hash: genesis}, nil
	}
	if err != nil {
		return head{}, err
	}
	var h head
	if err := json.Unmarshal(text, &h); err != nil || !isHash(h.Hash) {
		return head{}, fmt.Errorf("%w: %.200q", errHead, text)
	}
	return h, nil
}

func (h head) write(tx kv.Tx) {
	tx.Put(headKey, fmt.Appendf(nil, `{"seq":%d,"hash":"%s"}`, h.Seq, h.Hash))
}

// isLast makes sure that no line lies beyond the head. Should the head have been set back, such lines are evidence, and must not be written over.
func (h head) isLast(ctx context.Context, tx kv.Tx) error {
	from, to := logFrom(h.Seq + 1)
	beyond, err := occupied(ctx, tx, from, to)
	if beyond {
		err = fmt.Errorf("%w: it is at line %d, others lie beyond", errHead, h.Seq)
	}
	return err
}

// Seal links waiting events, in the order of their ids, behind the last sealed line, and returns how many. It takes a bounded number at once:
// call it again until it returns 0. Several processes may seal at the same time: the transaction on the head keeps the chain one.
func (j *Journal) Seal(ctx context.Context) (n int, err error) {
	from, to := kv.Prefix(newPrefix)
	if waiting, err := occupied(ctx, j.db, from, to); err != nil || !waiting { // with nothing to do, no writer shall wait for it
		return 0, err
	}
	err = j.db.Update(ctx, func(tx kv.Tx) error {
		n = 0
		last, err := readHead(ctx, tx)
		if err != nil {
			return err
		}
		if err := last.isLast(ctx, tx); err != nil {
			return err
		}
		for p, err := range tx.Scan(ctx, from, to) {
			if err != nil {
				return err
			}
			line := Line{Seq: last.Seq + 1, Prev: last.Hash, event: sealable(p)}
			line.Hash = line.sum()
			tx.Put(logKey(line.Seq), []byte(line.Text()))
			tx.Delete(p.Key)
			last = head{line.Seq, line.Hash}
			if n++; n == maxSeal {
				break
			}
		}
		if n > 0 {
			last.write(tx)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("seal journal: %w", err)
	}
	return n, nil
}

// occupied tells whether there is any key from from up to to.
func occupied(ctx context.Context, v kv.View, from, to string) (bool, error) {
	next, stop := iter.Pull2(v.Scan(ctx, from, to))
	defer stop()
	_, err, found := next()
	return found && err == nil, err
}

// sealable returns the event as it shall stand in its line. What is no event, because someone wrote to the database past Append, must neither
// stop the sealer nor spoil a line: it is sealed as the event that it was found.
func sealable(p kv.Pair) string {
	var compact bytes.Buffer
	var e Event
	if json.Unmarshal(p.Value, &e) == nil && json.Compact(&compact, p.Value) == nil && compact.Bytes()[0] == '{' {
		return compact.String()
	}
	found, _ := json.Marshal(Event{
		ID: strings.TrimPrefix(p.Key, newPrefix), Time: time.Now().UTC(), Action: "journal.unreadable", Actor: "system", Result: fmt.Sprintf("%.200q", p.Value),
	})
	return string(found)
}

// Run seals what arrives, a moment after it arrived, until ctx ends; then it seals what is left, within a few seconds, and returns. Errors
// are logged and tried again after a growing pause. A process that writes events should run it; that several do is no harm.
func (j *Journal) Run(ctx context.Context) {
	pause := pollEvery
	for {
		select {
		case <-ctx.Done():
			// The events are safe where they are, but whoever stops a server for good expects its journal to be complete.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSeal)
			defer cancel()
			if err := j.sealAll(ctx); err != nil {
				slog.WarnContext(ctx, "journal is not wholly sealed", "error", err)
			}
			return
		case <-time.After(pause):
		}
		switch err := j.sealAll(ctx); {
		case err == nil:
			pause = pollEvery
		case ctx.Err() == nil:
			pause = min(2*pause, maxPause)
			slog.WarnContext(ctx, "journal cannot be sealed", "error", err, "again", pause)
		}
	}
}

func (j *Journal) sealAll(ctx context.Context) error {
	for {
		if n, err := j.Seal(ctx); err != nil || n == 0 {
			return err
		}
	}
}
