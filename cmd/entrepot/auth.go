package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	rights "github.com/entrepot/entrepot/auth"
)

func authVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "auth",
		Short: "Ask a server who one is and who may do what",
	}
	group(cmd)
	cmd.AddCommand(a.authCanI(), a.authWhoami(), a.authRoles(), a.authRotate())
	return cmd
}

// caller is who somebody is to a server.
type caller struct {
	Kind   string         `json:"kind"`
	Name   string         `json:"name"`
	Groups []string       `json:"groups,omitempty"`
	Scope  rights.Scope   `json:"scope,omitzero"`
	Grants []rights.Grant `json:"grants"`
}

func (c caller) who() string {
	if c.Name == "" {
		return c.Kind
	}
	return c.Kind + ":" + c.Name
}

func (a *app) authWhoami() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Say who one is to a server, and what was granted",
		Args:  takes(0, 0),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		server := c.server()
		var me caller
		if err := c.call(cmd.Context(), http.MethodGet, server, "/whoami", nil, &me); err != nil {
			return explain(err, "ask %s who you are", server)
		}
		if output == "json" {
			return a.printJSON(me)
		}
		rows := [][]string{{"Who:", me.who()}}
		if len(me.Groups) > 0 {
			rows = append(rows, []string{"Groups:", strings.Join(me.Groups, ", ")})
		}
		if me.Scope != nil {
			rows = append(rows, []string{"Cut down to:", scopeText(me.Scope)})
		}
		for i, g := range me.Grants {
			label := ""
			if i == 0 {
				label = "Grants:"
			}
			rows = append(rows, []string{label, fmt.Sprintf("%s on %s", g.Role, g.On) + through(g, me)})
		}
		return a.table(rows)
	}
	outputFlag(cmd, &output)
	return cmd
}

// through says why a grant is the caller's if it is not made to the caller's own name.
func through(g rights.Grant, me caller) string {
	if g.Who == "" || g.Who == me.who() {
		return ""
	}
	return " (as " + g.Who + ")"
}

func (a *app) authCanI() *cobra.Command {
	var output, as string
	cmd := &cobra.Command{
		Use:   "can-i ACTION [PATH]",
		Short: "Ask whether one may do something, and which grant says so",
		Long: `Ask whether one may do something on a repository or a path, and which grant says so. Without PATH, or with **, it is the registry itself.

The actions are ` + list(rights.Actions) + `.

The exit status is 0 for yes and 1 for no. Whoever administers the path may ask for somebody else with --as; of those who are not known
to the registry itself it only knows the grants to their name, and not their groups.`,
		Example: "  entrepot auth can-i push cloud/dmp/ms-ingestion\n  entrepot auth can-i delete cloud/dmp --as group:dmp",
		Args:    takes(1, 2),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&as, "as", "", "ask for user:NAME, group:NAME, robot:NAME, ci:NAME, workload:NAME, node:NAME or anonymous")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, action, path := c.server(), rights.Action(args[0]), rights.Everywhere
		if !action.Valid() {
			return misuse(cmd, "%q is no action; there are %s", args[0], list(rights.Actions))
		}
		if len(args) == 2 {
			path = rights.Path(args[1])
		}
		if err := path.Check(); err != nil {
			return misuse(cmd, "%v", err)
		}
		query := url.Values{"action": {string(action)}, "on": {string(path)}}
		if as != "" {
			query.Set("as", as)
		}
		var answer struct {
			Allowed bool          `json:"allowed"`
			Who     string        `json:"who"`
			Action  rights.Action `json:"action"`
			On      rights.Path   `json:"on"`
			Reason  string        `json:"reason"`
			Grant   *rights.Grant `json:"grant,omitempty"`
		}
		if err := c.call(cmd.Context(), http.MethodGet, server, "/can-i?"+query.Encode(), nil, &answer); err != nil {
			return explain(err, "ask %s about %s on %s", server, action, path)
		}
		verdict := "no"
		if answer.Allowed {
			verdict = "yes"
		}
		if output == "json" {
			if err := a.printJSON(answer); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(a.stdout, "%s: %s\n", verdict, printable(answer.Reason))
		}
		if !answer.Allowed {
			return errAnswered
		}
		return nil
	}
	outputFlag(cmd, &output)
	return cmd
}

// list writes words as a sentence has them.
func list[S ~string](all []S) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func (a *app) authRoles() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "roles",
		Short: "List the roles and what each includes",
		Args:  takes(0, 0),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		server := c.server()
		type role struct {
			Role    rights.Role     `json:"role"`
			Actions []rights.Action `json:"actions"`
		}
		var answer struct {
			Roles []role `json:"roles"`
		}
		if err := c.call(cmd.Context(), http.MethodGet, server, "/roles", nil, &answer); err != nil {
			return explain(err, "list the roles of %s", server)
		}
		if output == "json" {
			return a.printJSON(answer.Roles)
		}
		rows := [][]string{{"ROLE", "ACTIONS"}}
		for _, r := range answer.Roles {
			rows = append(rows, []string{string(r.Role), list(r.Actions)})
		}
		return a.table(rows)
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) authRotate() *cobra.Command {
	var revoke bool
	cmd := &cobra.Command{
		Use:   "rotate-keys",
		Short: "Let a new key sign the server's tokens",
		Long: `Let a new key sign the short-lived tokens that clients get. Those that the old key has signed stay good until they end.

With --revoke they end at once, as after a key was stolen. Clients then fetch new ones by themselves; what people, robots and jobs log in with
is not touched.`,
		Args: takes(0, 0),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().BoolVar(&revoke, "revoke", false, "take no token any more that was signed before")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		server := c.server()
		if err := c.call(cmd.Context(), http.MethodPost, server, "/keys/rotate", map[string]bool{"revoke": revoke}, nil); err != nil {
			return explain(err, "rotate the keys of %s", server)
		}
		if revoke {
			fmt.Fprintln(a.stdout, "a new key signs, and no token signed before is taken any more")
		} else {
			fmt.Fprintln(a.stdout, "a new key signs; tokens signed before stay good until they end")
		}
		return nil
	}
	return cmd
}
