package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// Append records e in tx, so that it is there if and only if the change is. It fills in the ID; the Time, if e has none; and who did it from
// where, if e does not say, from ctx (see By).
func Append(ctx context.Context, tx kv.Tx, e Event) {
	now := time.Now()
	if e.ID = newID(now); e.Time.IsZero() {
		e.Time = now.Truncate(time.Microsecond)
	}
	e.Time = e.Time.UTC()
	who := Who(ctx)
	e.Actor, e.Remote, e.Request = cmp.Or(e.Actor, who.Name), cmp.Or(e.Remote, who.Remote), cmp.Or(e.Request, who.Request)
	text, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("journal: an event that is no JSON: %v", err)) // only a year beyond 9999 could be the reason
	}
	tx.Put(newPrefix+e.ID, text)
}
