package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	rights "github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
)

func robotVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "robot",
		Short: "Manage robots: accounts for programs, which log in with secrets",
		Long: `Manage robots: accounts for programs, which log in with secrets. What they may do is said by entrepot grant.

A robot's home is a path. Whoever administers that path manages the robot, which takes no admin of the whole registry.`,
	}
	group(cmd)
	cmd.AddCommand(a.robotLs(), a.robotAdd(), a.robotSwitch("disable", true), a.robotSwitch("enable", false), a.robotRm(), a.robotSecret())
	return cmd
}

func (a *app) robotLs() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the robots whose home one administers",
		Args:  takes(0, 0),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		server := c.server()
		robots, err := c.robots(cmd.Context(), server)
		if err != nil {
			return explain(err, "list the robots of %s", server)
		}
		if output == "json" {
			return a.printJSON(robots)
		}
		rows := [][]string{{"NAME", "HOME", "STATE", "NOTE"}}
		for _, r := range robots {
			rows = append(rows, []string{r.Name, string(r.On), state(r.Disabled), r.Note})
		}
		return a.listed(rows)
	}
	outputFlag(cmd, &output)
	return cmd
}

func (c *client) robots(ctx context.Context, server string) ([]account.Robot, error) {
	all := []account.Robot{}
	err := c.pages(ctx, server, "/robots", func(answer json.RawMessage) (int, string, error) {
		var page struct{ Robots []account.Robot }
		if err := json.Unmarshal(answer, &page); err != nil || len(page.Robots) == 0 {
			return 0, "", err
		}
		all = append(all, page.Robots...)
		return len(page.Robots), page.Robots[len(page.Robots)-1].Name, nil
	})
	return all, err
}

// nameInPath returns a name as one part of an address.
func nameInPath(cmd *cobra.Command, name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return "", misuse(cmd, "%q is no name", name)
	}
	return url.PathEscape(name), nil
}

func (a *app) robotAdd() *cobra.Command {
	var on, note, role string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a robot",
		Long: `Add a robot. It can log in when it has a secret (entrepot robot secret add), and do something when it has a grant: --role gives it one on
its home.`,
		Example: "  entrepot robot add ci-dmp --on cloud/dmp --role ci --note 'pipelines of team dmp'",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&on, "on", string(rights.Everywhere), "its home: a path like cloud/dmp, or ** for the whole registry")
	cmd.Flags().StringVar(&note, "note", "", "what it is for")
	cmd.Flags().StringVar(&role, "role", "", "also grant it this role on its home")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.server()
		g := rights.Grant{Who: rights.Robot + ":" + args[0], Role: rights.Role(role), On: rights.Path(on)}
		if err := g.On.Check(); err != nil {
			return misuse(cmd, "--on: %v", err)
		}
		if role != "" {
			if err := g.Check(); err != nil {
				return misuse(cmd, "%v", err)
			}
			if !cmd.Flags().Changed("on") {
				return misuse(cmd, "--role %s on what? Say where with --on; ** is the whole registry", role)
			}
		}
		asked := struct {
			Name string      `json:"name"`
			On   rights.Path `json:"on"`
			Note string      `json:"note,omitempty"`
		}{args[0], g.On, note}
		if err := c.call(cmd.Context(), http.MethodPost, server, "/robots", asked, nil); err != nil {
			return explain(err, "add robot %s to %s", printable(args[0]), server)
		}
		fmt.Fprintf(a.stdout, "added robot %s to %s, at home on %s\n", args[0], server, on)
		if role != "" {
			if err := c.addGrant(cmd.Context(), server, g, nil); err != nil {
				return explain(err, "grant robot %s the role %s (entrepot grant add can do it later)", args[0], role)
			}
			fmt.Fprintf(a.stdout, "granted %s the role %s on %s\n", g.Who, g.Role, g.On)
		}
		fmt.Fprintf(a.stderr, "make it a secret, and log in with that:\n  entrepot robot secret add %s | docker login -u %s --password-stdin %s\n", args[0], args[0], server)
		if role == "" {
			fmt.Fprintf(a.stderr, "let it do something:\n  entrepot grant add %s ROLE PATH\n", g.Who)
		}
		return nil
	}
	return cmd
}

func (a *app) robotSwitch(verb string, disabled bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " NAME",
		Short: "Let a robot log in again, with the secrets it had",
		Args:  takes(1, 1),
	}
	if disabled {
		cmd.Short = "Let a robot log in no more, and end all its logins"
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := nameInPath(cmd, args[0])
		if err != nil {
			return err
		}
		server := c.server()
		if err := c.call(cmd.Context(), http.MethodPatch, server, "/robots/"+name, map[string]bool{"disabled": disabled}, nil); err != nil {
			return explain(err, "%s robot %s on %s", verb, printable(args[0]), server)
		}
		fmt.Fprintf(a.stdout, "%sd robot %s on %s\n", verb, printable(args[0]), server)
		return nil
	}
	return cmd
}

func (a *app) robotRm() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove a robot, with all secrets and grants",
		Args:  takes(1, 1),
	}
	return a.removes(cmd, "remove", "removed", func(args []string) (path, thing string, err error) {
		name, err := nameInPath(cmd, args[0])
		return "/robots/" + name, "robot " + printable(args[0]) + " from", err
	})
}

func (a *app) robotSecret() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Manage what a robot logs in with",
	}
	group(cmd)
	cmd.AddCommand(a.robotSecretAdd(), a.robotSecretLs(), a.robotSecretRm())
	return cmd
}

func (a *app) robotSecretAdd() *cobra.Command {
	var s secretFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a robot a secret and print it, this once",
		Long: `Make a robot a secret and print it, this once, on standard output; everything else goes to standard error. A robot may have several: add the
next one, bring it to where it is used, then remove the old one.

` + secretHelp,
		Example: "  entrepot robot secret add ci-dmp --ttl 365d --note gitlab\n  entrepot robot secret add edge --scope 'repository:cloud/dmp/**:pull' > secret",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	s.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := nameInPath(cmd, args[0])
		if err != nil {
			return err
		}
		asked, err := s.asked(cmd)
		if err != nil {
			return err
		}
		server := c.server()
		made, err := c.addSecret(cmd.Context(), server, "/robots/"+name+"/secrets", asked)
		if err != nil {
			return explain(err, "add a secret of robot %s on %s", printable(args[0]), server)
		}
		fmt.Fprintf(a.stderr, "secret %s of robot %s on %s, which %s; it is not shown again. Use it with docker login -u %s --password-stdin %s\n",
			made.ID, printable(args[0]), server, ends(made.Secret), printable(args[0]), server)
		fmt.Fprintln(a.stdout, made.Value)
		return nil
	}
	return cmd
}

func (a *app) robotSecretLs() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "ls NAME",
		Short: "List a robot's secrets, and the logins made with them",
		Args:  takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := nameInPath(cmd, args[0])
		if err != nil {
			return err
		}
		server := c.server()
		all, err := c.secrets(cmd.Context(), server, "/robots/"+name+"/secrets")
		if err != nil {
			return explain(err, "list the secrets of robot %s on %s", printable(args[0]), server)
		}
		return a.printSecrets(all, output)
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) robotSecretRm() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm NAME ID",
		Short: "Withdraw a robot's secret, and the logins made with it",
		Args:  takes(2, 2),
	}
	return a.removes(cmd, "withdraw", "withdrew", func(args []string) (path, thing string, err error) {
		name, err := nameInPath(cmd, args[0])
		if err != nil {
			return "", "", err
		}
		id, err := idArgument(cmd, args[1])
		return "/robots/" + name + "/secrets/" + id, "secret " + id + " of robot " + printable(args[0]) + " on", err
	})
}
