// Package oidc says who an OpenID Connect provider says somebody is.
//
// It has two uses. Jobs, workloads and nodes show a token that their issuer signed (GitLab's id_tokens, GitHub Actions, a projected service account
// token of Kubernetes); what its claims say is bound to roles on paths:
//
//	gitlab, err := oidc.New(oidc.Config{
//		Name: "gitlab", Issuer: "https://gitlab.example.com", Audience: "https://registry.example.com",
//		Bind: []oidc.Binding{{
//			Claims: map[string]string{"project_path": "cloud/dmp/*", "ref_protected": "true"},
//			Role:   auth.CIRole, On: "{project_path}",
//		}},
//	})
//	who, until, err := gitlab.Verify(ctx, token) // who.Grants: ci on cloud/dmp/ms-ingestion
//
// And people log in with a browser, by the authorization code flow with PKCE. The door keeps what Begin returns in a signed cookie:
//
//	started, err := corp.Begin(ctx, "https://registry.example.com/login/corp") // then redirect to started.URL
//	person, err := corp.Finish(ctx, started, "https://registry.example.com/login/corp", q.Get("state"), q.Get("code"), q.Get("iss"))
//
// # Promises
//
// A token is believed only if a key that the issuer publishes signed it with an asymmetric algorithm, it is meant for this registry, and its time is
// now. Keys that a token brings along or points at are never looked at. A claim that is absent matches nothing. What a claim puts into a path stays
// below the path written around it.
//
// New asks nobody: an issuer that is down does not keep the registry from starting. It is asked when it is first needed, again when a token is signed
// with a key that is not known, and once an hour so that withdrawn keys are forgotten; one request at a time, and at most one in ten seconds. While
// it cannot be reached, the keys last seen are good for a day. No secret and no token is in any error or log line.
//
// An ID token may leave a person's name and groups to the issuer's userinfo endpoint. That is asked once at such a login, and only for what the ID
// token does not say. If it fails, so does the login: nobody comes in under another name, or without their groups, because of that.
//
// # What it leaves to others
//
// Pages, cookies and sessions; how long a login that was begun may take; limits on attempts; caches of what was verified.
package oidc

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/entrepot/entrepot/auth"
)

// Config is one provider.
type Config struct {
	Name     string // short and lower-case, for identities: "gitlab" makes alice@gitlab
	Issuer   string // exactly what tokens have as iss; <Issuer>/.well-known/openid-configuration says the rest, unless there is a JWKSFile
	JWKSFile string // its keys in a file (RFC 7517), for an issuer out of reach; read again when it changes
	CAFile   string // authorities (PEM) to trust besides the system's when asking the issuer

	// For jobs, workloads and nodes; none of them is believed without Bind.
	Audience  string    // the aud that their tokens must carry. A token with another azp is good only for bindings that want that azp
	Kind      string    // what they are: ci (the default), workload or node
	NameClaim string    // the claim they are named by; sub if empty. It should be unique to the issuer
	Bind      []Binding // what their claims are bound to

	// For people; without ClientID there is no login page.
	ClientID         string   // by which the issuer knows this registry; the aud of people's tokens
	ClientSecretFile string   // holds the secret; read at each login. Empty for a public client
	Scopes           []string // what to ask for besides openid; profile and email if nil
	UserClaim        string   // the claim they are named by. Empty: preferred_username, else email if it is verified, else sub
	GroupsClaim      string   // the claim with their groups, a list or one string; empty for none. Both are of the ID token, or else of userinfo
	GroupsPrefix     string   // put before each group's name

	Now  func() time.Time // time.Now if nil
	Log  *slog.Logger     // nil logs nothing
	HTTP *http.Client     // asks the issuer, with its own idea of whom to trust; for tests. Nil for a private one
}

// Provider is one issuer and what its word is good for. It may be used by many at once.
type Provider struct {
	name, issuer, audience string
	kind, nameClaim        string
	bind                   []binding

	oauth                  oauth2.Config // without the endpoints and the secret, which may change
	secretFile             string
	userClaim, groupsClaim string
	groupsPrefix           string
	client                 *http.Client
	keys                   keySource
	published              *published // nil with a file of keys
	now                    func() time.Time
	log                    *slog.Logger
	warned                 atomic.Pointer[time.Time] // when it was last said that a token lives long
}

// Issuer returns the iss of the tokens that are this provider's.
func (p *Provider) Issuer() string { return p.issuer }

// Login implements auth.Provider for clients that can only send a name and a password: whatever the name, the secret is a token, for Verify.
func (p *Provider) Login(ctx context.Context, _, secret string) (auth.Identity, time.Time, error) {
	return p.Verify(ctx, secret)
}

// wrong says why somebody is refused, for the operator's log.
func (p *Provider) wrong(format string, args ...any) error {
	return fmt.Errorf("%w: provider %s: %s", auth.ErrWrong, p.name, fmt.Sprintf(format, args...))
}

// fault says why it cannot be told who somebody is.
func (p *Provider) fault(doing string, err error) error {
	return fmt.Errorf("oidc provider %s: %s: %w", p.name, doing, err)
}
