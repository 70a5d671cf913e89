package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
)

// versionState is all that the server knows of a version.
type versionState struct {
	artifacts.State
	Deployed []string                    `json:"deployed"` // places
	Pull     map[artifacts.Kind][]string `json:"pull"`     // commands, by format
}

func showVerb(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "show COMPONENT[@REF]",
		Short: "Show a version: its formats, documents and findings, and where it is deployed",
		Long: `Show a version: its formats, documents and findings, how to pull it, and where it is deployed.

REF is a version (1.0.2), a place (cloud.prod: what is deployed there), latest, or commit- and a commit. Without it the latest version that is
known good is shown, or, if there is none, the newest one.`,
		Example: `  entrepot show cloud/dmp/ms-ingestion
  entrepot show cloud/dmp/ms-ingestion@1.0.2
  entrepot show cloud/dmp/ms-ingestion@cloud.prod -o yaml`,
		Args: takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := parseComponent(args[0], c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		number, err := a.shown(cmd.Context(), c, r)
		if err != nil {
			return explainAll(err, "show %s", r)
		}
		var raw json.RawMessage
		if err := c.state(cmd.Context(), r, number, &raw); err != nil {
			return explainAll(err, "show %s", r)
		}
		if output != asTable {
			return a.printAs(output, raw)
		}
		var s versionState
		if err := json.Unmarshal(raw, &s); err != nil {
			return explain(err, "show %s", r)
		}
		return a.printState(s)
	}
	formatFlag(cmd, &output)
	return cmd
}

// shown is the version that a reference names. Of a component alone that is the latest one, or the newest if none is known good.
func (a *app) shown(ctx context.Context, c *client, r componentRef) (string, error) {
	number, err := c.number(ctx, r)
	if r.ref != "" || !isStatus(err, http.StatusNotFound) {
		return number, err
	}
	items, _, lists := c.list(ctx, r.server, r.path()+"/versions", url.Values{"sort": {"newest"}}, 1)
	if lists != nil {
		return "", lists // it says that there is no such component
	}
	all, wrong := entries[artifacts.Version](items)
	if wrong != nil || len(all) == 0 {
		return "", err
	}
	fmt.Fprintf(a.stderr, "no version of %s is known good; this is the newest one\n", r.name)
	return all[0].Version, nil
}

func (a *app) printState(s versionState) error {
	rows := [][]string{
		{"Component:", s.Component},
		{"Version:", s.Version.Version},
		{"Known good:", yesNo(s.Good)},
		{"Created:", when(s.Created, "-")},
	}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("Commit:", s.Commit)
	add("Team:", s.Team)
	add("Needs:", strings.Join(s.Needs, ", "))
	add("Deployed:", strings.Join(s.Deployed, ", "))
	if err := a.table(rows); err != nil {
		return err
	}
	for _, section := range []struct {
		name string
		rows [][]string
	}{{"Formats", formatRows(s.Version)}, {"Documents", documentRows(s.Documents)}, {"Pull", pullRows(s.Pull)}} {
		if err := a.section(section.name, section.rows); err != nil {
			return err
		}
	}
	var lines [][]string
	for _, f := range s.Findings {
		lines = append(lines, []string{"  " + findingLine(f)})
	}
	return a.section("Findings", lines)
}

// section prints rows below a name, if there are any.
func (a *app) section(name string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintf(a.stdout, "%s:\n", name)
	return a.table(rows)
}

func formatRows(v artifacts.Version) (rows [][]string) {
	for _, format := range slices.Sorted(maps.Keys(v.Formats)) {
		f := v.Formats[format]
		rows = append(rows, []string{"  " + string(format), f.Tag, f.Digest.String(), humanSize(f.Size), strings.Join(f.Platforms, ", ")})
		for _, file := range f.Files {
			rows = append(rows, []string{"    " + file.Name, "", file.Digest.String(), humanSize(file.Size), ""})
		}
	}
	return rows
}

func documentRows(all map[string]artifacts.Attached) (rows [][]string) {
	for _, what := range slices.Sorted(maps.Keys(all)) {
		d := all[what]
		name := what + "/manifest.yaml"
		if what == "metadata" {
			name = "metadata.yaml"
		}
		rows = append(rows, []string{"  " + name, d.Content.String(), "by " + d.By, when(d.Pushed, "")})
	}
	return rows
}

func pullRows(all map[artifacts.Kind][]string) (rows [][]string) {
	for _, format := range slices.Sorted(maps.Keys(all)) {
		for _, line := range all[format] {
			rows = append(rows, []string{"  " + line})
		}
	}
	return rows
}
