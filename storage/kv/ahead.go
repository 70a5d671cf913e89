package kv

import "context"

// Ahead tells a transaction which keys are going to be read in it, so that a database that is far away may fetch them together with the next read. It changes
// nothing but how long that takes; to a database that is near it means nothing.
func Ahead(tx Tx, keys ...string) {
	if a, ok := tx.(interface{ Ahead(keys ...string) }); ok {
		a.Ahead(keys...)
	}
}

// Ahead passes on what is going to be read.
func (b *Buffer) Ahead(keys ...string) {
	if a, ok := b.base.(interface{ Ahead(keys ...string) }); ok {
		a.Ahead(keys...)
	}
}

type expected struct{}

// Expecting returns a ctx for a scan of which about n pairs are going to be read, so that a database that is far away may fetch just those in one go. Like Ahead it changes
// nothing but how long that takes.
func Expecting(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, expected{}, n)
}

// Expected returns what Expecting was told, or otherwise.
func Expected(ctx context.Context, otherwise int) int {
	if n, ok := ctx.Value(expected{}).(int); ok {
		return n
	}
	return otherwise
}
