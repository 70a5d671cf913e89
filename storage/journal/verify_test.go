package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
)

// tamper changes the database past the journal.
func tamper(t *testing.T, db kv.DB, change func(get func(seq uint64) string, tx kv.Tx)) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx kv.Tx) error {
		change(func(seq uint64) string {
			text, err := tx.Get(t.Context(), logKey(seq))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}, tx)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// rehash returns text with the hash that its content gives.
func rehash(text string) Line {
	l, err := parseLine(text)
	if err != nil {
		panic(err)
	}
	l.Hash = l.sum()
	return l
}

func TestTampering(t *testing.T) {
	const lines = 12
	for name, c := range map[string]struct {
		change func(get func(seq uint64) string, tx kv.Tx)
		fault  Fault
		seq    uint64
	}{
		"event altered": {func(get func(uint64) string, tx kv.Tx) {
			tx.Put(logKey(5), []byte(strings.Replace(get(5), "alice", "carol", 1)))
		}, Altered, 5},
		"event altered and hashed anew": {func(get func(uint64) string, tx kv.Tx) {
			tx.Put(logKey(5), []byte(rehash(strings.Replace(get(5), "alice", "carol", 1)).Text()))
		}, Replaced, 6},
		"last event altered and hashed anew": {func(get func(uint64) string, tx kv.Tx) {
			tx.Put(logKey(lines), []byte(rehash(strings.Replace(get(lines), "alice", "carol", 1)).Text()))
		}, HeadWrong, lines},
		"hash altered": {func(get func(uint64) string, tx kv.Tx) {
			text := get(5)
			tx.Put(logKey(5), []byte(strings.Replace(text, text[len(`{"seq":5,"prev":"`):][:8], "00000000", 1)))
		}, Altered, 5},
		"space added": {func(get func(uint64) string, tx kv.Tx) {
			tx.Put(logKey(5), []byte(get(5)+" "))
		}, Altered, 5},
		"field added": {func(get func(uint64) string, tx kv.Tx) {
			tx.Put(logKey(5), []byte(strings.Replace(get(5), `{"seq"`, `{"x":1,"seq"`, 1)))
		}, Altered, 5},
		"emptied":        {func(_ func(uint64) string, tx kv.Tx) { tx.Put(logKey(5), nil) }, Altered, 5},
		"first removed":  {func(_ func(uint64) string, tx kv.Tx) { tx.Delete(logKey(1)) }, Removed, 1},
		"middle removed": {func(_ func(uint64) string, tx kv.Tx) { tx.Delete(logKey(5)); tx.Delete(logKey(6)) }, Removed, 5},
		"removed and closed up": {func(get func(uint64) string, tx kv.Tx) {
			for seq := uint64(5); seq < lines; seq++ {
				tx.Put(logKey(seq), []byte(get(seq+1)))
			}
			tx.Delete(logKey(lines))
		}, Reordered, 5},
		"removed, closed up and renumbered": {func(get func(uint64) string, tx kv.Tx) {
			for seq := uint64(5); seq < lines; seq++ {
				l, _ := parseLine(get(seq + 1))
				l.Seq = seq
				tx.Put(logKey(seq), []byte(l.Text()))
			}
			tx.Delete(logKey(lines))
		}, Altered, 5},
		"two swapped": {func(get func(uint64) string, tx kv.Tx) {
			five, six := get(5), get(6)
			tx.Put(logKey(5), []byte(six))
			tx.Put(logKey(6), []byte(five))
		}, Reordered, 5},
		"one repeated": {func(get func(uint64) string, tx kv.Tx) {
			tx.Put(logKey(6), []byte(get(5)))
		}, Reordered, 6},
		"tail cut off":     {func(_ func(uint64) string, tx kv.Tx) { tx.Delete(logKey(lines - 1)); tx.Delete(logKey(lines)) }, Truncated, lines - 1},
		"all removed":      {func(_ func(uint64) string, tx kv.Tx) { clearLog(tx, lines) }, Truncated, 1},
		"head set back":    {func(get func(uint64) string, tx kv.Tx) { rehead(tx, get(lines-2)) }, HeadWrong, lines - 2},
		"head removed":     {func(_ func(uint64) string, tx kv.Tx) { tx.Delete(headKey) }, HeadWrong, 0},
		"head spoilt":      {func(_ func(uint64) string, tx kv.Tx) { tx.Put(headKey, []byte("{}")) }, HeadWrong, 0},
		"head of no line":  {func(_ func(uint64) string, tx kv.Tx) { head{lines, genesis}.write(tx) }, HeadWrong, lines},
		"line put behind":  {func(get func(uint64) string, tx kv.Tx) { tx.Put(logKey(lines+1), []byte(follower(get(lines)).Text())) }, HeadWrong, lines},
		"foreign key":      {func(_ func(uint64) string, tx kv.Tx) { tx.Put(logPrefix+"x", nil) }, Altered, lines + 1},
		"upper-case key":   {func(get func(uint64) string, tx kv.Tx) { tx.Put(logPrefix+"000000000000000A", nil) }, Altered, 10},
		"line numbered 0":  {func(get func(uint64) string, tx kv.Tx) { tx.Put(logKey(0), []byte(get(1))) }, Altered, 1},
		"line beyond ours": {func(get func(uint64) string, tx kv.Tx) { tx.Put(logKey(1<<63), []byte(get(1))) }, Removed, lines + 1},
	} {
		t.Run(name, func(t *testing.T) {
			db := kv.NewMemory()
			j := New(db)
			happen(t, db, lines)
			seal(t, j)
			sound(t, j, lines)
			tamper(t, db, c.change)
			r, err := j.Verify(t.Context())
			if err != nil || r.Fault != c.fault || r.Seq != c.seq || r.Detail == "" {
				t.Errorf("verify: %+v, %v, want %s at %d", r, err, c.fault, c.seq)
			}
		})
	}
}

func clearLog(tx kv.Tx, lines uint64) {
	for seq := uint64(1); seq <= lines; seq++ {
		tx.Delete(logKey(seq))
	}
}

// rehead makes text the last line.
func rehead(tx kv.Tx, text string) {
	l, _ := parseLine(text)
	head{l.Seq, l.Hash}.write(tx)
}

// follower returns a line that may follow text.
func follower(text string) Line {
	l, _ := parseLine(text)
	l.Seq, l.Prev = l.Seq+1, l.Hash
	l.Hash = l.sum()
	return l
}

// TestEvidence has a head that was set back: the sealer must not write over the lines beyond it.
func TestEvidence(t *testing.T) {
	db := kv.NewMemory()
	j := New(db)
	happen(t, db, 3)
	seal(t, j)
	tamper(t, db, func(get func(uint64) string, tx kv.Tx) { rehead(tx, get(1)) })
	happen(t, db, 1)
	if n, err := j.Seal(t.Context()); n != 0 || !errors.Is(err, errHead) {
		t.Errorf("seal: %d, %v", n, err)
	}
}

func TestVerifyWhileSealing(t *testing.T) {
	db := kv.NewMemory()
	j := New(db)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 300 {
			happen(t, db, 3)
			if _, err := j.Seal(t.Context()); err != nil {
				t.Error(err)
			}
		}
		cancel()
	}()
	for ctx.Err() == nil {
		if r, err := j.Verify(t.Context()); err != nil || !r.Sound() {
			t.Fatalf("verify: %+v, %v", r, err)
		}
	}
	<-ended
	sound(t, j, 900)
}

func TestVerifyEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := New(kv.NewMemory()).Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("verify: %+v, %v", r, err)
	}
	if r, err := New(kv.NewMemory()).Verify(t.Context()); err != nil || !r.Sound() || r.Lines != 0 || r.Hash != genesis {
		t.Errorf("verify of an empty journal: %+v, %v", r, err)
	}
}

// TestAudit recomputes the chain with the tools that the comment of Line names.
func TestAudit(t *testing.T) {
	for _, tool := range []string{"sh", "sed", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("nothing to compare with: %v", err)
			return
		}
	}
	db := kv.NewMemory()
	j := New(db)
	if err := db.Update(t.Context(), func(tx kv.Tx) error {
		Append(t.Context(), tx, Event{Action: "odd", Repo: `"event":{} ' \ % $x`, Result: "ü <&> \u2028"})
		Append(t.Context(), tx, Event{Action: "plain"})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	seal(t, j)
	for _, line := range tail(t, j, 0, 0) {
		file := filepath.Join(t.TempDir(), "line")
		if err := os.WriteFile(file, []byte(line.Text()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", `event=$(sed 's/^[^{]*{[^{]*"event"://; s/}$//' "$1"); printf '%s %s %s' "$2" "$3" "$event" | sha256sum`,
			"sh", file, line.Prev, strconv.FormatUint(line.Seq, 10))
		out, err := cmd.Output()
		if err != nil || !bytes.HasPrefix(out, []byte(line.Hash+" ")) {
			t.Errorf("line %d: sha256sum says %s, %v\n%s", line.Seq, out, err, line.Text())
		}
	}
}

func ExampleJournal_Verify() {
	ctx, db := context.Background(), kv.NewMemory()
	_ = db.Update(ctx, func(tx kv.Tx) error {
		Append(ctx, tx, Event{Action: "tag.put", Repo: "a/b", Tag: "1"})
		Append(ctx, tx, Event{Action: "tag.delete", Repo: "a/b", Tag: "1"})
		return nil
	})
	j := New(db)
	n, _ := j.Seal(ctx)
	_ = db.Update(ctx, func(tx kv.Tx) error { tx.Delete("journal/log/0000000000000001"); return nil })
	r, _ := j.Verify(ctx)
	fmt.Println(n, r.Sound(), r.Fault, r.Detail)
	// Output: 2 false removed lines 1 to 1 are missing
}
