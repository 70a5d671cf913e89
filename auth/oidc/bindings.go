package oidc

import (
	"fmt"

	"github.com/entrepot/entrepot/auth"
)

// Bind looks bindings over and returns what they give for claims that were learned in another way than from a token: what a GitLab server says of
// a secret of its own. Claims are strings, bools, ints, json.Numbers, lists of these ([]any) and objects (map[string]any); a value of another type
// matches nothing. An azp is a claim like any other, as nobody asked for a token.
func Bind(all []Binding) (func(claims map[string]any) []auth.Grant, error) {
	var bound []binding
	for i, b := range all {
		made, err := bind(b)
		if err != nil {
			return nil, fmt.Errorf("binding %d: %w", i+1, err)
		}
		bound = append(bound, made)
	}
	return func(given map[string]any) (grants []auth.Grant) {
		for _, b := range bound {
			if g, miss := b.grant(claims(given)); miss == "" {
				grants = append(grants, g)
			}
		}
		return grants
	}, nil
}
