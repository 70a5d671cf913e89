package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// helperName is the name by which docker finds a credential helper "entrepot". The program called by that name is the verb docker-credential.
const helperName = "docker-credential-entrepot"

// What the protocol calls what is missing; clients compare the words (https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol).
var (
	errNoLogin    = errors.New("credentials not found in native keychain")
	errNoServer   = errors.New("no credentials server URL")
	errNoUsername = errors.New("no credentials username")
)

const helperLimit = 128 << 10 // of what a client sends, in bytes

func dockerCredentialVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "docker-credential",
		Short: "Keep logins for docker and others: a credential helper",
		Long: `Keep logins for docker and others that speak the protocol of its credential helpers. Link the program as ` + helperName + ` into a
folder of PATH and name it in docker's config.json:

  {"credHelpers": {"registry.example.com": "entrepot"}}

For the server in ENTREPOT_SERVER, and for no other, it answers with ENTREPOT_ROBOT and ENTREPOT_SECRET if they are set, or with ENTREPOT_ID_TOKEN, a
job's token: then a pipeline needs no docker login. Otherwise it answers with what docker login has stored, which lies in
$XDG_CONFIG_HOME/entrepot/credentials.json (otherwise ~/.config/…), for its owner alone to read.`,
	}
	group(cmd)
	for _, one := range [][2]string{
		{"get", "Print the login to the server that standard input names"},
		{"store", "Keep the login that standard input holds"},
		{"erase", "Forget the login to the server that standard input names"},
		{"list", "Print which servers there is a login to"},
		{"version", "Print the version"},
	} {
		cmd.AddCommand(&cobra.Command{Use: one[0], Short: one[1], Args: takes(0, 0), RunE: func(cmd *cobra.Command, _ []string) error {
			return helper{a}.answer(cmd.Context(), cmd.Name())
		}})
	}
	return cmd
}

// helper is docker's credential helper.
type helper struct{ app *app }

// answer does what the client wants. What is wrong goes to standard output, where the protocol has errors.
func (h helper) answer(ctx context.Context, verb string) (err error) {
	switch verb {
	case "get":
		err = h.get()
	case "store":
		err = h.store(ctx)
	case "erase":
		err = h.erase(ctx)
	case "list":
		err = h.list()
	case "version":
		_, err = fmt.Fprintf(h.app.stdout, "%s %s\n", helperName, thisBuild().Version)
	}
	if err != nil {
		fmt.Fprintln(h.app.stdout, oneLine(err.Error()))
		return errAnswered
	}
	return nil
}

// helperLogin is how the protocol writes a login.
type helperLogin struct {
	ServerURL string
	Username  string
	Secret    string
}

func (h helper) read() ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(h.app.stdin, helperLimit+1))
	if err != nil {
		return nil, err
	}
	if len(content) > helperLimit {
		return nil, fmt.Errorf("standard input is longer than %d bytes", helperLimit)
	}
	return content, nil
}

// server reads which server is meant.
func (h helper) server() (server, key string, err error) {
	content, err := h.read()
	if err != nil {
		return "", "", err
	}
	if server = strings.TrimSpace(string(content)); server == "" {
		return "", "", errNoServer
	}
	key, err = serverKey(server)
	return server, key, err
}

// kept returns what was stored.
func (h helper) kept() (map[string]keptLogin, error) {
	file, err := h.app.credentialFile()
	if err != nil {
		return nil, err
	}
	return file.read()
}

func (h helper) get() error {
	server, key, err := h.server()
	if err != nil {
		return err
	}
	host, _, _ := strings.Cut(key, "/")
	given, err := h.app.environmentLogin(host)
	if err != nil {
		return err
	}
	if given == auth.EmptyCredential {
		all, err := h.kept()
		if err != nil {
			return err
		}
		kept, ok := all[key]
		if !ok {
			return errNoLogin
		}
		given.Username, given.Password = kept.Name, kept.Secret
	}
	return h.print(helperLogin{server, given.Username, given.Password})
}

func (h helper) print(v any) error {
	e := json.NewEncoder(h.app.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (h helper) store(ctx context.Context) error {
	content, err := h.read()
	if err != nil {
		return err
	}
	var given helperLogin
	if err := readJSON(bytes.NewReader(content), &given); err != nil {
		return errors.New("standard input is no login of the form it must have") // the error could repeat a piece of the secret
	}
	given.ServerURL = strings.TrimSpace(given.ServerURL)
	switch {
	case given.ServerURL == "":
		return errNoServer
	case given.Username == "":
		return errNoUsername
	}
	key, err := serverKey(given.ServerURL)
	if err != nil {
		return err
	}
	file, err := h.app.credentialFile()
	if err != nil {
		return err
	}
	return file.change(ctx, func(all map[string]keptLogin) bool {
		kept := keptLogin{given.ServerURL, given.Username, given.Secret}
		changed := all[key] != kept
		all[key] = kept
		return changed
	})
}

// erase forgets a login. There being none is no failure: docker erases under all names that a server may have.
func (h helper) erase(ctx context.Context) error {
	_, key, err := h.server()
	if err != nil {
		return err
	}
	file, err := h.app.credentialFile()
	if err != nil {
		return err
	}
	if all, err := file.read(); err != nil || len(all) == 0 {
		return err
	}
	return file.change(ctx, func(all map[string]keptLogin) bool {
		_, found := all[key]
		delete(all, key)
		return found
	})
}

func (h helper) list() error {
	all, err := h.kept()
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, kept := range all {
		names[kept.Server] = kept.Name
	}
	if _, host := splitServer(h.app.getenv(envServer)); host != "" {
		given, err := h.app.environmentLogin(host)
		if err != nil {
			return err
		}
		if given != auth.EmptyCredential {
			names[host] = given.Username
		}
	}
	return h.print(names)
}
