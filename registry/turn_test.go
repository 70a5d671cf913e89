package registry

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestTurn_is_taken_by_one: of two registries one does what is due, the other does when it is due again, and not while the first is at it.
func TestTurn_is_taken_by_one(t *testing.T) {
	a, b, c := twins(t)
	c.advance(time.Hour)
	ctx := t.Context()
	done := 0
	count := func() error { done++; return nil }
	take := func(r *Registry, want int, when string) {
		t.Helper()
		if err := r.turn(ctx, "sweep", time.Hour, count); err != nil {
			t.Fatal(err)
		}
		if done != want {
			t.Fatalf("%s: done %d times, want %d", when, done, want)
		}
	}
	take(a, 1, "at first")
	take(b, 1, "just done")
	c.advance(time.Hour)
	take(b, 2, "due again")
	take(a, 2, "just done by the other")
	if err := b.turn(ctx, "orphans", time.Hour, count); err != nil || done != 3 {
		t.Errorf("another turn: done %d times, %v, want 3", done, err)
	}
	c.advance(time.Hour)
	failed := errors.New("failed")
	if err := a.turn(ctx, "sweep", time.Hour, func() error {
		c.advance(2 * time.Hour) // it takes longer than the period
		if err := a.markTurn(ctx, "sweep"); err != nil {
			return err
		}
		take(b, 3, "while the other is at it")
		return failed
	}); !errors.Is(err, failed) {
		t.Errorf("a turn that fails: %v, want its error", err)
	}
}

// TestTurn_is_said_to_be_taken while it lasts, so that none begins it again.
func TestTurn_is_said_to_be_taken(t *testing.T) {
	a, b, c := twins(t)
	c.advance(time.Hour)
	ctx := t.Context()
	const every = 30 * time.Millisecond
	err := a.turn(ctx, "sweep", every, func() error {
		c.advance(every)
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if mine, err := b.takeTurn(context.Background(), "probe", 0); err != nil || !mine {
				t.Errorf("a turn that is always due: %t, %v", mine, err)
			}
			row := rows(t, a.index, keyTurn("sweep"))
			if row[keyTurn("sweep")] == rows(t, a.index, keyTurn("probe"))[keyTurn("probe")] {
				return nil // it was said after the clock went on
			}
			if time.Now().After(deadline) {
				t.Error("20 s after the clock went on nothing says that the turn is still taken")
				return nil
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
