package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// killVariable makes the test binary a process that migrates from one folder to another, to be killed.
const killVariable = "ENTREPOT_TEST_TRANSFER"

func TestMain(m *testing.M) {
	if how, dirs, ok := strings.Cut(os.Getenv(killScheduleVariable), "|"); ok {
		index, shelf, _ := strings.Cut(dirs, "|")
		fmt.Println(scheduleToBeKilled(how, index, shelf))
		os.Exit(1)
	}
	if from, to, ok := strings.Cut(os.Getenv(killVariable), "|"); ok {
		os.Exit(migrateFolders(from, to))
	}
	os.Exit(m.Run())
}

// migrateFolders is that process.
func migrateFolders(from, to string) (status int) {
	first, err := openFolder(from)
	if err == nil {
		var second stores
		if second, err = openFolder(to); err == nil {
			_, err = Migrate(context.Background(), first.to(second))
			err = errors.Join(err, second.index.Close())
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// A process that migrates is killed again and again, each time a little later, until it gets to its end. Then all is there.
func TestMigrate_goes_on_where_it_was_killed(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()
	first := onDisk(t, source)
	first.furnish(t, 60, seeded("killed"))
	was, contents := first.rows(t), first.contents(t)
	if err := first.index.Close(); err != nil {
		t.Fatal(err)
	}
	killed := 0
	for wait := time.Millisecond; ; wait += wait/4 + time.Millisecond {
		if wait > 2*time.Minute {
			t.Fatal("it does not come to its end")
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), killVariable+"="+source+"|"+target)
		var said strings.Builder
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		if err != nil && killed > 0 && strings.Contains(said.String(), "not empty") {
			break // the one before had finished when it was killed; whether that is so is looked at below
		}
		if timer.Stop() && err != nil {
			t.Fatalf("it ended by itself: %v\n%s", err, said.String())
		}
		if err == nil {
			break
		}
		killed++
	}
	t.Logf("it was killed %d times", killed)
	if killed == 0 {
		t.Error("it was never killed: this test sees nothing")
	}
	second := onDisk(t, target)
	is := second.rows(t)
	if !maps.Equal(is, was) {
		t.Errorf("there are %d rows, want %d, or some differ", len(is), len(was))
	}
	copied := second.contents(t)
	for _, d := range second.needed(t) {
		if copied[d] != contents[d] {
			t.Errorf("content %s is another", d)
		}
	}
}
