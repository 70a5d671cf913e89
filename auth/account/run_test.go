package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

// running starts Run, and returns what ends it and waits for that.
func running(t testing.TB, s *Store) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { s.Run(ctx) })
	return func() { cancel(); run.Wait() }
}

// TestRun_notices_what_others_change: two processes on one index.
func TestRun_notices_what_others_change(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := kv.NewMemory()
		var told [2]atomic.Int64
		var stores [2]*Store
		var live auth.Live
		for i := range stores {
			s, err := Open(t.Context(), Config{Index: db, Passwords: &cheap{}, OnChange: func() {
				told[i].Add(1)
				if i == 0 {
					return
				}
				var grants []auth.Grant
				for g, err := range stores[1].Grants(t.Context()) {
					if err != nil {
						t.Error(err)
					}
					grants = append(grants, g)
				}
				live.Set(auth.NewRules(grants, true))
			}})
			must(t, err)
			stores[i] = s
			defer running(t, s)()
		}
		want := func(what string, epoch uint64, one, other int64) {
			t.Helper()
			if stores[0].Epoch() != epoch || told[0].Load() != one || told[1].Load() != other {
				t.Errorf("%s: epochs %d and %d, told %d and %d times, want epoch %d and %d, %d", what, stores[0].Epoch(), stores[1].Epoch(), told[0].Load(), told[1].Load(), epoch, one, other)
			}
		}
		synctest.Wait()
		want("at the beginning", 0, 0, 0)
		_, err := stores[0].AddUser(t.Context(), "alice", password, nil, nil)
		must(t, err)
		want("at once, here", 1, 1, 0)
		if stores[1].Epoch() != 0 {
			t.Errorf("the other knows at once: epoch %d", stores[1].Epoch())
		}
		time.Sleep(pollEvery)
		synctest.Wait()
		want("a moment later", 1, 1, 1)
		who, _, err := stores[1].Login(t.Context(), "alice", password)
		must(t, err)
		_, err = stores[0].AddGrant(t.Context(), auth.Grant{Who: "user:alice", Role: auth.Reader, On: "a"})
		must(t, err)
		_, err = stores[0].AddGrant(t.Context(), auth.Grant{Who: "user:alice", Role: auth.Reader, On: "b"})
		must(t, err)
		time.Sleep(pollEvery)
		synctest.Wait()
		want("two changes at once", 3, 3, 2)
		if err := live.Allow(t.Context(), who, auth.Pull, "a/x"); err != nil {
			t.Errorf("rules of what the other process changed: %v", err)
		}
		must(t, stores[0].RemoveUser(t.Context(), "alice"))
		wantWrong(t, stores[1].Alive(t.Context(), who), "removed by another process")
		time.Sleep(10 * pollEvery)
		want("when nothing more happens", 4, 4, 3)
	})
}

func TestRun_writes_when_secrets_were_last_used(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := kvtest.Faulty(kv.NewMemory())
		var log bytes.Buffer
		s, err := Open(t.Context(), Config{Index: db, Passwords: &cheap{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, err)
		began := time.Now()
		_, err = s.AddUser(t.Context(), "alice", password, nil, nil)
		must(t, err)
		secret, plain, err := s.AddSecret(t.Context(), Secret{Of: "user:alice", Purpose: PurposeToken})
		must(t, err)
		stop := running(t, s)
		want := func(what string, after time.Duration) {
			t.Helper()
			at := began.Add(after)
			if after < 0 {
				at = time.Time{}
			}
			got, err := s.Secret(t.Context(), secret.ID)
			must(t, err)
			list, err := s.Secrets(t.Context(), "user:alice")
			must(t, err)
			u, err := s.User(t.Context(), "alice")
			must(t, err)
			if !got.LastUsed.Equal(at) || !list[0].LastUsed.Equal(at) || !u.LastLogin.Equal(at) {
				t.Errorf("%s: last used %v and %v, last login %v, want %v", what, got.LastUsed, list[0].LastUsed, u.LastLogin, at)
			}
		}
		login := func() {
			t.Helper()
			for _, with := range []string{plain, password} {
				_, _, err := s.Login(t.Context(), "alice", with)
				must(t, err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		login()
		epoch := s.Epoch()
		want("before it is written", -1)
		time.Sleep(flushEvery)
		synctest.Wait()
		want("when it is written", time.Second)
		calls := func(do func()) int { db.FailAt(0, nil); do(); return db.Calls() }
		if n := calls(func() { must(t, s.flush(t.Context())) }); n != 0 {
			t.Errorf("with nothing to write, the index is asked %d times", n)
		}
		login()
		if n := calls(func() { must(t, s.flush(t.Context())) }); n != 2 { // before and after its transaction
			t.Errorf("two things used pass %d points of the index, want one transaction", n)
		}
		want("written by hand", 11*time.Second)
		time.Sleep(time.Second)
		login()
		db.FailAt(1, errBroken)
		if err := s.flush(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("a fault becomes %v", err)
		}
		want("not written", 11*time.Second)
		stop()
		want("at the end", 12*time.Second)
		if s.Epoch() != epoch {
			t.Error("what was used moved the epoch")
		}
		if log.Len() > 0 {
			t.Errorf("log: %s", log.String())
		}
	})
}

// TestEpoch_only_grows, in whatever order changes at the same time come to notice it.
func TestEpoch_only_grows(t *testing.T) {
	s := open(t)
	for _, c := range [][2]uint64{{5, 5}, {3, 5}, {5, 5}, {6, 6}} {
		if s.moved(c[0]); s.Epoch() != c[1] {
			t.Errorf("after %d the epoch is %d, want %d", c[0], s.Epoch(), c[1])
		}
	}
	if s.changes.Load() != 4 {
		t.Errorf("told %d times of 4 changes", s.changes.Load())
	}
}

// TestOnChange_is_told_one_after_the_other, and each time what it reads is no older than the change.
func TestOnChange_is_told_one_after_the_other(t *testing.T) {
	var s *sample
	var inside, most atomic.Int64
	s = open(t, func(c *Config) {
		c.OnChange = func() {
			most.Store(max(most.Load(), inside.Add(1)))
			time.Sleep(time.Millisecond)
			s.changes.Store(int64(len(all(t, s.Robots(t.Context(), "")))))
			inside.Add(-1)
		}
	})
	var clients sync.WaitGroup
	for i := range 10 {
		clients.Go(func() {
			if _, err := s.AddRobot(t.Context(), Robot{Name: fmt.Sprint("r", i), On: "a"}); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	if most.Load() != 1 || s.changes.Load() != 10 || s.Epoch() != 10 {
		t.Errorf("%d at once, at last %d robots were seen, epoch %d; want 1, 10, 10", most.Load(), s.changes.Load(), s.Epoch())
	}
}

// TestUsed_the_later_counts, whichever process wrote it, and what is gone leaves nothing.
func TestUsed_the_later_counts(t *testing.T) {
	s := open(t)
	s.robot(t, "ci")
	secret, plain := s.secret(t, "robot:ci", PurposeSecret, "")
	late, err := Open(t.Context(), Config{Index: s.db, Passwords: s.hasher, Now: func() time.Time { return s.now().Add(time.Minute) }})
	must(t, err)
	_, _, err = late.Login(t.Context(), "ci", plain)
	must(t, err)
	must(t, late.flush(t.Context()))
	s.login(t, "ci", plain)
	must(t, s.flush(t.Context()))
	if got, err := s.Secret(t.Context(), secret.ID); err != nil || !got.LastUsed.Equal(s.now().Add(time.Minute)) {
		t.Errorf("last used %v, %v, want %v", got.LastUsed, err, s.now().Add(time.Minute))
	}
	s.login(t, "ci", plain)
	must(t, s.RevokeSecret(t.Context(), secret.ID))
	must(t, s.flush(t.Context()))
	if _, err := s.db.Get(t.Context(), keyUsed(secret.ID)); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("a revoked secret was used: %v", err)
	}
	for i := range 3 * maxBatch {
		s.used.mark(fmt.Sprintf("user:nobody-%d", i), s.now())
	}
	must(t, s.flush(t.Context()))
	if strings.Contains(dump(t, s.db), "nobody") {
		t.Error("users who are not there were used")
	}
}

func TestRun_removes_secrets_that_ended_long_ago(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		ctx := t.Context()
		end := s.now().Add(24 * time.Hour)
		for _, name := range []string{"a", "b", "c"} {
			s.robot(t, name)
			for range MaxSecrets {
				_, _, err := s.AddSecret(ctx, Secret{Of: "robot:" + name, Purpose: PurposeSecret, Expires: end})
				must(t, err)
			}
		}
		later, _, err := s.AddSecret(ctx, Secret{Of: "robot:a", Purpose: PurposeLogin, Expires: end.Add(time.Hour)})
		must(t, err)
		list, err := s.Secrets(ctx, "robot:a")
		must(t, err)
		must(t, s.RevokeSecret(ctx, list[7].ID))
		forever, _, err := s.AddSecret(ctx, Secret{Of: "robot:a", Purpose: PurposeSecret})
		must(t, err)
		epoch := s.Epoch()
		defer running(t, s.Store)()
		want := func(after time.Duration, want int) {
			t.Helper()
			s.advance(end.Add(keepEnded + after).Sub(s.now()))
			time.Sleep(purgeEvery)
			synctest.Wait()
			got := 0
			for _, prefix := range []string{prefixSecret, prefixSecretOf} {
				from, to := kv.Prefix(prefix)
				for _, err := range s.db.Scan(ctx, from, to) {
					must(t, err)
					got++
				}
			}
			if got != 2*want || s.Epoch() != epoch {
				t.Errorf("30 days and %s after the end there are %d rows, epoch %d; want %d, %d", after, got, s.Epoch(), 2*want, epoch)
			}
		}
		want(-time.Millisecond, 3*MaxSecrets+1)
		want(0, 2)
		for _, id := range []string{later.ID, forever.ID} {
			_, err := s.Secret(ctx, id)
			must(t, err)
		}
		want(time.Hour, 1)
	})
}

// TestRun_logs_the_first_of_failures_in_a_row and goes on.
func TestRun_logs_the_first_of_failures_in_a_row(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		db := kv.NewMemory()
		s, err := Open(t.Context(), Config{Index: db, Passwords: &cheap{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, err)
		stop := running(t, s)
		synctest.Wait()
		s.used.mark("user:alice", time.Now())
		must(t, db.Close())
		time.Sleep(5 * time.Minute)
		stop()
		got := log.String()
		if strings.Count(got, "look for changes") != 1 || strings.Count(got, "last used") != 2*2 || strings.Count(got, "\n") != 3 || strings.Count(got, kv.ErrClosed.Error()) != 3 {
			t.Errorf("log:\n%s", got)
		}
	})
}
