package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/registry/upstream/mirror"
)

func mirrorVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "See what the server mirrors of other registries, and have it done now",
		Long: `See what the server mirrors of other registries, and have it done now.

What is mirrored, and how often, stands below mirror: in the server's configuration. Both verbs take the right to manage the server, which admins have.`,
	}
	group(cmd)
	cmd.AddCommand(a.mirrorList(), a.mirrorRun())
	return cmd
}

func (a *app) mirrorList() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List what is mirrored, with what came of the last run, and when the next one is due",
		Example: "  entrepot mirror ls\n  entrepot mirror ls -o json",
		Args:    takes(0, 0),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		server := c.server()
		items, more, err := c.list(cmd.Context(), server, "/mirrors", nil, 0)
		if err != nil {
			return explainAll(err, "list what %s mirrors", server)
		}
		return printItems(a, output, items, more, []string{"REPOSITORY", "EVERY", "LAST RUN", "RESULT", "NEXT RUN"}, mirrorRow)
	}
	formatFlag(cmd, &output)
	return cmd
}

func mirrorRow(s mirror.State) []string {
	every, last, result, next := "by hand", "", "", ""
	if d, err := time.ParseDuration(s.Every); err == nil {
		every = formatDuration(d)
	}
	if s.Last != nil {
		last, result = when(s.Last.Ended, ""), mirrorResult(*s.Last)
	}
	if s.Next != nil {
		next = when(*s.Next, "")
	}
	if p := s.Running; p != nil {
		last, result = when(p.Began, ""), "under way: "+mirrorSteps(*p)
	}
	return []string{s.Repository, every, last, orDash(result), next}
}

func mirrorResult(r mirror.Result) string {
	text := fmt.Sprintf("%d tags, %s; fetched %s", r.Tags.Done, humanSize(r.Bytes.Done), humanSize(r.Fetched.Bytes))
	if r.Failed > 0 {
		text = fmt.Sprintf("%d failed; ", r.Failed) + text
	}
	return text
}

func (a *app) mirrorRun() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "run [REPOSITORY...]",
		Short: "Mirror repositories now: those that are named, or all",
		Long: `Mirror repositories now: those that are named, or all that the server's configuration mirrors.

REPOSITORY is written as there, the upstream's name first. What is here already is not fetched again. A run that is under way is followed, and goes
on when this is interrupted.`,
		Example: "  entrepot mirror run\n  entrepot mirror run docker.io/library/alpine quay.io/team/app",
		Args:    takes(0, -1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.server()
		if len(args) == 0 {
			items, _, err := c.list(cmd.Context(), server, "/mirrors", nil, 0)
			if err != nil {
				return explainAll(err, "list what %s mirrors", server)
			}
			all, err := entries[mirror.State](items)
			if err != nil {
				return explainAll(err, "list what %s mirrors", server)
			}
			for _, s := range all {
				args = append(args, s.Repository)
			}
		}
		return a.mirrorAll(cmd.Context(), c, server, args, output)
	}
	formatFlag(cmd, &output)
	return cmd
}

// mirrorAll has one repository after the other mirrored. What failed is told behind each of them, and by the exit status.
func (a *app) mirrorAll(ctx context.Context, c *client, server string, repos []string, output string) error {
	failed, raws := false, []json.RawMessage{}
	err := a.each(ctx, repos, func(repo string) error {
		view := newMirrorView(a.stderr)
		raw, err := c.lines(ctx, http.MethodPost, server, "/mirrors/runs", nil, map[string]string{"repository": repo}, toldThere(view.show))
		view.close()
		var r mirror.Result
		if err == nil {
			r, err = resultOf[mirror.Result](server, raw)
		}
		if err != nil {
			return explainAll(missing{err, "list what is mirrored with: entrepot mirror ls"}, "mirror %s", printable(repo))
		}
		raws, failed = append(raws, raw), failed || r.Failed > 0
		if output == asTable {
			a.printMirrored(r)
		}
		return nil
	})
	if output != asTable && len(raws) > 0 {
		if err := a.printAs(output, raws); err != nil {
			return err
		}
	}
	if err == nil && failed {
		return errAnswered
	}
	return err
}

func (a *app) printMirrored(r mirror.Result) {
	fmt.Fprintf(a.stdout, "%s: %d tags with %d manifests and %d blobs, %s; fetched %s in %s\n", printable(r.Repository), r.Tags.Done, r.Manifests.Done,
		r.Blobs.Done, humanSize(r.Bytes.Done), humanSize(r.Fetched.Bytes), r.Ended.Sub(r.Began).Round(100*time.Millisecond))
	for _, f := range r.Failures {
		what := f.Tag
		if what == "" {
			what = "all of it"
		}
		fmt.Fprintf(a.stdout, "  failed: %s: %s\n", printable(what), oneLine(f.Reason))
	}
	if more := r.Failed - len(r.Failures); more > 0 {
		fmt.Fprintf(a.stdout, "  and %d more\n", more)
	}
}
