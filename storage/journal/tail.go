package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/entrepot/entrepot/storage/kv"
)

// Tail yields the sealed lines after the one numbered after, in order, and behind them the events that are not sealed yet (their Seq is 0), in
// order of their ids; at most limit in all, or without a bound if limit is 0. Whoever follows the journal goes on after the last Seq that he saw:
// an unsealed event comes again when it is sealed, and none is left out. An error ends the sequence.
func (j *Journal) Tail(ctx context.Context, after uint64, limit int) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		// What waits is read first: what is sealed in the meantime is then found among the lines, and not yielded twice.
		waiting, err := j.unsealed(ctx, limit)
		if err != nil {
			yield(Line{}, err)
			return
		}
		pending := make(map[string]bool, len(waiting))
		for _, line := range waiting {
			pending[line.Event.ID] = true
		}
		left := limit
		emit := func(l Line) bool {
			left--
			return yield(l, nil) && left != 0
		}
		from, to := logFrom(after + 1)
		for p, err := range j.db.Scan(ctx, from, to) {
			var line Line
			if err == nil {
				line, err = parseLine(string(p.Value))
			}
			if err != nil {
				yield(Line{}, fmt.Errorf("journal line %s: %w", strings.TrimPrefix(p.Key, logPrefix), err))
				return
			}
			delete(pending, line.Event.ID)
			if !emit(line) {
				return
			}
		}
		for _, line := range waiting {
			if pending[line.Event.ID] && !emit(line) {
				return
			}
		}
	}
}

func (j *Journal) unsealed(ctx context.Context, limit int) (lines []Line, err error) {
	from, to := kv.Prefix(newPrefix)
	for p, err := range j.db.Scan(ctx, from, to) {
		if err != nil {
			return nil, err
		}
		line := Line{event: sealable(p)}
		if err := json.Unmarshal([]byte(line.event), &line.Event); err != nil {
			return nil, err
		}
		if lines = append(lines, line); len(lines) == limit {
			break
		}
	}
	return lines, nil
}
