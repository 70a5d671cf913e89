package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/token"
	"github.com/entrepot/entrepot/storage/kv"
)

// Servers that check who asks are filled while they do not, and then started anew so that they do. This registry goes on serving those who
// show nothing, and so one server answers with credentials and without; distribution refuses them.
var (
	tokenGuard = &stock{"a robot", func(ctx context.Context, s *site) error {
		if err := s.addTags(ctx, repo, 1); err != nil {
			return err
		}
		if s.peer.name == distribution {
			return s.guardDistribution(ctx)
		}
		return s.guard(ctx, "")
	}}
	passwordGuard = &stock{"a robot, and a user with a password", func(ctx context.Context, s *site) error {
		s.put[user] = basic(user, password)
		return s.guardWith(ctx, 10, user)
	}}
	// hashGuard: each password takes about a quarter of a second to check.
	hashGuard = &stock{"users whose passwords are slow to check", func(ctx context.Context, s *site) error {
		names := make([]string, slowUsers)
		for i := range names {
			names[i] = slowUser(i)
		}
		return s.guardWith(ctx, 12, names...)
	}}
)

const (
	user     = "bench"
	robot    = "bench-robot"
	password = "correct horse battery staple"

	slowUsers = 4000
)

func slowUser(i int) string { return fmt.Sprintf("slow-%04d", i) }

// guardWith makes a file of users, who have the same password and so need but one hash, and has the server use it.
func (s *site) guardWith(ctx context.Context, cost int, users ...string) error {
	if err := s.addTags(ctx, repo, 1); err != nil {
		return err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, name := range users {
		fmt.Fprintf(&lines, "%s:%s\n", name, hash)
	}
	file := filepath.Join(s.dir, "htpasswd")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		return err
	}
	if s.peer.name == distribution {
		return s.restart(ctx, s.peer.configured(fmt.Sprintf(distributionPasswords, file)))
	}
	return s.guard(ctx, file)
}

// guard starts this registry anew with the users of a file, if there is one, and adds a robot.
func (s *site) guard(ctx context.Context, users string) error {
	if err := s.restart(ctx, s.peer.with(
		"ENTREPOT_AUTH_USERS_HTPASSWD="+users,
		`ENTREPOT_AUTH_GRANTS=[{who: anyone, role: admin, on: "**"}]`,
		"ENTREPOT_AUTH_TOKENTTL=1h",
	)); err != nil {
		return err
	}
	s.tokens = func(ctx context.Context, n int) ([]string, error) { return s.askTokens(ctx, n, s.put[robot]) }
	return s.addRobot(ctx)
}

// guardDistribution starts distribution anew so that it takes tokens of this registry's kind. Nobody asks it where they come from, and so no
// server makes them.
func (s *site) guardDistribution(ctx context.Context) error {
	issuer, err := token.Open(ctx, token.Config{Index: kv.NewMemory(), Service: "entrepot", TTL: time.Hour})
	if err != nil {
		return err
	}
	who, scope := auth.Identity{Kind: auth.Robot, Name: robot}, auth.Scope{{Type: "repository", Name: repo, Actions: []string{"pull"}}}
	s.tokens = func(_ context.Context, n int) ([]string, error) {
		all := make([]string, n)
		for i := range all {
			minted, err := issuer.Mint(who, scope)
			if err != nil {
				return nil, err
			}
			all[i] = minted.Token
		}
		return all, nil
	}
	keys := filepath.Join(s.dir, "keys.json")
	if err := os.WriteFile(keys, issuer.Keys(), 0o600); err != nil {
		return err
	}
	return s.restart(ctx, s.peer.configured(fmt.Sprintf(distributionTokens, keys)))
}

// What makes distribution check who asks.
const (
	distributionPasswords = `auth:
  htpasswd:
    realm: bench
    path: %s
`
	distributionTokens = `auth:
  token:
    realm: http://localhost/auth/token
    service: entrepot
    issuer: entrepot
    jwks: %s
`
)

// restart starts the server anew as another peer would be.
func (s *site) restart(ctx context.Context, as *peer) error {
	s.stop()
	s.peer = as
	_, err := s.start(ctx, as.ready)
	return err
}

// with returns the peer with more variables in its environment.
func (p *peer) with(variables ...string) *peer {
	more := *p
	more.command = func(dir, addr string) ([]string, []string, error) {
		args, env, err := p.command(dir, addr)
		return args, append(env, variables...), err
	}
	return &more
}

// configured returns the peer with more text in its configuration, the file that is the last argument. It is ready when it serves what needs
// no credentials.
func (p *peer) configured(text string) *peer {
	more := *p
	more.ready = "/"
	more.command = func(dir, addr string) ([]string, []string, error) {
		args, env, err := p.command(dir, addr)
		if err != nil {
			return nil, nil, err
		}
		file := args[len(args)-1]
		before, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		return args, env, os.WriteFile(file, append(before, text...), 0o600)
	}
	return &more
}
