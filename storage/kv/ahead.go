package kv

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
