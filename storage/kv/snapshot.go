package kv

import "context"

// Snapshotter is an optional power: to show the database as it is at one moment.
type Snapshotter interface {
	// Snapshot runs fn on a view of committed state that does not change while fn runs, and returns fn's error. Writers may have to wait until it is done,
	// so fn waits for nobody, such as a client: it puts aside what it needs. The view ends with fn, and fn does not call the DB.
	Snapshot(ctx context.Context, fn func(View) error) error
}

// Snapshot implements [Snapshotter].
func (m *Memory) Snapshot(ctx context.Context, fn func(View) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ErrClosed
	}
	return fn((*memoryView)(m))
}
