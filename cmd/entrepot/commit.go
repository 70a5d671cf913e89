package main

import (
	"net/url"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
)

func commitVerb(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "commit SHA",
		Short: "List the images that were built from a commit",
		Long: `List the images that were built from a commit, or from those that begin so. An image says it by its label
org.opencontainers.image.revision.`,
		Example: "  entrepot commit 4f2a9c1\n  entrepot commit $(git rev-parse HEAD)",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.server()
		items, more, err := c.list(cmd.Context(), server, "/commits/"+url.PathEscape(args[0]), nil, 0)
		if err != nil {
			return explainAll(err, "find commit %s on %s", printable(args[0]), server)
		}
		return printItems(a, output, items, more, []string{"COMPONENT", "VERSION", "COMMIT", "IMAGE"}, func(v artifacts.Version) []string {
			image := "-"
			if f, ok := v.Formats[artifacts.Docker]; ok {
				image = server + "/" + v.Component + "@" + f.Digest.String()
			}
			return []string{v.Component, v.Version, v.Commit, image}
		})
	}
	formatFlag(cmd, &output)
	return cmd
}
