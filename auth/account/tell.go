package account

import (
	"context"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// Processes on one index tell each other of changes, if it lets them, so that what was withdrawn at one is refused by all of them at once. Each looks by itself
// now and then, too: see pollEvery.

const (
	channel = "entrepot accounts"
	maxTell = 2 * time.Second // a change that is committed does not wait for long until others know
)

// tell tells other processes that accounts changed. If that fails they find it out by themselves.
func (s *Store) tell(ctx context.Context) {
	teller, ok := s.index.(kv.Teller)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxTell)
	defer cancel()
	if err := teller.Notify(ctx, channel, ""); err != nil {
		s.log.WarnContext(ctx, "other registries are not told of a change of accounts; they look for it themselves", "err", err, "within", pollEvery)
	}
}

// listen looks for changes whenever another process tells of some, until ctx ends.
func (s *Store) listen(ctx context.Context) {
	teller, ok := s.index.(kv.Teller)
	if !ok {
		return
	}
	teller.Listen(ctx, channel, func(string) {
		_ = s.poll(ctx) // what fails is tried again soon, and is logged then
	})
}
