package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/retain/collect"
)

func gcVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "See what content goes since nothing names it any more, and have it go now",
		Long: `See what content goes since nothing names it any more, and have it go now.

The server does so by itself, as gc: in its configuration says. Both verbs take the right to manage the server, which admins have.`,
	}
	group(cmd)
	cmd.AddCommand(a.gcPlan(), a.gcRun())
	return cmd
}

func (a *app) gcPlan() *cobra.Command {
	var output string
	var all, orphans bool
	cmd := &cobra.Command{
		Use:   "plan [HOST]",
		Short: "List what content would go, and why; nothing changes",
		Long: `List what content would go, and why; nothing changes.

A line with a repository is about what that repository may read of it; one without is about the content itself, which goes when no repository
holds it.`,
		Example: "  entrepot gc plan\n  entrepot gc plan --all registry.example.com\n  entrepot gc plan --orphans -o json",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "list also what stays, and why")
	cmd.Flags().BoolVar(&orphans, "orphans", false, "look also for content that the index does not know; this takes long")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.serverOf(args)
		query := url.Values{}
		for name, asked := range map[string]bool{"all": all, "orphans": orphans} {
			if asked {
				query.Set(name, "true")
			}
		}
		raw, err := c.lines(cmd.Context(), http.MethodGet, server, "/gc/plan", query, nil, func(l answerLine) error { return a.printFate(output, l.Fate, gcFate) })
		if err != nil {
			return explainAll(err, "plan what content of %s goes", server)
		}
		if output == asJSON {
			return a.printTold("result", raw)
		}
		s, err := resultOf[collect.Sums](server, raw)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%d of %d blobs would go, %s; repositories would let go of %d%s\n", s.Swept.Doomed, s.Swept.Blobs, humanSize(s.Swept.Bytes), s.Swept.Released,
			orphansText(s.Orphans))
		return nil
	}
	linesFlag(cmd, &output)
	return cmd
}

// printFate prints what becomes of something, as text or as the server says it. A line that is about something else is passed over.
func (a *app) printFate(output string, fate json.RawMessage, text func(json.RawMessage) (string, error)) error {
	if fate == nil {
		return nil
	}
	if output == asJSON {
		return a.printTold("fate", fate)
	}
	line, err := text(fate)
	if err != nil {
		return fmt.Errorf("the server listed something else than was asked for: %w", err)
	}
	_, err = fmt.Fprintln(a.stdout, line)
	return err
}

// goesOrStays is the first word of a line.
func goesOrStays(goes bool) string {
	if goes {
		return "goes "
	}
	return "stays"
}

func gcFate(raw json.RawMessage) (string, error) {
	var f registry.Fate
	if err := json.Unmarshal(raw, &f); err != nil {
		return "", err
	}
	what := "content"
	if f.Repo != "" {
		what = "in " + printable(f.Repo)
	}
	return fmt.Sprintf("%s %10s  %s  %s: %s", goesOrStays(f.Goes), humanSize(f.Size), printable(string(f.Digest)), what, oneLine(f.Why)), nil
}

func orphansText(o *collect.Orphans) string {
	if o == nil {
		return ""
	}
	return fmt.Sprintf("; the index does not know %d, %s", o.Blobs, humanSize(o.Bytes))
}

func (a *app) gcRun() *cobra.Command {
	var output string
	var orphans bool
	cmd := &cobra.Command{
		Use:   "run [HOST]",
		Short: "Have content go now that nothing names any more",
		Long: `Have content go now that nothing names any more.

What is let go now is deleted when gc.delay is over, by the server itself or by the next run. A run that is under way is followed, and goes on when this is
interrupted.`,
		Example: "  entrepot gc run\n  entrepot gc run --orphans registry.example.com",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().BoolVar(&orphans, "orphans", false, "look also for content that the index does not know; this takes long")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.serverOf(args)
		raw, err := runThere(cmd.Context(), a, c, server, "/gc/runs", map[string]bool{"orphans": orphans}, gcSteps)
		if err != nil {
			return explainAll(err, "have content of %s go", server)
		}
		if output != asTable {
			return a.printAs(output, raw)
		}
		r, err := resultOf[collect.Result](server, raw)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "looked at %d blobs; %d go, %s; repositories let go of %d%s\ndeleted %d that went before, %s\n", r.Swept.Blobs, r.Swept.Doomed,
			humanSize(r.Swept.Bytes), r.Swept.Released, orphansText(r.Orphans), r.Reaped.Blobs, humanSize(r.Reaped.Bytes))
		return nil
	}
	formatFlag(cmd, &output)
	return cmd
}

func gcSteps(p collect.Progress) string {
	return fmt.Sprintf("%s: looked at %d, %d go", cmp.Or(printable(p.Step), "begun"), p.Looked, p.Goes)
}
