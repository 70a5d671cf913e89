package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func tokenVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Manage one's own tokens, for where no password shall be",
		Long: `Manage one's own tokens, for where no password shall be: they can be cut down to some repositories, end by themselves, and are withdrawn one
by one. The logins of docker and of browsers are listed as well.`,
	}
	group(cmd)
	cmd.AddCommand(a.tokenLs(), a.tokenAdd(), a.tokenRm())
	return cmd
}

func (a *app) tokenLs() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List one's own tokens and logins",
		Args:  takes(0, 0),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		server := c.server()
		all, err := c.secrets(cmd.Context(), server, "/tokens")
		if err != nil {
			return explain(err, "list your tokens on %s", server)
		}
		return a.printSecrets(all, output)
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) tokenAdd() *cobra.Command {
	var s secretFlags
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Make oneself a token and print it, this once",
		Long: `Make oneself a token and print it, this once, on standard output; everything else goes to standard error. It takes the password's place
wherever one logs in.

` + secretHelp,
		Example: "  entrepot token add --ttl 30d --note laptop\n  entrepot token add --scope 'repository:cloud/dmp/**:pull' | entrepot login --token-stdin",
		Args:    takes(0, 0),
	}
	c := a.clientFlags(cmd)
	s.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asked, err := s.asked(cmd)
		if err != nil {
			return err
		}
		server := c.server()
		made, err := c.addSecret(cmd.Context(), server, "/tokens", asked)
		if err != nil {
			return explain(err, "add a token on %s", server)
		}
		fmt.Fprintf(a.stderr, "token %s on %s, which %s; it is not shown again\n", made.ID, server, ends(made.Secret))
		fmt.Fprintln(a.stdout, made.Value)
		return nil
	}
	return cmd
}

func (a *app) tokenRm() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm ID",
		Short: "Withdraw one of one's own tokens or logins",
		Args:  takes(1, 1),
	}
	return a.removes(cmd, "withdraw", "withdrew", func(args []string) (path, thing string, err error) {
		id, err := idArgument(cmd, args[0])
		return "/tokens/" + id, "token " + id + " on", err
	})
}
