package main

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
)

func versionsVerb(a *app) *cobra.Command {
	var output, commit string
	var filter componentFilter
	cmd := &cobra.Command{
		Use:   "versions [COMPONENT]",
		Short: "List the versions of a component, or of all",
		Long: `List the versions of a component, or of all, with the formats that they have been pushed in.

A version is known good when nothing about it is denied and its documents are there: entrepot findings says what is missing.`,
		Example: `  entrepot versions cloud/dmp/ms-ingestion
  entrepot versions cloud/dmp/ms-ingestion --newest --limit 5
  entrepot versions --good=false --team infra`,
		Args: takes(0, 1),
	}
	c := a.clientFlags(cmd)
	filter.register(cmd)
	cmd.Flags().StringVar(&commit, "commit", "", "only what was built from this commit (4 digits of it or more)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, err := filter.query(cmd)
		if err != nil {
			return err
		}
		if commit != "" {
			q.Set("commit", commit)
		}
		server, path, of := c.server(), "/versions", ""
		if len(args) == 1 {
			r, err := parseComponentAlone(args[0], server)
			if err != nil {
				return misuse(cmd, "%v", err)
			}
			server, path, of = r.server, r.path()+"/versions", r.name
		}
		return a.listVersions(cmd, c, server, path, q, filter.limit, of, output)
	}
	formatFlag(cmd, &output)
	return cmd
}

// listVersions prints a list of versions; of is the component whose they are, or empty for many.
func (a *app) listVersions(cmd *cobra.Command, c *client, server, path string, q url.Values, limit int, of, output string) error {
	what := "of " + server
	if of != "" {
		what = "of " + of
	}
	items, more, err := c.list(cmd.Context(), server, path, q, limit)
	if err != nil {
		return explainAll(err, "list versions %s", what)
	}
	from := 0
	if of != "" {
		from = 1 // they all are of that component
	}
	head := []string{"COMPONENT", "VERSION", "GOOD", "FORMATS", "COMMIT", "CREATED"}
	return printItems(a, output, items, more, head[from:], func(v artifacts.Version) []string {
		return []string{v.Component, v.Version, yesNo(v.Good), formatsOf(v), orDash(shortCommit(v.Commit)), when(v.Created, "-")}[from:]
	})
}

func formatsOf(v artifacts.Version) string {
	var all []string
	for _, format := range slices.Sorted(maps.Keys(v.Formats)) {
		all = append(all, string(format))
	}
	return strings.Join(all, ", ")
}

// shortCommit is enough of a commit to recognise it.
func shortCommit(sha string) string { return sha[:min(len(sha), 12)] }

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
