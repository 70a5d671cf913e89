package registry

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// copied returns an index with the same rows: a backup of it.
func copied(t testing.TB, v kv.View) kv.DB {
	t.Helper()
	db := kv.NewMemory()
	err := db.Update(t.Context(), func(tx kv.Tx) error {
		for pair, err := range v.Scan(t.Context(), "", "") {
			if err != nil {
				return err
			}
			tx.Put(pair.Key, pair.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// happen has so many events happen, with an action that means nothing to an index.
func happen(t testing.TB, db kv.DB, action string, n int) {
	t.Helper()
	for range n {
		err := db.Update(t.Context(), func(tx kv.Tx) error {
			journal.Append(t.Context(), tx, journal.Event{Action: action, Result: "ok"})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// backInTime has a registry go on behind a backup for many events, gives it up and goes on with the backup, which is told in the journal if restored is set. It returns
// what goes on.
func backInTime(t *testing.T, first *Registry, many int, restored bool) *Registry {
	t.Helper()
	backup := copied(t, first.index)
	mustPut(t, first, sample, "latest", sampleImage1)
	mustPut(t, first, sample, "given-up", sampleImage2)
	happen(t, first.index, "x", many)
	saveAll(t, first)
	if restored {
		happen(t, backup, RestoreAction, 1)
	}
	second := open(t, func(c *Config) { c.Blobs, c.Index = first.blobs, backup })
	// As transfer.Restore does, if the open segment of then is not there any more.
	err := backup.Update(t.Context(), func(tx kv.Tx) error { tx.Delete(keySegment); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return second
}

func TestReindex_takes_the_history_that_was_restored_and_not_the_longer_one(t *testing.T) {
	for _, many := range []int{0, 10, segmentSize + 500} {
		t.Run(fmt.Sprint(many, " events were given up"), func(t *testing.T) {
			first := open(t)
			rich(t, first)
			saveAll(t, first)
			second := backInTime(t, first, many, true)
			saveAll(t, second)
			// As soon as it is saved, though nothing was pushed yet.
			fresh, _, problems := reindexed(t, first.blobs)
			if got, want := visible(t, fresh), visible(t, second.index); got != want || len(problems) > 0 {
				t.Errorf("problems %v, the new index shows\n%s\nthe restored one\n%s", problems, got, want)
			}
			mustPush(t, second, sample, []byte("after the restoration"))
			mustPut(t, second, sample, "after", imageOf([]byte("after the restoration"), nil))
			saveAll(t, second)
			fresh, done, problems := reindexed(t, first.blobs)
			if got, want := visible(t, fresh), visible(t, second.index); got != want || len(problems) > 0 {
				t.Errorf("%+v, problems %v, the new index shows\n%s\nthe restored one\n%s", done, problems, got, want)
			}
			if strings.Contains(visible(t, fresh), "given-up") {
				t.Error("what was given up is there")
			}
			verified(t, first.blobs, fresh)
			// It goes on, is restored to an even older state, and is lost again.
			third := open(t, func(c *Config) { c.Blobs, c.Index = first.blobs, fresh })
			saveAll(t, third)
			fourth := backInTime(t, third, 20, true)
			mustPut(t, fourth, sample, "fourth", sampleImage1)
			saveAll(t, fourth)
			again, _, problems := reindexed(t, first.blobs)
			if got, want := visible(t, again), visible(t, fourth.index); got != want || len(problems) > 0 {
				t.Errorf("the second time: problems %v, the new index shows\n%s\nthe restored one\n%s", problems, got, want)
			}
		})
	}
}

// TestReindex_after_an_older_backup_was_restored_last: the history that was given up tells of a restoration too, but of an earlier one.
func TestReindex_after_an_older_backup_was_restored_last(t *testing.T) {
	first := open(t)
	mustPush(t, first, sample, sampleConfig, sampleSmall, sampleLarge)
	saveAll(t, first)
	old := copied(t, first.index)
	second := backInTime(t, first, 5, true)
	mustPut(t, second, sample, "second", sampleImage1)
	happen(t, second.index, "x", 50)
	saveAll(t, second)
	happen(t, old, RestoreAction, 1)
	third := open(t, func(c *Config) { c.Blobs, c.Index = first.blobs, old })
	mustPut(t, third, sample, "third", sampleImage1)
	saveAll(t, third)
	fresh, _, problems := reindexed(t, first.blobs)
	if got, want := visible(t, fresh), visible(t, third.index); got != want || len(problems) > 0 {
		t.Errorf("problems %v, the new index shows\n%s\nthe one that was restored last\n%s", problems, got, want)
	}
}

// TestReindex_after_the_clock_was_ahead: what was given up seems to be of a later time than the restoration.
func TestReindex_after_the_clock_was_ahead(t *testing.T) {
	first := open(t)
	rich(t, first)
	saveAll(t, first)
	backup := copied(t, first.index)
	err := first.index.Update(t.Context(), func(tx kv.Tx) error {
		journal.Append(t.Context(), tx, journal.Event{Action: "x", Time: time.Now().Add(365 * 24 * time.Hour), Result: "ok"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, first, sample, "given-up", sampleImage2)
	saveAll(t, first)
	happen(t, backup, RestoreAction, 1)
	second := open(t, func(c *Config) { c.Blobs, c.Index = first.blobs, backup })
	mustPut(t, second, sample, "after", sampleImage1)
	saveAll(t, second)
	fresh, _, problems := reindexed(t, first.blobs)
	if got, want := visible(t, fresh), visible(t, second.index); got != want || len(problems) > 0 {
		t.Errorf("problems %v, the new index shows\n%s\nthe restored one\n%s", problems, got, want)
	}
}

// TestReindex_tells_of_two_histories_that_no_restoration_explains: an index file was put back by hand. What was written to last is taken, and a person hears of it.
func TestReindex_tells_of_two_histories_that_no_restoration_explains(t *testing.T) {
	first := open(t)
	rich(t, first)
	saveAll(t, first)
	second := backInTime(t, first, 100, false)
	mustPut(t, second, sample, "after", sampleImage1)
	saveAll(t, second)
	fresh, _, problems := reindexed(t, first.blobs)
	if got, want := visible(t, fresh), visible(t, second.index); got != want {
		t.Errorf("the new index shows\n%s\nthe one that was written to last\n%s", got, want)
	}
	if len(problems) != 1 || !strings.Contains(problems[0], "two histories") {
		t.Errorf("problems: %q, want that there are two histories", problems)
	}
}

// segmentsOf returns the segments that an index names, by their first lines.
func segmentsOf(t *testing.T, v kv.View) map[string]string { return rows(t, v, prefixSegment) }

// TestReindex_beside_remains_of_a_history_that_was_given_up: the sweeper has taken some of its segments and not yet others.
func TestReindex_beside_remains_of_a_history_that_was_given_up(t *testing.T) {
	first := open(t)
	rich(t, first)
	saveAll(t, first)
	second := backInTime(t, first, segmentSize+500, true)
	mustPut(t, second, sample, "after", sampleImage1)
	saveAll(t, second)
	if n := len(segmentsOf(t, first.index)); n != 2 {
		t.Fatalf("%d segments were given up, want two: this test sees nothing", n)
	}
	if err := first.blobs.Delete(t.Context(), digest.Digest(segmentsOf(t, first.index)[keySegmentAt(1)])); err != nil {
		t.Fatal(err)
	}
	fresh, _, problems := reindexed(t, first.blobs)
	if got, want := visible(t, fresh), visible(t, second.index); got != want || len(problems) > 0 {
		t.Errorf("problems %v, the new index shows\n%s\nthe restored one\n%s", problems, got, want)
	}
}

// TestReindex_tells_of_a_gap_in_the_history_that_was_restored, also if the one that was given up has none.
func TestReindex_tells_of_a_gap_in_the_history_that_was_restored(t *testing.T) {
	first := open(t)
	rich(t, first)
	saveAll(t, first)
	second := backInTime(t, first, 20, true)
	happen(t, second.index, "x", segmentSize)
	mustPut(t, second, sample, "after", sampleImage1)
	saveAll(t, second)
	if err := first.blobs.Delete(t.Context(), digest.Digest(segmentsOf(t, second.index)[keySegmentAt(1)])); err != nil {
		t.Fatal(err)
	}
	_, _, problems := reindexed(t, first.blobs)
	told := strings.Join(problems, "\n")
	if !strings.Contains(told, "missing") {
		t.Errorf("problems: %q, want that something is missing", problems)
	}
}
