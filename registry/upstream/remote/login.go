package remote

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	maxLogins  = 4096            // kept at once
	loginKept  = 5 * time.Minute // for what has no end of its own
	secretWait = 15 * time.Second
)

// login is how somebody is shown to the upstream.
type login struct {
	authorization string // header; empty: not at all
	until         time.Time
	note          string // why the credentials were not used
}

// loginKey is where a login is good.
type loginKey struct {
	base *base
	repo string
}

// logins are those of one somebody. One is fetched for all who wait for it.
type logins struct {
	source Source

	mu    sync.Mutex
	kept  map[loginKey]login
	under map[loginKey]*loggingIn
	quota quota
}

type loggingIn struct {
	done  chan struct{}
	login login
	err   error
}

func newLogins(s Source) *logins {
	return &logins{source: s, kept: map[loginKey]login{}, under: map[loginKey]*loggingIn{}}
}

// have returns the login that is kept, if it is still good.
func (l *logins) have(key loginKey, now time.Time) login {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.kept[key]; now.Before(known.until) {
		return known
	}
	return login{}
}

// login returns another login than the one that was refused: one that came in the meantime, or a new one.
func (c *call) login(key loginKey, refused login, offered []challenge) (login, error) {
	l := c.logins
	l.mu.Lock()
	if known := l.kept[key]; c.now().Before(known.until) && known.authorization != refused.authorization {
		l.mu.Unlock()
		return known, nil
	}
	delete(l.kept, key)
	under := l.under[key]
	if under == nil {
		under = &loggingIn{done: make(chan struct{})}
		l.under[key] = under
		go c.logIn(key, under, offered)
	}
	l.mu.Unlock()
	select {
	case <-under.done:
		return under.login, c.own(under.err)
	case <-c.ctx.Done():
		return login{}, c.fail(ErrDown, cause(c.ctx, nil))
	}
}

// own makes a shared error one's own.
func (c *call) own(err error) error {
	var shared *Error
	if !errors.As(err, &shared) {
		return err
	}
	mine := *shared
	mine.Doing = c.doing
	return &mine
}

// logIn does not end with the one who was first to need it: others wait, too.
func (c *call) logIn(key loginKey, under *loggingIn, offered []challenge) {
	own := *c
	own.ctx, own.cancel = context.WithCancelCause(context.WithoutCancel(c.caller))
	defer own.cancel(errClosed)
	under.login, under.err = own.obtain(offered)
	l := c.logins
	l.mu.Lock()
	defer l.mu.Unlock()
	if delete(l.under, key); under.err == nil {
		l.tidy(c.now())
		l.kept[key] = under.login
	}
	close(under.done)
}

// tidy makes room for one more.
func (l *logins) tidy(now time.Time) {
	if len(l.kept) < maxLogins {
		return
	}
	maps.DeleteFunc(l.kept, func(_ loginKey, known login) bool { return !now.Before(known.until) })
	for key := range l.kept {
		if len(l.kept) < maxLogins {
			break
		}
		delete(l.kept, key)
	}
}

// obtain answers a challenge, by a token if that is possible.
func (c *call) obtain(offered []challenge) (login, error) {
	who, note, err := c.credentials()
	if err != nil {
		return login{}, c.fail(ErrDenied, err)
	}
	if who.Bearer != "" {
		return login{authorization: "Bearer " + who.Bearer, until: c.now().Add(loginKept)}, nil
	}
	for _, way := range offered {
		if way.scheme == "bearer" && way.params["realm"] != "" {
			return c.token(way, who, note)
		}
	}
	for _, way := range offered {
		if way.scheme == "basic" && who.Username != "" {
			return login{authorization: basic(who), until: c.now().Add(loginKept)}, nil
		}
	}
	if note == "" {
		note = "it wants a login that is not there; configure credentials for this upstream"
	}
	return login{}, c.fail(ErrDenied, errors.New(note))
}

// credentials looks up who we are, or notes why that must not be told here.
func (c *call) credentials() (who Credentials, note string, err error) {
	if c.logins.source == nil {
		return who, "", nil
	}
	if !private(c.base.url) {
		return who, "the credentials were not used, since everybody on the way could read them; write https", nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, secretWait)
	defer cancel()
	if who, err = c.logins.source(ctx); err == nil {
		err = who.check()
	}
	if err != nil {
		return Credentials{}, "", fmt.Errorf("look up the credentials: %w", err)
	}
	return who, "", nil
}

func basic(c Credentials) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
}

// realmOf judges the address of a token service that a challenge names.
func (c *call) realmOf(text string) (*url.URL, error) {
	realm, err := url.Parse(text)
	switch {
	case err != nil || realm.Scheme != "http" && realm.Scheme != "https" || realm.Hostname() == "" || realm.User != nil:
		return nil, c.bad("it names a token service that has no address")
	case c.base.url.Scheme == "https" && realm.Scheme != "https":
		return nil, c.bad("it names a token service without https at %s, which is not asked", clean(realm.Host, 100))
	}
	realm.Fragment = ""
	return realm, nil
}

// note keeps what an answer says about the quota.
func (l *logins) note(h http.Header, now time.Time) {
	if q, ok := parseQuota(h); ok {
		q.at = now
		l.mu.Lock()
		l.quota = q
		l.mu.Unlock()
	}
}
