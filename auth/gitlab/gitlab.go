// Package gitlab knows people and programs by the tokens that a GitLab instance gave them, and asks that instance about each.
//
//	p, err := gitlab.New(gitlab.Config{
//		URL:  "https://gitlab.example.com",
//		Bind: func(claims map[string]any) []auth.Grant { … }, // what jobs, deploy tokens and people may do here
//	})
//	who, until, err := p.Login(ctx, "gitlab-ci-token", os.Getenv("CI_JOB_TOKEN"))
//
// What a secret is, its prefix tells (glpat-, gldt-, glcbt-, or the instance's own: Config.Prefixes), or else the name: gitlab-ci-token and
// gitlab+deploy-token-<number>. Everything else is [auth.ErrUnknown] and is never sent anywhere, so that nobody's password for something else
// reaches GitLab; personal tokens from before GitLab had prefixes are not known for what they are, and have to be renewed.
//
// # Personal, project and group access tokens
//
// They log in with any name, as in GitLab. GitLab is asked GET /api/v4/personal_access_tokens/self (GitLab 15.5 or later) for the token and GET
// /api/v4/user for its owner; a token whose scopes do not let it ask who its owner is, is shown to GET /jwt/auth instead, where GitLab's own
// registry would ask. The identity is the user <username>@gitlab; for project and group tokens that is the bot which GitLab made for them
// (project_123_bot_…), a user too. The scopes api and write_registry leave the identity uncut; with only read_registry or read_api it may pull, and with
// neither the token is refused, as are tokens that are revoked or expired and users who are not active.
//
// Claims for Bind: token ("personal"), username, user_id, scopes, and bot (true or false) where GitLab told it. Whoever takes over a username in
// GitLab takes over what was granted to it here.
//
// # Job tokens
//
// GitLab is asked GET /api/v4/job (GitLab 13.10 or later). The identity is ci job:<group>/<project>@gitlab, as long as the job runs. GitLab does not
// say the project's path there; it is read from the job's web_url, which must be below Config.URL or Config.ExternalURL.
//
// Claims for Bind, named as in GitLab's ID tokens: token ("job"), project_path, namespace_path, project_id, ref, ref_type (branch, tag or
// merge_request), sha, user_login, user_id, job_id, pipeline_id, and pipeline_source where GitLab tells it. Whether the ref is protected, and for which
// environment the job runs, GitLab tells only in ID tokens (package oidc), so a binding that asks for that matches no job token. A tag may be called as a
// branch is: bind ref_type together with ref.
//
// # Deploy tokens
//
// GitLab is asked GET /jwt/auth, with the token's own name: its API takes no deploy tokens. That needs GitLab's container registry to be on. The
// identity is the robot <name of the token>@gitlab. GitLab does not tell whose token it is, but answers whether it may pull from a given project:
// those of Config.DeployProjects are asked about, with each login. It does not tell the token's scopes either. So a deploy token may only pull here,
// unless Config.DeployPush is set.
//
// Claims for Bind: token ("deploy"), username, deploy_token_id where GitLab tells it, and projects, those of DeployProjects that it may use.
//
// # Promises
//
// The token is sent to the host of Config.URL and nowhere else, never after a redirect, in clear text only to this machine itself. It is in no error and
// in no line of the log, and nothing that GitLab answers is repeated there. GitLab's refusals are [auth.ErrWrong]; whatever keeps it from answering is
// another error, and an [auth.Wait] if it asks to be left alone for a while (429). One login takes at most Config.Timeout.
//
// What is left to others: limits on attempts and caches. GitLab bans addresses that show it too many wrong tokens, and this registry is one address for
// all its users; put it into GitLab's allowlist for that (rack_attack, ip_whitelist).
package gitlab

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/entrepot/entrepot/auth"
)

// Config is one GitLab instance.
type Config struct {
	Name        string   // short, for identities; "gitlab" if empty makes alice@gitlab
	URL         string   // where it is asked: https://gitlab.example.com, with a path if it lives below one
	ExternalURL string   // what it calls itself in its answers (external_url), if that is not URL
	CAFile      string   // authorities (PEM) to trust besides the system's
	Prefixes    []string // with which its tokens begin if it has its own: for all of them (acme-glpat-…) or for personal ones (acme-…)

	// Bind returns what the claims of a token are good for. Nil: nothing beyond what is granted to the identity itself.
	Bind func(claims map[string]any) []auth.Grant

	DeployProjects []string // group/project; with a deploy token GitLab is asked which of them it may use. At most 20
	// DeployPush asks whether a deploy token may push to any of DeployProjects, and if so cuts nothing. For each project that it may push to GitLab
	// makes an (empty) container repository then, which is why this has to be wished for.
	DeployPush bool

	Remember time.Duration // how long an answer may be believed without asking again; 2 minutes if 0
	Timeout  time.Duration // for one login, all its questions together; 10 seconds if 0

	HTTP *http.Client     // asks GitLab; nil for one of its own. For tests
	Now  func() time.Time // time.Now if nil
	Log  *slog.Logger     // nil logs nothing
}

// Provider is one GitLab instance; it is an [auth.Provider]. It may be used by many at once.
type Provider struct {
	name           string
	url            *url.URL // without a slash at its end
	external       *url.URL
	prefixes       []string
	bind           func(map[string]any) []auth.Grant
	projects       []string
	push           bool
	remember, wait time.Duration
	client         *http.Client
	now            func() time.Time
	log            *slog.Logger
}

// found is what GitLab said about a token.
type found struct {
	who    auth.Identity
	claims map[string]any
	ends   time.Time // of the token; zero if it has no end, or none that is known
}

// Login implements [auth.Provider].
func (p *Provider) Login(ctx context.Context, name, secret string) (auth.Identity, time.Time, error) {
	var know func(ctx context.Context, name, secret string) (found, error)
	what := p.shape(name, secret)
	switch what {
	case personal:
		know = p.personal
	case job:
		know = p.job
	case deploy:
		know = p.deploy
	default:
		return auth.Identity{}, time.Time{}, auth.ErrUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	got, err := know(ctx, name, secret)
	if err != nil {
		return auth.Identity{}, time.Time{}, fmt.Errorf("ask GitLab at %s about a %s token: %w", p.url.Host, what, err)
	}
	until := p.now().Add(p.remember)
	if !got.ends.IsZero() && got.ends.Before(until) {
		until = got.ends
	}
	if p.bind != nil {
		got.who.Grants = p.bind(got.claims)
	}
	return got.who, until, nil
}

// identity returns who it is, if the name can be one here.
func (p *Provider) identity(kind, name string, scope auth.Scope) (auth.Identity, error) {
	who := auth.Identity{Kind: kind, Name: name + "@" + p.name, Scope: scope}
	if auth.CheckName(who.Name) != nil {
		return auth.Identity{}, fmt.Errorf("it answers with a name that cannot be one here (longer than %d bytes, or with odd characters)", auth.MaxName)
	}
	return who, nil
}

// pullOnly is the scope of a token that may read.
func pullOnly() auth.Scope {
	return auth.Scope{
		{Type: "repository", Name: string(auth.Everywhere), Actions: []string{"pull"}},
		{Type: "registry", Name: "catalog", Actions: []string{"*"}},
	}
}

// wrong says why a token is refused, for the operator's log.
func wrong(reason string) error { return fmt.Errorf("%w: %s", auth.ErrWrong, reason) }
