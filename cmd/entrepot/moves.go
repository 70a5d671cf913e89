package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
)

// What promotions, rollbacks and withdrawals have in common.

// moveFlags are their flags.
type moveFlags struct {
	reason, expect, output string
	force                  bool
}

func (m *moveFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.reason, "reason", "", "why, in a line")
	f.StringVar(&m.expect, "expect", "", "only if this version is deployed there now, or, empty, nothing")
	f.BoolVar(&m.force, "force", false, "even if what others there need is then missing; takes the right to govern")
	formatFlag(cmd, &m.output)
}

// moveOrder is what the server is asked for.
type moveOrder struct {
	Component string  `json:"component"`
	Version   string  `json:"version,omitempty"`
	To        string  `json:"to,omitempty"` // of a promotion …
	At        string  `json:"at,omitempty"` // … and of the others: the place
	Expect    *string `json:"expect,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	Force     bool    `json:"force,omitempty"`
}

func (m *moveFlags) order(cmd *cobra.Command, r componentRef) moveOrder {
	o := moveOrder{Component: r.name, Reason: m.reason, Force: m.force}
	if cmd.Flags().Changed("expect") {
		o.Expect = &m.expect
	}
	return o
}

// componentAt reads COMPONENT@PLACE, or the two as two arguments.
func componentAt(args []string, server string) (r componentRef, place artifacts.Place, err error) {
	if len(args) == 2 {
		if r, err = parseComponentAlone(args[0], server); err != nil {
			return r, place, err
		}
		r.ref = args[1]
	} else if r, err = parseComponent(args[0], server); err != nil {
		return r, place, err
	}
	if r.ref == "" {
		return r, place, fmt.Errorf("no place is named; write %s@cloud.prod", r.name)
	}
	place, err = artifacts.ParsePlace(r.ref)
	return r, place, err
}

// move asks for a move and says what has come of it.
func (a *app) move(cmd *cobra.Command, c *client, r componentRef, place artifacts.Place, path string, asked moveOrder, output, doing string) error {
	body, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	already := false // it was so before
	if err := c.exchange(cmd.Context(), http.MethodPost, r.server, componentsAPI+path, nil, "application/json", body, func(res *http.Response) error {
		already = res.StatusCode == http.StatusOK
		if err := readJSON(io.LimitReader(res.Body, answerLimit), &raw); err != nil {
			return notAsAsked(r.server, err)
		}
		return nil
	}); err != nil {
		return explainAll(err, "%s", doing)
	}
	if output != asTable {
		return a.printAs(output, raw)
	}
	var m artifacts.Move
	if err := json.Unmarshal(raw, &m); err != nil {
		return explain(err, "%s", doing)
	}
	if already {
		fmt.Fprintf(a.stdout, "%s at %s: %s already, since %s by %s\n", printable(m.Component), place, printable(orNothing(m.To)), when(m.When, "-"), printable(m.By))
		return nil
	}
	fmt.Fprintf(a.stdout, "%s at %s: %s → %s\n", printable(m.Component), place, printable(orNothing(m.From)), printable(orNothing(m.To)))
	for _, f := range m.Findings {
		fmt.Fprintf(a.stdout, "  let pass: %s\n", oneLine(f))
	}
	return nil
}

func orNothing(version string) string {
	if version == "" {
		return "nothing"
	}
	return version
}
