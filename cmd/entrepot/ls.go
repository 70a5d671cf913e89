package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func lsVerb(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "ls [HOST][/PREFIX]",
		Short: "List the repositories of a registry",
		Long: `List the repositories of a registry, all of them or those under a prefix.

A prefix is whole path segments: cloud/dmp lists cloud/dmp and cloud/dmp/app, but not cloud/dmpx.`,
		Example: "  entrepot ls\n  entrepot ls cloud/dmp\n  entrepot ls registry.example.com/cloud",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, prefix := c.server(), ""
		if len(args) == 1 {
			host, prefix = splitHost(args[0], host)
		}
		reg, err := c.registry(host)
		if err != nil {
			return explain(err, "list repositories")
		}
		found := map[string]bool{}
		pages := 0
		err = reg.Repositories(cmd.Context(), "", func(page []string) error {
			if pages++; pages > pageLimit {
				return fmt.Errorf("the list does not end after %d pages", pageLimit)
			}
			for _, name := range page {
				if prefix == "" || name == prefix || strings.HasPrefix(name, prefix+"/") {
					found[name] = true
				}
			}
			return nil
		})
		if err != nil {
			return explain(err, "list repositories of %s", host)
		}
		names := slices.AppendSeq([]string{}, maps.Keys(found))
		slices.Sort(names)
		if output == "json" {
			return a.printJSON(names)
		}
		for _, name := range names {
			fmt.Fprintln(a.stdout, printable(name))
		}
		return nil
	}
	outputFlag(cmd, &output)
	return cmd
}

// splitHost takes HOST, HOST/PREFIX, /PREFIX or PREFIX apart; server stands in for a host that is not given.
func splitHost(s, server string) (host, prefix string) {
	first, rest, _ := strings.Cut(s, "/")
	if first != "" && hasHost(first+"/") {
		return first, strings.Trim(rest, "/")
	}
	return server, strings.Trim(s, "/")
}
