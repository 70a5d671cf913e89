package htpasswd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/password"
)

var _ auth.Provider = (*File)(nil)

// Hashes that htpasswd wrote, and what of.
const (
	aliceHash   = "$2y$05$f4AOAsESo.t3Yg/xJf5JGOI9XhOvwZLppCZ/hQNhU1FkUS.OkQC8u"
	aliceSecret = "correct horse"
	bobHash     = "$2y$04$akdy2OTolrjcqypKAwJ9zeiwxYT.VUBNdWXobIxiF3PWQbDG0Hhky"
	bobSecret   = "Tr0ub4dor&3"
	argonHash   = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	argonSecret = "password"
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace puts a new file in the place of an old one, as editors do.
func replace(t *testing.T, path, content string) {
	t.Helper()
	write(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, content string) (*File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "htpasswd")
	write(t, path, content)
	f, err := Open(Config{Path: path, Passwords: password.New(1), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

func TestLogin(t *testing.T) {
	f, _ := open(t, "\xef\xbb\xbf# users of the registry\r\n\r\nalice:"+aliceHash+"\r\n  \nbob:"+bobHash+" \ncarol smith:"+argonHash)
	if got := f.Names(); !slices.Equal(got, []string{"alice", "bob", "carol smith"}) {
		t.Fatalf("%q", got)
	}
	for _, c := range []struct {
		name, secret string
		want         error
	}{
		{"alice", aliceSecret, nil},
		{"bob", bobSecret, nil},
		{"carol smith", argonSecret, nil},
		{"alice", bobSecret, auth.ErrWrong},
		{"alice", "", auth.ErrWrong},
		{"alice", aliceHash, auth.ErrWrong},
		{"alice", strings.Repeat("x", 2000), auth.ErrWrong},
		{"Alice", aliceSecret, auth.ErrUnknown},
		{"", aliceSecret, auth.ErrUnknown},
		{"# users of the registry", "", auth.ErrUnknown},
		{"alice:" + aliceHash, aliceSecret, auth.ErrUnknown},
	} {
		who, until, err := f.Login(t.Context(), c.name, c.secret)
		if !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.name, err, c.want)
			continue
		}
		if err != nil {
			if !who.Anonymous() || !until.IsZero() {
				t.Errorf("%q: %v until %v with an error", c.name, who, until)
			}
			continue
		}
		if who.Kind != auth.User || who.Name != c.name || who.Scope != nil || who.Grants != nil || who.Groups != nil {
			t.Errorf("%+v, want the plain user %s", who, c.name)
		}
		if !until.Equal(noon.Add(10 * time.Minute)) {
			t.Errorf("until %v, want ten minutes from now", until)
		}
		if err := f.Alive(who); err != nil {
			t.Errorf("%s is not alive: %v", who, err)
		}
	}
	who, _, _ := f.Login(t.Context(), "alice", aliceSecret)
	if want := "htpasswd:alice:9a9d3d93a1c8e8e3"; who.Via != want { // sha256sum of the line
		t.Errorf("Via is %q, want %q", who.Via, want)
	}
}

type broken struct{}

func (broken) Matches(context.Context, string, string) (bool, error) {
	return false, password.ErrBusy
}

func TestLogin_passes_on_why_it_cannot_tell(t *testing.T) {
	f, _ := open(t, "alice:"+aliceHash)
	f.passwords = broken{}
	_, _, err := f.Login(t.Context(), "alice", aliceSecret)
	if !errors.Is(err, password.ErrBusy) || errors.Is(err, auth.ErrWrong) || strings.Contains(err.Error(), aliceSecret) {
		t.Errorf("%v, want ErrBusy", err)
	}
}

func TestAlive_ends_with_the_line(t *testing.T) {
	f, path := open(t, "alice:"+aliceHash+"\nbob:"+bobHash+"\ncarol:"+argonHash+"\n")
	logins := map[string]auth.Identity{}
	for name, secret := range map[string]string{"alice": aliceSecret, "bob": bobSecret, "carol": argonSecret} {
		who, _, err := f.Login(t.Context(), name, secret)
		if err != nil {
			t.Fatal(err)
		}
		logins[name] = who
	}
	replace(t, path, "carol:"+argonHash+"\nalice:"+bobHash+"\n")
	if err := f.Alive(logins["bob"]); err != nil {
		t.Errorf("%v before the file was read again", err)
	}
	if changed, err := f.Reload(); !changed || err != nil {
		t.Fatal(changed, err)
	}
	for name, want := range map[string]error{"alice": auth.ErrWrong, "bob": auth.ErrWrong, "carol": nil} {
		if err := f.Alive(logins[name]); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	carol := logins["carol"]
	for _, who := range []auth.Identity{
		{},
		{Kind: auth.User, Name: "carol"},
		{Kind: auth.User, Name: "carol", Via: "htpasswd:carol:"},
		{Kind: auth.User, Name: "alice", Via: carol.Via},
		{Kind: auth.Robot, Name: "carol", Via: carol.Via},
		{Kind: auth.User, Name: "carol", Via: "account:" + strings.TrimPrefix(carol.Via, Prefix)},
	} {
		if err := f.Alive(who); !errors.Is(err, auth.ErrWrong) {
			t.Errorf("%+v is alive: %v", who, err)
		}
	}
}

func TestReload_sees_changes(t *testing.T) {
	f, path := open(t, "alice:"+aliceHash+"\n")
	reload := func(what string, want bool, names ...string) {
		t.Helper()
		changed, err := f.Reload()
		if err != nil || changed != want || !slices.Equal(f.Names(), names) {
			t.Errorf("%s: changed %v, %v, users %q; want %v and %q", what, changed, err, f.Names(), want, names)
		}
	}
	reload("nothing happened", false, "alice")
	replace(t, path, "bob:"+bobHash+"\n")
	reload("another file", true, "bob")
	write(t, path, "bob:"+bobHash+"\nalice:"+aliceHash+"\n")
	reload("more lines", true, "alice", "bob")
	write(t, path, "alice:"+aliceHash+"\nbob:"+bobHash+"\n")
	reload("other order", false, "alice", "bob")
	write(t, path, "")
	reload("nobody left", true)
}

func TestReload_reads_a_file_again_that_changed_within_the_same_moment(t *testing.T) {
	f, path := open(t, "alice:"+aliceHash+"\n")
	written := time.Now().Truncate(time.Second)
	f.now = func() time.Time { return written.Add(time.Second) }
	set := func(name string) {
		t.Helper()
		write(t, path, name+":"+aliceHash+"\n")
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"clara", "diana", "edgar"} { // same size, same inode, same time
		set(name)
		if i == 2 {
			f.now = func() time.Time { return written.Add(time.Minute) }
		}
		if changed, err := f.Reload(); !changed || err != nil || f.Names()[0] != name {
			t.Errorf("%s is not seen: %v, %v, %q", name, changed, err, f.Names())
		}
	}
	set("fiona") // which nothing tells any more: the file had settled
	if changed, err := f.Reload(); changed || err != nil {
		t.Errorf("%v, %v: a settled file is read again each time", changed, err)
	}
}

func TestReload_sees_each_sign_of_a_change_by_itself(t *testing.T) {
	f, path := open(t, "alice:"+aliceHash+"\n")
	long := noon.Add(-time.Hour)
	touch := func(when time.Time) {
		t.Helper()
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	touch(long)
	if changed, err := f.Reload(); changed || err != nil {
		t.Fatal(changed, err)
	}
	for _, c := range []struct {
		sign, name string
		change     func(t *testing.T, path, content string)
		when       time.Time
	}{
		{"inode", "clara", replace, long},
		{"size", "bob", write, long},
		{"time", "eve", write, long.Add(time.Second)},
	} {
		c.change(t, path, c.name+":"+aliceHash+"\n")
		touch(c.when)
		if changed, err := f.Reload(); !changed || err != nil || !slices.Equal(f.Names(), []string{c.name}) {
			t.Errorf("only its %s changed: %v, %v, users %q", c.sign, changed, err, f.Names())
		}
	}
}

func TestReload_keeps_the_users_when_the_file_is_faulty(t *testing.T) {
	f, path := open(t, "alice:"+aliceHash+"\n")
	for what, spoil := range map[string]func(){
		"a faulty line": func() { replace(t, path, "bob:"+bobHash+"\ncarol:hunter2\n") },
		"a folder":      func() { _ = os.Remove(path); _ = os.Mkdir(path, 0o700) },
		"no file":       func() { _ = os.RemoveAll(path) },
	} {
		spoil()
		for range 2 {
			if changed, err := f.Reload(); changed || err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v, %v", what, changed, err)
			}
		}
		if got := f.Names(); !slices.Equal(got, []string{"alice"}) {
			t.Errorf("%s: users are %q", what, got)
		}
		_ = os.RemoveAll(path)
	}
	replace(t, path, "bob:"+bobHash+"\n")
	if changed, err := f.Reload(); !changed || err != nil {
		t.Errorf("once it is well again: %v, %v", changed, err)
	}
}

func TestOpen_names_every_faulty_line(t *testing.T) {
	const secret = "hunter2"
	lines := []struct{ line, want string }{
		{"alice:" + aliceHash, ""},
		{"bob:$apr1$JNTvHAIt$HHeGhxIRR67UG8AJwq9j9/", "line 2: user bob: MD5 (apr1) is not accepted as a hash of passwords: use bcrypt or argon2id"},
		{"carl:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=", "line 3: user carl: SHA-1 "},
		{"dora:CZrY5lrlcFb2Y", "line 4: user dora: DES (crypt) "},
		{"emil:$5$Y0eyQHqjUvWfQmeV$6Bmri9XrwcLzH4CEV0zTB3DasevQEreD1TyNvMBt4n9", "line 5: user emil: SHA-256 (crypt) "},
		{"fred:" + secret, "line 6: user fred: plain text"},
		{"gerd:", "line 7: user gerd: nothing "},
		{"# " + secret, ""},
		{secret, "line 9: there is no colon"},
		{":" + aliceHash, "line 10: what stands before the colon can be nobody's name"},
		{" hans:" + aliceHash, "line 11: what stands"},
		{"ha\x00ns" + secret + ":" + aliceHash, "line 12: what stands"},
		{"ha\xffns:" + aliceHash, "line 13: what stands"},
		{strings.Repeat("i", 256) + ":" + aliceHash, "line 14: what stands"},
		{"alice:" + bobHash, "line 15: user alice has line 1 already"},
		{"jan:" + aliceHash + ":" + secret, "line 16: user jan: the bcrypt hash is damaged"},
		{"kim:$2y$16" + aliceHash[6:], "line 17: user kim: the bcrypt hash has cost 16"},
		{"lea:" + strings.Repeat("x", 2000), "line 18: it is longer than 1024 bytes"},
		{"mia:" + bobHash, ""},
	}
	var content strings.Builder
	faults := 0
	for _, l := range lines {
		content.WriteString(l.line + "\n")
		if l.want != "" {
			faults++
		}
	}
	path := filepath.Join(t.TempDir(), "htpasswd")
	write(t, path, content.String())
	f, err := Open(Config{Path: path, Passwords: password.New(1)})
	if err == nil {
		t.Fatalf("opened with users %q", f.Names())
	}
	for _, l := range lines {
		if !strings.Contains(err.Error(), l.want) {
			t.Errorf("no %q in:\n%v", l.want, err)
		}
	}
	if got := strings.Count(err.Error(), "\nline "); got != faults {
		t.Errorf("%d faults are told, want %d:\n%v", got, faults, err)
	}
	for _, never := range []string{secret, aliceHash, "$HHeGhx", "EfatjsU", "CZrY5l", "Bmri9X"} {
		if strings.Contains(err.Error(), never) {
			t.Errorf("the error tells %q of the file:\n%v", never, err)
		}
	}
}

func TestOpen_bounds(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "htpasswd")
	for _, c := range []struct{ what, content, want string }{
		{"too large", strings.Repeat("#", maxFile+1), "more than 8 MiB"},
		{"too many lines", strings.Repeat("\n", maxLines) + "x", "more than 100000 lines"},
		{"too many faults", strings.Repeat("x\n", maxFaults+7), "and 7 more faulty lines"},
	} {
		write(t, path, c.content)
		if _, err := Open(Config{Path: path}); err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 100<<10 {
			t.Errorf("%s: %.200v, want %q", c.what, err, c.want)
		}
	}
	for what, p := range map[string]string{"a folder": folder, "no file": path + ".none", "a device": os.DevNull} {
		if _, err := Open(Config{Path: p}); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", what, err)
		}
	}
	write(t, path, strings.Repeat("\n", maxLines-1)+"alice:"+aliceHash)
	if _, err := Open(Config{Path: path}); err != nil {
		t.Errorf("as many lines as may be: %v", err)
	}
}

func TestOpen_logs_no_line(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "htpasswd")
	write(t, path, "alice:"+aliceHash+"\n")
	if _, err := Open(Config{Path: path, Log: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, "users=1") || strings.Contains(got, "alice") || strings.Contains(got, "$2y$") {
		t.Errorf("%s", got)
	}
}

// FuzzParse looks for content that is repeated in errors, or read as users that no line names.
func FuzzParse(f *testing.F) {
	f.Add([]byte("alice:" + aliceHash + "\n#\n\nbob:x"))
	f.Add([]byte("\xef\xbb\xbfa:b:c\r\r\n:"))
	f.Fuzz(func(t *testing.T, content []byte) {
		users, err := parse(content)
		if err != nil {
			return
		}
		for name, u := range users {
			if auth.CheckName(name) != nil || password.Check(u.hash) != nil || !bytes.Contains(content, fmt.Appendf(nil, "%s:%s", name, u.hash)) {
				t.Errorf("%q: %+v", name, u)
			}
		}
	})
}
