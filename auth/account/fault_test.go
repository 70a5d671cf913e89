package account

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

var errBroken = errors.New("the disk is on fire")

// TestFaults lets the index fail at every point of every change: nothing is written then, nobody is told, and the error says why.
func TestFaults(t *testing.T) {
	ctx := t.Context()
	for name, do := range map[string]func(s *sample, robots Secret, grant string) error{
		"AddUser": func(s *sample, _ Secret, _ string) error {
			_, err := s.AddUser(ctx, "bob", password, nil, nil)
			return err
		},
		"ChangeUser": func(s *sample, _ Secret, _ string) error {
			_, err := s.ChangeUser(ctx, "alice", UserChange{Disabled: ptr(true)})
			return err
		},
		"RemoveUser": func(s *sample, _ Secret, _ string) error { return s.RemoveUser(ctx, "alice") },
		"SignedIn":   func(s *sample, _ Secret, _ string) error { _, err := s.SignedIn(ctx, "corp", "eve", nil); return err },
		"AddRobot": func(s *sample, _ Secret, _ string) error {
			_, err := s.AddRobot(ctx, Robot{Name: "x", On: "a"})
			return err
		},
		"ChangeRobot": func(s *sample, _ Secret, _ string) error {
			_, err := s.ChangeRobot(ctx, "ci", RobotChange{Disabled: ptr(true)})
			return err
		},
		"RemoveRobot":  func(s *sample, _ Secret, _ string) error { return s.RemoveRobot(ctx, "ci") },
		"RevokeSecret": func(s *sample, c Secret, _ string) error { return s.RevokeSecret(ctx, c.ID) },
		"RemoveGrant":  func(s *sample, _ Secret, g string) error { return s.RemoveGrant(ctx, g) },
		"AddGrant": func(s *sample, _ Secret, _ string) error {
			_, err := s.AddGrant(ctx, auth.Grant{Who: "anyone", Role: auth.Reader, On: "b"})
			return err
		},
		"AddSecret": func(s *sample, c Secret, _ string) error {
			_, plain, err := s.AddSecret(ctx, Secret{Of: "robot:ci", Purpose: PurposeLogin, Via: viaSecret + c.ID, Expires: c.Expires})
			if (plain == "") != (err != nil) {
				t.Errorf("AddSecret returns a secret of %d bytes and %v", len(plain), err)
			}
			return err
		},
	} {
		for n := 1; ; n++ {
			db := kvtest.Faulty(kv.NewMemory())
			s := open(t, func(c *Config) { c.Index = db })
			s.user(t, "alice")
			s.robot(t, "ci")
			secret, _ := s.secret(t, "robot:ci", PurposeSecret, "")
			s.secret(t, "user:alice", PurposeSession, "")
			g, err := s.AddGrant(ctx, auth.Grant{Who: "user:alice", Role: auth.Reader, On: "a"})
			must(t, err)
			before, epoch, changes := dump(t, db), s.Epoch(), s.changes.Load()
			db.FailAt(n, errBroken)
			err = do(s, secret, g.ID)
			calls := db.Calls()
			db.FailAt(0, nil)
			if calls < n {
				moves := uint64(1)
				if name == "AddSecret" {
					moves = 0 // it takes nothing from anybody
				}
				if err != nil || n < 3 || s.Epoch() != epoch+moves || uint64(s.changes.Load()) != uint64(changes)+moves || dump(t, db) == before {
					t.Errorf("%s without a fault: %v after %d points, epoch %d to %d", name, err, n, epoch, s.Epoch())
				}
				break
			}
			if !errors.Is(err, errBroken) || errors.Is(err, auth.ErrWrong) || Code(err) != "" || !strings.Contains(err.Error(), " ") {
				t.Errorf("%s with a fault at %d: %v", name, n, err)
			}
			if dump(t, db) != before || s.Epoch() != epoch || s.changes.Load() != changes {
				t.Errorf("%s with a fault at %d changed something", name, n)
			}
		}
	}
}

// TestFaults_of_reading: an index that cannot be read is no reason to say that a credential is wrong, or right.
func TestFaults_of_reading(t *testing.T) {
	db := kvtest.Faulty(kv.NewMemory())
	s := open(t, func(c *Config) { c.Index = db })
	s.user(t, "alice")
	s.robot(t, "ci")
	secret, plain := s.secret(t, "robot:ci", PurposeSecret, "")
	g, err := s.AddGrant(t.Context(), auth.Grant{Who: "user:alice", Role: auth.Reader, On: "a"})
	must(t, err)
	for name, do := range everything(t.Context(), s, secret.ID, plain, g.ID) {
		if strings.HasPrefix(name, "Add") || strings.HasPrefix(name, "Change") {
			continue // see TestFaults
		}
		for n := 1; ; n++ {
			db.FailAt(n, errBroken)
			err := do()
			if db.Calls() < n {
				if err != nil || n == 1 {
					t.Errorf("%s without a fault: %v after %d points", name, err, n)
				}
				break
			}
			if !errors.Is(err, errBroken) || errors.Is(err, auth.ErrWrong) || errors.Is(err, auth.ErrUnknown) || Code(err) != "" {
				t.Errorf("%s with a fault at %d: %v", name, n, err)
			}
		}
	}
	db.FailAt(1, errBroken)
	if _, err := Open(t.Context(), Config{Index: db, Passwords: s.hasher}); !errors.Is(err, errBroken) {
		t.Errorf("open: %v", err)
	}
	none := kvtest.Faulty(kv.NewMemory())
	empty := open(t, func(c *Config) { c.Index = none })
	none.FailAt(2, errBroken) // no user, but is there a robot?
	if found, err := empty.Anybody(t.Context()); !errors.Is(err, errBroken) || found {
		t.Errorf("anybody: %v, %v", found, err)
	}
	if _, err := Open(t.Context(), Config{Index: db}); err == nil {
		t.Error("accounts open without anything that hashes passwords")
	}
	if _, err := Open(t.Context(), Config{Passwords: s.hasher}); err == nil {
		t.Error("accounts open without an index")
	}
}

// busy are passwords that nobody has time for.
type busy struct{}

func (*busy) Hash(context.Context, string) (string, error) { return "", &auth.Wait{Busy: true} }
func (*busy) Matches(context.Context, string, string) (bool, error) {
	return true, &auth.Wait{Busy: true}
}

// TestFaults_of_hashing: who is too busy to compare says so.
func TestFaults_of_hashing(t *testing.T) {
	s := open(t)
	s.user(t, "alice")
	b := open(t, func(c *Config) { c.Index, c.Passwords = s.db, &busy{} })
	for name, do := range map[string]func() error{
		"alice":   func() error { _, _, err := b.Login(t.Context(), "alice", password); return err },
		"AddUser": func() error { _, err := b.AddUser(t.Context(), "bob", password, nil, nil); return err },
		"ChangeUser": func() error {
			_, err := b.ChangeUser(t.Context(), "alice", UserChange{Password: ptr(password)})
			return err
		},
	} {
		var wait *auth.Wait
		if err := do(); !errors.As(err, &wait) || errors.Is(err, auth.ErrWrong) || errors.Is(err, auth.ErrUnknown) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v, want that it is busy", name, err)
		}
	}
}

// TestNothing_shows_a_secret: neither what is returned, nor errors, nor the journal. The index holds no plain one.
func TestNothing_shows_a_secret(t *testing.T) {
	s := open(t)
	ctx := as(t.Context(), "user:root")
	var shown strings.Builder
	show := func(what any, err error) {
		if err != nil {
			shown.WriteString(err.Error() + "\n")
			return
		}
		shown.WriteString(inJSON(t, what) + "\n")
	}
	end := s.now().Add(time.Hour)
	const other = "tr0ub4dor and three"
	u, err := s.AddUser(ctx, "alice", password, nil, nil)
	show(u, err)
	u, err = s.AddUser(ctx, "alice", other, nil, nil)
	show(u, err)
	u, err = s.ChangeUser(ctx, "alice", UserChange{Password: ptr(other)})
	show(u, err)
	u, err = s.ChangeUser(ctx, "nobody", UserChange{Password: ptr(other)})
	show(u, err)
	for _, bad := range []string{other[:7], strings.Repeat(other, 100), newPlain()} {
		u, err := s.ChangeUser(ctx, "alice", UserChange{Password: &bad})
		show(u, err)
	}
	secret, plain, err := s.AddSecret(ctx, Secret{Of: "user:alice", Purpose: PurposeToken, Expires: end})
	show(secret, err)
	login, refresh, err := s.AddSecret(ctx, Secret{Of: "user:alice", Purpose: PurposeLogin, Via: viaSecret + secret.ID, Expires: end})
	show(login, err)
	show(nil, s.Alive(ctx, auth.Identity{Kind: auth.User, Name: "alice", Via: viaSecret + plain}))
	show(nil, s.RevokeSecret(ctx, plain[4:]))
	for _, name := range []string{"alice", "bob", "token"} {
		for _, with := range []string{password, other, plain, refresh, altered(plain, 40), plain[:50]} {
			who, until, err := s.Login(ctx, name, with)
			show([]any{who, until}, err)
		}
	}
	list, err := s.Secrets(ctx, "user:alice")
	show(list, err)
	show(all(t, s.Users(ctx, "")), nil)
	show(s.events(t), nil)
	must(t, s.flush(ctx))
	must(t, s.RevokeSecret(ctx, secret.ID))
	show(s.events(t), nil)
	row, err := get[userRow](ctx, s.db, keyUser("alice"))
	must(t, err)
	for what, text := range map[string]string{"shown": shown.String(), "kept": dump(t, s.db)} {
		for _, word := range []string{password, other, other[:7], "ent_", plain[21:49], plain[50:], refresh[21:]} {
			if strings.Contains(text, word) && (word != other[:7] || what == "shown") {
				t.Errorf("%q is %s in:\n%s", word, what, text)
			}
		}
	}
	for _, word := range []string{row.Hash, "$2a$", "sha256"} {
		if strings.Contains(shown.String(), word) {
			t.Errorf("%q is shown in:\n%s", word, shown.String())
		}
	}
	if !strings.Contains(row.Hash, "$2a$") {
		t.Errorf("the hash %q is none of bcrypt's, and the test looks for nothing", row.Hash)
	}
}
