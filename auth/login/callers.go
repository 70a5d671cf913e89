package login

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
)

// Upstream is a registry that is pulled through with the credentials of whoever pulls. Who logs in as NAME@<its name> is one of its people: neither the name nor the
// password is told to anybody else, nor are those of others to it.
type Upstream struct {
	Name string

	// Check asks the upstream whether it takes a name and a secret: an error that wraps auth.ErrWrong says no, any other that it cannot be told just now. No error
	// holds the secret.
	Check func(ctx context.Context, name, secret string) (Word, error)
}

// Word is what an upstream says of credentials that it does not refuse.
type Word struct {
	Proven bool      // it has looked at them; else it lets everybody in at its door, and they may still be wrong
	Until  time.Time // until when that may be believed
}

// checkTime bounds how long a client waits for an upstream's word.
const checkTime = 12 * time.Second

// UseUpstreams replaces the upstreams whose people log in.
func (l *Logins) UseUpstreams(all ...Upstream) {
	by := make(map[string]*Upstream, len(all))
	for _, u := range all {
		by[strings.ToLower(u.Name)] = &u
	}
	l.upstreams.Store(&by)
	l.Forget()
}

// atUpstream returns the upstream that a name is one of, and who that is there. Upper and lower case are one, and spaces are nothing: what is written carelessly
// must not go to somebody else.
func (l *Logins) atUpstream(name string) (u *Upstream, there string) {
	i := strings.LastIndexByte(name, '@')
	if i < 0 {
		return nil, ""
	}
	return l.upstream(name[i+1:]), name[:i]
}

func (l *Logins) upstream(name string) *Upstream {
	if by := l.upstreams.Load(); by != nil {
		return (*by)[strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))]
	}
	return nil
}

// caller returns who it is that an upstream knows. Attempts are counted apart from those of our own people. They are given back when the password was proven right, or
// when nobody could tell the client that it was not; nobody can guess passwords there through us.
func (l *Logins) caller(ctx context.Context, u *Upstream, name, secret, remote string) (auth.Identity, time.Time, error) {
	counted := l.foreign.of(remote, name+"@"+u.Name)
	if err := counted.take(); err != nil {
		return auth.Identity{}, time.Time{}, err
	}
	who, err := auth.NewCaller(u.Name, name, secret)
	if err == nil && (account.IsSecret(secret) || l.tokens.Issued(secret)) {
		err = fmt.Errorf("%w: this registry's own secrets and tokens are not shown to %s", auth.ErrWrong, u.Name)
	}
	var word Word
	if err == nil {
		word, err = u.ask(ctx, name, secret)
	}
	unanswered := err != nil && !errors.Is(err, auth.ErrWrong) && ctx.Err() == nil // who just leaves has asked all the same
	if err == nil && word.Proven || unanswered {
		counted.giveBack()
	}
	if err != nil {
		return auth.Identity{}, time.Time{}, l.uncalled(ctx, u, name, remote, err)
	}
	return who, word.Until, nil
}

func (u *Upstream) ask(ctx context.Context, name, secret string) (Word, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return u.Check(ctx, name, secret)
}

// uncalled is what the client is told of whom the upstream does not take.
func (l *Logins) uncalled(ctx context.Context, u *Upstream, name, remote string, err error) error {
	var wait *auth.Wait
	switch {
	case errors.Is(err, auth.ErrWrong):
		l.log.Info("login failed", "name", auth.Clip(auth.Redact(name+"@"+u.Name)), "from", remote, "err", err)
		return err
	case errors.As(err, &wait), ctx.Err() != nil:
		return err
	}
	l.log.Warn("login cannot be checked", "upstream", u.Name, "err", err)
	return &auth.Wait{After: 10 * time.Second, Busy: true, Reason: u.Name + " does not answer, so nobody who is known there can log in; try again soon"}
}

// still tells whether a caller's upstream is one whose people log in.
func (l *Logins) still(who auth.Identity) error {
	if name, _, ok := who.AtUpstream(); !ok || l.upstream(name) == nil {
		return fmt.Errorf("%w: the upstream of %s takes no callers any more", auth.ErrWrong, who)
	}
	return nil
}
