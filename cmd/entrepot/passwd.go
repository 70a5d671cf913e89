package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	rights "github.com/entrepot/entrepot/auth"
)

func (a *app) passwd() *cobra.Command {
	var fromInput bool
	cmd := &cobra.Command{
		Use:   "passwd [NAME]",
		Short: "Change a password: one's own, or as an admin somebody's",
		Long: `Change a password: one's own, or as an admin somebody's. It ends all the user's logins; tokens made with entrepot token add stay.

One's own takes the old password as well, and the login that is kept here is renewed. With --password-stdin the old password is the first
line of standard input and the new one the second; for NAME there is but the new one.`,
		Example: "  entrepot user passwd\n  entrepot user passwd alice --password-stdin < password",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().BoolVar(&fromInput, "password-stdin", false, "read the passwords from standard input")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.server()
		if len(args) == 0 {
			return c.changeOwn(cmd, server, fromInput)
		}
		password, err := a.newPasswordOf(cmd, printable(args[0]), fromInput)
		if err != nil {
			return err
		}
		if err := c.call(cmd.Context(), http.MethodPatch, server, "/users/"+url.PathEscape(args[0]), map[string]string{"password": password}, nil); err != nil {
			return explain(err, "change the password of %s on %s", printable(args[0]), server)
		}
		fmt.Fprintf(a.stdout, "changed the password of %s on %s\n", printable(args[0]), server)
		return nil
	}
	return cmd
}

func (a *app) newPasswordOf(cmd *cobra.Command, name string, fromInput bool) (password string, err error) {
	if fromInput {
		password, err = readSecret(a.stdin, "the password")
	} else if password, err = a.askNew(cmd.Context(), "New password of "+name+": "); errors.Is(err, errNoTerminal) {
		return "", misuse(cmd, "%v; send the password with --password-stdin", err)
	}
	if err != nil {
		return "", fmt.Errorf("change the password of %s: %w", name, err)
	}
	return password, nil
}

// changeOwn changes the caller's password and renews the login that is kept.
func (c *client) changeOwn(cmd *cobra.Command, server string, fromInput bool) error {
	ctx := cmd.Context()
	var me caller
	if err := c.call(ctx, http.MethodGet, server, "/whoami", nil, &me); err != nil {
		return explain(err, "change your password on %s", server)
	}
	if me.Kind != rights.User {
		return fmt.Errorf("change your password on %s: you are %s there, and only users have passwords; %s", server, printable(me.who()), logInWith(server))
	}
	was, password, err := c.app.oldAndNew(cmd, fromInput)
	if err != nil {
		return err
	}
	if err := c.call(ctx, http.MethodPost, server, "/password", map[string]string{"old": was, "new": password}, nil); err != nil {
		if isStatus(err, http.StatusUnauthorized) {
			err = errors.New("the old password is wrong")
		}
		return explain(err, "change your password on %s", server)
	}
	fmt.Fprintf(c.app.stdout, "changed the password of %s on %s\n", printable(me.Name), server)
	if err := c.renew(ctx, server, auth.Credential{Username: me.Name, Password: password}); err != nil {
		return explain(err, "log in to %s again, which entrepot login can do later", server)
	}
	return nil
}

func (a *app) oldAndNew(cmd *cobra.Command, fromInput bool) (was, password string, err error) {
	if fromInput {
		lines, err := readSecrets(a.stdin, "the old and the new password", 2)
		if err != nil {
			return "", "", fmt.Errorf("change your password: %w", err)
		}
		return lines[0], lines[1], nil
	}
	if was, err = a.askSecret(cmd.Context(), "Old password: "); err == nil {
		password, err = a.askNew(cmd.Context(), "New password: ")
	}
	if errors.Is(err, errNoTerminal) {
		return "", "", misuse(cmd, "%v; send the old and the new password with --password-stdin", err)
	}
	if err != nil {
		return "", "", fmt.Errorf("change your password: %w", err)
	}
	return was, password, nil
}

// renew replaces the login that is kept for a server, if one is, in the form it has.
func (c *client) renew(ctx context.Context, server string, with auth.Credential) error {
	if given, err := c.app.environmentLogin(server); err != nil || given != auth.EmptyCredential || c.app.loginFile() == "" {
		return err
	}
	store, err := c.app.logins()
	if err != nil {
		return err
	}
	kept, err := store.Get(ctx, credentials.ServerAddressFromRegistry(server))
	if err != nil || kept == auth.EmptyCredential {
		return err
	}
	_, keep, err := c.login(ctx, server, with, kept.RefreshToken != "")
	if err != nil {
		return err
	}
	_, err = c.app.keepLogin(ctx, server, keep)
	return err
}
