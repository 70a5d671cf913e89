package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// roomForGarbage is how many bytes of garbage may pile up before they are collected, at the least. Go collects when there is as much garbage as there is that lives, which
// for a registry is little: 8 MiB, say. A list of a thousand entries then has a collection of its own, which takes longer than the list.
const roomForGarbage = 16 << 20

// collectSeldom lets at least room bytes of garbage pile up between two collections, and as much as Go would if more lives than that. GOMEMLIMIT still holds, and whoever has
// set GOGC knows better.
func collectSeldom(gogc string, room uint64) {
	if gogc != "" {
		return
	}
	t := &tuner{room: room, percent: 100}
	t.tune()
	t.watch()
}

type tuner struct {
	room    uint64
	percent int
}

// watch tunes after each collection: each finds a mark that nothing holds, and tells.
func (t *tuner) watch() {
	type mark struct{ _ [16]byte } // smaller ones share a block that may live on
	runtime.AddCleanup(new(mark), func(t *tuner) {
		t.tune()
		t.watch()
	}, t)
}

// tune sets when the next collection is due. To set it stops the world for a moment, so it is left alone unless it changes by much.
func (t *tuner) tune() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if percent := percentFor(live[0].Value.Uint64(), t.room); percent*10 < t.percent*8 || percent*8 > t.percent*10 {
		t.percent = percent
		debug.SetGCPercent(percent)
	}
}

// percentFor is how much garbage there may be in percent of what lives, so that it is at least room. Go's own least is 4 MiB, of which it takes the percentage, too.
func percentFor(live, room uint64) int {
	return int(max(100, room*100/max(live, 4<<20)))
}
