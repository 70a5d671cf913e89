package upstream

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"maps"
	"time"

	"github.com/entrepot/entrepot/registry/upstream/remote"
)

const (
	maxPasses     = 20_000
	maxTurnedAway = 10_000
)

// passKey is one caller at one repository; without a path behind its name, at the upstream's door.
type passKey struct {
	who  [sha256.Size]byte
	repo string
}

// pass is an admission.
type pass struct {
	at     time.Time      // when the upstream was asked
	ref    string         // the manifest that it was asked for, if it was
	proven bool           // of a login: the upstream has looked at the credentials
	remote *remote.Remote // the upstream as seen with the caller's credentials; its tokens are no older than the admission
}

// turned is that somebody was not admitted.
type turned struct {
	until time.Time
	err   error
}

// key hashes who asks. The salt keeps a hash from being compared with any other.
func (c *Callers) key(who remote.Credentials, repo string) passKey {
	h := sha256.New()
	h.Write(c.salt[:])
	for _, part := range []string{who.Username, who.Password, who.Identity, who.Bearer} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		_, _ = io.WriteString(h, part)
	}
	k := passKey{repo: repo}
	h.Sum(k.who[:0])
	return k
}

// age is how long ago the upstream was asked; of a time to come, so long that it counts no more.
func (c *Callers) age(p pass) time.Duration {
	if age := c.now().Sub(p.at); age >= 0 {
		return age
	}
	return admittedWithout
}

// pass returns an admission that may still count.
func (c *Callers) pass(k passKey) (pass, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.passes[k]
	return p, ok
}

// let remembers an admission. When there is no room, those go first that count no more.
func (c *Callers) let(k passKey, p pass) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.turned, k)
	if _, known := c.passes[k]; !known && len(c.passes) >= maxPasses {
		maps.DeleteFunc(c.passes, func(_ passKey, p pass) bool { return c.age(p) >= admittedWithout })
		for other := range c.passes {
			if len(c.passes) < maxPasses*9/10 {
				break
			}
			delete(c.passes, other)
		}
	}
	c.passes[k] = p
}

// turn remembers for a short while that somebody is not admitted, and forgets that she was.
func (c *Callers) turn(k passKey, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.passes, k)
	if len(c.turned) >= maxTurnedAway {
		clear(c.turned)
	}
	c.turned[k] = turned{c.now().Add(forgetMissing), err}
}

func (c *Callers) wasTurned(k passKey) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.turned[k]; ok && c.now().Before(t.until) {
		return t.err
	}
	return nil
}
