package oidc

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	zitadel "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The clients that the provider knows. What is in their secrets has to be escaped on the way (RFC 6749, section 2.3.1).
const (
	web       = "registry" // has a secret
	webSecret = "s3cret +/%41:&=ü of registry"
	native    = "registry-native"              // has none, so there is only PKCE
	discreet  = "registry-discreet"            // its ID tokens say nothing of people but their sub; userinfo does
	audience  = "https://registry.example.com" // whom tokens of jobs are for; as a client, it gets ID tokens for itself

	runner       = "sid1" // the one client of the example that may use client_credentials
	runnerSecret = "verysecret"
)

// The people that the provider knows.
var (
	alice = &storage.User{ID: "id-alice", Username: "alice", Password: "alice's password", Email: "alice@example.com", EmailVerified: true}
	carol = &storage.User{ID: "id-carol", Username: "carol@corp.example.com", Password: "carol's password", Email: "carol@example.com"}
	all   = people{alice, carol}

	groups = map[string][]string{alice.ID: {"dmp", "everybody"}, carol.ID: {"ops"}}
)

// people implements storage.UserStore.
type people []*storage.User

func (all people) find(is func(*storage.User) bool) *storage.User {
	for _, u := range all {
		if is(u) {
			return u
		}
	}
	return nil
}

func (all people) GetUserByID(id string) *storage.User {
	return all.find(func(u *storage.User) bool { return u.ID == id })
}

func (all people) GetUserByUsername(name string) *storage.User {
	return all.find(func(u *storage.User) bool { return u.Username == name })
}

func (all people) ExampleClientID() string { return storage.ServiceUserID }

// provider is the example provider, with an address that stays its own while it is down.
type provider struct {
	URL string
	log *log // all that it logs

	callback string       // the one address that it leads browsers back to
	handler  http.Handler // nil while it is down

	mu    sync.Mutex
	shown []string // access tokens that it was asked for userinfo with
}

// serving is held for reading by requests and for writing while providers come and go: setting up the example changes variables of its package.
var serving sync.RWMutex

// provide starts a provider for a registry that is to be at an address.
func provide(t *testing.T, registry string) *provider {
	t.Helper()
	p := &provider{log: &log{}, callback: "http://" + registry + "/auth/callback"}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.URL = server.URL
	p.up()
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/userinfo" {
		p.mu.Lock()
		p.shown = append(p.shown, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		p.mu.Unlock()
	}
	serving.RLock()
	defer serving.RUnlock()
	if p.handler == nil {
		panic(http.ErrAbortHandler) // hangs up
	}
	p.handler.ServeHTTP(w, r)
}

// asked returns the access tokens that it was asked for userinfo with.
func (p *provider) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.shown)
}

// up starts it, with keys that it never had before and none of its memories.
func (p *provider) up() {
	serving.Lock()
	defer serving.Unlock()
	clients := map[string]*storage.Client{
		web:      storage.WebClient(web, webSecret, p.callback),
		native:   storage.NativeClient(native, p.callback),
		discreet: storage.WebClient(discreet, webSecret, p.callback),
		audience: storage.WebClient(audience, webSecret, p.callback),
	}
	store := &store{storage.NewStorageWithClients(all, clients)}
	p.handler = exampleop.SetupServer(p.URL, store, slog.New(slog.NewTextHandler(p.log, nil)), false)
}

// down lets it hang up on everybody.
func (p *provider) down() {
	serving.Lock()
	defer serving.Unlock()
	p.handler = nil
}

// store is the example's, which says more in its tokens: groups of people, and for whom a token of client_credentials is.
type store struct{ *storage.Storage }

func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil || id == discreet {
		return c, err
	}
	return telling{c}, nil
}

// telling is a client whose ID tokens say what userinfo would.
type telling struct{ op.Client }

func (telling) IDTokenUserinfoClaimsAssertion() bool { return true }

func (s *store) SetUserinfoFromRequest(ctx context.Context, info *zitadel.UserInfo, token op.IDTokenRequest, scopes []string) error {
	if token.GetClientID() != discreet {
		info.AppendClaims("groups", groups[token.GetSubject()])
	}
	return s.Storage.SetUserinfoFromRequest(ctx, info, token, scopes)
}

// SetUserinfoFromToken is what the userinfo endpoint says, to every client.
func (s *store) SetUserinfoFromToken(ctx context.Context, info *zitadel.UserInfo, tokenID, subject, origin string) error {
	info.AppendClaims("groups", groups[subject])
	return s.Storage.SetUserinfoFromToken(ctx, info, tokenID, subject, origin)
}

func (s *store) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := s.Storage.ClientCredentials(ctx, id, secret)
	return signing{c}, err
}

// signing is a client whose access tokens are JWTs.
type signing struct{ op.Client }

func (signing) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

func (s *store) ClientCredentialsTokenRequest(ctx context.Context, id string, scopes []string) (op.TokenRequest, error) {
	asked, err := s.Storage.ClientCredentialsTokenRequest(ctx, id, scopes)
	if err != nil {
		return nil, err
	}
	return &zitadel.JWTTokenRequest{Subject: asked.GetSubject(), Audience: zitadel.Audience{audience}, Scopes: asked.GetScopes()}, nil
}
