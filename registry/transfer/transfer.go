// Package transfer moves a whole registry to other stores, and keeps copies of what cannot be had again.
//
//	contents, err := transfer.Contents(ctx, transfer.Config{From: disk, To: bucket})                              // while the source serves
//	done, err := transfer.Migrate(ctx, transfer.Config{From: disk, FromIndex: bolt, To: bucket, ToIndex: postgres, Name: "…"})
//
//	summary, err := transfer.Backup(ctx, index, file, time.Now())       // the index as it is at one moment, and what content it needs
//	restored, err := transfer.Restore(ctx, transfer.Restoration{…})     // a new index from it
//	schedule, err := transfer.NewSchedule(transfer.ScheduleConfig{…})   // makes backups by itself, on a Shelf, while Run runs
//
// A registry is content, which never changes and has its checksum for a name, and an index, which is small and changes all the time. So the content, the
// long part, goes first, while the source serves; the index follows in a short step. The promises:
//
//   - Every content is hashed on its way. What does not match its digest is told, and not stored.
//   - The index is copied by comparing: both are walked along in the order of their keys, and what differs is written or removed. So the target's own rows say how far
//     it has come; to run again goes on, also if the source has changed meanwhile.
//   - It is done only if the source was walked through twice with the same sum, and the target has that sum. Then the target is the source as it was between the
//     two walks: whatever is the same in both was so at that moment. A source that is being written to is copied again, a few times, and then refused.
//   - Until it is done the target holds a mark (meta/transfer), which [Unfinished] tells. One without it must be empty to begin with; one that has it takes only the transfer that it names,
//     and only the run that began last: an older one finds another's mark and stops before it writes.
//   - At the end everything that the target's index needs is looked up in the target. If something is missing, the mark stays, unless that is asked for.
//
// An index that is restored gets an event in its journal (index.restore). Content that is later than the backup may lie beside it, segments of the journal too: by the
// event [registry.Reindex] finds its way some day, and does not take what was given up for what is.
//
// What belongs to a machine is left behind: uploads under way, their bytes and their database. Everything in the index goes along, also what is secret: accounts,
// the keys that sign apt suites. A backup is to be kept like these.
//
// The package leaves to others which stores these are, and to see to it that nothing is served from a marked target.
package transfer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// ErrIncomplete says that everything was copied that could be, and that something is missing all the same. What was told of one by one.
var ErrIncomplete = errors.New("content is missing")

// Config says what is copied from where to where.
type Config struct {
	From      blob.Store
	FromIndex kv.View
	To        blob.Store
	ToIndex   kv.DB

	// Name tells the source from others; the target remembers it until it is done. It is shown to people, so it holds no secret.
	Name string
	// Verify reads the content that is in the target already. Otherwise its size is compared.
	Verify bool
	// Incomplete takes a target for done that lacks content.
	Incomplete bool
	// Workers is how many contents are copied at once; 4 if zero.
	Workers int

	// Tell is told how far it is, twice a second and at the end of each step; may be nil. It is called by one goroutine at a time.
	Tell func(Progress)
	// Found is told of each content that is not as it should be, as one line; may be nil. It is called by one goroutine at a time.
	Found func(problem string)

	Log *slog.Logger     // slog.Default if nil
	Now func() time.Time // time.Now if nil
}

// Count is a number of things, and their size in bytes.
type Count struct {
	Number int64 `json:"number"`
	Bytes  int64 `json:"bytes"`
}

func (c *Count) add(size int64) { c.Number, c.Bytes = c.Number+1, c.Bytes+max(0, size) }

// Progress is how far it is.
type Progress struct {
	Step   string        // content, index or check
	Took   time.Duration // since the step began
	Known  Count         // contents there are; zero while they are counted
	Copied Count         // of these
	Same   Count         // were there already
	Wrong  int64         // contents that could not be copied
	Rows   int64         // rows of the index that were looked at
}

// Done is what a transfer did.
type Done struct {
	Copied Count  // contents
	Same   Count  // contents that were there already
	Wrong  int64  // contents that could not be copied
	Rows   int64  // in the index
	Sum    string // of all rows, sha256 in hex
}

func (c Config) complete() Config {
	if c.Workers <= 0 {
		c.Workers = 4
	}
	if c.Tell == nil {
		c.Tell = func(Progress) {}
	}
	if c.Found == nil {
		c.Found = func(string) {}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Contents copies all content, and nothing of the index, which both sides may be serving meanwhile. What goes while it is copied is not missed; what comes is for the
// next run. It returns ErrIncomplete if something could not be copied.
func Contents(ctx context.Context, c Config) (Done, error) {
	c = c.complete()
	var done Done
	w := &copying{Config: c, step: stepContent, vanish: true, told: map[string]bool{}}
	err := w.run(ctx, listed(c.From))
	done.Copied, done.Same, done.Wrong = w.state.Copied, w.state.Same, w.state.Wrong
	if err == nil && done.Wrong > 0 {
		err = ErrIncomplete
	}
	return done, err
}
