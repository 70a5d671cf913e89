package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func indexVerb(a *app) *cobra.Command {
	var output, at string
	cmd := &cobra.Command{
		Use:   "index components|domain-DOMAIN[-ENVIRONMENT]",
		Short: "Print components.yaml or a domain's file as the server makes them",
		Long: `Print components.yaml, which has the latest version of each component, or a domain's file, which has what is deployed there: domain-cloud-prod,
or domain-cloud for the same.`,
		Example: "  entrepot index components\n  entrepot index domain-cloud-prod --at 2026-05-10 > domain-cloud-prod.yaml",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&at, "at", "", "as it was at "+momentHelp)
	cmd.Flags().StringVarP(&output, "output", "o", asYAML, "how to print: yaml or json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := strings.TrimSuffix(args[0], ".yaml")
		if domain, ok := strings.CutPrefix(name, "domain-"); name != "components" && (!ok || domain == "") || strings.Contains(name, "/") {
			return misuse(cmd, "%q is no file of the index; there are components and, for each place, domain-DOMAIN-ENVIRONMENT", args[0])
		}
		if output != asYAML && output != asJSON {
			return misuse(cmd, "--output %q is neither yaml nor json", output)
		}
		t, err := moment(at, time.Now())
		if err != nil {
			return misuse(cmd, "--at: %v", err)
		}
		q := url.Values{}
		if t != "" {
			q.Set("at", t)
		}
		server := c.server()
		text, err := c.text(cmd.Context(), server, "/index/"+url.PathEscape(name)+"."+output, q)
		if err != nil {
			return explainAll(noPlace(err), "print %s of %s", printable(name), server)
		}
		if output == asJSON {
			return a.printJSON(json.RawMessage(text))
		}
		_, err = a.stdout.Write(text)
		return err
	}
	return cmd
}
