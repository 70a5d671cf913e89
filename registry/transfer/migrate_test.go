package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// What this package takes an index to need is what a registry keeps: when it has stopped in order, there is no other content.
func TestNeeded_is_what_a_registry_keeps(t *testing.T) {
	s := inMemory()
	s.furnish(t, 60, seeded("needed"))
	var kept []digest.Digest
	for d := range s.contents(t) {
		kept = append(kept, d)
	}
	slices.Sort(kept)
	if needed := s.needed(t); len(kept) < 10 || !slices.Equal(needed, kept) {
		t.Errorf("%d contents are needed, and %d are kept: %v and %v", len(needed), len(kept), needed, kept)
	}
	kinds := map[string]bool{}
	for key := range s.rows(t) {
		kinds[strings.SplitAfter(key, "/")[0]] = true
	}
	for _, kind := range []string{prefixBlob, prefixData, prefixPack, prefixSegment} {
		if !kinds[kind] {
			t.Errorf("the registry has no row %s…: this test sees too little", kind)
		}
	}
}

func TestMigrate_there_and_back_is_the_identity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, second, third := inMemory(), inMemory(), inMemory()
		first.furnish(t, rapid.IntRange(1, 12).Draw(t, "changes"), func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") })
		there, back := migrate(t, first.to(second)), migrate(t, second.to(third))
		if there.Sum != back.Sum || there.Rows != back.Rows || there.Copied != back.Copied || there.Same.Number != 0 {
			t.Errorf("there it was %+v, and back %+v", there, back)
		}
		second.like(t, first)
		third.like(t, first)
	})
}

func TestMigrate_between_files_and_memory(t *testing.T) {
	first, second, third := onDisk(t, t.TempDir()), inMemory(), onDisk(t, t.TempDir())
	first.furnish(t, 40, seeded("files"))
	var last Progress
	c := first.to(second)
	c.Tell = func(p Progress) { last = p }
	done := migrate(t, c)
	if last.Step != stepCheck || last.Same.Number != last.Known.Number || last.Known.Number != done.Copied.Number || last.Known.Number == 0 {
		t.Errorf("at last it told %+v of %+v", last, done)
	}
	migrate(t, second.to(third))
	third.like(t, first)
	third.furnish(t, 10, seeded("after")) // and it goes on as before
}

// cut ends a context at one of the writes to a target, before or behind it.
type cut struct {
	left atomic.Int64
	stop context.CancelFunc
}

func (c *cut) count() {
	if c.left.Add(-1) == 0 {
		c.stop()
	}
}

type cutIndex struct {
	kv.DB
	*cut
}

func (c cutIndex) Update(ctx context.Context, fn func(kv.Tx) error) error {
	c.count()
	defer c.count()
	return c.DB.Update(ctx, fn)
}

type cutBlobs struct {
	blob.Store
	*cut
}

func (c cutBlobs) Commit(ctx context.Context, upload string, d digest.Digest) error {
	c.count()
	defer c.count()
	return c.Store.Commit(ctx, upload, d)
}

func TestMigrate_goes_on_where_it_was_cut(t *testing.T) {
	first, second := inMemory(), inMemory()
	first.furnish(t, 30, seeded("cut"))
	all := int64(len(first.needed(t)))
	var copied int64
	for n := int64(1); ; n++ {
		ctx, stop := context.WithCancel(t.Context())
		at := &cut{stop: stop}
		at.left.Store(n) // each run comes a little further than the one before
		c := first.to(second)
		c.To, c.ToIndex, c.Workers = cutBlobs{second.blobs, at}, cutIndex{second.index, at}, 1
		done, err := Migrate(ctx, c)
		stop()
		copied += done.Copied.Number
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("run %d: %v, want %v", n, err, context.Canceled)
		}
		if rows := second.rows(t); len(rows) > 0 && rows[keyMark] == "" {
			t.Fatalf("run %d was cut, and the target's index of %d rows has no mark", n, len(rows))
		}
		if n > 10*all+100 {
			t.Fatal("it does not come to its end")
		}
	}
	second.like(t, first)
	if copied > 2*all {
		t.Errorf("%d contents were copied, and there are %d: it does not go on, it begins anew", copied, all)
	}
}

func TestMigrate_tells_of_wrong_content_and_does_not_copy_it(t *testing.T) {
	first, second := inMemory(), inMemory()
	first.furnish(t, 30, seeded("wrong"))
	needed := first.needed(t)
	sound := first.contents(t)
	open, err := readOpen(t.Context(), first.index)
	if err != nil || open.Open == "" {
		t.Fatalf("%+v, %v; want an open segment", open, err)
	}
	needed = slices.DeleteFunc(needed, func(d digest.Digest) bool { return d == open.Open })
	other, short, absent := needed[0], needed[1], needed[2]
	put(t, first.blobs, other, strings.Repeat("x", len(sound[other])))
	put(t, first.blobs, short, sound[short][1:])
	if err := first.blobs.Delete(t.Context(), absent); err != nil {
		t.Fatal(err)
	}
	var problems []string
	c := first.to(second)
	c.Found = func(problem string) { problems = append(problems, problem) }
	done, err := Migrate(t.Context(), c)
	if !errors.Is(err, ErrIncomplete) || done.Wrong != 3 || len(problems) != 3 {
		t.Fatalf("%v, %+v, %q; want %v and three problems", err, done, problems, ErrIncomplete)
	}
	slices.Sort(problems)
	for i, d := range []digest.Digest{other, short, absent} {
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, string(d)) }) {
			t.Errorf("problem %d: nobody is told of %s: %q", i, d, problems)
		}
		if _, err := second.blobs.Stat(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("content %s was copied: %v", d, err)
		}
	}
	for pending, err := range second.blobs.Uploads(t.Context()) {
		t.Errorf("there is an upload left, %+v, %v", pending, err)
	}
	if second.rows(t)[keyMark] == "" {
		t.Error("the target lacks content and has no mark")
	}
	// Once it is repaired, the same again ends well.
	for _, d := range []digest.Digest{other, short} {
		put(t, first.blobs, d, sound[d])
	}
	c.Incomplete = true
	if done, err = Migrate(t.Context(), c); !errors.Is(err, ErrIncomplete) || done.Wrong != 1 || done.Copied.Number != 2 {
		t.Errorf("%v, %+v; want %v for one content, and two copied", err, done, ErrIncomplete)
	}
	if second.rows(t)[keyMark] != "" {
		t.Error("it was told to be content with what there is, and the mark is still there")
	}
}

func TestMigrate_with_Verify_replaces_what_is_wrong_in_the_target(t *testing.T) {
	for _, verify := range []bool{false, true} {
		first, second := inMemory(), inMemory()
		first.furnish(t, 20, seeded("verify"))
		d := first.needed(t)[0]
		right := read(t, first.blobs, d)
		put(t, second.blobs, d, strings.Repeat("x", len(right)))
		longer := first.needed(t)[1]
		put(t, second.blobs, longer, "of another size")
		c := first.to(second)
		c.Verify = verify
		migrate(t, c)
		if is := read(t, second.blobs, d) == right; is != verify {
			t.Errorf("verify %t: that content of the right size was replaced is %t", verify, is)
		}
		if read(t, second.blobs, longer) != read(t, first.blobs, longer) {
			t.Errorf("verify %t: content of another size was left", verify)
		}
	}
}

// Content goes first, while the source serves; what comes and goes meanwhile is put right in the second step.
func TestMigrate_of_a_source_that_changed_since_its_content_was_copied(t *testing.T) {
	first, second := inMemory(), inMemory()
	first.furnish(t, 30, seeded("before"))
	gone, lost := first.needed(t)[0], 0
	c := first.to(second)
	c.Workers = 1
	c.From = hooked{first.blobs, func(d digest.Digest) {
		if d == gone {
			lost++
			_ = first.blobs.Delete(t.Context(), d) // swept between being listed and being read
		}
	}}
	content := read(t, first.blobs, gone)
	done, err := Contents(t.Context(), c)
	if err != nil || lost != 1 || done.Wrong != 0 || int(done.Copied.Number) != len(first.needed(t))-1 {
		t.Fatalf("%+v, %v, %d; want all but the one that went", done, err, lost)
	}
	put(t, first.blobs, gone, content)
	before := len(first.needed(t))
	first.furnish(t, 20, seeded("between"))
	if len(first.needed(t)) == before {
		t.Fatal("nothing came: this test sees nothing")
	}
	again := migrate(t, first.to(second))
	if again.Same.Number == 0 || again.Copied.Number == 0 || again.Copied.Number >= done.Copied.Number {
		t.Errorf("first %+v, and then %+v: it is not the rest that was copied", done, again)
	}
	second.like(t, first)
}

// hooked tells before content is opened.
type hooked struct {
	blob.Store
	before func(digest.Digest)
}

func (h hooked) Open(ctx context.Context, d digest.Digest, offset int64) (io.ReadCloser, error) {
	h.before(d)
	return h.Store.Open(ctx, d, offset)
}

// changing writes to an index while it is walked through.
type changing struct {
	kv.DB
	walks *int
	until int
}

func (c changing) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	if from != "" {
		return c.DB.Scan(ctx, from, to)
	}
	return func(yield func(kv.Pair, error) bool) {
		n := 0
		for pair, err := range c.DB.Scan(ctx, from, to) {
			if n++; n == 20 && *c.walks < c.until {
				*c.walks++
				// Behind what was seen, and before it.
				_ = c.DB.Update(ctx, func(tx kv.Tx) error {
					tx.Put("pull/a!1", []byte(fmt.Sprint(*c.walks)))
					tx.Put("auth/used/x", []byte(fmt.Sprint(*c.walks)))
					return nil
				})
			}
			if !yield(pair, err) {
				return
			}
		}
	}
}

func TestMigrate_of_an_index_that_changes(t *testing.T) {
	for _, test := range []struct {
		until int
		want  error
	}{{1, nil}, {2, nil}, {100, errChanging}} {
		first, second := inMemory(), inMemory()
		first.furnish(t, 20, seeded("changing"))
		walks := 0
		c := first.to(second)
		c.FromIndex = changing{first.index, &walks, test.until}
		_, err := Migrate(t.Context(), c)
		if !errors.Is(err, test.want) {
			t.Fatalf("changed %d times: %v, want %v", walks, err, test.want)
		}
		if test.want == nil {
			second.like(t, first)
		} else if second.rows(t)[keyMark] == "" {
			t.Error("a copy of an index that changes has no mark")
		} else {
			migrate(t, first.to(second)) // it has come to rest
			second.like(t, first)
		}
	}
}

func TestMigrate_refuses(t *testing.T) {
	first, full := inMemory(), inMemory()
	first.furnish(t, 10, seeded("refuses"))
	if err := Unfinished(t.Context(), first.index); err != nil {
		t.Errorf("a registry: %v", err)
	}
	full.furnish(t, 10, seeded("full"))
	begun := inMemory()
	if _, err := begin(t.Context(), begun.index, "another", first.to(begun).complete().Now()); err != nil {
		t.Fatal(err)
	}
	if err := Unfinished(t.Context(), begun.index); err == nil || !strings.Contains(err.Error(), "a copy of another") {
		t.Errorf("a copy that was begun: %v, want that it is not finished", err)
	}
	for _, test := range []struct {
		name     string
		from, to stores
		want     string
	}{
		{"a target that is in use", first, full, "not empty"},
		{"a copy of another source", first, begun, "begun on"},
		{"a source that is no registry", inMemory(), inMemory(), "has no index"},
		{"a source that is a copy under way", begun, inMemory(), "not whole"},
	} {
		before := test.to.rows(t)
		_, err := Migrate(t.Context(), test.from.to(test.to))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want that it is refused as %q", test.name, err, test.want)
		}
		if after := test.to.rows(t); len(after) != len(before) || len(test.to.contents(t)) > 0 && test.name != "a target that is in use" {
			t.Errorf("%s: something was written", test.name)
		}
	}
}

// A run that finds that another one has begun writes nothing more.
func TestMigrate_stops_when_another_run_begins(t *testing.T) {
	first, second := inMemory(), inMemory()
	first.furnish(t, 20, seeded("two"))
	c := first.to(second)
	once := false
	c.Tell = func(p Progress) {
		if p.Step == stepContent && !once {
			once = true
			migrate(t, first.to(second))
		}
	}
	if _, err := Migrate(t.Context(), c); !errors.Is(err, errTaken) {
		t.Errorf("%v, want %v", err, errTaken)
	}
	second.like(t, first)
}
