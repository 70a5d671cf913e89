package ldap

import (
	"errors"
	"fmt"
	"regexp"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/entrepot/entrepot/auth"
)

// bindService makes the connection the one of BindDN, or an anonymous one (RFC 4513, section 5.1.1) if there is none.
func (c *connection) bindService() error {
	dn := c.p.config.BindDN
	if dn == "" {
		return c.bindFault("bind anonymously", c.link.UnauthenticatedBind(""))
	}
	password, err := c.p.password()
	if err != nil {
		return err
	}
	err = c.link.Bind(dn, password)
	if goldap.IsErrorWithCode(err, goldap.LDAPResultInvalidCredentials) {
		return fmt.Errorf("%s refuses %q or its password%s: check the bind DN and %s", c.server.url, dn, why(err), c.p.config.BindPasswordFile)
	}
	return c.bindFault(fmt.Sprintf("bind as %q", dn), err)
}

// prove binds as the user, which makes the connection the user's.
func (c *connection) prove(dn, secret string) error {
	err := c.link.Bind(dn, secret)
	if goldap.IsErrorWithCode(err, goldap.LDAPResultInvalidCredentials) {
		return fmt.Errorf("%w%s", auth.ErrWrong, why(err))
	}
	return c.bindFault(fmt.Sprintf("bind as %q", auth.Clip(dn)), err)
}

// bindFault is fault without the directory's own words: nobody knows whether they repeat the password.
func (c *connection) bindFault(what string, err error) error {
	if answer := answered(err); answer != nil {
		err = goldap.NewError(answer.ResultCode, errors.New(""))
	}
	return c.fault(what, err)
}

// reasons are what Active Directory says in the diagnostic message of a bind that it refuses: "…, data 775, …".
var reasons = map[string]string{
	"525": "there is no such user",
	"530": "the user may not log in at this time",
	"531": "the user may not log in from here",
	"532": "the password has expired",
	"533": "the account is disabled",
	"568": "the user is in too many groups",
	"701": "the account has expired",
	"773": "the password has to be changed first",
	"775": "the account is locked",
}

var subcode = regexp.MustCompile(`\bdata ([0-9a-f]{3})\b`)

// why returns the reason for a refused bind in words, with a colon before it; for the operator's log. It is empty if there is none.
func why(err error) string {
	if answer := answered(err); answer != nil {
		if found := subcode.FindStringSubmatch(auth.Clip(answer.Err.Error())); found != nil && reasons[found[1]] != "" {
			return fmt.Sprintf(": %s (Active Directory's code %s)", reasons[found[1]], found[1])
		}
	}
	return ""
}
