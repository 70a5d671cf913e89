package transfer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// ScheduleConfig says which backups are made.
type ScheduleConfig struct {
	// Index is what is saved. It has to be a [kv.Snapshotter].
	Index kv.DB
	// Shelf is where backups are kept.
	Shelf Shelf
	// Every is how long after one the next is made.
	Every time.Duration
	// Keep is how many are kept, the newest; 7 if zero.
	Keep int
	// Folder is as in Backups.
	Folder string

	Log *slog.Logger     // slog.Default if nil
	Now func() time.Time // time.Now if nil
}

// Schedule makes backups from time to time, one among all registries over one index. What one of them began and did not finish, as it was killed, another one makes
// anew a minute later.
//
// Each backup is put aside first, so that no writer of the index waits for the shelf; then it is put on the shelf, read from there to its end, and compared with what
// was made. Only then is it taken for good, and those beyond Keep are removed. One that fails is removed itself, and tried again after ten minutes, or after Every if that
// is shorter. The journal tells of each that was made (backup.make), and of the first of several that failed.
type Schedule struct {
	c      ScheduleConfig
	looked bool   // whether the last good one is on the shelf
	absent string // the name of one that is not

	made, failed atomic.Int64
	last         atomic.Int64 // when the last good one was made, in Unix seconds; 0: never
}

// DefaultKeep is how many backups are kept if nothing else is said.
const DefaultKeep = 7

const (
	// lease is for how long a registry that makes a backup is believed to be at it. It says so anew while it is.
	lease = time.Minute
	// again is how long after a failure the next try is made.
	again = 10 * time.Minute
	// skew is how far the clocks of registries are believed to differ.
	skew = time.Hour
	// scheduleSpool is the name of a backup that is put aside.
	scheduleSpool = "backup.scheduled.spool"
)

// NewSchedule returns a schedule, of which nothing runs yet. ErrElsewhere if the index cannot be saved so.
func NewSchedule(c ScheduleConfig) (*Schedule, error) {
	if _, ok := c.Index.(kv.Snapshotter); !ok {
		return nil, ErrElsewhere
	}
	if c.Every <= 0 || c.Keep < 0 {
		return nil, fmt.Errorf("backups every %v of which %d are kept: both have to be positive", c.Every, c.Keep)
	}
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Schedule{c: c}, nil
}

// Run makes backups when they are due, until ctx ends. One that is under way then is given up, and nothing is left of it.
func (s *Schedule) Run(ctx context.Context) {
	for {
		// What fails was told, and is tried again.
		_, _ = s.Do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(s.c.Every, lease)):
		}
	}
}

// Counts returns how many backups this registry has made since the start, how many have failed, and when the last good one was made, by whichever registry; zero:
// never, as far as is known.
func (s *Schedule) Counts() (made, failed int64, last time.Time) {
	if at := s.last.Load(); at != 0 {
		last = time.Unix(at, 0).UTC()
	}
	return s.made.Load(), s.failed.Load(), last
}

// Do makes a backup if one is due and nobody else is at it, and tells whether it did. It is to be called by one at a time.
func (s *Schedule) Do(ctx context.Context) (done bool, err error) {
	if !s.looked {
		if s.absent, err = s.missing(ctx); err != nil && ctx.Err() == nil {
			s.c.Log.Warn("look whether the last backup is where backups are kept", "shelf", s.c.Shelf.String(), "err", err)
		}
		s.looked = err == nil
	}
	own := rand.Text()
	before, mine, err := s.take(ctx, own)
	if before.Last != nil {
		s.last.Store(before.Last.Made.Unix())
	}
	if err != nil || !mine {
		if err != nil && ctx.Err() == nil {
			s.c.Log.Error("look whether a backup is due", "err", err)
		}
		return false, err
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := s.hold(running, own, cancel)
	good, err := s.make(running)
	stop()
	if cause := context.Cause(running); err != nil && ctx.Err() == nil && cause != nil {
		err = cause
	}
	// Also if ctx has ended: the next is not to wait for nobody.
	last, end := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer end()
	if err != nil && ctx.Err() != nil {
		return false, errors.Join(err, s.release(last, own))
	}
	if told := s.conclude(last, own, before, good, err); err != nil {
		return false, errors.Join(err, told)
	}
	if err := s.prune(ctx, good.Name); err != nil {
		s.c.Log.Warn("remove backups that are too many; the next one does", "shelf", s.c.Shelf.String(), "err", err)
	}
	return true, nil
}

// conclude writes down what came of a backup, and tells of it.
func (s *Schedule) conclude(ctx context.Context, own string, before state, good Good, failure error) error {
	recorded := s.record(ctx, own, good, failure)
	if failure != nil {
		s.failed.Add(1)
		since := "never"
		if before.Last != nil {
			since = before.Last.Made.UTC().Format(time.RFC3339)
		}
		s.c.Log.Error("make a scheduled backup; it is tried again soon", "shelf", s.c.Shelf.String(), "last", since, "err", failure)
		return recorded
	}
	s.looked, s.absent = true, ""
	s.made.Add(1)
	s.last.Store(good.Made.Unix())
	s.c.Log.Info("made a backup", "shelf", s.c.Shelf.String(), "name", good.Name, "rows", good.Rows, "bytes", good.Bytes)
	if recorded != nil {
		s.c.Log.Warn("write down that a backup was made; the next comes too early", "err", recorded)
	}
	return recorded
}

// make makes a backup, puts it on the shelf, and reads it there.
func (s *Schedule) make(ctx context.Context) (good Good, err error) {
	now := s.c.Now().UTC().Round(0) // without what a clock of this process alone adds
	f, summary, err := putAside(ctx, s.c.Index, s.c.Folder, scheduleSpool, now)
	if err != nil {
		return good, err
	}
	defer discard(f)
	good = Good{Name: nameOf(now), Made: summary.Made, Rows: summary.Rows, Sum: summary.Sum}
	if good.Bytes, err = f.Seek(0, io.SeekCurrent); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return good, fmt.Errorf("read the backup that was put aside: %w", err)
	}
	if err := s.c.Shelf.Put(ctx, good.Name, f); err != nil {
		return good, fmt.Errorf("put it in %s: %w", s.c.Shelf, err)
	}
	if err := check(ctx, s.c.Shelf, good.Name, summary); err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return good, errors.Join(err, s.c.Shelf.Delete(last, good.Name))
	}
	return good, nil
}

// check reads a backup from a shelf and compares it with what was made.
func check(ctx context.Context, shelf Shelf, name string, made Summary) error {
	rc, err := shelf.Open(ctx, name)
	if err != nil {
		return fmt.Errorf("read it again in %s: %w", shelf, err)
	}
	defer rc.Close()
	there, err := ReadBackup(ctx, rc, nil, nil)
	if err == nil && (there.Sum != made.Sum || there.Rows != made.Rows || there.Contents != made.Contents) {
		err = fmt.Errorf("%w: it has %d rows with the sum %s, and %d with %s were made", errDamaged, there.Rows, there.Sum, made.Rows, made.Sum)
	}
	if err != nil {
		return fmt.Errorf("read it again in %s: %w", shelf, err)
	}
	return nil
}

// prune removes all backups but the newest, and but the one that was just made: by the names of others it may seem to be an old one. Then it writes down which is the oldest,
// so that what only older ones named may go.
func (s *Schedule) prune(ctx context.Context, made string) error {
	names, err := Kept(ctx, s.c.Shelf)
	if err != nil {
		return err
	}
	for i, name := range names {
		if i < s.c.Keep || name == made {
			continue
		}
		if err := s.c.Shelf.Delete(ctx, name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
		s.c.Log.Info("removed a backup, as there are newer ones", "shelf", s.c.Shelf.String(), "name", name)
	}
	oldest, _ := MadeAt(made)
	for _, name := range names[:min(s.c.Keep, len(names))] {
		if at, _ := MadeAt(name); at.Before(oldest) {
			oldest = at
		}
	}
	return s.c.Index.Update(ctx, func(tx kv.Tx) error {
		now, _, err := readState(ctx, tx)
		if err != nil {
			return err
		}
		now.Oldest = &oldest
		return now.put(tx)
	})
}

// missing returns the name of the last good backup if it is not on the shelf: it may be another shelf now.
func (s *Schedule) missing(ctx context.Context) (string, error) {
	now, _, err := readState(ctx, s.c.Index)
	if err != nil || now.Last == nil {
		return "", err
	}
	rc, err := s.c.Shelf.Open(ctx, now.Last.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return now.Last.Name, nil
	}
	if err != nil {
		return "", err
	}
	return "", rc.Close()
}
