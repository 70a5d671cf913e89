package artifacts

import (
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// MoveKind is what moves a domain tag.
type MoveKind string

// The kinds.
const (
	Promotion  MoveKind = "promote"  // to a version that the rules allow there
	Rollback   MoveKind = "rollback" // to a version that was there before
	Withdrawal MoveKind = "withdraw" // to nothing: the component is not deployed there any more
)

// Order asks for a move.
type Order struct {
	Kind      MoveKind
	Component string
	Place     Place
	Version   string  // where to; a rollback without one goes to the version before, and a withdrawal has none
	Expect    *string // the version that must be there now, "" for none; nil: whichever is
	Reason    string  // why, in a line; may be empty
	Force     bool    // even if what other versions depend on is then unmet

	May func(component string) bool // which components whoever orders may know of; nil: all
}

// Move is the record of a move of a domain tag.
type Move struct {
	ID        string   `json:"id"` // sorts by time
	Kind      MoveKind `json:"kind"`
	Component string   `json:"component"`
	Place
	From       string        `json:"from,omitempty"` // the version that was there; empty: none
	To         string        `json:"to,omitempty"`
	FromDigest digest.Digest `json:"fromDigest,omitempty"`
	Digest     digest.Digest `json:"digest,omitempty"` // what the domain tag names now
	By         string        `json:"by"`
	When       time.Time     `json:"when"`
	Reason     string        `json:"reason,omitempty"`
	Forced     bool          `json:"forced,omitempty"`
	Findings   []string      `json:"findings,omitempty"` // what was not as it should be, and was let pass
	Names      []string      `json:"names,omitempty"`    // the component that each finding names besides, or ""; kept, and told to nobody (see For)

	Already bool `json:"-"` // what Catalog.Move was asked for was so before: nothing has changed, and this is the move that made it so
}

// For returns the record as it may be told to somebody: a finding that names a component that they may not know of is told without it.
func (m Move) For(may func(component string) bool) Move {
	m.Findings = slices.Clone(m.Findings)
	for i := range m.Findings {
		if i >= len(m.Names) || m.Names[i] != "" && !may(m.Names[i]) { // nobody has noted what an old record names
			m.Findings[i] = "something was amiss with a component that you may not see"
		}
	}
	m.Names = nil
	return m
}

// Deployed is what is deployed of a component at a place.
type Deployed struct {
	Component string `json:"component"`
	Place
	Version string        `json:"version"`
	Digest  digest.Digest `json:"digest"` // what the domain tag names
	Move    string        `json:"move"`   // the id of the move that made it so
	By      string        `json:"by"`
	Since   time.Time     `json:"since"`
	Reason  string        `json:"reason,omitempty"`
	Former  []string      `json:"former,omitempty"` // the versions before, the last one first, that a rollback returns to
}

// Refused says why something is not done, with all reasons at once.
type Refused struct {
	Code    RefusedCode
	What    string   // what was asked for: promote cloud/dmp/ms-ingestion 1.0.2 to cloud.prod
	Reasons []Reason // at least one
}

// RefusedCode is what kind of refusal it is.
type RefusedCode string

// The kinds of refusals.
const (
	NotThere  RefusedCode = "unknown"  // something that was named does not exist
	Changed   RefusedCode = "conflict" // something else is there than was expected
	AgainstIt RefusedCode = "rule"     // rules speak against it
	Malformed RefusedCode = "invalid"  // what was asked for makes no sense
)

// Reason is one reason of a refusal.
type Reason struct {
	Rule string `json:"rule"`          // a name that never changes: promotion.domain
	Says string `json:"says"`          // version 1.0.2 may be deployed in cloud, not in ran
	Fix  string `json:"fix,omitempty"` // what to do about it
}

func (r Reason) String() string {
	if r.Fix == "" {
		return r.Says
	}
	return r.Says + "; " + r.Fix
}

func (r *Refused) Error() string {
	text := r.What
	for i, reason := range r.Reasons {
		text += map[bool]string{true: ": ", false: "; and "}[i == 0] + reason.String()
	}
	return text
}
