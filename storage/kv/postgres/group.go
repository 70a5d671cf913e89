package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/entrepot/entrepot/storage/kv"
)

// group is Updates that share a transaction. Their functions run one after another, each on its caller's goroutine; each sees what those before it have written,
// and the last one commits for all. Nobody's Update returns before that, since what a member saw is true only if the commit is.
//
// It is as if the members' transactions had followed each other. A member whose function fails writes nothing and is in nobody's way. If the transaction
// fails, all members are run again, in others; each in one of its own where the reason may be what one of them did.
type group struct {
	gate    *gate
	members []*member
	turn    int        // whose it is; guarded by the gate's mu
	shared  *shared    // the transaction
	writes  *kv.Buffer // of the members that had their turn, over what the transaction sees
	done    chan struct{}
	err     error // what became of the transaction, once it is done
}

// member is an Update in the gate, or behind it.
type member struct {
	alone bool // it shares its transaction with nobody
	turn  chan struct{}
	gone  bool // its caller left before its turn came; guarded by the gate's mu
	group *group
}

// errAlone marks the errors that a group has had, and that each member has to find out about itself.
var errAlone = errors.New("worth a try of one's own")

func newGroup(db *DB, members []*member) *group {
	g := &group{gate: db.gate, members: members, done: make(chan struct{})}
	for _, m := range members {
		m.group = g
	}
	g.shared = &shared{db: db, many: len(members) > 1}
	g.writes = kv.NewBuffer(g.shared)
	return g
}

// pass ends a member's turn: what it writes, if it does, is the group's, and the next one begins. The last one ends the transaction.
func (g *group) pass(writes *kv.Buffer) {
	if writes != nil {
		for key, value := range writes.Writes() {
			if value == nil {
				g.writes.Delete(key)
			} else {
				g.writes.Put(key, value)
			}
		}
	}
	if !g.next() {
		g.err = g.end()
		close(g.done)
		g.gate.leave(g.err)
	}
}

// next gives the turn to the next member who waits for it, and tells whether there is one.
func (g *group) next() bool {
	g.gate.mu.Lock()
	defer g.gate.mu.Unlock()
	for g.turn++; g.turn < len(g.members); g.turn++ {
		if m := g.members[g.turn]; !m.gone {
			close(m.turn)
			return true
		}
	}
	return false
}

// end commits what the members have written, or confirms what they have read.
func (g *group) end() error {
	s := g.shared
	defer s.end()
	err := s.failed
	switch {
	case err != nil:
	case g.writes.Empty():
		err = s.confirm()
	default:
		err = s.commit(context.Background(), g.writes)
	}
	if err == nil || !s.many || errors.Is(err, errAgain) || errors.Is(err, ErrUnknown) {
		return err
	}
	return mark(fmt.Errorf("%w: %w", ErrUnavailable, err), errAlone)
}
