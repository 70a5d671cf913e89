package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/auth/api"
	"github.com/entrepot/entrepot/auth/htpasswd"
	"github.com/entrepot/entrepot/auth/login"
	"github.com/entrepot/entrepot/auth/oidc"
	"github.com/entrepot/entrepot/auth/password"
	"github.com/entrepot/entrepot/auth/token"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// authority is who may do what, as the configuration and the index say it just now.
type authority struct {
	log      *slog.Logger
	listen   string
	url      string
	loginTTL time.Duration
	callers  bool // there are upstreams whose people log in with what they show there
	hasher   *password.Hasher
	accounts *account.Store
	tokens   *token.Issuer
	logins   *login.Logins
	policy   auth.Live
	open     atomic.Bool // nobody ever was configured, and on loopback that means that everybody may do everything

	mu    sync.Mutex // held while rules are made, so that no older ones replace newer ones
	given *given

	wanted atomic.Uint64 // how often rules were asked for
	made   uint64        // how many of these are in force

	first string // the secret of the admin that was made at the first start
}

// given is what the configuration says.
type given struct {
	anonymous string
	grants    []auth.Grant
	sources   []login.Source
	htpasswd  *htpasswd.File // nil without one
	people    []*oidc.Provider
	names     []string // of the people's providers
}

// somebody tells whether the configuration knows anybody who could log in.
func (g *given) somebody() bool { return len(g.sources) > 0 || len(g.people) > 0 }

// openAuthority makes everything that the configuration and the index say of who may do what.
func openAuthority(ctx context.Context, c Config, index kv.DB, log *slog.Logger) (*authority, error) {
	a := &authority{log: log, listen: c.Listen, url: c.URL, loginTTL: c.Auth.LoginTTL, callers: len(callersOf(c.Upstreams)) > 0, hasher: password.New(0)}
	given, err := a.read(c.Auth)
	if err != nil {
		return nil, err
	}
	a.given = given
	if a.accounts, err = account.Open(ctx, account.Config{Index: index, Passwords: a.hasher, Log: log, OnChange: a.rebuild}); err != nil {
		return nil, err
	}
	if a.tokens, err = token.Open(ctx, token.Config{Index: index, Service: a.service(), TTL: c.Auth.TokenTTL, Log: log}); err != nil {
		return nil, err
	}
	a.logins = login.New(login.Config{Accounts: a.accounts, Tokens: a.tokens, Passwords: a.hasher, Log: log})
	a.logins.Use(given.sources...)
	if err := a.make(ctx); err != nil {
		return nil, err
	}
	return a, a.admit(ctx)
}

// service is what the token service calls the registry: the name in its address, so that a token of one registry is none of another's.
func (a *authority) service() string {
	if u, err := url.Parse(a.url); err == nil && u.Host != "" {
		return u.Host
	}
	return "entrepot"
}

// rebuild makes new rules of the grants that there are now. If they cannot be read the former ones stay.
func (a *authority) rebuild() {
	if err := a.make(context.Background()); err != nil {
		a.log.Error("read grants; the former ones stay in force", "err", err)
	}
}

// make puts rules in force that know of every change that was committed before it was called. Many who wait for it share one reading.
func (a *authority) make(ctx context.Context) error {
	mine := a.wanted.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.made >= mine {
		return nil
	}
	now := a.wanted.Load()
	known, err := a.accounts.Anybody(ctx)
	if err != nil {
		return err
	}
	known = known || a.given.somebody()
	grants := append([]auth.Grant(nil), a.given.grants...)
	for g, err := range a.accounts.Grants(ctx) {
		if err != nil {
			return err
		}
		grants = append(grants, g)
	}
	level, open := a.given.anonymous, false
	if level == "" && a.private() && !known && len(a.given.grants) == 0 && a.accounts.Epoch() == 0 {
		level, open = "full", true
	}
	a.policy.Set(auth.NewRules(append(grants, auth.Everyone(level)...), known || a.callers))
	a.open.Store(open)
	a.made = now
	return nil
}

// private tells whether only this machine can reach the registry. One that is given an address for clients is reached by them.
func (a *authority) private() bool {
	host, _, err := net.SplitHostPort(a.listen)
	if u, e := url.Parse(a.url); a.url != "" && (e != nil || !isLoopback(u.Hostname())) {
		return false
	}
	return err == nil && isLoopback(host)
}

// local refuses what has not come straight from this machine, while everything is open to it: what a proxy passes on from elsewhere, and what a page has
// made a browser send to a name that only seems to be the page's own.
func (a *authority) local(r *http.Request) error {
	if !a.open.Load() {
		return nil
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if len(r.Header[header]) > 0 {
			return strange("this registry is open to its own machine, and the request was passed on from elsewhere (" + header +
				"); add a user, or set url in the configuration to how clients reach it")
		}
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	if (r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "") && !isLoopback(host) {
		return strange("this registry is open to its own machine, and a browser sent the request to another name than a loopback one")
	}
	return nil
}

func strange(hint string) error {
	return &door.Refusal{Answer: door.Denied, Detail: map[string]string{"hint": hint}}
}

// admit makes the first admin of a registry that would else let nobody in.
func (a *authority) admit(ctx context.Context) error {
	if a.open.Load() || a.given.anonymous == "full" || a.given.somebody() {
		return nil
	}
	if known, err := a.accounts.Anybody(ctx); err != nil || known {
		return err
	}
	secret := rand.Text()
	ctx = journal.By(ctx, journal.Actor{Name: "system"})
	_, err := a.accounts.AddUser(ctx, "admin", secret, nil, &auth.Grant{Role: auth.Admin, On: auth.Everywhere})
	if account.Code(err) != "" {
		return nil // another replica was faster, and has printed its secret
	}
	if err != nil {
		return fmt.Errorf("make the first admin: %w", err)
	}
	a.first = secret
	return nil
}

// run looks after accounts and keys until ctx ends, and reads files again that have changed: the users, and the configuration.
func (a *authority) run(ctx context.Context, file *configFile) {
	var all sync.WaitGroup
	all.Go(func() { a.accounts.Run(ctx) })
	all.Go(func() { a.tokens.Run(ctx) })
	all.Go(func() { a.watch(ctx, file) })
	all.Wait()
}

// watchPause is how long a change of a file may go unnoticed.
const watchPause = time.Second

func (a *authority) watch(ctx context.Context, file *configFile) {
	tick := time.NewTicker(watchPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if file.changed() {
			a.reconfigure(file)
		}
		if f := a.now().htpasswd; f != nil {
			changed, err := f.Reload()
			if err != nil {
				a.log.Error("read the users again; the former ones stay in force", "err", err)
			} else if changed {
				a.log.Info("users were read again", "file", "auth.users.htpasswd")
				a.logins.Forget()
			}
		}
	}
}

// reconfigure takes over what a changed configuration file says of logins and grants. A faulty file changes nothing.
func (a *authority) reconfigure(file *configFile) {
	c, err := file.load()
	var next *given
	if err == nil {
		next, err = a.read(c.Auth)
	}
	if err != nil {
		a.log.Error("read the changed configuration; the former logins and grants stay in force", "err", err)
		return
	}
	a.mu.Lock()
	a.given = next
	a.mu.Unlock()
	a.rebuild()
	a.logins.Use(next.sources...)
	a.log.Info("logins and grants were read again; other changes of the configuration take a restart", "grants", len(next.grants))
}

// configFile is where the configuration comes from, to be read again when that has changed. Its methods are not for many at once.
type configFile struct {
	path    string // empty: there is no file
	environ []string
	seen    string // the file's state just before it was read: what changes while it is read is noticed
}

func (f *configFile) load() (Config, error) {
	f.seen = stateOf(f.path)
	return loadConfig(f.path, f.environ)
}

func (f *configFile) changed() bool { return stateOf(f.path) != f.seen }

// stateOf tells whether a file may have changed.
func stateOf(path string) string {
	if path == "" {
		return ""
	}
	info, err := os.Stat(path)
	if err != nil {
		return "" // being replaced, perhaps
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}

// routes are those of the token service and of the management of accounts.
func (a *authority) routes() []door.Route {
	return api.Routes(api.Config{
		Accounts: a.accounts, Logins: a.logins, Tokens: a.tokens, Rules: a.policy.Rules, Fixed: a.fixed, Open: a.open.Load, People: a.person,
		URL: a.url, Service: a.service(), LoginTTL: a.loginTTL, Log: a.log,
	})
}

func (a *authority) now() *given {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.given
}

// fixed returns the configuration's grants.
func (a *authority) fixed() []auth.Grant { return a.now().grants }

// person returns a provider for people; without a name, the only one there is.
func (a *authority) person(name string) *oidc.Provider {
	g := a.now()
	for i, p := range g.people {
		if g.names[i] == name || name == "" && len(g.people) == 1 {
			return p
		}
	}
	return nil
}

// identify is how the door finds out who asks.
func (a *authority) identify(ctx context.Context, shown auth.Credentials) (auth.Identity, error) {
	return a.logins.Identify(ctx, shown)
}

// welcome says who may do what, and prints the first admin's secret.
func (a *authority) welcome(w io.Writer, host string) {
	switch {
	case a.first != "":
		fmt.Fprintf(w, "Nobody was known to this registry, so it has made one user, who may do everything. The password is shown this once:\n\n"+
			"  user:     admin\n  password: %s\n\n  entrepot login -u admin %s\n\n", a.first, host)
	case a.open.Load():
		fmt.Fprintf(w, "Everyone on this machine may push, pull and delete, since it listens on a loopback address and nobody is configured.\n"+
			"The first `entrepot user add NAME` makes an admin, and from then on everybody has to log in.\n\n")
	case a.now().anonymous == "full":
		fmt.Fprintf(w, "Everyone who reaches it may push, pull and delete (auth.anonymous: full).\n\n")
	}
}
