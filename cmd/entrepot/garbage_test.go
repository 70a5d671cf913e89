package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercentFor(t *testing.T) {
	const mib = 1 << 20
	for live, want := range map[uint64]int{0: 800, mib: 800, 4 * mib: 800, 8 * mib: 400, 16 * mib: 200, 32 * mib: 100, 33 * mib: 100, 4096 * mib: 100} {
		if got := percentFor(live, 32*mib); got != want {
			t.Errorf("of %d bytes that live: %d %%, want %d", live, got, want)
		}
	}
}

// TestCollectSeldom: what lives grows and shrinks, and Go's setting goes with it.
func TestCollectSeldom(t *testing.T) {
	was := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(was) })
	percent := func() int {
		p := debug.SetGCPercent(50)
		debug.SetGCPercent(p)
		return p
	}
	collectSeldom("77", roomForGarbage)
	if p := percent(); p != 100 {
		t.Errorf("who has set GOGC finds %d %%, want it untouched", p)
	}
	collectSeldom("", roomForGarbage)
	within := func(what string, low, high int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			runtime.GC()
			p := percent()
			if p >= low && p <= high {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d %%, want %d to %d", what, p, low, high)
			}
		}
	}
	within("little", 150, 800)
	held := make([]byte, 64<<20)
	within("much", 100, 100)
	runtime.KeepAlive(held)
	held = nil
	within("little again", 150, 800)
}
