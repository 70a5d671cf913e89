package oidc

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/auth"
)

// Binding gives a role on a path to whom a token names, if its claims are as wanted.
type Binding struct {
	// Claims are what is wanted: all of them. A claim is named by its name or, in an object, by a path with dots (kubernetes.io.namespace). Its value
	// is compared exactly, booleans and numbers as JSON spells them; * stands for any characters but /, ** for any, ? for one that is not /.
	// Of a list one element must match. A claim that is absent never matches.
	Claims map[string]string
	Role   auth.Role
	// On is the path. It may hold claims in braces that stand for whole parts of it: {project_path}, cloud/{namespace_path}/images. The value is
	// lower-cased; if it then is not made of valid parts, the binding does not match. Where several claims are in one path, only the last one
	// may have several parts: else a/b and c could not be told from a and b/c.
	On string
}

// maxPattern is the length of a wanted value, in bytes.
const maxPattern = 1024

// binding is a Binding that was looked over.
type binding struct {
	wants []want
	azp   bool // it wants a certain azp
	role  auth.Role
	on    string
}

type want struct {
	claim string
	is    func(value string) bool
}

// bind looks a Binding over.
func bind(b Binding) (binding, error) {
	made := binding{role: b.Role, on: b.On}
	if len(b.Claims) == 0 {
		return made, errors.New("it wants no claims, so it would let in everybody whom the issuer knows; name at least one")
	}
	if !b.Role.Valid() {
		return made, fmt.Errorf("%q is no role; there are %v", auth.Clip(string(b.Role)), auth.Roles())
	}
	for _, claim := range slices.Sorted(maps.Keys(b.Claims)) {
		value := b.Claims[claim]
		if claim == "" || len(claim) > auth.MaxName || len(value) > maxPattern {
			return made, fmt.Errorf("claim %q: a name has 1 to %d bytes and a value at most %d", auth.Clip(claim), auth.MaxName, maxPattern)
		}
		is, err := matcher(value)
		if err != nil {
			return made, fmt.Errorf("claim %q: %w", claim, err)
		}
		made.wants = append(made.wants, want{claim, is})
		made.azp = made.azp || claim == "azp"
	}
	return made, checkTemplate(b.On)
}

// braces are a claim in a path.
var braces = regexp.MustCompile(`\{[^{}]+\}`)

// checkTemplate looks at a path with claims in it.
func checkTemplate(on string) error {
	if err := auth.Path(braces.ReplaceAllLiteralString(on, "x")).Check(); err != nil {
		return fmt.Errorf("path %q: with x for each claim in braces, %w", auth.Clip(on), err)
	}
	for _, at := range braces.FindAllStringIndex(on, -1) {
		if at[0] > 0 && on[at[0]-1] != '/' || at[1] < len(on) && on[at[1]] != '/' {
			return fmt.Errorf("path %q: a claim in braces stands for whole parts, so there is / or nothing on both its sides", auth.Clip(on))
		}
	}
	return nil
}

// grants returns what the bindings give for the claims of a token, and if that is nothing, why.
func (p *Provider) grants(c claims) (grants []auth.Grant, why string) {
	// A token that somebody else than its audience asked for is for bindings that say whose they take.
	azp, asked := c.find("azp")
	foreign := asked && azp != p.audience
	var misses []string
	for i, b := range p.bind {
		g, miss := b.grant(c)
		if miss == "" && foreign && !b.azp {
			miss = "azp"
		}
		if miss == "" {
			grants = append(grants, g)
		} else if len(misses) < 10 {
			misses = append(misses, fmt.Sprintf("%d fails on %s", i+1, miss))
		}
	}
	return grants, strings.Join(misses, ", ")
}

// grant returns what the binding gives, or the claim for which it gives nothing.
func (b binding) grant(c claims) (g auth.Grant, miss string) {
	for _, w := range b.wants {
		if !slices.ContainsFunc(c.texts(w.claim), w.is) {
			return g, w.claim
		}
	}
	on, miss := fill(b.on, c)
	return auth.Grant{Role: b.role, On: on}, miss
}

// fill puts claims into a path, or says which of them it cannot be.
func fill(on string, c claims) (path auth.Path, miss string) {
	last := strings.LastIndexByte(on, '{')
	var out strings.Builder
	done := 0
	for _, at := range braces.FindAllStringIndex(on, -1) {
		name := on[at[0]+1 : at[1]-1]
		value, _ := c.text(name)
		part, ok := pathOf(value)
		if !ok || at[0] != last && strings.Contains(part, "/") {
			return "", name
		}
		out.WriteString(on[done:at[0]] + part)
		done, miss = at[1], name
	}
	path = auth.Path(out.String() + on[done:])
	if path.Check() != nil {
		return "", miss // they are too long together
	}
	return path, ""
}

// pathOf returns the parts of a path that a claim stands for. Only ASCII is lower-cased: other letters could become somebody else's.
func pathOf(value string) (string, bool) {
	if strings.ContainsFunc(value, func(r rune) bool { return r >= 0x80 }) {
		return "", false
	}
	value = strings.ToLower(value)
	return value, !strings.Contains(value, "*") && auth.Path(value).Check() == nil
}
