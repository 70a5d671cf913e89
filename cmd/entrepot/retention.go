package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/registry/retain"
)

func retentionVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "See which tags go since no rule keeps them any more, and have them go now",
		Long: `See which tags go since no rule keeps them any more, and manifests without tags, and have them go now.

The rules stand below retention: in the server's configuration, and the server keeps to them by itself every gc.every. Both verbs take the right to
manage the server, which admins have.`,
	}
	group(cmd)
	cmd.AddCommand(a.retentionPlan(), a.retentionRun())
	return cmd
}

func (a *app) retentionPlan() *cobra.Command {
	var output, repo string
	var all bool
	cmd := &cobra.Command{
		Use:   "plan [HOST]",
		Short: "List what the next run would remove, and why; nothing changes",
		Long: `List what the next run would remove, and why; nothing changes.

Rules are counted from 1, in the order of the configuration.`,
		Example: "  entrepot retention plan\n  entrepot retention plan --all --repository cloud/dmp/ms-ingestion\n  entrepot retention plan -o json registry.example.com",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "list also what stays, and why")
	cmd.Flags().StringVar(&repo, "repository", "", "only what is in this repository")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.serverOf(args)
		query := url.Values{}
		if all {
			query.Set("all", "true")
		}
		if repo != "" {
			query.Set("repository", repo)
		}
		raw, err := c.lines(cmd.Context(), http.MethodGet, server, "/retention/plan", query, nil, func(l answerLine) error {
			return a.printFate(output, l.Fate, retentionFate)
		})
		if err != nil {
			return explainAll(err, "plan what goes from %s", server)
		}
		if output == asJSON {
			return a.printTold("result", raw)
		}
		t, err := resultOf[retain.Tally](server, raw)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%d of %d tags would go, and %d of %d manifests without a tag; the rules are about %d repositories\n",
			t.Goes.Tags, t.Looked.Tags, t.Goes.Manifests, t.Looked.Manifests, t.Repositories)
		return nil
	}
	linesFlag(cmd, &output)
	return cmd
}

func retentionFate(raw json.RawMessage) (string, error) {
	var f retain.Fate
	if err := json.Unmarshal(raw, &f); err != nil {
		return "", err
	}
	rule := ""
	if f.Rule > 0 && !f.Goes {
		rule = fmt.Sprintf(" (rule %d)", f.Rule)
	}
	return fmt.Sprintf("%s %s: %s%s", goesOrStays(f.Goes), nameOf(f), oneLine(f.Why), rule), nil
}

// nameOf is what a fate is about, as a reference.
func nameOf(f retain.Fate) string {
	switch {
	case f.Tag != "":
		return printable(f.Repo + ":" + f.Tag)
	case f.Digest != "":
		return printable(f.Repo + "@" + string(f.Digest))
	}
	return printable(f.Repo)
}

func (a *app) retentionRun() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "run [HOST]",
		Short: "Remove now what no rule keeps any more",
		Long: `Remove now what no rule keeps any more: what entrepot retention plan lists.

What a run leaves behind, as the manifest that has lost its last tag, is up to the next one. A run that is under way is followed, and goes on when this is
interrupted.`,
		Example: "  entrepot retention run\n  entrepot retention run -o json registry.example.com",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.serverOf(args)
		raw, err := runThere(cmd.Context(), a, c, server, "/retention/runs", struct{}{}, retentionSteps)
		if err != nil {
			return explainAll(err, "have go from %s what is not retained", server)
		}
		r, err := resultOf[retain.Result](server, raw)
		if err != nil {
			return err
		}
		if output != asTable {
			err = a.printAs(output, raw)
		} else {
			a.printRetained(r)
		}
		if err == nil && r.Failed > 0 {
			return errAnswered
		}
		return err
	}
	formatFlag(cmd, &output)
	return cmd
}

func retentionSteps(t retain.Tally) string {
	return fmt.Sprintf("looked at %d tags and %d manifests in %d repositories; %d have gone", t.Looked.Tags, t.Looked.Manifests, t.Repositories,
		t.Goes.Tags+t.Goes.Manifests)
}

func (a *app) printRetained(r retain.Result) {
	fmt.Fprintf(a.stdout, "removed %d of %d tags, and %d of %d manifests without a tag, in %d repositories\n", r.Goes.Tags, r.Looked.Tags, r.Goes.Manifests, r.Looked.Manifests,
		r.Repositories)
	for _, refusal := range r.Refusals {
		fmt.Fprintf(a.stdout, "  refused: %s: %s\n", nameOf(refusal.Fate), cmp.Or(oneLine(refusal.Reason), "-"))
	}
	if more := r.Refused + r.Failed - int64(len(r.Refusals)); more > 0 {
		fmt.Fprintf(a.stdout, "  and %d more\n", more)
	}
}
