// Package login finds out who it is that shows a password, a secret or a token.
//
//	logins := login.New(login.Config{Accounts: accounts, Tokens: tokens, Passwords: hasher})
//	logins.Use(login.Source{Name: "htpasswd", Provider: file, Alive: file.Alive}, login.Source{Name: "corp", Provider: directory})
//	who, err := logins.Identify(ctx, auth.Credentials{Authorization: header, Remote: address})
//
// The promises:
//   - Who is known here is asked about here: a name that the registry keeps itself never goes to a directory elsewhere, and a secret of the registry's
//     own form never goes anywhere.
//   - What was checked once is remembered under its hash for as long as its provider allows, at most ten minutes, in bounded memory. What is withdrawn is
//     refused at once all the same: whenever accounts change, what is remembered is asked about again.
//   - A browser's session is good as nothing else, and nothing else is good as a session.
//   - Failed attempts are counted for each source and for each name; beyond a bound more are not looked at, and the answer says how long to wait. Long random
//     secrets are not counted against their owner's name, so nobody can lock a robot out.
//   - Who logs in as NAME@UPSTREAM, where that is one that is pulled through with each caller's own credentials, is looked for there and nowhere else, and no attempt
//     of theirs is counted against anybody here.
//   - That a name is not known takes as long to say as that its password is wrong.
//
// What somebody may do is not decided here.
package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/auth/token"
)

// Config is what logging in stands on.
type Config struct {
	Accounts *account.Store
	Tokens   *token.Issuer

	// Passwords wastes the time that checking a password would take.
	Passwords interface {
		Waste(ctx context.Context, password string) error
	}

	Log *slog.Logger     // default: none
	Now func() time.Time // default time.Now
}

// Source is where people, jobs and machines are known besides the registry's own accounts.
type Source struct {
	Name     string // what the Via of its identities begins with
	Provider auth.Provider
	Tokens   bool                      // it judges signed tokens, and is asked about nothing else
	Alive    func(auth.Identity) error // whether the credential still stands; nil: it stands until its time is over
}

// Logins knows who logs in.
type Logins struct {
	accounts  *account.Store
	tokens    *token.Issuer
	passwords interface {
		Waste(ctx context.Context, password string) error
	}
	log       *slog.Logger
	now       func() time.Time
	sources   atomic.Pointer[[]Source]
	upstreams atomic.Pointer[map[string]*Upstream]
	forgets   atomic.Uint64 // moves when all that is remembered has to be asked about again
	known     *recent[[32]byte, *known]
	limits    *limits
	foreign   *limits // of upstreams' people
	asking    singleflight.Group
}

// known is a login that was found good.
type known struct {
	who   auth.Identity
	until time.Time
	mu    sync.Mutex
	as    stamp // the state of accounts and sources that it was judged by
}

type stamp struct{ accounts, keys, forgets uint64 }

// remember is how many logins are remembered, and how long at most.
const (
	rememberLogins = 20_000
	rememberFor    = 10 * time.Minute
)

// New returns logins without any sources but the accounts and tokens.
func New(c Config) *Logins {
	l := &Logins{accounts: c.Accounts, tokens: c.Tokens, passwords: c.Passwords, log: c.Log, now: c.Now}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.now == nil {
		l.now = time.Now
	}
	l.known = newRecent[[32]byte, *known](rememberLogins)
	l.limits, l.foreign = newLimits(l.now), newLimits(l.now)
	l.sources.Store(&[]Source{})
	return l
}

// Use replaces the sources. They are asked in this order.
func (l *Logins) Use(sources ...Source) {
	l.sources.Store(&sources)
	l.Forget()
}

// Forget makes everything that is remembered be asked about again: a file of users changed.
func (l *Logins) Forget() { l.forgets.Add(1) }

// Identify returns who shows these credentials. What is no good is an error that wraps auth.ErrWrong; too many failed attempts, or too little time to
// look at one, are an *auth.Wait; anything else is a fault.
func (l *Logins) Identify(ctx context.Context, shown auth.Credentials) (auth.Identity, error) {
	if len(shown.Authorization) > maxShown {
		return auth.Identity{}, fmt.Errorf("%w: the Authorization header is longer than %d bytes", auth.ErrWrong, maxShown)
	}
	if shown.Authorization == "" {
		if shown.Session == "" {
			return auth.Identity{}, nil
		}
		return l.find(ctx, "session", "", shown.Session, func() (auth.Identity, time.Time, error) { return l.accounts.Session(ctx, shown.Session) })
	}
	scheme, rest, _ := strings.Cut(shown.Authorization, " ")
	rest = strings.TrimLeft(rest, " ")
	switch {
	case strings.EqualFold(scheme, "Basic"):
		name, secret, err := basic(rest)
		if err != nil {
			return auth.Identity{}, err
		}
		return l.Password(ctx, name, secret, shown.Remote)
	case strings.EqualFold(scheme, "Bearer"):
		return l.Token(ctx, rest)
	}
	return auth.Identity{}, fmt.Errorf("%w: the Authorization header is neither Basic nor Bearer", auth.ErrWrong)
}

// find returns whom credentials belong to, from memory or by check. What is remembered is what they say, not how it was spelled: else one password could
// be checked again and again.
func (l *Logins) find(ctx context.Context, kind, name, secret string, check func() (auth.Identity, time.Time, error)) (auth.Identity, error) {
	text := make([]byte, 0, 1024)
	text = append(append(append(append(append(text, kind...), 0), name...), 0), secret...)
	key := sha256.Sum256(text)
	if who, ok := l.remembered(ctx, key); ok {
		return who, nil
	}
	return l.once(ctx, key, check)
}

// maxShown is the longest Authorization header that is looked at, in bytes.
const maxShown = 48 << 10

// Password is Identify for a name and a secret that came another way: the token service's form.
func (l *Logins) Password(ctx context.Context, name, secret, remote string) (auth.Identity, error) {
	if len(name)+len(secret) > maxShown || strings.ContainsRune(name, 0) {
		return auth.Identity{}, fmt.Errorf("%w: a name and a password that nobody has", auth.ErrWrong)
	}
	return l.find(ctx, "basic", name, secret, func() (auth.Identity, time.Time, error) { return l.password(ctx, name, secret, remote) })
}

// Token is Identify for a token that came another way.
func (l *Logins) Token(ctx context.Context, raw string) (auth.Identity, error) {
	if len(raw) > maxShown {
		return auth.Identity{}, fmt.Errorf("%w: the token is longer than %d bytes", auth.ErrWrong, maxShown)
	}
	return l.find(ctx, "bearer", "", raw, func() (auth.Identity, time.Time, error) { return l.bearer(ctx, raw) })
}

// basic takes credentials apart (RFC 7617).
func basic(encoded string) (name, secret string, err error) {
	text, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", "", fmt.Errorf("%w: Basic credentials that are no base64", auth.ErrWrong)
	}
	name, secret, found := strings.Cut(string(text), ":")
	if !found || secret == "" {
		return "", "", fmt.Errorf("%w: Basic credentials without a password", auth.ErrWrong)
	}
	return name, secret, nil
}

// remembered returns a login that was found good before and still is.
func (l *Logins) remembered(ctx context.Context, key [32]byte) (auth.Identity, bool) {
	k, ok := l.known.get(key)
	if !ok || !l.now().Before(k.until) {
		return auth.Identity{}, false
	}
	now := l.stamp()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.as != now {
		if k.as.forgets != now.forgets || k.as.keys != now.keys {
			return auth.Identity{}, false
		}
		who, err := l.current(ctx, k.who)
		if err != nil {
			return auth.Identity{}, false
		}
		k.who, k.as = who, now
	}
	return k.who, true
}

func (l *Logins) stamp() stamp { return stamp{l.accounts.Epoch(), l.tokens.Epoch(), l.forgets.Load()} }

// once checks credentials, one check at a time for each, and remembers them if they are good. A check outlives the request that began it, since others may
// wait for it, but not by much: each provider bounds its own time.
func (l *Logins) once(ctx context.Context, key [32]byte, check func() (auth.Identity, time.Time, error)) (auth.Identity, error) {
	v, err, _ := l.asking.Do(string(key[:]), func() (any, error) {
		as := l.stamp() // taken before: what changes during the check is asked about again
		who, until, err := check()
		if err != nil {
			return nil, err
		}
		if latest := l.now().Add(rememberFor); until.IsZero() || until.After(latest) {
			until = latest
		}
		l.known.put(key, &known{who: who, until: until, as: as})
		return who, nil
	})
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		// It was another request's client that left.
		who, until, err := check()
		if err == nil {
			l.known.put(key, &known{who: who, until: until, as: l.stamp()})
		}
		return who, err
	}
	if err != nil {
		return auth.Identity{}, err
	}
	return v.(auth.Identity), nil
}

// current returns an identity as it is now, if the credential that it rests on still stands.
func (l *Logins) current(ctx context.Context, who auth.Identity) (auth.Identity, error) {
	if who.Kind == auth.Caller {
		return who, l.still(who)
	}
	name, _, _ := strings.Cut(who.Via, ":")
	switch name {
	case "":
		return who, nil
	case "secret", auth.User, auth.Robot:
		return l.accounts.Current(ctx, who)
	}
	for _, s := range *l.sources.Load() {
		if s.Name == name && s.Alive != nil {
			return who, s.Alive(who)
		}
	}
	return auth.Identity{}, fmt.Errorf("%w: what vouched for %s is configured no more", auth.ErrWrong, who)
}
