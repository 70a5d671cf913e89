package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// whileHashing reads manifests with a token, alone and while passwords are checked. The processor's time is left out of the latter: most of it
// is the hashing's.
func (s *site) whileHashing(ctx context.Context) (measure, error) {
	tokens, err := s.tokens(ctx, 1)
	if err != nil {
		return nil, err
	}
	read := func() (measure, error) { return s.manifests(ctx, "GET", 16, repo, 1, 0.5, bearer(tokens[0])) }
	alone, err := read()
	if err != nil {
		return nil, err
	}
	logins := s.logInOnAndOn(ctx)
	m, err := read()
	checked, failed := logins.end()
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	delete(m, cpu)
	m[rateWithout], m[p99Without], m[ratio] = alone[rate], alone[p99], m[rate]/alone[rate]
	m[hashes] = checked
	return m, nil
}

// storm is people who log in.
type storm struct {
	begin   time.Time
	over    atomic.Bool
	checked atomic.Int64
	failure atomic.Pointer[error]
	people  sync.WaitGroup
}

// logInOnAndOn has eight people log in until the storm's end, each time as somebody else whose password was not shown before: by turns the right
// one and a wrong one. All have to be hashed, since no name fails often, nor does any address that they come from.
func (s *site) logInOnAndOn(ctx context.Context) *storm {
	out := &storm{begin: time.Now()}
	for range 8 {
		out.people.Go(func() {
			c := &conn{addr: s.addr, until: time.Now().Add(s.opt.time(1) + 2*time.Minute)}
			defer c.close()
			for i := 0; !out.over.Load() && ctx.Err() == nil; i++ {
				n := int(s.attempts.Add(1) - 1)
				if i%20 == 0 {
					c.close()
					c.from = net.IPv4(127, 1, byte(n>>8), byte(n)) // all of 127.0.0.0/8 is this machine
				}
				if err := c.logIn(n); err != nil {
					out.failure.CompareAndSwap(nil, &err)
					return
				}
				out.checked.Add(1)
			}
		})
	}
	return out
}

// logIn logs in for the n-th time.
func (c *conn) logIn(n int) error {
	name, secret, want := attempt(n)
	_, err := c.expect(want, c.request("GET", "/v2/", basic(name, secret)), nil)
	return err
}

// attempt returns what to log in with for the n-th time, and the answer's status.
func attempt(n int) (name, secret string, status int) {
	name = slowUser(n % slowUsers)
	if n%2 == 0 && n < slowUsers {
		return name, password, 200
	}
	return name, fmt.Sprintf("wrong %d", n), 401
}

// end waits until the last of them has an answer, and returns how many passwords were checked in a second.
func (s *storm) end() (float64, error) {
	s.over.Store(true)
	s.people.Wait()
	if err := s.failure.Load(); err != nil {
		return 0, fmt.Errorf("while passwords were checked: %w", *err)
	}
	return float64(s.checked.Load()) / time.Since(s.begin).Seconds(), nil
}
