package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

var noon = time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)

// saved returns a backup of the stores.
func (s stores) saved(t failer) ([]byte, Summary) {
	t.Helper()
	var b bytes.Buffer
	summary, err := Backup(context.Background(), s.index, &b, noon)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return b.Bytes(), summary
}

// from says how a backup is restored on the stores.
func (s stores) from(backup []byte) Restoration {
	return Restoration{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(backup)), nil }, Index: s.index, Blobs: s.blobs}
}

func TestRestore_gives_back_what_Backup_saw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := inMemory()
		first.furnish(t, rapid.IntRange(1, 8).Draw(t, "changes"), func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") })
		backup, summary := first.saved(t)
		second := stores{first.blobs, kv.NewMemory()}
		done, err := Restore(context.Background(), second.from(backup))
		if err != nil || done.Summary != summary || !summary.Made.Equal(noon) || int(summary.Rows) != len(first.rows(t)) {
			t.Fatalf("%+v, %v; want %+v", done, err, summary)
		}
		second.likeBackupOf(t, first)
	})
}

func TestBackup_of_files_that_are_written_to(t *testing.T) {
	first := onDisk(t, t.TempDir())
	first.furnish(t, 30, seeded("written"))
	before := first.rows(t)
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan struct{})
	go func() {
		defer close(written)
		for n := 0; ctx.Err() == nil; n++ {
			_ = first.index.Update(ctx, func(tx kv.Tx) error {
				tx.Put("aaa/first", []byte(fmt.Sprint(n))) // both, or neither
				tx.Put("zzz/last", []byte(fmt.Sprint(n)))
				return nil
			})
		}
	}()
	var backups [][]byte
	for range 5 {
		backup, _ := first.saved(t)
		backups = append(backups, backup)
	}
	stop()
	<-written
	for _, backup := range backups {
		second := stores{first.blobs, kv.NewMemory()}
		if _, err := Restore(t.Context(), second.from(backup)); err != nil {
			t.Fatal(err)
		}
		rows := second.restoredRows(t)
		if rows["aaa/first"] != rows["zzz/last"] {
			t.Errorf("a backup shows two moments: %q and %q", rows["aaa/first"], rows["zzz/last"])
		}
		delete(rows, "aaa/first")
		delete(rows, "zzz/last")
		for key, value := range before {
			if rows[key] != value {
				t.Errorf("the backup has %q under %s, want %q", rows[key], key, value)
			}
		}
		if len(rows) != len(before) {
			t.Errorf("the backup has %d rows, want %d", len(rows), len(before))
		}
	}
}

func TestRestore_refuses_what_is_damaged_before_it_writes(t *testing.T) {
	first := inMemory()
	first.furnish(t, 6, seeded("damaged"))
	backup, _ := first.saved(t)
	try := func(what string, damaged []byte) {
		t.Helper()
		second := stores{first.blobs, kv.NewMemory()}
		if _, err := Restore(t.Context(), second.from(damaged)); err == nil {
			t.Errorf("%s: it is taken for sound", what)
		}
		if rows := second.rows(t); len(rows) > 0 {
			t.Errorf("%s: %d rows were written", what, len(rows))
		}
	}
	for at := 0; at < len(backup); at += 1 + len(backup)/200 {
		try(fmt.Sprintf("cut off at %d of %d", at, len(backup)), backup[:at])
	}
	// One bit at a time. zstd has its own checksum: so also without it, below.
	for at := 0; at < len(backup); at += 1 + len(backup)/200 {
		wrong := slices.Clone(backup)
		wrong[at] ^= 4
		if bytes.Equal(plain(t, wrong), plain(t, backup)) {
			continue // a bit that means nothing
		}
		try(fmt.Sprintf("a wrong bit at %d of %d", at, len(backup)), wrong)
	}
	text := plain(t, backup)
	for at := 0; at < len(text); at += 1 + len(text)/200 {
		wrong := slices.Clone(text)
		wrong[at] ^= 1
		try(fmt.Sprintf("a wrong bit at %d of %d before it was packed", at, len(text)), packed(t, wrong))
	}
	try("something behind its end", packed(t, append(slices.Clone(text), 'R')))
	try("a page of the web", []byte("<!DOCTYPE html>\n<html>"))
	try("one of a newer program", packed(t, bytes.Replace(text, fmt.Appendf(nil, `"indexVersion":%d`, registry.IndexVersion), fmt.Appendf(nil, `"indexVersion":%d`, registry.IndexVersion+1), 1)))
}

// plain unpacks as much as there is.
func plain(t testing.TB, backup []byte) []byte {
	t.Helper()
	zip, err := unzip(bytes.NewReader(backup))
	if err != nil {
		return nil
	}
	defer zip.Close()
	text, err := io.ReadAll(zip)
	if err != nil {
		return nil
	}
	return text
}

func packed(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	zip, err := zipTo(&b)
	if err == nil {
		_, err = zip.Write(text)
	}
	if err = errors.Join(err, zip.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRestore_lists_what_content_is_missing(t *testing.T) {
	first := inMemory()
	first.furnish(t, 20, seeded("missing"))
	backup, _ := first.saved(t)
	sound := first.contents(t)
	var absent, short digest.Digest
	for content, err := range Needed(t.Context(), first.index) { // of packs and segments the index does not know the size
		if err != nil {
			t.Fatal(err)
		}
		if content.Size > 0 {
			absent, short = content.Digest, absent
		}
	}
	if err := first.blobs.Delete(t.Context(), absent); err != nil {
		t.Fatal(err)
	}
	put(t, first.blobs, short, "short")
	second := stores{first.blobs, kv.NewMemory()}
	var problems []string
	r := second.from(backup)
	r.Found = func(problem string) { problems = append(problems, problem) }
	done, err := Restore(t.Context(), r)
	text := strings.Join(problems, "\n")
	if !errors.Is(err, ErrIncomplete) || done.Missing != 2 || len(problems) != 2 || !strings.Contains(text, string(absent)) || !strings.Contains(text, string(short)) {
		t.Errorf("%v, %d, %q; want %v and two that are missing", err, done.Missing, problems, ErrIncomplete)
	}
	if second.rows(t)[keyMark] == "" {
		t.Error("content is missing, and the index has no mark")
	}
	// Another backup does not belong there.
	other := inMemory()
	other.furnish(t, 3, seeded("other"))
	foreign, _ := other.saved(t)
	if _, err := Restore(t.Context(), second.from(foreign)); err == nil || !strings.Contains(err.Error(), "begun on") {
		t.Errorf("another backup on the same index: %v, want that it is refused", err)
	}
	for _, d := range []digest.Digest{absent, short} {
		put(t, first.blobs, d, sound[d])
	}
	if _, err := Restore(t.Context(), r); err != nil {
		t.Errorf("with its content: %v", err)
	}
	second.likeBackupOf(t, first)
	if _, err := Restore(t.Context(), r); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("once more: %v, want that nothing is written over", err)
	}
}

// A registry goes on behind a backup, and what it keeps of its journal is replaced: that is no content that the backup misses.
func TestRestore_beside_the_content_of_a_registry_that_went_on(t *testing.T) {
	first := inMemory()
	first.furnish(t, 10, seeded("went"))
	backup, summary := first.saved(t)
	was := first.rows(t)
	open, err := readOpen(t.Context(), first.index)
	if err != nil {
		t.Fatal(err)
	}
	first.furnish(t, 1, seeded("on"))
	if _, err := first.blobs.Stat(t.Context(), open.Open); !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("the open segment is still there, %v: this test sees nothing", err)
	}
	second := stores{first.blobs, kv.NewMemory()}
	done, err := Restore(t.Context(), second.from(backup))
	if err != nil || done.Summary != summary {
		t.Fatalf("%+v, %v; want %+v", done, err, summary)
	}
	is := second.restoredRows(t)
	if is[keySegment] != fmt.Sprintf(`{"from":%d,"to":%d}`, open.From, open.From) {
		t.Errorf("the journal is said to be saved as %s, and it is not", is[keySegment])
	}
	if _, there := is[fmt.Sprintf("%s%016x", prefixSegment, open.From)]; there {
		t.Error("a segment is named that is not there")
	}
	if len(is) != len(was)-1 {
		t.Errorf("there are %d rows, want one less than %d", len(is), len(was))
	}
	if _, err := registry.Verify(t.Context(), second.blobs, second.index, func(problem string) { t.Errorf("verify: %s", problem) }); err != nil {
		t.Error(err)
	}
	second.furnish(t, 0, seeded("start"))
	if now, err := readOpen(t.Context(), second.index); err != nil || now.Open == "" {
		t.Errorf("after a start the journal is saved as %+v, %v; want an open segment", now, err)
	}
}

// A registry goes on behind a backup, is restored, and goes on otherwise. Then the index is lost: what comes back is what clients saw last, and not what was given up,
// long as its journal may be.
func TestRestore_is_what_comes_back_when_the_index_is_lost_later(t *testing.T) {
	for name, make := range map[string]func() stores{"memory": inMemory, "files": func() stores { return onDisk(t, t.TempDir()) }} {
		t.Run(name, func(t *testing.T) {
			first := make()
			first.furnish(t, 10, seeded("first"))
			backup, _ := first.saved(t)
			first.furnish(t, 40, seeded("given up"))
			given := first.tags(t)
			second := stores{first.blobs, kv.NewMemory()}
			if _, err := Restore(t.Context(), second.from(backup)); err != nil {
				t.Fatal(err)
			}
			second.furnish(t, 5, seeded("after"))
			want := second.tags(t)
			if maps.Equal(want, given) {
				t.Fatal("both have the same tags: this test sees nothing")
			}
			lost := kv.NewMemory()
			if _, err := registry.Reindex(t.Context(), first.blobs, lost, func(problem string) { t.Errorf("reindex: %s", problem) }); err != nil {
				t.Fatal(err)
			}
			if is := (stores{first.blobs, lost}).tags(t); !maps.Equal(is, want) {
				t.Errorf("the tags are %v, want those of the restored registry, %v; given up were %v", is, want, given)
			}
			if _, err := registry.Verify(t.Context(), first.blobs, lost, func(problem string) { t.Errorf("verify: %s", problem) }); err != nil {
				t.Error(err)
			}
		})
	}
}

// tags returns what each tag names, without when it was pushed.
func (s stores) tags(t failer) map[string]string {
	t.Helper()
	all := map[string]string{}
	for key, row := range s.rows(t) {
		if strings.HasPrefix(key, "tag/") {
			all[key] = regexp.MustCompile("sha256:[0-9a-f]{64}").FindString(row)
		}
	}
	return all
}

func TestBackups_puts_one_aside_and_removes_it(t *testing.T) {
	folder := t.TempDir()
	s := onDisk(t, folder)
	s.furnish(t, 10, seeded("aside"))
	b := &Backups{Index: s.index, Folder: folder, Now: func() time.Time { return noon }}
	path := filepath.Join(folder, spool)
	if err := os.WriteFile(path, []byte("what a killed process left"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx := journal.By(t.Context(), journal.Actor{Name: "user:root"})
	rc, size, summary, err := b.Make(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != size {
		t.Errorf("%v, %v; want %d bytes that nobody else may read", info, err, size)
	}
	if _, _, _, err := b.Make(ctx); !errors.Is(err, ErrUnderway) {
		t.Errorf("a second one beside it: %v, want %v", err, ErrUnderway)
	}
	read, err := ReadBackup(t.Context(), rc, nil, nil)
	if err != nil || read != summary {
		t.Errorf("%+v, %v; want %+v", read, err, summary)
	}
	recorded := ""
	for key, value := range s.rows(t) {
		if strings.HasPrefix(key, "journal/") && strings.Contains(value, `"backup.make"`) {
			recorded = value
		}
	}
	if !strings.Contains(recorded, `"user:root"`) {
		t.Errorf("the journal does not know who made a backup: %q", recorded)
	}
	rc.Close()
	rc.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
	if rc, _, _, err = b.Make(ctx); err != nil {
		t.Fatalf("the next: %v", err)
	}
	rc.Close()
	b.Folder = ""
	if rc, _, _, err = b.Make(ctx); err != nil {
		t.Fatalf("without a folder: %v", err)
	}
	if read, err = ReadBackup(t.Context(), rc, nil, nil); err != nil || read.Rows == 0 {
		t.Errorf("without a folder: %+v, %v", read, err)
	}
	rc.Close()
	b.Folder = filepath.Join(folder, "index.db", "nowhere") // below a file
	for range 2 {                                           // a failure does not keep the next from beginning
		if _, _, _, err = b.Make(ctx); err == nil || errors.Is(err, ErrUnderway) {
			t.Errorf("with a folder that cannot be: %v", err)
		}
	}
}

// plainDB is a database that has no snapshots.
type plainDB struct{ kv.DB }

func TestBackup_of_an_index_that_has_no_snapshots(t *testing.T) {
	db := plainDB{kv.NewMemory()}
	if _, err := Backup(t.Context(), db, io.Discard, noon); !errors.Is(err, ErrElsewhere) {
		t.Errorf("%v, want %v", err, ErrElsewhere)
	}
	if _, _, _, err := (&Backups{Index: db, Folder: t.TempDir()}).Make(t.Context()); !errors.Is(err, ErrElsewhere) {
		t.Errorf("%v, want %v", err, ErrElsewhere)
	}
}

func FuzzReadBackup(f *testing.F) {
	s := inMemory()
	s.furnish(f, 3, seeded("fuzz"))
	backup, _ := s.saved(f)
	f.Add(plain(f, backup))
	f.Add([]byte("{\"entrepotBackup\":1}\nR\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Add([]byte("{\"entrepotBackup\":1}\nC\x00\x00E\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		last := ""
		_, err := ReadBackup(t.Context(), bytes.NewReader(packed(t, text)), func(pair kv.Pair) error {
			if pair.Key <= last || len(pair.Key) > kv.MaxKey {
				t.Errorf("row %q behind %q", pair.Key, last)
			}
			last = pair.Key
			return nil
		}, nil)
		if err == nil && !bytes.Contains(text, []byte(`"sum":"`)) {
			t.Errorf("something without a sum is taken for a sound backup: %q", text)
		}
	})
}
