// Package journal records what happened, in the transaction in which it happened.
//
// Each change of the registry appends one [Event]; because it is written by the change's own [kv.Tx], there is no change without
// its event and no event without its change. Writers never queue on a common row: an event is first kept under a key of its own
// (journal/new/…), and the sealer ([Journal.Run]) then moves it, in order, behind the last sealed one (journal/log/…), each line carrying the hash of
// the line before it. Whoever alters or removes a sealed line is found by [Journal.Verify].
//
// The journal leaves to others what an event means and who is told of it.
package journal

import (
	"context"
	"time"
)

// Actor is who asked for a change, and from where.
type Actor struct {
	Name    string // "anonymous", "user:alice", "robot:ci-dmp", "system"
	Remote  string // the client's address, without its port
	Request string // the request's id, as in the log
}

// Event is one thing that happened. Fields that do not apply are empty.
type Event struct {
	ID        string    `json:"id"`   // sorts by time
	Time      time.Time `json:"time"` // UTC, when the transaction ran
	Action    string    `json:"action"`
	Actor     string    `json:"actor"`
	Remote    string    `json:"remote,omitempty"`
	Request   string    `json:"request,omitempty"`
	Repo      string    `json:"repo,omitempty"`
	Tag       string    `json:"tag,omitempty"`
	Digest    string    `json:"digest,omitempty"`
	MediaType string    `json:"mediaType,omitempty"`
	Size      int64     `json:"size,omitempty"`
	From      string    `json:"from,omitempty"`   // what was there before: a tag's former digest, a mount's source
	Object    string    `json:"object,omitempty"` // whom or what else it was done to: user:alice, secret:x
	Note      string    `json:"note,omitempty"`   // a role, or what changed; never a secret
	Result    string    `json:"result,omitempty"` // "ok", or why it was refused
}

type actorKey struct{}

// By returns a context whose changes are recorded as a's.
func By(ctx context.Context, a Actor) context.Context { return context.WithValue(ctx, actorKey{}, a) }

// Who returns the actor of ctx; without one it is the system itself.
func Who(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return Actor{Name: "system"}
}
