package account

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/storage/kv"
)

// volatile is what differs from one run to the next, and what stands for it in the golden file.
var volatile = []struct {
	found *regexp.Regexp
	put   string
}{
	{regexp.MustCompile(`^journal/new/[0-9A-Z]{26}`), "journal/new/<id>"},
	{regexp.MustCompile(`"id":"[0-9A-Z]{26}"`), `"id":"<id>"`},
	{regexp.MustCompile(`"time":"[^"]*"`), `"time":"<time>"`},
	{regexp.MustCompile(`"hash":"[^"]{60}"`), `"hash":"<hash>"`},
	{regexp.MustCompile(`"sha256":"[^"]{44}"`), `"sha256":"<sha256>"`},
}

// TestKeys prints every key and value of a sample: what is stored under which key changes only on purpose.
func TestKeys(t *testing.T) {
	s := open(t)
	ctx := as(t.Context(), "user:root")
	_, err := s.AddUser(ctx, "root", password, []string{"ops", "dev", "ops"}, &auth.Grant{Role: auth.Admin, On: auth.Everywhere})
	must(t, err)
	_, err = s.SignedIn(ctx, "corp", "alice", []string{"dmp"})
	must(t, err)
	_, err = s.AddRobot(ctx, Robot{Name: "ci-dmp", On: "cloud/dmp", Note: "pushes"})
	must(t, err)
	_, err = s.AddGrant(ctx, auth.Grant{Who: "robot:ci-dmp", Role: auth.CIRole, On: "cloud/dmp/**"})
	must(t, err)
	names := map[string]string{}
	add := func(name string, secret Secret) (Secret, string) {
		t.Helper()
		s.advance(time.Second)
		added, plain, err := s.AddSecret(ctx, secret)
		must(t, err)
		names[added.ID] = name
		return added, plain
	}
	pushes, plain := add("<robot's secret>", Secret{Of: "robot:ci-dmp", Purpose: PurposeSecret, Note: "for the pipeline"})
	end := s.now().Add(24 * time.Hour)
	add("<robot's login>", Secret{Of: "robot:ci-dmp", Purpose: PurposeLogin, Via: viaSecret + pushes.ID, Expires: end})
	add("<alice's token>", Secret{Of: "user:alice@corp", Purpose: PurposeToken, Scope: auth.Scope{{Type: "repository", Name: "a/b", Actions: []string{"pull"}}}})
	add("<alice's nothing>", Secret{Of: "user:alice@corp", Purpose: PurposeToken, Scope: auth.Scope{}, Expires: end})
	root := s.login(t, "root", password)
	add("<root's session>", Secret{Of: "user:root", Purpose: PurposeSession, Via: root.Via, Expires: end})
	s.login(t, "ci-dmp", plain)
	must(t, s.flush(ctx))

	text := dump(t, s.db)
	for id, name := range names {
		text = strings.ReplaceAll(text, id, name)
	}
	var lines []string
	for line := range strings.Lines(text) {
		for _, v := range volatile {
			line = v.found.ReplaceAllString(line, v.put)
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	got := sorted(strings.Join(lines, "\n")) + "\n" // ids have no order that lasts
	golden := filepath.Join("testdata", "keys.golden")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if got != string(want) {
		t.Errorf("the keys of the sample are others than in %s; if that is meant, write to keys.go what it means, and run with -update. They are:\n%s", golden, got)
	}
}

// TestKeys_fit takes everything as long as it may be: no key outgrows what every driver takes.
func TestKeys_fit(t *testing.T) {
	s := open(t)
	longest := strings.Repeat("a", auth.MaxName-len("@corp"))
	_, err := s.SignedIn(t.Context(), "corp", longest, nil)
	must(t, err)
	secret, plain := s.secret(t, "user:"+longest+"@corp", PurposeToken, "")
	if who := s.login(t, "token", plain); who.Name != longest+"@corp" {
		t.Errorf("logged in as %s", who)
	}
	robot := strings.Repeat("é", auth.MaxName/2)
	s.robot(t, robot)
	s.secret(t, "robot:"+robot, PurposeSecret, "")
	must(t, s.flush(t.Context()))
	must(t, s.RevokeSecret(t.Context(), secret.ID))
	must(t, s.RemoveRobot(t.Context(), robot))
}

// TestKeys_nothing_is_left of what was removed: but for the journal and the epoch, the index is as before.
func TestKeys_nothing_is_left(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	s.user(t, "alice")
	s.user(t, "alice-2")
	s.robot(t, "alice")
	var plains []string
	for _, c := range [][2]string{{"user:alice", PurposeToken}, {"user:alice", PurposeSession}, {"robot:alice", PurposeSecret}, {"robot:alice", PurposeLogin}, {"user:alice-2", PurposeToken}} {
		_, plain := s.secret(t, c[0], c[1], "")
		plains = append(plains, plain)
		s.use(t, c[1], plain)
	}
	s.login(t, "alice", password)
	for _, who := range []string{"user:alice", "robot:alice", "user:alice-2"} {
		_, err := s.AddGrant(ctx, auth.Grant{Who: who, Role: auth.Reader, On: "a"})
		must(t, err)
	}
	must(t, s.flush(ctx))
	must(t, s.RemoveUser(ctx, "alice"))
	if !strings.Contains(dump(t, s.db), "robot:alice") {
		t.Error("a robot went with the user of the same name")
	}
	must(t, s.RemoveRobot(ctx, "alice"))
	s.login(t, "alice-2", plains[4])
	if left := all(t, s.Grants(ctx)); len(left) != 1 || left[0].Who != "user:alice-2" {
		t.Errorf("grants %v are left, want the one to user:alice-2", left)
	}
	must(t, s.RemoveUser(ctx, "alice-2"))
	must(t, s.flush(ctx)) // what was used until then
	for p, err := range s.db.Scan(ctx, "", "") {
		if must(t, err); p.Key != keyEpoch && !strings.HasPrefix(p.Key, "journal/") {
			t.Errorf("%s is left", p.Key)
		}
	}
}

// TestKeys_damaged: a row that cannot be read is a fault that shows nothing of it, and can be removed.
func TestKeys_damaged(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	s.user(t, "alice")
	s.robot(t, "ci")
	secret, plain := s.secret(t, "robot:ci", PurposeSecret, "")
	g, err := s.AddGrant(ctx, auth.Grant{Who: "user:alice", Role: auth.Reader, On: "a"})
	must(t, err)
	keys := []string{keyUser("alice"), keyRobot("ci"), keySecret(secret.ID), keySecretOf("robot:ci", secret.ID), keyGrant(g.ID)}
	for _, key := range keys {
		good, err := s.db.Get(ctx, key)
		must(t, err)
		set := func(value []byte) {
			must(t, s.db.Update(ctx, func(tx kv.Tx) error { tx.Put(key, value); return nil }))
		}
		set([]byte(`"top secret`))
		failed := 0
		for name, do := range everything(ctx, s, secret.ID, plain, g.ID) {
			err := do()
			if err == nil || Code(err) != "" {
				continue
			}
			failed++
			if !strings.Contains(err.Error(), "damaged") || strings.Contains(err.Error(), "top secret") {
				t.Errorf("%s with a damaged %s: %v", name, key, err)
			}
		}
		if failed == 0 {
			t.Errorf("nobody sees that %s is damaged", key)
		}
		set(good)
	}
	must(t, s.db.Update(ctx, func(tx kv.Tx) error {
		tx.Put(keyRobot("ci"), []byte("{"))
		tx.Put(keyUsed(secret.ID), []byte("yesterday"))
		return nil
	}))
	if got, err := s.Secret(ctx, secret.ID); err != nil || !got.LastUsed.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	must(t, s.RemoveRobot(ctx, "ci"))
	must(t, s.db.Update(ctx, func(tx kv.Tx) error { tx.Put(keyEpoch, []byte("many")); return nil }))
	if _, err := Open(ctx, Config{Index: s.db, Passwords: s.hasher}); err == nil {
		t.Error("a damaged epoch does not matter")
	}
	if s.poll(ctx) == nil || s.RemoveUser(ctx, "alice") == nil {
		t.Error("a damaged epoch does not matter")
	}
}

// everything is a call of each method that reads rows, given a user alice and a robot ci that has the secret.
func everything(ctx context.Context, s *sample, id, plain, grant string) map[string]func() error {
	return map[string]func() error{
		"AddUser":     func() error { _, err := s.AddUser(ctx, "alice", password, nil, nil); return err },
		"ChangeUser":  func() error { _, err := s.ChangeUser(ctx, "alice", UserChange{Disabled: ptr(false)}); return err },
		"User":        func() error { _, err := s.User(ctx, "alice"); return err },
		"Users":       func() error { return drained(s.Users(ctx, "")) },
		"AddRobot":    func() error { _, err := s.AddRobot(ctx, Robot{Name: "ci", On: "a"}); return err },
		"ChangeRobot": func() error { _, err := s.ChangeRobot(ctx, "ci", RobotChange{Disabled: ptr(false)}); return err },
		"Robot":       func() error { _, err := s.Robot(ctx, "ci"); return err },
		"Robots":      func() error { return drained(s.Robots(ctx, "")) },
		"Secret":      func() error { _, err := s.Secret(ctx, id); return err },
		"Secrets":     func() error { _, err := s.Secrets(ctx, "robot:ci"); return err },
		"Grant":       func() error { _, err := s.Grant(ctx, grant); return err },
		"Grants":      func() error { return drained(s.Grants(ctx)) },
		"Login":       func() error { _, _, err := s.Login(ctx, "ci", plain); return err },
		"Login user":  func() error { _, _, err := s.Login(ctx, "alice", password); return err },
		"Identity":    func() error { _, err := s.Identity(ctx, "user:alice"); return err },
		"Alive":       func() error { return s.Alive(ctx, auth.Identity{Kind: auth.Robot, Name: "ci", Via: viaSecret + id}) },
		"purge":       func() error { return s.purge(ctx) },
		"AddSecret": func() error {
			_, _, err := s.AddSecret(ctx, Secret{Of: "robot:ci", Purpose: PurposeLogin, Via: viaSecret + id, Expires: s.now().Add(time.Minute)})
			return err
		},
		"AddGrant": func() error {
			_, err := s.AddGrant(ctx, auth.Grant{Who: "user:alice", Role: auth.Reader, On: "a"})
			return err
		},
	}
}
