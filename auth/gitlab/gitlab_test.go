package gitlab_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/gitlab"
	"github.com/entrepot/entrepot/auth/gitlab/gitlabtest"
)

var _ auth.Provider = (*gitlab.Provider)(nil)

const (
	pat         = "glpat-AbCdEfGhIjKlMnOpQrSt"
	jobToken    = "glcbt-64_AbCdEfGhIjKlMnOp"
	deployToken = "gldt-AbCdEfGhIjKlMnOpQrSt"
	oldToken    = "AbCdEfGhIjKlMnOpQrSt" // from before there were prefixes
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

var pull = auth.Scope{
	{Type: "repository", Name: "**", Actions: []string{"pull"}},
	{Type: "registry", Name: "catalog", Actions: []string{"*"}},
}

// provider asks g; claims receives what it binds. The log goes to a test that looks for secrets in it.
func provider(t *testing.T, g *gitlabtest.Server, change func(*gitlab.Config)) (p *gitlab.Provider, claims *map[string]any) {
	t.Helper()
	claims = &map[string]any{}
	var log bytes.Buffer
	t.Cleanup(func() { tellsNothing(t, log.String(), pat, jobToken, deployToken, oldToken) })
	c := gitlab.Config{
		URL: g.URL,
		Now: func() time.Time { return noon },
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Bind: func(got map[string]any) []auth.Grant {
			*claims = got
			return []auth.Grant{{Role: auth.Reader, On: "bound"}}
		},
	}
	g.SetTime(noon)
	if change != nil {
		change(&c)
	}
	p, err := gitlab.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p, claims
}

// tellsNothing looks for secrets, as they are and as Basic authentication writes them.
func tellsNothing(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		for _, form := range []string{secret, secret[8:], base64.StdEncoding.EncodeToString([]byte(secret))[:20], basic("gitlab+deploy-token-7", secret)} {
			if strings.Contains(text, form) {
				t.Errorf("a secret is told in: %s", text)
			}
		}
	}
}

func basic(name, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + secret))
}

func TestLogin_personal_tokens(t *testing.T) {
	for _, c := range []struct {
		what  string
		token gitlabtest.Personal
		want  error
		scope auth.Scope
		asked []string // after /api/v4/
	}{
		{what: "all", token: gitlabtest.Personal{Scopes: []string{"api"}}, asked: []string{"self", "user"}},
		{what: "writer", token: gitlabtest.Personal{Scopes: []string{"write_registry", "read_registry"}}, asked: []string{"self", "auth"}},
		{what: "writer who may ask", token: gitlabtest.Personal{Scopes: []string{"write_registry", "read_user"}}, asked: []string{"self", "user"}},
		{what: "reader", token: gitlabtest.Personal{Scopes: []string{"read_registry"}}, scope: pull, asked: []string{"self", "auth"}},
		{what: "reader of the API", token: gitlabtest.Personal{Scopes: []string{"read_api"}}, scope: pull, asked: []string{"self", "user"}},
		{what: "only asks", token: gitlabtest.Personal{Scopes: []string{"read_user"}}, want: auth.ErrWrong},
		{what: "only git", token: gitlabtest.Personal{Scopes: []string{"read_repository", "write_repository", "sudo"}}, want: auth.ErrWrong},
		{what: "no scopes", token: gitlabtest.Personal{}, want: auth.ErrWrong},
		{what: "revoked", token: gitlabtest.Personal{Scopes: []string{"api"}, Revoked: true}, want: auth.ErrWrong},
		{what: "ended", token: gitlabtest.Personal{Scopes: []string{"api"}, Expires: "2027-03-01"}, want: auth.ErrWrong},
		{what: "ends soon", token: gitlabtest.Personal{Scopes: []string{"api"}, Expires: "2027-03-02"}},
		{what: "blocked", token: gitlabtest.Personal{Scopes: []string{"api"}, State: "blocked"}, want: auth.ErrWrong},
		{what: "blocked reader", token: gitlabtest.Personal{Scopes: []string{"read_registry"}, State: "ldap_blocked"}, want: auth.ErrWrong},
		{what: "unknown", token: gitlabtest.Personal{Token: "glpat-another-one-0123456"}, want: auth.ErrWrong},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := gitlabtest.Start(t)
			p, claims := provider(t, g, nil)
			c.token.Username, c.token.UserID = "alice", 42
			if c.token.Token == "" {
				c.token.Token = pat
			}
			g.AddPersonalToken(c.token)
			who, until, err := p.Login(t.Context(), "whoever", pat)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if c.asked != nil {
				var asked []string
				for _, path := range g.Asked() {
					asked = append(asked, filepath.Base(path))
				}
				if !slices.Equal(asked, c.asked) {
					t.Errorf("asked %q, want %q", asked, c.asked)
				}
			}
			if err != nil {
				tellsNothing(t, err.Error(), pat)
				if !reflect.DeepEqual(who, auth.Identity{}) || !until.IsZero() {
					t.Errorf("%+v until %v with an error", who, until)
				}
				return
			}
			want := auth.Identity{Kind: auth.User, Name: "alice@gitlab", Scope: c.scope, Grants: []auth.Grant{{Role: auth.Reader, On: "bound"}}}
			if !reflect.DeepEqual(who, want) {
				t.Errorf("%+v\nwant %+v", who, want)
			}
			if (*claims)["token"] != "personal" || (*claims)["username"] != "alice" || (*claims)["user_id"] != "42" {
				t.Errorf("claims %v", *claims)
			}
		})
	}
}

func TestLogin_bots_are_users(t *testing.T) {
	g := gitlabtest.Start(t)
	p, claims := provider(t, g, func(c *gitlab.Config) { c.Name = "forge" })
	g.AddPersonalToken(gitlabtest.Personal{Token: pat, Username: "project_123_bot_4ffca2", Scopes: []string{"api", "read_registry"}, Bot: true})
	who, _, err := p.Login(t.Context(), "", pat)
	if err != nil || who.String() != "user:project_123_bot_4ffca2@forge" {
		t.Errorf("%v, %v", who, err)
	}
	if c := *claims; c["bot"] != true || !reflect.DeepEqual(c["scopes"], []any{"api", "read_registry"}) {
		t.Errorf("claims %v", c)
	}
}

func TestLogin_job_tokens(t *testing.T) {
	for _, c := range []struct {
		what   string
		secret string
		job    gitlabtest.Job
		config func(*gitlab.Config)
		want   string // of the identity; else an error with:
		wrong  bool   // ErrWrong
		fault  string
		claims map[string]any // some of them; nil: must be absent
	}{
		{
			what: "a branch", secret: jobToken, job: gitlabtest.Job{Project: "cloud/dmp/ms-ingestion", User: "alice", Source: "merge_request_event"},
			want: "ci:job:cloud/dmp/ms-ingestion@gitlab",
			claims: map[string]any{
				"token": "job", "project_path": "cloud/dmp/ms-ingestion", "namespace_path": "cloud/dmp", "ref": "main", "ref_type": "branch",
				"user_login": "alice", "pipeline_source": "merge_request_event", "job_id": "7", "pipeline_id": "1007", "project_id": "2007",
				"ref_protected": nil, "environment": nil, "sha": "0ff3ae198f8601a285adcf5c0fff204ee6fba5fd",
			},
		},
		{
			what: "a tag", secret: jobToken, job: gitlabtest.Job{Project: "a/b", Ref: "v1", Tag: true}, want: "ci:job:a/b@gitlab",
			claims: map[string]any{"ref": "v1", "ref_type": "tag"},
		},
		{
			what: "a merge request", secret: jobToken, job: gitlabtest.Job{Project: "a/b", Ref: "refs/merge-requests/2/head"}, want: "ci:job:a/b@gitlab",
			claims: map[string]any{"ref_type": "merge_request"},
		},
		{what: "an old token, by the name", secret: oldToken, job: gitlabtest.Job{Project: "a/b"}, want: "ci:job:a/b@gitlab"},
		{what: "it has ended", secret: jobToken, job: gitlabtest.Job{Project: "a/b", Status: "success"}, wrong: true},
		{
			what: "another name outside", secret: jobToken, job: gitlabtest.Job{Project: "a/b", WebURL: "https://gitlab.example.com:443/a/b/-/jobs/7"},
			config: func(c *gitlab.Config) { c.ExternalURL = "https://GitLab.example.com/" }, want: "ci:job:a/b@gitlab",
		},
		{
			what: "below a path", secret: jobToken, job: gitlabtest.Job{Project: "a/b", WebURL: "https://example.com/git/a/b/-/jobs/7"},
			config: func(c *gitlab.Config) { c.ExternalURL = "https://example.com/git" }, want: "ci:job:a/b@gitlab",
		},
		{
			what: "not below the path", secret: jobToken, job: gitlabtest.Job{Project: "a/b", WebURL: "https://example.com/gita/b/-/jobs/7"},
			config: func(c *gitlab.Config) { c.ExternalURL = "https://example.com/git" }, fault: "not one of a project's jobs",
		},
		{what: "another host", secret: jobToken, job: gitlabtest.Job{WebURL: "https://evil.example.com/a/b/-/jobs/7"}, fault: "set the external URL"},
		{what: "another port", secret: jobToken, job: gitlabtest.Job{WebURL: "http://127.0.0.1:1/a/b/-/jobs/7"}, fault: "set the external URL"},
		{what: "another job", secret: jobToken, job: gitlabtest.Job{ID: 8, WebURL: "/a/b/-/jobs/7"}, fault: "not one of a project's jobs"},
		{what: "no project", secret: jobToken, job: gitlabtest.Job{WebURL: "/-/jobs/7"}, fault: "not one of a project's jobs"},
		{what: "no namespace", secret: jobToken, job: gitlabtest.Job{WebURL: "/b/-/jobs/7"}, fault: "not one of a project's jobs"},
		{what: "dots", secret: jobToken, job: gitlabtest.Job{WebURL: "/a/../b/-/jobs/7"}, fault: "not one of a project's jobs"},
		{what: "twice", secret: jobToken, job: gitlabtest.Job{WebURL: "/a/b/-/jobs/7/c/-/jobs/7"}, fault: "not one of a project's jobs"},
		{what: "encoded", secret: jobToken, job: gitlabtest.Job{WebURL: "/a%2Fb/c/-/jobs/7"}, fault: "not one of a project's jobs"},
		{what: "a query", secret: jobToken, job: gitlabtest.Job{WebURL: "/a/b/-/jobs/7?x=/-/jobs/7"}, fault: "not one of a project's jobs"},
		{what: "long", secret: jobToken, job: gitlabtest.Job{Project: "a/" + strings.Repeat("b", 250)}, fault: "cannot be one here"},
		{what: "odd user", secret: jobToken, job: gitlabtest.Job{Project: "a/b", User: "a\nb"}, fault: "whose name cannot be one"},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := gitlabtest.Start(t)
			p, claims := provider(t, g, c.config)
			if c.job.Token = c.secret; c.job.ID == 0 {
				c.job.ID = 7
			}
			if strings.HasPrefix(c.job.WebURL, "/") {
				c.job.WebURL = g.URL + c.job.WebURL
			}
			g.AddJob(c.job)
			who, until, err := p.Login(t.Context(), "gitlab-ci-token", c.secret)
			if c.want == "" {
				if err == nil || errors.Is(err, auth.ErrWrong) != c.wrong || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("%v, %v; want an error with %q, ErrWrong: %v", who, err, c.fault, c.wrong)
				}
				tellsNothing(t, err.Error(), c.secret)
				return
			}
			if err != nil || who.String() != c.want || who.Scope != nil || len(who.Grants) != 1 || !until.Equal(noon.Add(2*time.Minute)) {
				t.Errorf("%+v until %v, %v; want %s", who, until, err, c.want)
			}
			for name, want := range c.claims {
				if got := (*claims)[name]; got != want {
					t.Errorf("claim %s is %v, want %v", name, got, want)
				}
			}
		})
	}
}

func TestLogin_deploy_tokens(t *testing.T) {
	const name = "gitlab+deploy-token-7"
	projects := func(c *gitlab.Config) { c.DeployProjects = []string{"Cloud/dmp", "cloud/core", "ran/x"} }
	push := func(c *gitlab.Config) { projects(c); c.DeployPush = true }
	read, write := []string{"read_registry"}, []string{"read_registry", "write_registry"}
	for _, c := range []struct {
		what, name, secret string
		token              gitlabtest.Deploy
		config             func(*gitlab.Config)
		want               error
		scope              auth.Scope
		projects           any
	}{
		{what: "reads", token: gitlabtest.Deploy{Scopes: read}, scope: pull},
		{what: "its scopes are not known", token: gitlabtest.Deploy{Scopes: write}, scope: pull},
		{what: "own name", name: "puller", token: gitlabtest.Deploy{Username: "puller", Scopes: read}, scope: pull},
		{what: "old", secret: oldToken, token: gitlabtest.Deploy{Scopes: read}, scope: pull},
		{
			what: "projects", config: projects, token: gitlabtest.Deploy{Scopes: write, Projects: []string{"cloud/dmp", "ran/x"}},
			scope: pull, projects: []any{"Cloud/dmp", "ran/x"},
		},
		{what: "none of them", config: projects, token: gitlabtest.Deploy{Scopes: write, Projects: []string{"x/y"}}, scope: pull, projects: []any{}},
		{what: "pushes", config: push, token: gitlabtest.Deploy{Scopes: write, Projects: []string{"ran/x"}}, projects: []any{"ran/x"}},
		{what: "does not push", config: push, token: gitlabtest.Deploy{Scopes: read, Projects: []string{"ran/x"}}, scope: pull, projects: []any{"ran/x"}},
		{what: "pushes elsewhere", config: push, token: gitlabtest.Deploy{Scopes: write, Projects: []string{"x/y"}}, scope: pull, projects: []any{}},
		{what: "only git", token: gitlabtest.Deploy{Scopes: []string{"read_repository"}}, want: auth.ErrWrong},
		{what: "revoked", token: gitlabtest.Deploy{Scopes: read, Revoked: true}, want: auth.ErrWrong},
		{what: "another's name", name: "gitlab+deploy-token-8", token: gitlabtest.Deploy{Scopes: read}, want: auth.ErrWrong},
		{what: "odd name", name: "a:b", token: gitlabtest.Deploy{Scopes: read}, want: auth.ErrWrong},
		{what: "no name", name: " ", token: gitlabtest.Deploy{Scopes: read}, want: auth.ErrWrong},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := gitlabtest.Start(t)
			p, claims := provider(t, g, c.config)
			if c.name == "" {
				c.name = name
			}
			if c.secret == "" {
				c.secret = deployToken
			}
			c.token.Token, c.token.ID = c.secret, 7
			g.AddDeployToken(c.token)
			who, until, err := p.Login(t.Context(), c.name, c.secret)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if err != nil {
				tellsNothing(t, err.Error(), c.secret)
				return
			}
			want := auth.Identity{Kind: auth.Robot, Name: c.name + "@gitlab", Scope: c.scope, Grants: []auth.Grant{{Role: auth.Reader, On: "bound"}}}
			if !reflect.DeepEqual(who, want) || !until.Equal(noon.Add(2*time.Minute)) {
				t.Errorf("%+v until %v\nwant %+v", who, until, want)
			}
			wanted := map[string]any{"token": "deploy", "username": c.name, "deploy_token_id": "7"}
			if c.projects != nil {
				wanted["projects"] = c.projects
			}
			if !reflect.DeepEqual(*claims, wanted) {
				t.Errorf("claims %v, want %v", *claims, wanted)
			}
		})
	}
}

// GitLab looks at a name only for some kinds of token: with any other, the name says nothing.
func TestLogin_nobody_becomes_a_deploy_token_by_its_name(t *testing.T) {
	g := gitlabtest.Start(t)
	p, _ := provider(t, g, func(c *gitlab.Config) { c.DeployProjects = []string{"cloud/dmp"}; c.DeployPush = true })
	g.AddPersonalToken(gitlabtest.Personal{Token: oldToken, Username: "mallory", Scopes: []string{"api"}})
	g.AddPersonalToken(gitlabtest.Personal{Token: "gldt-made-to-look-like-one", Username: "gitlab+deploy-token-7", Scopes: []string{"api"}})
	for _, secret := range []string{oldToken, "gldt-made-to-look-like-one"} {
		if who, _, err := p.Login(t.Context(), "gitlab+deploy-token-7", secret); !errors.Is(err, auth.ErrWrong) {
			t.Errorf("%v, %v", who, err)
		}
	}
}

func TestLogin_is_believed_no_longer_than_the_token_lasts(t *testing.T) {
	g := gitlabtest.Start(t)
	for _, c := range []struct {
		now, expires string
		remember     time.Duration
		want         string
	}{
		{"2027-03-01T12:00:00Z", "", 0, "2027-03-01T12:02:00Z"},
		{"2027-03-01T12:00:00Z", "", time.Hour, "2027-03-01T13:00:00Z"},
		{"2027-03-01T12:00:00Z", "2027-03-02", 0, "2027-03-01T12:02:00Z"},
		{"2027-03-01T23:59:00Z", "2027-03-02", 0, "2027-03-02T00:00:00Z"},
		{"2027-03-02T01:59:00+02:00", "2027-03-02", 0, "2027-03-02T00:00:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := provider(t, g, func(f *gitlab.Config) { f.Now = func() time.Time { return now }; f.Remember = c.remember })
		g.SetTime(now)
		g.AddPersonalToken(gitlabtest.Personal{Token: pat, Username: "alice", Scopes: []string{"api"}, Expires: c.expires})
		_, until, err := p.Login(t.Context(), "", pat)
		if err != nil || until.UTC().Format(time.RFC3339) != c.want {
			t.Errorf("at %s, expires %s: until %v, %v; want %s", c.now, c.expires, until, err, c.want)
		}
	}
}

func TestLogin_sends_nothing_that_is_not_GitLabs(t *testing.T) {
	g := gitlabtest.Start(t)
	p, _ := provider(t, g, func(c *gitlab.Config) { c.Prefixes = []string{"acme-"} })
	for _, c := range [][2]string{
		{"alice", "correct horse battery staple"},
		{"alice", "correct-horse-battery-staple"},
		{"alice", oldToken},
		{"alice", ""},
		{"alice", "glpat-"},
		{"alice", "glpat-with a space in it"},
		{"alice", "glpat-with\nanother\nline"},
		{"alice", "glpat-" + strings.Repeat("x", 10_000)},
		{"alice", "glrt-AbCdEfGhIjKlMnOpQrSt"},
		{"alice", "xglpat-AbCdEfGhIjKlMnOpQrSt"},
		{"alice", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA"},
		{"gitlab-ci-token", "short"},
		{"gitlab-ci-token", "with a space in the middle"},
		{"gitlab-ci-token2", oldToken},
		{"gitlab+deploy-token-", oldToken},
		{"gitlab+deploy-token-x", oldToken},
		{"gitlab+deploy-token-1x", oldToken},
		{"acme", oldToken},
	} {
		if _, _, err := p.Login(t.Context(), c[0], c[1]); !errors.Is(err, auth.ErrUnknown) || errors.Is(err, auth.ErrWrong) {
			t.Errorf("%q, %.60q: %v, want ErrUnknown", c[0], c[1], err)
		}
	}
	if asked := g.Asked(); len(asked) != 0 {
		t.Errorf("GitLab was asked %q", asked)
	}
}

func TestLogin_with_an_instances_own_prefixes(t *testing.T) {
	g := gitlabtest.Start(t)
	p, _ := provider(t, g, func(c *gitlab.Config) { c.Prefixes = []string{"acme", "corp_"} })
	g.AddPersonalToken(gitlabtest.Personal{Token: "corp_0123456789abcdef", Username: "alice", Scopes: []string{"api"}})
	g.AddPersonalToken(gitlabtest.Personal{Token: "acme-glpat-0123456789abcdef", Username: "bob", Scopes: []string{"api"}})
	g.AddPersonalToken(gitlabtest.Personal{Token: pat, Username: "carol", Scopes: []string{"api"}})
	g.AddDeployToken(gitlabtest.Deploy{Token: "acme-gldt-0123456789abcdef", Username: "puller", Scopes: []string{"read_registry"}})
	g.AddJob(gitlabtest.Job{Token: "acme-glcbt-0123456789abcdef", Project: "a/b"})
	for secret, want := range map[string]string{
		"corp_0123456789abcdef":       "user:alice@gitlab",
		"acme-glpat-0123456789abcdef": "user:bob@gitlab",
		pat:                           "user:carol@gitlab",
		"acme-gldt-0123456789abcdef":  "robot:puller@gitlab",
		"acme-glcbt-0123456789abcdef": "ci:job:a/b@gitlab",
	} {
		if who, _, err := p.Login(t.Context(), "puller", secret); err != nil || who.String() != want {
			t.Errorf("%s: %v, %v; want %s", secret, who, err, want)
		}
	}
}

// everybody logs in with one token of each kind and returns the errors, which are faults and tell no secret.
func everybody(t *testing.T, p *gitlab.Provider) (errs []error) {
	t.Helper()
	for _, c := range [][2]string{{"alice", pat}, {"gitlab-ci-token", jobToken}, {"gitlab+deploy-token-7", deployToken}} {
		who, _, err := p.Login(t.Context(), c[0], c[1])
		if err == nil {
			t.Errorf("%v logs in", who)
			continue
		}
		if errors.Is(err, auth.ErrWrong) || errors.Is(err, auth.ErrUnknown) {
			t.Errorf("%v is no fault", err)
		}
		tellsNothing(t, err.Error(), pat, jobToken, deployToken)
		errs = append(errs, err)
	}
	return errs
}

func fill(g *gitlabtest.Server) {
	g.AddPersonalToken(gitlabtest.Personal{Token: pat, Username: "alice", Scopes: []string{"api"}})
	g.AddJob(gitlabtest.Job{Token: jobToken, Project: "a/b"})
	g.AddDeployToken(gitlabtest.Deploy{Token: deployToken, ID: 7, Scopes: []string{"read_registry"}})
}

func TestLogin_when_GitLab_is_down(t *testing.T) {
	g := gitlabtest.Start(t)
	p, _ := provider(t, g, nil)
	fill(g)
	g.Down()
	everybody(t, p)
	g.Up()
	if _, _, err := p.Login(t.Context(), "", pat); err != nil {
		t.Errorf("%v, once it is up again", err)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	p, _ = provider(t, g, func(c *gitlab.Config) { c.URL = "http://" + nobody.Addr().String() })
	for _, err := range everybody(t, p) {
		if !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "ask GitLab at "+nobody.Addr().String()) {
			t.Errorf("%v does not say what happened", err)
		}
	}
}

func TestLogin_when_GitLab_wants_to_be_left_alone(t *testing.T) {
	g := gitlabtest.Start(t)
	p, _ := provider(t, g, nil)
	fill(g)
	g.Limit(true)
	for _, err := range everybody(t, p) {
		var wait *auth.Wait
		if !errors.As(err, &wait) || wait.After != 17*time.Second || !wait.Busy || !strings.Contains(err.Error(), "429") {
			t.Errorf("%v, want to wait 17 s", err)
		}
	}
}

func TestLogin_when_GitLabs_registry_is_off(t *testing.T) {
	g := gitlabtest.Start(t)
	p, _ := provider(t, g, nil)
	g.Registry(false)
	g.AddDeployToken(gitlabtest.Deploy{Token: deployToken, ID: 7, Scopes: []string{"read_registry"}})
	g.AddPersonalToken(gitlabtest.Personal{Token: pat, Username: "alice", Scopes: []string{"read_registry"}})
	for name, secret := range map[string]string{"gitlab+deploy-token-7": deployToken, "alice": pat} {
		_, _, err := p.Login(t.Context(), name, secret)
		if err == nil || errors.Is(err, auth.ErrWrong) || !strings.Contains(err.Error(), "container registry is off") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var paths = []string{"/api/v4/user", "/api/v4/personal_access_tokens/self", "/api/v4/job", "/jwt/auth"}

// echo repeats all that a request says about its sender.
func echo(r *http.Request) string {
	return fmt.Sprint(r.Header.Get("PRIVATE-TOKEN"), r.Header.Get("JOB-TOKEN"), r.Header.Get("Authorization"))
}

func TestLogin_when_what_answers_is_no_GitLab(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	text := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, strings.ReplaceAll(body, "ECHO", echo(r)))
		}
	}
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, strings.ReplaceAll(answer, "ECHO", echo(r)))
		}
	}
	jwt := func(claims string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"token":"e30.%s.e30"}`, base64.RawURLEncoding.EncodeToString([]byte(claims)))
		}
	}
	for what, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/?t="+echo(r), http.StatusFound)
		}, "points to another address (302)"},
		"itself": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"?again", http.StatusTemporaryRedirect)
		}, "points to another address (307)"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err == nil; _, err = io.WriteString(w, strings.Repeat(" ", 1<<16)) {
			}
		}, "more than 1 MiB"},
		"huge":             {text(200, strings.Repeat(" ", 2<<20)), "more than 1 MiB"},
		"HTML":             {text(200, "<html>ECHO"), "not the JSON"},
		"empty":            {text(200, ""), "not the JSON"},
		"a list":           {text(200, `["ECHO"]`), "not the JSON"},
		"other types":      {text(200, `{"id":"ECHO","token":1}`), "not the JSON"},
		"two values":       {text(200, `{} {}`), "not the JSON"},
		"deep":             {text(200, strings.Repeat("[", 100_000)), "not the JSON"},
		"nothing in it":    {text(200, `{}`), ""},
		"no JWT":           {text(200, `{"id":1,"user_id":1,"active":true,"scopes":["api"],"token":"ECHO"}`), ""},
		"a JWT of nothing": {text(200, `{"token":"a.ECHO.c"}`), ""},
		"broken":           {text(500, "ECHO"), "500"},
		"not there":        {text(404, `{"error":"ECHO"}`), "404"},
		"banned":           {text(403, "ECHO"), "banned"},
		"no HTTP":          {raw("ECHO\r\n\r\n"), "does not speak HTTP"},
		"odd status":       {raw("HTTP/1.1 ECHO ECHO\r\n\r\n"), "does not speak HTTP"},
		"odd header":       {raw("HTTP/1.1 200 OK\r\nECHO\r\n\r\n"), "does not speak HTTP"},
		"odd length":       {raw("HTTP/1.1 200 OK\r\nContent-Length: ECHO\r\n\r\n"), "does not speak HTTP"},
		"odd chunks":       {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nECHO\r\n"), "does not speak HTTP"},
		"endless headers":  {raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n{}"), "does not speak HTTP"},
		"broken off":       {raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "broke off"},
		"hangs up":         {raw(""), ""},
	} {
		t.Run(what, func(t *testing.T) {
			g := gitlabtest.Start(t)
			p, _ := provider(t, g, nil)
			fill(g)
			for _, path := range paths {
				g.Instead(path, c.answer)
			}
			for _, err := range everybody(t, p) {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			}
		})
	}
	t.Run("a JWT of another kind", func(t *testing.T) {
		g := gitlabtest.Start(t)
		p, _ := provider(t, g, nil)
		g.AddPersonalToken(gitlabtest.Personal{Token: pat, Username: "alice", UserID: 42, Scopes: []string{"read_registry"}})
		for _, claims := range []string{
			`{"sub":"alice"}`,
			`{"sub":"alice","auth_type":"deploy_token"}`,
			`{"sub":"","auth_type":"personal_access_token"}`,
			`{"sub":"a b","auth_type":"personal_access_token"}`,
			`{"sub":"alice","auth_type":"personal_access_token","user":"x"}`,
			`{"sub":"alice","auth_type":"personal_access_token","user":"e30.eyJ1c2VyX2luZm8iOnsidXNlcl9pZCI6N319.e30"}`, // user_id 7
		} {
			g.Instead("/jwt/auth", jwt(claims))
			if who, _, err := p.Login(t.Context(), "alice", pat); err == nil || errors.Is(err, auth.ErrWrong) {
				t.Errorf("%s: %v, %v, want a fault", claims, who, err)
			}
		}
		for _, claims := range []string{
			`{}`,
			`{"sub":"gitlab+deploy-token-7"}`,
			`{"sub":"other","auth_type":"deploy_token"}`,
			`{"auth_type":"deploy_token","user":"e30.eyJ1c2VyX2luZm8iOnsidXNlcm5hbWUiOiJvdGhlciJ9fQ.e30"}`, // username other
		} {
			g.Instead("/jwt/auth", jwt(claims))
			if who, _, err := p.Login(t.Context(), "gitlab+deploy-token-7", deployToken); !errors.Is(err, auth.ErrWrong) {
				t.Errorf("%s: %v, %v, want ErrWrong", claims, who, err)
			}
		}
	})
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

func TestLogin_what_GitLab_says_of_users_is_checked(t *testing.T) {
	const good = `{"id":3,"user_id":42,"active":true,"revoked":false,"scopes":["api"],"expires_at":null}`
	for _, c := range []struct {
		self, user string
		want       error // nil: a fault
	}{
		{good, `{"id":42,"username":"alice","state":"blocked"}`, auth.ErrWrong},
		{good, `{"id":42,"username":"alice"}`, auth.ErrWrong},
		{good, `{"id":43,"username":"alice","state":"active"}`, nil},
		{good, `{"id":42,"username":"","state":"active"}`, nil},
		{good, `{"id":42,"username":"alice\nuser:root","state":"active"}`, nil},
		{good, `{"id":42,"username":"alice@corp","state":"active"}`, nil},
		{good, `{"id":42,"username":"` + pat + `\u202e","state":"active"}`, nil},
		{good, `{"id":42,"username":"` + strings.Repeat("a", 255) + `","state":"active"}`, nil},
		{strings.Replace(good, "true", "false", 1), `{}`, auth.ErrWrong},
		{strings.Replace(good, `"revoked":false`, `"revoked":true`, 1), `{}`, auth.ErrWrong},
		{strings.Replace(good, "null", `"2027-03-01"`, 1), `{}`, auth.ErrWrong},
		{strings.Replace(good, "null", `"2027-03-01T11:59:59Z"`, 1), `{}`, auth.ErrWrong},
		{strings.Replace(good, "null", `"tomorrow `+pat+`"`, 1), `{}`, nil},
		{strings.Replace(good, `"user_id":42`, `"user_id":0`, 1), `{"id":0,"username":"alice","state":"active"}`, nil},
	} {
		g := gitlabtest.Start(t)
		p, _ := provider(t, g, nil)
		for path, body := range map[string]string{"/api/v4/personal_access_tokens/self": c.self, "/api/v4/user": c.user} {
			g.Instead(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		}
		who, _, err := p.Login(t.Context(), "", pat)
		if err == nil || errors.Is(err, auth.ErrWrong) != (c.want != nil) {
			t.Errorf("%s %s: %v, %v", c.self, c.user, who, err)
			continue
		}
		tellsNothing(t, err.Error(), pat)
		if strings.ContainsAny(err.Error(), "\n\u202e") {
			t.Errorf("%q repeats what GitLab sent", err)
		}
	}
}

func TestLogin_what_GitLab_says_of_jobs_is_checked(t *testing.T) {
	g := gitlabtest.Start(t)
	p, _ := provider(t, g, nil)
	good := `{"id":7,"status":"running","ref":"main","tag":false,"web_url":"` + g.URL + `/a/b/-/jobs/7",` +
		`"pipeline":{"id":6,"project_id":1},"user":{"id":1,"username":"root","state":"active"}}`
	for _, c := range []struct {
		old, new string
		want     error
		fault    string
	}{
		{"", "", nil, ""},
		{`"user":{"id":1,"username":"root","state":"active"}`, `"user":null`, nil, ""},
		{"running", "success", auth.ErrWrong, ""},
		{"running", "canceling", auth.ErrWrong, ""},
		{`"status":"running",`, "", auth.ErrWrong, ""},
		{"active", "blocked", auth.ErrWrong, ""},
		{`"root"`, `"../root"`, nil, "whose name cannot be one"},
		{`"id":7`, `"id":0`, nil, "describes no job"},
		{`"id":6`, `"id":0`, nil, "describes no job"},
		{"http://", "http://%zz", nil, "no address of the job"},
		{g.URL, "", nil, "set the external URL"},
	} {
		body := strings.Replace(good, c.old, c.new, 1)
		g.Instead("/api/v4/job", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		who, _, err := p.Login(t.Context(), "gitlab-ci-token", jobToken)
		switch {
		case c.fault != "":
			if err == nil || errors.Is(err, auth.ErrWrong) || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: %v, %v, want a fault with %q", body, who, err, c.fault)
			}
		case !errors.Is(err, c.want):
			t.Errorf("%s: %v, want %v", body, err, c.want)
		}
	}
}

func TestLogin_waits_only_so_long(t *testing.T) {
	g := gitlabtest.Start(t)
	p, _ := provider(t, g, func(c *gitlab.Config) { c.Timeout = 50 * time.Millisecond })
	fill(g)
	for what, answer := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"id":1,`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		for _, path := range paths {
			g.Instead(path, answer)
		}
		began := time.Now()
		errs := everybody(t, p)
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("%s: three logins of at most 50 ms took %v", what, took)
		}
		for _, err := range errs {
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not answer in time") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := p.Login(ctx, "", pat); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
}

func TestLogin_over_TLS(t *testing.T) {
	g := gitlabtest.StartTLS(t)
	fill(g)
	p, _ := provider(t, g, func(c *gitlab.Config) { c.CAFile = g.CAFile })
	if who, _, err := p.Login(t.Context(), "", pat); err != nil || who.Name != "alice@gitlab" {
		t.Errorf("%v, %v", who, err)
	}
	before := len(g.Asked())
	p, _ = provider(t, g, nil)
	for _, err := range everybody(t, p) {
		if !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%v does not say what is wrong", err)
		}
	}
	if len(g.Asked()) != before {
		t.Error("it was asked though its certificate is not trusted")
	}
}

func TestNew_says_what_is_wrong(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "none.pem")
	for want, c := range map[string]gitlab.Config{
		"url: write it as":        {},
		"url: write it as https:": {URL: "gitlab.example.com"},
		"without a name":          {URL: "https://user:" + pat + "@gitlab.example.com"},
		"a query":                 {URL: "https://gitlab.example.com/?private_token=" + pat},
		"fragment":                {URL: "https://gitlab.example.com/#x"},
		"url: write it":           {URL: "ftp://gitlab.example.com"},
		"url: write":              {URL: "https://"},
		"clear text":              {URL: "http://gitlab.example.com"},
		"in clear":                {URL: "http://127.0.0.1.example.com"},
		"external url":            {URL: "https://gitlab.example.com", ExternalURL: "gitlab"},
		"name \"a@b\"":            {URL: "https://gitlab.example.com", Name: "a@b"},
		"name \"a\\nb\"":          {URL: "https://gitlab.example.com", Name: "a\nb"},
		"prefix \"gl\"":           {URL: "https://gitlab.example.com", Prefixes: []string{"gl"}},
		"prefix \"a b c\"":        {URL: "https://gitlab.example.com", Prefixes: []string{"a b c"}},
		"prefix \"\"":             {URL: "https://gitlab.example.com", Prefixes: []string{""}},
		"more than 10 prefixes":   {URL: "https://gitlab.example.com", Prefixes: slices.Repeat([]string{"abc"}, 11)},
		"project \"dmp\"":         {URL: "https://gitlab.example.com", DeployProjects: []string{"dmp"}},
		"project \"a/b:*\"":       {URL: "https://gitlab.example.com", DeployProjects: []string{"a/b:*"}},
		"more than 20 projects":   {URL: "https://gitlab.example.com", DeployProjects: slices.Repeat([]string{"a/b"}, 21)},
		"are to push":             {URL: "https://gitlab.example.com", DeployPush: true},
		"negative":                {URL: "https://gitlab.example.com", Remember: -1},
		"read the CA file":        {URL: "https://gitlab.example.com", CAFile: empty},
	} {
		_, err := gitlab.New(c)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), pat) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	for _, good := range []string{
		"https://gitlab.example.com", "https://gitlab.example.com/", "https://example.com:8443/git", "http://localhost:8080", "http://[::1]:80",
	} {
		if _, err := gitlab.New(gitlab.Config{URL: good}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestBind_may_be_missing(t *testing.T) {
	g := gitlabtest.Start(t)
	fill(g)
	p, _ := provider(t, g, func(c *gitlab.Config) { c.Bind = nil })
	if who, _, err := p.Login(t.Context(), "gitlab-ci-token", jobToken); err != nil || who.Grants != nil {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestGitlabtest_tokens_can_go(t *testing.T) {
	g := gitlabtest.Start(t)
	p, _ := provider(t, g, nil)
	fill(g)
	for name, secret := range map[string]string{"alice": pat, "gitlab-ci-token": jobToken, "gitlab+deploy-token-7": deployToken} {
		if _, _, err := p.Login(t.Context(), name, secret); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		g.Remove(secret)
		if _, _, err := p.Login(t.Context(), name, secret); !errors.Is(err, auth.ErrWrong) {
			t.Errorf("%s: %v, want ErrWrong once it is gone", name, err)
		}
	}
	if got := len(g.Asked()); got != 7 {
		t.Errorf("%d questions, want 7", got)
	}
}
