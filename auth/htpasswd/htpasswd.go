// Package htpasswd knows users from a file as Apache's htpasswd writes it.
//
//	htpasswd -B -c /etc/entrepot/htpasswd alice        # -B: bcrypt; the other kinds are refused
//
//	users, err := htpasswd.Open(htpasswd.Config{Path: "/etc/entrepot/htpasswd", Passwords: password.New(0), Log: log})
//	who, until, err := users.Login(ctx, "alice", secret)
//	…
//	changed, err := users.Reload()                     // now and then, or on SIGHUP
//	err = users.Alive(who)                             // has the entry been removed or its password changed since?
//
// A line is a name, a colon and a hash that package password takes: bcrypt or argon2id. Empty lines and lines that begin with # are ignored,
// a byte order mark and Windows' ends of lines too. A file with any faulty line is refused as a whole, with all its faults, so that a user who cannot
// log in is found out by who edits the file. Errors name lines and users, never anything else of the file.
//
// The file is read when it is opened and by Reload, never in between: whoever wants changes to be seen calls Reload. Names that are not in the file are
// answered at once; it is for the caller, who asks other providers then, to hide by the time taken whether a name exists (see
// password.Hasher.Waste).
package htpasswd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot/entrepot/auth"
)

// Remember is how long a login may be believed without asking again.
const Remember = 10 * time.Minute

// Passwords checks a password against its hash; *password.Hasher does.
type Passwords interface {
	Matches(ctx context.Context, hash, password string) (bool, error)
}

// Config is what a File stands on.
type Config struct {
	Path      string // the file
	Passwords Passwords
	Log       *slog.Logger     // nil logs nothing
	Now       func() time.Time // time.Now if nil
}

// File is the users of a file; it is an [auth.Provider]. It may be used by many at once.
type File struct {
	path      string
	passwords Passwords
	log       *slog.Logger
	now       func() time.Time

	reload sync.Mutex // held while the file is read
	seen   snapshot   // how the file was when it was read
	users  atomic.Pointer[map[string]user]
}

// user is one line.
type user struct {
	hash string
	mark string // of the line, for Via
}

// Open reads the file. The error names every faulty line.
func Open(c Config) (*File, error) {
	f := &File{path: c.Path, passwords: c.Passwords, log: c.Log, now: c.Now}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.now == nil {
		f.now = time.Now
	}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Login implements [auth.Provider].
func (f *File) Login(ctx context.Context, name, secret string) (auth.Identity, time.Time, error) {
	u, found := (*f.users.Load())[name]
	if !found {
		return auth.Identity{}, time.Time{}, auth.ErrUnknown
	}
	ok, err := f.passwords.Matches(ctx, u.hash, secret)
	if err != nil {
		return auth.Identity{}, time.Time{}, fmt.Errorf("check the password of user %s of the htpasswd file: %w", name, err)
	}
	if !ok {
		return auth.Identity{}, time.Time{}, auth.ErrWrong
	}
	return auth.Identity{Kind: auth.User, Name: name, Via: via(name, u.mark)}, f.now().Add(Remember), nil
}

// Alive returns nil if the line that who logged in with is still in the file as it was last read, and [auth.ErrWrong] otherwise: the user was
// removed, or has another password now.
func (f *File) Alive(who auth.Identity) error {
	u, found := (*f.users.Load())[who.Name]
	if !found || who.Kind != auth.User || who.Via != via(who.Name, u.mark) {
		return fmt.Errorf("the line of %s in the htpasswd file was removed or changed: %w", who, auth.ErrWrong)
	}
	return nil
}

// Names returns all users, sorted.
func (f *File) Names() []string {
	users := *f.users.Load()
	names := make([]string, 0, len(users))
	for name := range users {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Prefix begins the Via of identities that come from here.
const Prefix = "htpasswd:"

func via(name, mark string) string { return Prefix + name + ":" + mark }

// mark tells lines apart without telling what they say.
func mark(name, hash string) string {
	sum := sha256.Sum256([]byte(name + ":" + hash))
	return hex.EncodeToString(sum[:8])
}
