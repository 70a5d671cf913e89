package upstream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
)

const (
	defaultAdmission = 5 * time.Minute
	admittedWithout  = time.Hour   // an admission still counts for so long while the upstream does not answer
	believedWithout  = time.Minute // a login that could not be asked about is believed for so long before the next try
)

// Callers is a Through some of whose upstreams are asked with each caller's own credentials, and by nobody else's:
//
//	callers, err := upstream.NewCallers(through, upstream.CallersConfig{Upstream: "ghcr.example.com"})
//	callers.Manifest(upstream.WithCaller(ctx, "ghcr.example.com", credentials), "ghcr.example.com/team/app", "1.0")
//
// The promises:
//   - Whatever is asked of such an upstream's repository, whether it is kept here or not, first takes that the upstream has let this caller pull from it within the
//     last minutes (CallersConfig.Admission). It is asked about the repository itself: that a token service gives somebody a token proves nothing.
//   - Whoever shows nothing is asked for as nobody in particular: what the upstream gives to everybody they get.
//   - While the upstream does not answer, an admission counts that is younger than an hour. Others are told that it does not answer.
//   - Who is not admitted learns nothing of what is kept: the answer is the upstream's own, and the same whether it is kept or not.
//   - Admissions are remembered in memory alone, in bounded number, under a hash of the credentials.
//
// It leaves to others who is allowed to ask at all (the door's), and how often passwords may be tried (package login).
type Callers struct {
	*Through
	gates map[string]time.Duration // how long an admission is good, by the upstream's name
	salt  [16]byte

	mu     sync.Mutex
	passes map[passKey]pass
	turned map[passKey]turned
}

// CallersConfig is one upstream that callers show their own credentials.
type CallersConfig struct {
	Upstream  string        // its name
	Admission time.Duration // how long its word is good that somebody may pull from a repository; default 5 minutes, an hour at most
}

var _ registry.Source = (*Callers)(nil)

// NewCallers returns a Through for whose named upstreams every caller shows credentials of her own.
func NewCallers(t *Through, all ...CallersConfig) (*Callers, error) {
	c := &Callers{Through: t, gates: map[string]time.Duration{}, passes: map[passKey]pass{}, turned: map[passKey]turned{}}
	_, _ = rand.Read(c.salt[:]) // it never fails
	for _, one := range all {
		u := t.by[one.Upstream]
		switch {
		case u == nil:
			return nil, fmt.Errorf("callers of %q: there is no such upstream", one.Upstream)
		case u.Offline:
			return nil, fmt.Errorf("callers of %q: it is offline, so nobody can ask it whom it lets in", one.Upstream)
		case one.Admission < 0 || one.Admission > admittedWithout:
			return nil, fmt.Errorf("callers of %q: an admission of %s is not between 0 and %s", one.Upstream, one.Admission, admittedWithout)
		case one.Admission == 0:
			one.Admission = defaultAdmission
		}
		c.gates[one.Upstream] = one.Admission
	}
	return c, nil
}

// wish is what somebody wants of a repository: a manifest, a blob, or neither.
type wish struct {
	ref  string
	blob digest.Digest
}

// admit lets those pass whom the upstream lets in, with the client that asks it for them. What is no such upstream's passes as it is.
func (c *Callers) admit(ctx context.Context, repo string, w wish) (context.Context, error) {
	u, there, here := c.of(repo)
	if u == nil {
		return ctx, nil
	}
	name := u.Remote.Name()
	good, gated := c.gates[name]
	if !gated {
		return ctx, nil
	}
	if !u.allows(there) {
		return nil, denied(u, here)
	}
	who := shows(ctx, name)
	k := c.key(who, here)
	before, known := c.pass(k)
	if known && c.age(before) < good {
		return before.carry(ctx, name), nil
	}
	w.ref = firstOf(w.ref, before.ref)
	err := c.once(ctx, "pull from", k, func(ctx context.Context) (pass, error) {
		now := pass{at: c.now(), ref: w.ref, remote: u.Remote.WithCaller(who)}
		return now, pulls(ctx, now.remote, there, w)
	})
	switch now, ok := c.pass(k); {
	case err == nil && ok:
		return now.carry(ctx, name), nil
	case err == nil:
		return nil, crowded(here)
	case known && away(err) && c.age(before) < admittedWithout:
		registry.Note(ctx, "whether "+name+" still lets you in could not be asked, for it does not answer now")
		return before.carry(ctx, name), nil
	}
	return nil, c.refused(u, here, who, err)
}

// crowded is what those are told whose admission was forgotten at once, to make room for so many others.
func crowded(here string) error {
	return &registry.Error{Code: registry.UpstreamDown, After: time.Second, Detail: map[string]string{"name": here, "hint": "too many ask for too much just now; try again"}}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// pulls asks whether somebody may pull from a repository: for the manifest that is wanted; if that is not there, for the tags; and where these are not for
// everybody who may pull, for the blob that is wanted.
func pulls(ctx context.Context, r *remote.Remote, there string, w wish) error {
	if w.ref != "" {
		if _, err := r.Head(ctx, there, w.ref); !errors.Is(err, remote.ErrNotFound) {
			return err
		}
	}
	_, _, err := r.Tags(ctx, there, "", 1)
	if w.blob != "" && errors.Is(err, remote.ErrDenied) {
		content, e := r.Blob(ctx, there, w.blob, 0)
		if e == nil {
			content.Close()
			return nil
		}
	}
	return err
}

// away tells whether an error is no word of the upstream's.
func away(err error) bool {
	return errors.Is(err, remote.ErrDown) || errors.Is(err, remote.ErrLimited) || errors.Is(err, context.DeadlineExceeded)
}

// no tells whether it is the word that somebody may not.
func no(err error) bool {
	return errors.Is(err, remote.ErrDenied) || errors.Is(err, remote.ErrNotFound)
}

// refused is what those are told who are not admitted.
func (c *Callers) refused(u *Upstream, here string, who remote.Credentials, err error) error {
	name := u.Remote.Name()
	if no(err) && who == (remote.Credentials{}) {
		return &registry.Error{Code: registry.LoginNeeded, Err: err, Detail: map[string]string{"name": here, "upstream": name,
			"hint": "this is not for everybody; log in as NAME@" + name + ", with the name and the password that " + name + " knows you by"}}
	}
	return c.refusal(u, here, err)
}

// once puts a question to the upstream, one for all who wait for its answer, and remembers what it says.
func (c *Callers) once(ctx context.Context, what string, k passKey, question func(context.Context) (pass, error)) error {
	if err := c.wasTurned(k); err != nil {
		return err
	}
	return c.ask(ctx, what+" "+k.repo+" as "+hex.EncodeToString(k.who[:]), func(ctx context.Context) error {
		now, err := question(ctx)
		switch {
		case err == nil:
			c.let(k, now)
		case no(err):
			c.turn(k, err)
		}
		return err
	})
}

// Takes tells whether callers show an upstream of this name their own credentials.
func (c *Callers) Takes(name string) bool { return c.gates[name] > 0 }

// Admitted tells, without asking anybody, whether the context's caller was admitted to a repository within the last minutes, so that she may be told of it outside
// of it: in a list, or when she takes a blob from it into another. A repository that takes no admission is everybody's.
func (c *Callers) Admitted(ctx context.Context, repo string) bool {
	u, _, here := c.of(repo)
	if u == nil {
		return true
	}
	good, gated := c.gates[u.Remote.Name()]
	if !gated {
		return true
	}
	p, known := c.pass(c.key(shows(ctx, u.Remote.Name()), here))
	return known && c.age(p) < good
}
