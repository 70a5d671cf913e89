package login

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/auth/password"
)

// bearer returns whose token it is: one of our own, one of our secrets, or one of an issuer that a source knows.
func (l *Logins) bearer(ctx context.Context, raw string) (auth.Identity, time.Time, error) {
	if account.IsSecret(raw) {
		return l.accounts.Login(ctx, "", raw)
	}
	who, until, err := l.tokens.Verify(ctx, raw)
	if err == nil {
		who, err = l.current(ctx, who)
	}
	if errors.Is(err, auth.ErrUnknown) {
		who, until, err = l.others(ctx, "", raw)
	}
	who.Until = until
	return who, until, unknown(err)
}

// shared are the names that programs show a token under, of whomever it is: who fails under one of them must not lock out all others.
var shared = []string{"gitlab-ci-token", "oauth2", "oauth2accesstoken", "token", "<token>"}

// password returns whom a name and a secret belong to. The secret may be a token, too: some clients have but a field for a password.
func (l *Logins) password(ctx context.Context, name, secret, remote string) (auth.Identity, time.Time, error) {
	if u, there := l.atUpstream(name); u != nil {
		return l.caller(ctx, u, there, secret, remote)
	}
	counted := l.limits.of(remote, name)
	if slices.Contains(shared, name) {
		counted = l.limits.of(remote, name+" from "+remote)
	}
	if account.IsSecret(secret) || isJWT(secret) {
		// These are too long to be guessed and cheap to check, so nobody is kept from showing a good one.
		who, until, err := l.check(ctx, name, secret)
		if errors.Is(err, auth.ErrWrong) {
			_ = l.limits.of(remote, "").take()
			l.log.Info("login failed", "name", auth.Clip(auth.Redact(name)), "from", remote, "err", err)
		}
		return who, until, err
	}
	if err := counted.take(); err != nil {
		return auth.Identity{}, time.Time{}, err
	}
	who, until, err := l.check(ctx, name, secret)
	switch {
	case err == nil:
		counted.giveBack()
	case errors.Is(err, auth.ErrWrong):
		l.log.Info("login failed", "name", auth.Clip(auth.Redact(name)), "from", remote, "err", err)
	default:
		counted.giveBack() // nobody was told whether it was right
	}
	return who, until, err
}

func (l *Logins) check(ctx context.Context, name, secret string) (auth.Identity, time.Time, error) {
	if isJWT(secret) {
		return l.bearer(ctx, secret)
	}
	who, until, err := l.accounts.Login(ctx, name, secret)
	if errors.Is(err, auth.ErrUnknown) {
		who, until, err = l.others(ctx, name, secret)
	}
	if errors.Is(err, auth.ErrUnknown) {
		if wasted := l.passwords.Waste(ctx, secret); wasted != nil {
			err = wasted
		}
	}
	if errors.Is(err, password.ErrBusy) {
		err = &auth.Wait{After: 5 * time.Second, Busy: true, Reason: "too many passwords are being checked just now; try again in a few seconds"}
	}
	return who, until, unknown(err)
}

// others asks the sources in turn: about a token those that judge tokens, about a password the others. The first who knows the name decides; a token may
// be wrong to one and right to the next, when both know its issuer.
func (l *Logins) others(ctx context.Context, name, secret string) (who auth.Identity, until time.Time, err error) {
	last, tokens := auth.ErrUnknown, isJWT(secret)
	for _, s := range *l.sources.Load() {
		if s.Tokens != tokens {
			continue
		}
		who, until, err = s.Provider.Login(ctx, name, secret)
		switch {
		case err == nil:
			return who, until, nil
		case errors.Is(err, auth.ErrUnknown):
		case errors.Is(err, auth.ErrWrong) && tokens:
			last = err
		case errors.Is(err, auth.ErrWrong):
			return auth.Identity{}, time.Time{}, err
		default:
			return auth.Identity{}, time.Time{}, l.unanswered(ctx, s, err)
		}
	}
	return auth.Identity{}, time.Time{}, last
}

// unanswered is what the client is told when a source cannot say whether credentials are good.
func (l *Logins) unanswered(ctx context.Context, s Source, err error) error {
	var wait *auth.Wait
	if errors.As(err, &wait) || ctx.Err() != nil || errors.Is(err, password.ErrBusy) {
		return err
	}
	l.log.Error("login cannot be checked", "source", s.Name, "err", err)
	return &auth.Wait{After: 10 * time.Second, Busy: true, Reason: "whom the registry asks about logins does not answer; try again soon"}
}

// unknown makes what nobody knows something that is wrong.
func unknown(err error) error {
	if errors.Is(err, auth.ErrUnknown) {
		return fmt.Errorf("%w: nobody knows this name, or this kind of secret", auth.ErrWrong)
	}
	return err
}

// isJWT tells whether a secret has the shape of a signed token: three parts, the first of which is a JSON object in base64.
func isJWT(s string) bool { return strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2 }
