package upstream

import (
	"context"
	"fmt"
	"time"

	"github.com/entrepot/entrepot/registry/upstream/remote"
)

// Login asks an upstream whether it takes credentials. proven tells that it has looked at them: some let everybody in at their door, and judge only by
// repository. until is until when that may be believed. An error that is remote.ErrDenied is the word that they are wrong. While the upstream does not answer,
// credentials are good that it has taken within the last hour.
func (c *Callers) Login(ctx context.Context, name string, who remote.Credentials) (proven bool, until time.Time, err error) {
	good, gated := c.gates[name]
	if !gated || who == (remote.Credentials{}) {
		return false, time.Time{}, fmt.Errorf("log in at %q: it takes no callers, or nothing was shown", name)
	}
	u := c.by[name]
	k := c.key(who, name)
	before, known := c.pass(k)
	if known && c.age(before) < good {
		return before.proven, before.at.Add(good), nil
	}
	err = c.once(ctx, "log in at", k, func(ctx context.Context) (pass, error) {
		now := pass{at: c.now(), remote: u.Remote.WithCaller(who)}
		err := now.remote.Ping(ctx)
		if err == nil {
			now.proven, err = c.looks(ctx, u)
		}
		return now, err
	})
	if err == nil {
		now, _ := c.pass(k) // if it was forgotten at once, nothing is proven, and nothing believed for long
		return now.proven, now.at.Add(good), nil
	}
	if known && away(err) && c.age(before) < admittedWithout {
		return before.proven, c.now().Add(min(believedWithout, good)), nil
	}
	return false, time.Time{}, err
}

// looks tells whether the upstream asks at its door who is there: then it refuses a token that nobody has issued. (A wrong password would tell, too, but count
// as somebody's failed login.)
func (c *Callers) looks(ctx context.Context, u *Upstream) (bool, error) {
	k := c.key(remote.Credentials{}, u.Remote.Name())
	if p, known := c.pass(k); known && c.age(p) < c.gates[u.Remote.Name()] {
		return p.proven, nil
	}
	err := u.Remote.WithCaller(remote.Credentials{Bearer: "nobody"}).Ping(ctx)
	if err != nil && !no(err) {
		return false, err
	}
	c.let(k, pass{at: c.now(), proven: err != nil})
	return err != nil, nil
}
