// Package ldap lets the people of an LDAP directory log in: OpenLDAP, Active Directory, 389 Directory Server.
//
//	people, err := ldap.New(ldap.Config{
//		URL:              "ldaps://ldap.example.com",
//		BindDN:           "cn=registry,ou=services,dc=example,dc=com",
//		BindPasswordFile: "/etc/entrepot/ldap-password",
//		UserBase:         "ou=people,dc=example,dc=com",
//		GroupBase:        "ou=groups,dc=example,dc=com",
//	})
//	…
//	who, until, err := people.Login(ctx, "alice", secret)
//
// A login connects, binds as BindDN, finds the one entry that UserFilter names, and binds as that entry with the secret: only the directory knows
// whether it is right. Then it binds as BindDN again and looks for the groups, since people often may not read them. The name of the user is the
// one in the directory, in lower case, and not the one that was typed.
//
// Each login has a connection of its own, and no more than eight are under way at once. A bind changes whom a connection belongs to, so a kept one
// could serve for searches only, and each would have to be told from a dead one before a password depends on it. A handshake is what that costs;
// whoever remembers logins (see Config.Remember) pays it once in minutes.
//
// It promises that no password crosses a network in clear text, that an empty one never binds (RFC 4513, section 5.1.2), that nothing typed becomes
// part of a filter's grammar (RFC 4515), that no secret is in an error or a log line, that a login ends within Timeout, and that no answer fills the
// memory. Referrals are not followed. Nothing is remembered: groups are those of this moment. A user in more than 500 groups cannot log in, since to
// leave some of them out would take away rights at random.
//
// It leaves to the operator that NameAttribute is unique below UserBase, and names of groups below GroupBase. It leaves to its caller to remember
// logins, to count wrong ones (the directory may answer them by locking an account), and that a user of the directory and one of another provider are
// not taken for each other.
//
// # Active Directory
//
//	NameAttribute: sAMAccountName
//	UserFilter:    (&(objectCategory=person)(objectClass=user)(sAMAccountName={name}))
//	GroupFilter:   (member={dn})
//
// With (member:1.2.840.113556.1.4.1941:={dn}) as GroupFilter it also finds the groups that the user's groups are in, which takes a domain
// controller more time. MemberOf: memberOf saves the search for groups and knows the direct ones only.
package ldap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/entrepot/entrepot/auth"
)

const (
	maxGroups  = 500     // of one user
	maxSecret  = 1024    // bytes; a longer one is a token of somebody else's
	maxDN      = 4096    // bytes
	maxAnswers = 1 << 20 // bytes that one connection may receive, all answers together
	maxLogins  = 8       // at once
)

// Config is where the directory is and how it names people and groups.
type Config struct {
	// Where the directory is: ldaps://ldap.example.com or ldap://ldap.example.com:389. Several, separated by spaces, are tried in turn, each for
	// its share of Timeout.
	URL string

	// Encrypt connections to ldap:// by the StartTLS operation. Without it, ldap:// is refused unless the host is a loopback one.
	StartTLS bool

	// The authorities that vouch for the directory's certificate, a PEM file that is read again for each connection. Empty: those of the system.
	CAFile string

	// Whom to search as. Empty: anonymously.
	BindDN string

	// The file with the password of BindDN, read again for each connection. The end of its last line is no part of it.
	BindPasswordFile string

	// The entry below which people are.
	UserBase string

	// What finds somebody; {name} is what was typed, escaped. Empty: NameAttribute={name}.
	UserFilter string

	// The attribute whose value is the user's name. Empty: uid.
	NameAttribute string

	// The entry below which groups are. Empty: no groups, or with MemberOf, groups anywhere.
	GroupBase string

	// What finds the groups of somebody; {dn} and {name} are the DN and the NameAttribute of the user's entry, escaped.
	// Empty: (|(member={dn})(uniqueMember={dn})(memberUid={name})).
	GroupFilter string

	// The attribute whose values are the names of a group, which keep their upper and lower case. Empty: cn.
	GroupAttribute string

	// The attribute of the user's entry that lists the DNs of groups, such as memberOf. Then groups are not searched for: the GroupAttribute in the
	// first part of each DN is the name. Empty: groups are searched for below GroupBase.
	MemberOf string

	// How long a login may take. Zero: 10 s.
	Timeout time.Duration

	// How long a login may be believed without asking again. Zero: 2 minutes.
	Remember time.Duration

	Log *slog.Logger     // nil: nowhere
	Now func() time.Time // nil: time.Now
}

// Provider is a directory.
type Provider struct {
	config    Config // with every default filled in
	servers   []server
	groupBase *goldap.DN    // Config.GroupBase, nil without one
	logins    chan struct{} // one for each that is under way
}

// Login implements auth.Provider. It returns auth.ErrUnknown if the filter finds nobody, auth.ErrWrong (with what Active Directory gives as the
// reason, if it does) if the directory refuses the secret, and any other error if the directory does not answer or its answer cannot be used.
func (p *Provider) Login(ctx context.Context, name, secret string) (auth.Identity, time.Time, error) {
	if auth.CheckName(name) != nil || len(secret) > maxSecret {
		return auth.Identity{}, time.Time{}, auth.ErrUnknown
	}
	// A directory takes a bind with a DN and no password for an anonymous one, and succeeds. One written in C may see an empty password
	// where there is a NUL.
	if secret == "" || strings.Contains(secret, "\x00") {
		return auth.Identity{}, time.Time{}, fmt.Errorf("%w: a password is not empty and holds no NUL", auth.ErrWrong)
	}
	late := fmt.Errorf("no answer within %v: %w", p.config.Timeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, late)
	defer cancel()
	select {
	case p.logins <- struct{}{}:
		defer func() { <-p.logins }()
	case <-ctx.Done():
		return auth.Identity{}, time.Time{}, fmt.Errorf("log %q in at the directory: %d others are being logged in: %w", name, maxLogins, context.Cause(ctx))
	}
	asked := p.config.Now()
	who, err := p.ask(ctx, name, secret)
	switch {
	case errors.Is(err, auth.ErrUnknown), errors.Is(err, auth.ErrWrong):
		return auth.Identity{}, time.Time{}, err
	case err != nil:
		return auth.Identity{}, time.Time{}, fmt.Errorf("log %q in at the directory: %w", name, err)
	}
	return who, asked.Add(p.config.Remember), nil
}

// ask asks one server after the other until one answers, whatever the answer is.
func (p *Provider) ask(ctx context.Context, name, secret string) (who auth.Identity, err error) {
	for i, s := range p.servers {
		who, err = p.askOne(ctx, s, len(p.servers)-i, name, secret)
		var lost *lostError
		if !errors.As(err, &lost) || ctx.Err() != nil || i == len(p.servers)-1 {
			break
		}
		p.config.Log.WarnContext(ctx, "a directory server does not answer, the next one is asked", "err", err)
	}
	return who, err
}

// askOne asks one server, of as many as are left to ask.
func (p *Provider) askOne(ctx context.Context, s server, left int, name, secret string) (auth.Identity, error) {
	if end, ok := ctx.Deadline(); ok && left > 1 {
		share := time.Until(end) / time.Duration(left)
		late := fmt.Errorf("no answer within %v: %w", share.Round(time.Millisecond), context.DeadlineExceeded)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, share, late)
		defer cancel()
	}
	c, err := p.connect(ctx, s)
	if err != nil {
		return auth.Identity{}, err
	}
	defer c.close()
	if p.config.BindDN != "" { // a new connection is anonymous already
		if err := c.bindService(); err != nil {
			return auth.Identity{}, err
		}
	}
	found, err := c.find(name)
	if err != nil {
		return auth.Identity{}, err
	}
	if err := c.prove(found.dn, secret); err != nil {
		return auth.Identity{}, err
	}
	groups, err := c.groups(found)
	if err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{Kind: auth.User, Name: found.name, Groups: groups}, nil
}
