package token

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
)

// Verify returns whose token raw is, and until when: its exp. A token of this service must be good in every respect, or the error wraps
// [auth.ErrWrong] with a reason for the log; so it does if raw is no token at all. A signed JWT of another issuer is [auth.ErrUnknown]. Any other
// error says that the index could not be asked for the key. No error holds the token.
//
// A token whose time begins in up to 30 seconds is good, as the clocks of two machines differ; one that has ended is not.
func (i *Issuer) Verify(ctx context.Context, raw string) (auth.Identity, time.Time, error) {
	c, err := i.verified(ctx, raw)
	if err != nil {
		return auth.Identity{}, time.Time{}, err
	}
	who, err := c.identity()
	if err != nil {
		return auth.Identity{}, time.Time{}, wrong(err)
	}
	return who, time.Unix(c.Expires, 0).UTC(), nil
}

func wrong(reason error) error { return fmt.Errorf("%w: token: %w", auth.ErrWrong, reason) }

// verified returns the claims of a token that a key of this service signed and that is good now.
func (i *Issuer) verified(ctx context.Context, raw string) (*claims, error) {
	if len(raw) > MaxToken {
		return nil, fmt.Errorf("%w: it is longer than our tokens are, which have at most %d bytes", auth.ErrUnknown, MaxToken)
	}
	t, err := split(raw)
	if err != nil {
		return nil, wrong(err)
	}
	k := i.ring.Load().byHeader[t.header]
	if k == nil {
		if k, err = i.unknown(ctx, t); err != nil {
			return nil, err
		}
	}
	now := i.c.Now()
	if !k.verifies(now) {
		return nil, wrong(errors.New("the key that signed it has ended"))
	}
	if !ed25519.Verify(k.public, []byte(t.signed), t.signature) {
		return nil, wrong(errors.New("its signature is not that of its key"))
	}
	c, err := parseClaims(t.payload)
	if err != nil {
		return nil, wrong(err)
	}
	if c.Issuer != i.c.Service {
		return nil, auth.ErrUnknown
	}
	if err := c.check(i.c.Service, now); err != nil {
		return nil, wrong(err)
	}
	if c.secret, err = k.open(c); err != nil {
		return nil, wrong(err)
	}
	return c, nil
}

// parts are those of a token in the compact form.
type parts struct {
	header    string // as it is written
	payload   []byte
	signature []byte
	signed    string // header and payload as they are written
}

var errForm = errors.New("it is no signed token in the compact form")

// split takes a token apart: three parts in base64url, written in the one way in which their bytes can be.
func split(raw string) (parts, error) {
	if strings.ContainsAny(raw, "\r\n") { // which the decoder passes over
		return parts{}, errForm
	}
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, found := strings.Cut(rest, ".")
	if !found || header == "" || signature == "" {
		return parts{}, errForm
	}
	p := parts{header: header, signed: raw[:len(raw)-len(signature)-1]}
	var err error
	if p.payload, err = base64url.DecodeString(payload); err != nil {
		return parts{}, errForm
	}
	if p.signature, err = base64url.DecodeString(signature); err != nil {
		return parts{}, errForm
	}
	return p, nil
}

// parseClaims reads claims that are written as Mint writes them: with no other member, none twice, in no other order or spelling.
func parseClaims(payload []byte) (*claims, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, errors.New("its claims cannot be read")
	}
	if again, err := json.Marshal(&c); err != nil || !bytes.Equal(again, payload) {
		return nil, errors.New("its claims are not written as this service writes them")
	}
	return &c, nil
}

// unknown looks at a token whose header is that of no key in the ring: another issuer's, one of a key that is gone or that another process has
// just made, or a forged one.
func (i *Issuer) unknown(ctx context.Context, t parts) (*key, error) {
	iss, err := t.issuer()
	if err != nil {
		return nil, wrong(err)
	}
	if iss != i.c.Service {
		return nil, auth.ErrUnknown
	}
	if err := t.checkHeader(); err != nil {
		return nil, wrong(err)
	}
	k, err := i.look(ctx, t.header)
	if err != nil {
		return nil, fmt.Errorf("look for the key of a token: %w", err)
	}
	if k == nil {
		return nil, wrong(errors.New("the key that signed it is none of this service, or was withdrawn"))
	}
	return k, nil
}

// issuer returns who issued a token, as the token itself says. It is an error if it is no JWT (RFC 7519, section 7.2).
func (t parts) issuer() (string, error) {
	header, err := base64url.DecodeString(t.header)
	var h struct {
		Algorithm string `json:"alg"`
	}
	if err != nil || json.Unmarshal(header, &h) != nil || h.Algorithm == "" {
		return "", errForm
	}
	var all map[string]json.RawMessage // by their exact names, which a struct's members are not
	var iss string
	if json.Unmarshal(t.payload, &all) != nil || json.Unmarshal(all["iss"], &iss) != nil || iss == "" {
		return "", errors.New("it does not say who issued it")
	}
	return iss, nil
}

// checkHeader tells whether a header could be that of a key of this service.
func (t parts) checkHeader() error {
	var h struct {
		Algorithm string `json:"alg"`
		Key       string `json:"kid"`
		Type      string `json:"typ"`
	}
	header, err := base64url.DecodeString(t.header)
	if err != nil || json.Unmarshal(header, &h) != nil {
		return errForm
	}
	if again, err := json.Marshal(h); err != nil || !bytes.Equal(again, header) || h.Algorithm != "EdDSA" || len(h.Key) != lenKey || h.Type != "JWT" {
		return errors.New("its header is not that of this service's tokens: another algorithm, no key, or a member that has no place there")
	}
	return nil
}
