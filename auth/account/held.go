package account

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// held is a secret as its owner's list has it: enough to make room, and to take away what rests on something else, without reading the secret.
type held struct {
	id, purpose      string
	created, expires time.Time
	via              string
}

func (s Secret) held() held { return held{s.ID, s.Purpose, s.Created, s.Expires, s.Via} }

func (h held) value() []byte {
	expires := int64(0)
	if !h.expires.IsZero() {
		expires = h.expires.UnixMilli()
	}
	return fmt.Appendf(nil, "%s\t%d\t%d\t%s", h.purpose, h.created.UnixMilli(), expires, h.via)
}

func parseHeld(id string, value []byte) (h held, ok bool) {
	f := strings.SplitN(string(value), "\t", 4)
	if len(f) != 4 {
		return h, false
	}
	created, err1 := strconv.ParseInt(f[1], 10, 64)
	expires, err2 := strconv.ParseInt(f[2], 10, 64)
	h = held{id: id, purpose: f[0], created: time.UnixMilli(created), via: f[3]}
	if expires != 0 {
		h.expires = time.UnixMilli(expires)
	}
	return h, err1 == nil && err2 == nil
}

// heldBy returns what an owner holds; an unknown one holds nothing.
func heldBy(ctx context.Context, v kv.View, of string) (all []held, err error) {
	prefix := keySecretOf(of, "")
	if len(prefix)+idLength > kv.MaxKey {
		return nil, nil
	}
	from, to := kv.Prefix(prefix)
	for pair, err := range v.Scan(ctx, from, to) {
		if err != nil {
			return nil, err
		}
		h, ok := parseHeld(pair.Key[len(prefix):], pair.Value)
		if !ok {
			return nil, damaged(pair.Key)
		}
		all = append(all, h)
	}
	return all, nil
}

func (h held) ended(now time.Time) bool { return !h.expires.IsZero() && !h.expires.After(now) }

// fleeting tells whether it came with logging in.
func (h held) fleeting() bool { return h.purpose == PurposeLogin || h.purpose == PurposeSession }

// restsOnLogin tells whether it was given for a password or a provider's word, and not for another secret.
func (h held) restsOnLogin() bool { return h.fleeting() && !strings.HasPrefix(h.via, viaSecret) }

// makeRoom sees to it that an owner can hold one more like next: first go those that have ended, then the oldest login, then the oldest session. What
// somebody asked for does not go.
func makeRoom(ctx context.Context, c *change, of string, next held) error {
	all, err := heldBy(ctx, c, of)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(h held) bool { return h.fleeting() != next.fleeting() })
	rank := func(h held) int {
		switch {
		case h.ended(c.now):
			return 0
		case h.purpose == PurposeLogin:
			return 1
		}
		return 2
	}
	slices.SortFunc(all, func(a, b held) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.created.Compare(b.created), strings.Compare(a.id, b.id))
	})
	for ; len(all) >= MaxSecrets; all = all[1:] {
		switch h := all[0]; {
		case h.ended(c.now):
			forget(c, of, h.id)
		case h.fleeting():
			revoke(ctx, c, of, h)
		default:
			return refuse(Full, "%s has %d secrets, and there cannot be more: revoke one that is not in use", of, len(all))
		}
	}
	return nil
}

// revokeThose revokes the secrets of an owner that are meant.
func revokeThose(ctx context.Context, c *change, of string, meant func(held) bool) error {
	all, err := heldBy(ctx, c, of)
	for _, h := range all {
		if meant(h) {
			revoke(ctx, c, of, h)
		}
	}
	return err
}

func revoke(ctx context.Context, c *change, of string, h held) {
	forget(c, of, h.id)
	c.note(ctx, journal.Event{Action: "secret.revoke", Object: "secret:" + h.id, Note: h.purpose + " of " + of})
}

func forget(tx kv.Tx, of, id string) {
	tx.Delete(keySecret(id))
	tx.Delete(keySecretOf(of, id))
	tx.Delete(keyUsed(id))
}
