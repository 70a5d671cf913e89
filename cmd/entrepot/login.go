package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

func loginVerb(a *app) *cobra.Command {
	var name string
	var fromPassword, fromToken, identityToken bool
	cmd := &cobra.Command{
		Use:   "login [HOST]",
		Short: "Check a name and a password with a registry, and keep the login",
		Long: `Check a name and a password with a registry, and keep the login where docker keeps its logins (config.json in DOCKER_CONFIG or ~/.docker, or
the credential helper that is named there), so that docker, podman, helm, oras and entrepot share it.

What is asked for on the terminal is not shown. There is no flag for a password: others can read a program's arguments.

From an Entrepôt the login is kept as a token that only this registry takes and that entrepot logout withdraws, not as the password; docker
login does the same. It is called an identity token. Say --identity-token=false for programs that need a name and a password, as the pull
secrets of Kubernetes do. Another registry's login is kept as it was given, and so is what --token-stdin reads, which is a token already: a
robot's secret, a token of one's own, or a job's token.`,
		Example: "  entrepot login\n  entrepot login registry.example.com -u alice\n  entrepot login registry.example.com -u ci-dmp --password-stdin < secret\n" +
			"  entrepot login registry.example.com --token-stdin < token",
		Args: takes(0, 1),
	}
	c := a.clientFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&name, "username", "u", "", "who logs in; a robot's name goes without robot:")
	f.BoolVar(&fromPassword, "password-stdin", false, "read the password from standard input")
	f.BoolVar(&fromToken, "token-stdin", false, "read a token from standard input; it says itself whose it is")
	f.BoolVar(&identityToken, "identity-token", true, "keep a token instead of the password, where the registry gives one")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if fromPassword && fromToken {
			return misuse(cmd, "--password-stdin and --token-stdin read the same input; say one of them")
		}
		host, err := c.hostArgument(cmd, args)
		if err != nil {
			return err
		}
		if a.loginFile() == "" {
			return fmt.Errorf("log in to %s: there is no home to keep the login in; set DOCKER_CONFIG to a folder", host)
		}
		given, err := a.whoLogsIn(cmd, name, fromPassword, fromToken)
		if err != nil {
			return err
		}
		who, keep, err := c.login(ctx, host, given, identityToken && !fromToken)
		if err != nil {
			return explain(err, "log in to %s", host)
		}
		where, err := a.keepLogin(ctx, host, keep)
		if err != nil {
			return explain(err, "keep the login to %s", host)
		}
		if where != "" && keep.Password != "" {
			fmt.Fprintf(a.stderr, "what you logged in with lies unencrypted in %s; a credential helper would keep it better\n", where)
		}
		fmt.Fprintf(a.stdout, "logged in to %s as %s\n", host, printable(who))
		return nil
	}
	return cmd
}

// hostArgument returns the host that a verb's only argument names, or the server.
func (c *client) hostArgument(cmd *cobra.Command, args []string) (string, error) {
	if len(args) == 1 {
		c.flag = args[0]
	}
	host := c.server()
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/@\?#"%`, r) }) {
		return "", misuse(cmd, "%s is no host; write it as HOST[:PORT]", printable(host))
	}
	return host, nil
}

// whoLogsIn reads or asks for what to log in with.
func (a *app) whoLogsIn(cmd *cobra.Command, name string, fromPassword, fromToken bool) (auth.Credential, error) {
	none := auth.EmptyCredential
	if name = strings.TrimPrefix(name, "robot:"); strings.Contains(name, ":") {
		return none, misuse(cmd, "--username %s holds a colon, which no name can have", printable(name))
	}
	var err error
	if name == "" && fromToken {
		name = tokenUser
	} else if name == "" {
		if name, err = a.ask(cmd.Context(), "Name: "); errors.Is(err, errNoTerminal) {
			return none, misuse(cmd, "%v; name who logs in with --username", err)
		} else if err != nil {
			return none, fmt.Errorf("log in: %w", err)
		}
	}
	secret := ""
	switch {
	case fromToken:
		secret, err = readSecret(a.stdin, "the token")
	case fromPassword:
		secret, err = readSecret(a.stdin, "the password")
	default:
		if secret, err = a.askSecret(cmd.Context(), "Password: "); errors.Is(err, errNoTerminal) {
			return none, misuse(cmd, "%v; send the password with --password-stdin", err)
		}
	}
	if err != nil {
		return none, fmt.Errorf("log in: %w", err)
	}
	if name == "" || secret == "" {
		return none, errors.New("log in: neither a name nor a password is empty; nothing was changed")
	}
	return auth.Credential{Username: name, Password: secret}, nil
}

// errWrongLogin says what a 401 means to who is logging in.
var errWrongLogin = errors.New("the name or the password is wrong, or what it stands for has ended or was withdrawn")

// login checks what was given with a registry. It returns who that is, and what to keep: a token in the password's place, if it shall be exchanged and the
// registry has one to give.
func (c *client) login(ctx context.Context, host string, given auth.Credential, exchange bool) (who string, keep auth.Credential, err error) {
	if _, err := c.open(); err != nil {
		return "", given, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	ours, open, err := c.isOurs(ctx, host)
	if err != nil {
		return "", given, err
	}
	if !ours {
		return given.Username, given, asWrongLogin(c.ping(ctx, host, given))
	}
	var me caller
	if err := c.callAs(ctx, host, given, &me); err != nil {
		if err = asWrongLogin(err); open && errors.Is(err, errWrongLogin) {
			err = fmt.Errorf("%s knows nobody yet and asks nobody to log in; entrepot user add makes the first user, who is its admin, and entrepot logout forgets a login that was kept for it before", host)
		}
		return "", given, err
	}
	if exchange {
		token, err := c.refreshToken(ctx, host, given)
		if err != nil {
			return "", given, err
		}
		if token != "" {
			return me.who(), auth.Credential{Username: given.Username, RefreshToken: token}, nil
		}
	}
	return me.who(), given, nil
}

// asWrongLogin puts a refusal of credentials in words. The sentence for other verbs would be to log in.
func asWrongLogin(err error) error {
	if isStatus(err, http.StatusUnauthorized) {
		return errWrongLogin
	}
	return err
}

func isStatus(err error, status int) bool {
	var refused *errcode.ErrorResponse
	return errors.As(err, &refused) && refused.StatusCode == status
}

// ourRealm is how the registry's own API challenges.
const ourRealm = `Basic realm="entrepot"`

// isOurs asks, as nobody in particular, whether a host is an Entrepôt, and if so whether it lets nobody in particular in. Only then is a password sent to
// its own API: elsewhere that path may lead anywhere.
func (c *client) isOurs(ctx context.Context, host string) (ours, open bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(dialled(host), ownAPI+"/whoami"), nil)
	if err != nil {
		return false, false, err
	}
	asking := *c.own
	asking.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req.Header.Set("User-Agent", userAgent())
	res, err := asking.Do(req)
	if err != nil {
		return false, false, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return res.Header.Get("WWW-Authenticate") == ourRealm, false, nil
	case http.StatusOK:
		var me caller
		if readJSON(io.LimitReader(res.Body, 64<<10), &me) == nil && me.Kind != "" {
			return true, true, nil
		}
	}
	return false, false, nil
}

// dialled is the host that a registry's requests go to: docker's has another for that.
func dialled(host string) string {
	if host == "docker.io" {
		return "registry-1.docker.io"
	}
	return host
}

// callAs asks an Entrepôt who somebody is to it.
func (c *client) callAs(ctx context.Context, host string, given auth.Credential, me *caller) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(host, ownAPI+"/whoami"), nil)
	if err != nil {
		return err
	}
	authorize(req, given)
	res, err := c.sendPlain(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return readAnswer(res, me)
}

// refreshToken lets an Entrepôt give a token for a password (https://distribution.github.io/distribution/spec/auth/oauth/). It is empty if there is none for
// who asks: whoever is known elsewhere.
func (c *client) refreshToken(ctx context.Context, host string, given auth.Credential) (string, error) {
	form := url.Values{
		"grant_type": {"password"}, "access_type": {"offline"}, "client_id": {clientID}, "service": {host},
		"username": {given.Username}, "password": {given.Password},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url(host, "/auth/token"), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.sendPlain(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	return answer.RefreshToken, readAnswer(res, &answer)
}

// ping lets a registry check what was given as the specification has it: GET /v2/, by way of its token service if it has one.
func (c *client) ping(ctx context.Context, host string, given auth.Credential) error {
	reg, err := c.registry(host)
	if err != nil {
		return err
	}
	as := *c.http
	as.Credential, as.Cache = auth.StaticCredential(host, given), nil
	reg.Client = &as
	return reg.Ping(ctx)
}

// logins opens docker's logins for a change. Where docker would begin to use a helper, so does this.
func (a *app) logins() (*credentials.DynamicStore, error) {
	path := a.loginFile()
	store, err := credentials.NewStore(path, credentials.StoreOptions{AllowPlaintextPut: true, DetectDefaultNativeStore: true})
	if err != nil {
		return nil, fmt.Errorf("read docker's logins in %s: %w", path, err)
	}
	return store, nil
}

// keepLogin keeps a login, and returns the file that it lies in, or "" if a helper has it.
func (a *app) keepLogin(ctx context.Context, host string, keep auth.Credential) (where string, err error) {
	store, err := a.logins()
	if err != nil {
		return "", err
	}
	key := credentials.ServerAddressFromRegistry(host)
	if err := store.Put(ctx, key, keep); err != nil {
		return "", err
	}
	file, err := credentials.NewFileStore(a.loginFile())
	if err != nil {
		return "", err
	}
	if lies, err := file.Get(ctx, key); err != nil || lies == auth.EmptyCredential {
		return "", err
	}
	return store.ConfigPath(), nil
}
