package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	rights "github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
)

// What robots' secrets and people's tokens have in common.

const secretHelp = `It ends after 90 days unless --ttl or --never says otherwise. --scope cuts it down: repository:PATH:ACTIONS, with /** behind the path for
everything below it as well, and pull, push, delete or * (everything) for the actions; or registry:catalog:*, for entrepot ls. It never gives
more than its owner may do.`

// secretFlags say how long a secret lasts and what for.
type secretFlags struct {
	ttl, note string
	never     bool
	scopes    []string
}

func (s *secretFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.ttl, "ttl", "", "how long it lasts: 90d, 12h (otherwise what the server has as its default, 90d)")
	f.BoolVar(&s.never, "never", false, "it never ends")
	f.StringVar(&s.note, "note", "", "what it is for")
	f.StringArrayVar(&s.scopes, "scope", nil, "cut it down to this, such as repository:cloud/dmp/**:pull,push; may be repeated")
}

// secretAsked is what the server is asked for.
type secretAsked struct {
	Note    string       `json:"note,omitempty"`
	Expires time.Time    `json:"expires,omitzero"`
	Never   bool         `json:"never,omitempty"`
	Scope   rights.Scope `json:"scope,omitzero"`
}

func (s *secretFlags) asked(cmd *cobra.Command) (secretAsked, error) {
	asked := secretAsked{Note: s.note, Never: s.never}
	if s.ttl != "" {
		if s.never {
			return asked, misuse(cmd, "--ttl and --never contradict each other")
		}
		lasts, err := parseDuration(s.ttl)
		if err == nil && lasts == 0 {
			err = fmt.Errorf("%s is no time at all", s.ttl)
		}
		if err != nil {
			return asked, misuse(cmd, "--ttl: %v", err)
		}
		asked.Expires = time.Now().Add(lasts)
	}
	for _, text := range s.scopes {
		one, err := parseScope(text)
		if err != nil {
			return asked, misuse(cmd, "--scope: %v", err)
		}
		asked.Scope = append(asked.Scope, one)
	}
	return asked, nil
}

// parseScope reads TYPE:NAME:ACTION,… as docker's token protocol has it.
func parseScope(text string) (rights.Access, error) {
	kind, rest, ok := strings.Cut(text, ":")
	end := strings.LastIndexByte(rest, ':')
	if !ok || end <= 0 || kind == "" || rest[end+1:] == "" {
		return rights.Access{}, fmt.Errorf("%q is no scope; write it like repository:cloud/dmp/**:pull,push", text)
	}
	return rights.Access{Type: kind, Name: rest[:end], Actions: strings.Split(rest[end+1:], ",")}, nil
}

func scopeText(s rights.Scope) string {
	if len(s) == 0 {
		return "nothing but saying who one is"
	}
	var all []string
	for _, one := range s {
		all = append(all, one.Type+":"+one.Name+":"+strings.Join(one.Actions, ","))
	}
	return strings.Join(all, " ")
}

// secretMade is a new secret, with what to log in with.
type secretMade struct {
	account.Secret
	Value string `json:"value"`
}

func (c *client) addSecret(ctx context.Context, server, path string, asked secretAsked) (secretMade, error) {
	var made secretMade
	err := c.call(ctx, http.MethodPost, server, path, asked, &made)
	return made, err
}

func (c *client) secrets(ctx context.Context, server, path string) ([]account.Secret, error) {
	var answer struct{ Secrets []account.Secret }
	if err := c.call(ctx, http.MethodGet, server, path, nil, &answer); err != nil {
		return nil, err
	}
	return append([]account.Secret{}, answer.Secrets...), nil
}

func (a *app) printSecrets(all []account.Secret, output string) error {
	if output == "json" {
		return a.printJSON(all)
	}
	rows := [][]string{{"ID", "FOR", "ENDS", "LAST USED", "CUT DOWN TO", "NOTE"}}
	for _, s := range all {
		cut := "-"
		if s.Scope != nil {
			cut = scopeText(s.Scope)
		}
		end := when(s.Expires, "never")
		if !s.Expires.IsZero() && s.Expires.Before(time.Now()) {
			end = "has ended"
		}
		rows = append(rows, []string{s.ID, s.Purpose, end, when(s.LastUsed, "never"), cut, s.Note})
	}
	return a.listed(rows)
}

// ends says for people when a secret ends.
func ends(s account.Secret) string {
	if s.Expires.IsZero() {
		return "never ends"
	}
	return "ends at " + when(s.Expires, "")
}

// idArgument takes the id of a secret or a grant. What was pasted by mistake may be the secret itself, which is not to be sent around or repeated.
func idArgument(cmd *cobra.Command, id string) (string, error) {
	if account.IsSecret(id) {
		return "", misuse(cmd, "that is the secret itself; name its id, which is the %d characters behind ent_", strings.IndexByte(id[4:], '_'))
	}
	return nameInPath(cmd, id)
}
