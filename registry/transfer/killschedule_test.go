package transfer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// killScheduleVariable makes the test binary a process that makes backups on a schedule, to be killed: how much later its clock
// is|the folder of the index|the folder of backups.
const killScheduleVariable = "ENTREPOT_TEST_SCHEDULE"

// scheduleToBeKilled is that process. Without end it makes one after another; or it stands still amid the first, and says so.
func scheduleToBeKilled(how, index, shelf string) error {
	s, err := openFolder(index)
	if err != nil {
		return err
	}
	var to Shelf
	if to, err = OpenFolder(shelf); err != nil {
		return err
	}
	if how == "amid" {
		to = halting{to}
	}
	later, err := time.ParseDuration(how) // so that it waits for none that was killed before
	if err != nil && how != "amid" {
		return err
	}
	began := time.Now().Add(later)
	c := ScheduleConfig{Index: s.index, Shelf: to, Every: time.Minute, Keep: 1000, Folder: index, Log: slog.New(slog.DiscardHandler)}
	for n := 0; ; n++ {
		c.Now = func() time.Time { return began.Add(time.Duration(n) * time.Minute) }
		schedule, err := NewSchedule(c)
		if err != nil {
			return err
		}
		done, err := schedule.Do(context.Background())
		if err != nil {
			return err
		}
		fmt.Println("made", done)
	}
}

// halting is a shelf that stands still when it has half of a backup.
type halting struct{ Shelf }

func (h halting) Put(ctx context.Context, name string, src io.Reader) error {
	return h.Shelf.Put(ctx, name, io.MultiReader(io.LimitReader(src, 100), standing{}))
}

type standing struct{}

func (standing) Read([]byte) (int, error) {
	fmt.Println("amid")
	select {}
}

// killed starts such a process, waits until it has said a word, and for a while more, and kills it.
func killed(t *testing.T, how, index, shelf, word string, wait time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), killScheduleVariable+"="+how+"|"+index+"|"+shelf)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, said := bufio.NewScanner(out), ""
	for lines.Scan() {
		if said = lines.Text(); strings.HasPrefix(said, word) {
			break
		}
	}
	if !strings.HasPrefix(said, word) {
		t.Errorf("it never said %q, and at last %q", word, said)
	}
	timer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it was to be killed, and ended with %v", err)
	}
}

func TestSchedule_that_is_killed_amid_a_backup_leaves_none_with_its_name(t *testing.T) {
	index, path := t.TempDir(), t.TempDir()
	first, err := openFolder(index)
	if err != nil {
		t.Fatal(err)
	}
	first.furnish(t, 20, seeded("amid"))
	if err := first.index.Close(); err != nil {
		t.Fatal(err)
	}
	killed(t, "amid", index, path, "amid", 0)
	left := names(t, path)
	if len(left) != 1 || !draftPattern.MatchString(left[0]) {
		t.Errorf("it left %q, want a draft", left)
	}
	// The next process takes over a minute later.
	first = onDisk(t, index)
	shelf, err := OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	if all := kept(t, shelf); len(all) > 0 {
		t.Errorf("there are %q", all)
	}
	w := newWatch()
	w.at.Store(time.Now().Add(2 * lease).UnixNano())
	does(t, "after the lease of the one that was killed", daily(t, first.index, shelf, w), true)
}

// A process that makes one after another is killed again and again: whatever has a name is whole.
func TestSchedule_that_is_killed_at_any_moment_leaves_only_whole_backups(t *testing.T) {
	index, path := t.TempDir(), t.TempDir()
	first, err := openFolder(index)
	if err != nil {
		t.Fatal(err)
	}
	first.furnish(t, 20, seeded("any moment"))
	if err := first.index.Close(); err != nil {
		t.Fatal(err)
	}
	shelf, err := OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		killed(t, fmt.Sprint(time.Duration(n)*time.Hour), index, path, "made true", time.Duration(n)*3*time.Millisecond)
	}
	all := kept(t, shelf)
	if len(all) < 12 {
		t.Errorf("there are %d, want at least one of each run", len(all))
	}
	for _, name := range all {
		rc, err := shelf.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadBackup(t.Context(), rc, nil, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		rc.Close()
	}
}
