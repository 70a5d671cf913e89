package journal

import (
	"fmt"

	"github.com/entrepot/entrepot/storage/kv"
)

// The keys of the journal.
//
//	journal/new/<id>          event, not yet sealed
//	journal/log/<%016x seq>   line, sealed
//	journal/head              {"seq":…,"hash":"…"} of the last sealed line
const (
	newPrefix = "journal/new/"
	logPrefix = "journal/log/"
	headKey   = "journal/head"
)

func logKey(seq uint64) string { return fmt.Sprintf("%s%016x", logPrefix, seq) }

// logFrom returns the bounds of the lines from seq on.
func logFrom(seq uint64) (from, to string) {
	_, to = kv.Prefix(logPrefix)
	return logKey(seq), to
}
