package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func resolveVerb(a *app) *cobra.Command {
	var output, format string
	cmd := &cobra.Command{
		Use:   "resolve COMPONENT[@REF]",
		Short: "Say which version and digest a name comes down to",
		Long: `Say which version and digest a name comes down to.

REF is a version (1.0.2), a place (cloud.prod: what is deployed there), latest, or commit- and a commit; it may follow a colon as well. Without
it, latest is meant: the latest version that is known good.`,
		Example: `  entrepot resolve cloud/dmp/ms-ingestion@cloud.prod
  docker pull $(entrepot resolve cloud/dmp/ms-ingestion@cloud.prod --format pull)`,
		Args: takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&format, "format", "", "print this alone: version, digest, or pull for the reference to pull by")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch format {
		case "", "version", "digest", "pull":
		default:
			return misuse(cmd, "--format %q is none of version, digest and pull", format)
		}
		r, err := parseComponent(args[0], c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		var raw json.RawMessage
		if err := c.resolve(cmd.Context(), r, &raw); err != nil {
			return explainAll(err, "resolve %s", r)
		}
		if output != asTable && format == "" {
			return a.printAs(output, raw)
		}
		var found resolution
		if err := json.Unmarshal(raw, &found); err != nil {
			return explain(err, "resolve %s", r)
		}
		if found.Pull == "" {
			found.Pull = r.server + "/" + r.name + "@" + found.Digest.String()
		}
		if format != "" {
			fmt.Fprintln(a.stdout, printable(map[string]string{"version": found.Version, "digest": found.Digest.String(), "pull": found.Pull}[format]))
			return nil
		}
		rows := [][]string{{"Component:", r.name}, {"Version:", found.Version}, {"Tag:", found.Tag}, {"Digest:", found.Digest.String()}}
		if found.Commit != "" {
			rows = append(rows, []string{"Commit:", found.Commit})
		}
		return a.table(append(rows, []string{"Pull:", found.Pull}))
	}
	formatFlag(cmd, &output)
	return cmd
}
