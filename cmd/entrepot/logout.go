package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/entrepot/entrepot/auth/account"
)

func logoutVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logout [HOST]",
		Short: "Forget the login to a registry",
		Long: `Forget the login to a registry, for docker, podman, helm, oras and entrepot alike.

If it was kept as a token of an Entrepôt, the token is withdrawn there: a copy of it that lies elsewhere is good no more.`,
		Example: "  entrepot logout\n  entrepot logout registry.example.com",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := c.hostArgument(cmd, args)
		if err != nil {
			return err
		}
		// A helper of ours would show that instead of what was stored.
		if given, err := a.environmentLogin(host); err != nil || given != auth.EmptyCredential {
			return fmt.Errorf("log out of %s: the environment says who you are there; unset %s, %s and %s first", host, envRobot, envSecret, envIDToken)
		}
		if a.loginFile() == "" {
			fmt.Fprintf(a.stdout, "not logged in to %s\n", host)
			return nil
		}
		was, err := a.forgetLogin(cmd.Context(), host)
		if err != nil {
			return explain(err, "forget the login to %s", host)
		}
		if was == auth.EmptyCredential {
			fmt.Fprintf(a.stdout, "not logged in to %s\n", host)
			return nil
		}
		fmt.Fprintf(a.stdout, "logged out of %s\n", host)
		if err := c.withdraw(cmd.Context(), host, was.RefreshToken); err != nil {
			return explain(err, "withdraw the login's token, which is forgotten here, at %s (entrepot token rm can do it later)", host)
		}
		return nil
	}
	return cmd
}

// forgetLogin removes what is kept for a host, and returns it.
func (a *app) forgetLogin(ctx context.Context, host string) (was auth.Credential, err error) {
	store, err := a.logins()
	if err != nil {
		return was, err
	}
	// Other programs may have written the host as an address.
	for _, key := range []string{credentials.ServerAddressFromRegistry(host), "https://" + host, "http://" + host, "https://" + host + "/", "http://" + host + "/"} {
		found, err := store.Get(ctx, key)
		if err != nil {
			return was, err
		}
		if found == auth.EmptyCredential {
			continue
		}
		was = found
		if err := store.Delete(ctx, key); err != nil {
			return was, err
		}
	}
	if left, err := store.Get(ctx, credentials.ServerAddressFromRegistry(host)); err != nil || left != auth.EmptyCredential {
		return was, errors.Join(err, fmt.Errorf("it is kept under another spelling of the host; remove it from %s", store.ConfigPath()))
	}
	return was, nil
}

// withdraw ends a token that a login left. One that is none of an Entrepôt's is left alone, and one that has ended is no failure.
func (c *client) withdraw(ctx context.Context, host, token string) error {
	if !account.IsSecret(token) {
		return nil
	}
	if _, err := c.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url(host, "/auth/logout"), nil)
	if err != nil {
		return err
	}
	authorize(req, auth.Credential{RefreshToken: token})
	res, err := c.sendPlain(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := readAnswer(res, nil); !isStatus(err, http.StatusUnauthorized) {
		return err
	}
	return nil
}
