package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/auth/account"
)

func userVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Manage the users that a server keeps itself",
		Long: `Manage the users that a server keeps itself. What they may do is said by entrepot grant.

A server that has no users yet lets everybody do what its configuration says. The first user becomes its admin, and from then on it asks
everybody to log in. People whom a directory or an OpenID provider vouches for are listed here once they have logged in.`,
	}
	group(cmd)
	cmd.AddCommand(a.userLs(), a.userAdd(), a.passwd(), a.userSwitch("disable", true), a.userSwitch("enable", false), a.userRm())
	return cmd
}

func (a *app) userLs() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the users",
		Args:  takes(0, 0),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		server := c.server()
		users, err := c.users(cmd.Context(), server)
		if err != nil {
			return explain(err, "list the users of %s", server)
		}
		if output == "json" {
			return a.printJSON(users)
		}
		rows := [][]string{{"NAME", "STATE", "LAST LOGIN", "GROUPS"}}
		for _, u := range users {
			rows = append(rows, []string{u.Name, state(u.Disabled), when(u.LastLogin, "never"), strings.Join(u.Groups, ", ")})
		}
		return a.listed(rows)
	}
	outputFlag(cmd, &output)
	return cmd
}

func (c *client) users(ctx context.Context, server string) ([]account.User, error) {
	all := []account.User{}
	err := c.pages(ctx, server, "/users", func(answer json.RawMessage) (int, string, error) {
		var page struct{ Users []account.User }
		if err := json.Unmarshal(answer, &page); err != nil || len(page.Users) == 0 {
			return 0, "", err
		}
		all = append(all, page.Users...)
		return len(page.Users), page.Users[len(page.Users)-1].Name, nil
	})
	return all, err
}

func state(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

// when writes a moment for people.
func when(t time.Time, never string) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format(time.RFC3339)
}

// listed prints a list whose first row names the columns, unless there is nothing below it.
func (a *app) listed(rows [][]string) error {
	if len(rows) == 1 {
		return nil
	}
	return a.table(rows)
}

func (a *app) userAdd() *cobra.Command {
	var fromInput bool
	var groups []string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Long: `Add a user. Without --password-stdin the password is a random one; it is printed on standard output this once, and everything else on standard
error.`,
		Example: "  entrepot user add alice\n  entrepot user add bob --group dmp --group core --password-stdin < password",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().BoolVar(&fromInput, "password-stdin", false, "read the password from standard input")
	cmd.Flags().StringArrayVar(&groups, "group", nil, "a group that the user is in; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, name := c.server(), args[0]
		password, err := newPassword(), error(nil)
		if fromInput {
			if password, err = readSecret(a.stdin, "the password"); err != nil {
				return fmt.Errorf("add user %s: %w", printable(name), err)
			}
		}
		asked := struct {
			Name     string   `json:"name"`
			Password string   `json:"password"`
			Groups   []string `json:"groups,omitempty"`
		}{name, password, groups}
		var added struct {
			account.User
			First bool `json:"first"`
		}
		if err := c.call(cmd.Context(), http.MethodPost, server, "/users", asked, &added); err != nil {
			return explain(err, "add user %s to %s", printable(name), server)
		}
		name = printable(added.Name)
		if fromInput {
			fmt.Fprintf(a.stdout, "added user %s to %s\n", name, server)
		} else {
			fmt.Fprintf(a.stderr, "added user %s to %s; this is the password, which is not shown again:\n", name, server)
			fmt.Fprintln(a.stdout, password)
		}
		if added.First {
			fmt.Fprintf(a.stderr, "%s is the first user, and admin of everything; from now on %s asks everybody to log in:\n  entrepot login -u %s %s\n", name, server, name, server)
		}
		return nil
	}
	return cmd
}

// newPassword makes a password of 120 random bits, without characters that are taken for one another.
func newPassword() string {
	const letters = "abcdefghijkmnpqrstuvwxyz23456789" // 32 of them: five bits each
	var random [24]byte
	_, _ = rand.Read(random[:]) // it never fails
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%6 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(letters[r%32])
	}
	return b.String()
}

func (a *app) userSwitch(verb string, disabled bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " NAME",
		Short: "Let a user log in again",
		Args:  takes(1, 1),
	}
	if disabled {
		cmd.Short = "Let a user log in no more, and end all the user's logins"
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.server()
		if err := c.call(cmd.Context(), http.MethodPatch, server, "/users/"+url.PathEscape(args[0]), map[string]bool{"disabled": disabled}, nil); err != nil {
			return explain(err, "%s user %s on %s", verb, printable(args[0]), server)
		}
		fmt.Fprintf(a.stdout, "%sd user %s on %s\n", verb, printable(args[0]), server)
		return nil
	}
	return cmd
}

func (a *app) userRm() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove a user, with all tokens and grants",
		Long: `Remove a user, with all tokens and grants. What the user has pushed stays.

Somebody whom a directory or an OpenID provider vouches for comes back with the next login: disable such a user instead.`,
		Args: takes(1, 1),
	}
	return a.removes(cmd, "remove", "removed", func(args []string) (path, thing string, err error) {
		return "/users/" + url.PathEscape(args[0]), "user " + printable(args[0]) + " from", nil
	})
}
