package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	rights "github.com/entrepot/entrepot/auth"
)

func grantVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "Say who may do what where",
		Long: `Say who may do what where. A grant gives a role (entrepot auth roles) to somebody on a path and everything below it; what nobody granted
is refused.

WHO is user:NAME, group:NAME, robot:NAME, ci:NAME, workload:NAME, node:NAME, or anyone for everybody, logged in or not.
PATH is a repository or what several begin with, such as cloud/dmp, or ** for the whole registry.`,
	}
	group(cmd)
	cmd.AddCommand(a.grantLs(), a.grantAdd(), a.grantRm())
	return cmd
}

func (a *app) grantLs() *cobra.Command {
	var output, who, on string
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the grants on paths that one administers",
		Example: "  entrepot grant ls\n  entrepot grant ls --who group:dmp\n  entrepot grant ls --on cloud/dmp/ms-ingestion",
		Args:    takes(0, 0),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&who, "who", "", "only those made to this name")
	cmd.Flags().StringVar(&on, "on", "", "only those that hold on this path, because they are on it or on one above it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if who != "" {
			if err := rights.CheckWho(who); err != nil {
				return misuse(cmd, "--who: %v", err)
			}
		}
		if on != "" {
			if err := rights.Path(on).Check(); err != nil {
				return misuse(cmd, "--on: %v", err)
			}
		}
		server := c.server()
		var answer struct{ Grants []rights.Grant }
		if err := c.call(cmd.Context(), http.MethodGet, server, "/grants", nil, &answer); err != nil {
			return explain(err, "list the grants of %s", server)
		}
		grants := slices.DeleteFunc(append([]rights.Grant{}, answer.Grants...), func(g rights.Grant) bool {
			return who != "" && g.Who != who || on != "" && !rights.Path(on).Within(g.On)
		})
		if output == "json" {
			return a.printJSON(grants)
		}
		rows := [][]string{{"ID", "WHO", "ROLE", "PATH", "BY"}}
		for _, g := range grants {
			rows = append(rows, []string{g.ID, g.Who, string(g.Role), string(g.On), g.By})
		}
		return a.listed(rows)
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) grantAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "add WHO ROLE PATH",
		Short:   "Give a role to somebody on a path",
		Example: "  entrepot grant add group:dmp developer cloud/dmp\n  entrepot grant add anyone reader public",
		Args:    takes(3, 3),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		g := rights.Grant{Who: args[0], Role: rights.Role(args[1]), On: rights.Path(args[2])}
		if err := g.Check(); err != nil {
			return misuse(cmd, "%v", err)
		}
		server := c.server()
		if err := c.addGrant(cmd.Context(), server, g, &g); err != nil {
			return explain(err, "grant %s the role %s on %s", printable(g.Who), g.Role, g.On)
		}
		fmt.Fprintf(a.stdout, "granted %s the role %s on %s: %s\n", printable(g.Who), g.Role, g.On, printable(g.ID))
		return nil
	}
	return cmd
}

func (c *client) addGrant(ctx context.Context, server string, g rights.Grant, made *rights.Grant) error {
	asked := struct {
		Who  string      `json:"who"`
		Role rights.Role `json:"role"`
		On   rights.Path `json:"on"`
	}{g.Who, g.Role, g.On}
	if made == nil {
		made = &rights.Grant{}
	}
	return c.call(ctx, http.MethodPost, server, "/grants", asked, made)
}

func (a *app) grantRm() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm ID",
		Short: "Take a grant back",
		Args:  takes(1, 1),
	}
	return a.removes(cmd, "take", "took", func(args []string) (path, thing string, err error) {
		id, err := idArgument(cmd, args[0])
		return "/grants/" + id, "grant " + printable(args[0]) + " back on", err
	})
}
