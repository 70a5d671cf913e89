// Package find is an ordered index of versions by what is known of them, for lists with filters that come page by page.
//
//	err := db.Update(ctx, func(tx kv.Tx) error {
//		return find.Put(ctx, tx, find.Entry{
//			Ref:    find.Ref{Component: "cloud/dmp/ms-ingestion", Version: "1.0.2", Created: pushed},
//			Fields: map[string][]string{"team": {"ingestion"}, "env": {"prod", "staging"}, "label": {"tier=backend"}},
//		})
//	})
//	page, err := find.Search(ctx, db, find.Query{Where: []find.Term{{"team", "ingestion"}, {"env", "prod"}}, Newest: true})
//	next, err := find.Search(ctx, db, find.Query{/* the same, and */ After: page.Next})
//
// Pages come in one of two orders: by component and version, both in the byte order of their texts, or the newest first. What stays in the index while
// somebody turns the pages is on one page exactly, whatever else is put or deleted meanwhile. The price of a page follows the rarest of its
// filters, or how far the filters lie apart, and not the number of all versions; and there is a bound for what one page reads.
//
// The package knows neither components nor fields: which there are, what their values mean, and that the index agrees with what it was made from is left to
// its callers. It only writes keys that begin with find/ (see keys.go).
package find

import (
	"errors"
	"time"
)

// Ref names a version of a component, and when it was made.
type Ref struct {
	Component string    // up to 255 bytes, none of which is a control character, a space or '!'
	Version   string    // up to 128 bytes
	Created   time.Time // kept to the microsecond, and returned in UTC
}

// Entry is what a version can be found by: values of fields, both of the caller's choice. Values may hold any bytes, and a field must have a name. Of each
// field the first MaxValues in byte order count.
type Entry struct {
	Ref
	Fields map[string][]string
}

// Term is a filter: the field has this value, among others perhaps.
type Term struct{ Field, Value string }

// Query says which versions are wanted. The zero value wants all of them.
type Query struct {
	Where  []Term // all must hold; up to MaxTerms
	Under  string // a component, or the first parts of its path: "cloud", "cloud/dmp". "" means all.
	Text   string // a part of the component's name, letter by letter
	Newest bool   // the newest first; else by component and version
	After  string // Found.Next of the page before; "" is the first page
	Limit  int    // 1 to MaxLimit; 0 means DefaultLimit

	// May tells whether the one who asks may know of a component. Nil allows all. It is asked once for each component that a search comes by.
	May func(component string) bool
	// Want has the last word, after everything else held; nil wants all. An error ends the search.
	Want func(Ref) (bool, error)
}

// Found is a page.
type Found struct {
	Refs []Ref
	Next string // where the next page begins; "" if this is the last. A page before the last may be short, or empty: a search ends when it has read enough.
}

// The bounds of an entry and of a query.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
	MaxTerms     = 32
	MaxValues    = 100
)

var (
	// ErrCursor says that Query.After is not the Next of a page in this order.
	ErrCursor = errors.New("this is no place to go on from: begin again with the first page")
	// ErrBroad says that a search came by far too much that may not be known, and by nothing that may.
	ErrBroad = errors.New("the search has too much to look through: name a group or a component, or add a filter")
)
