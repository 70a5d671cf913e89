package gitlab

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/entrepot/entrepot/auth"
)

// deploy knows a deploy token, by its own name.
func (p *Provider) deploy(ctx context.Context, name, secret string) (found, error) {
	if !isUsername(name) {
		return found{}, wrong("a deploy token logs in with its own name")
	}
	r, err := p.askRegistry(ctx, name, secret, p.deployScopes(), "its container registry is off, and nothing else there takes deploy tokens")
	if err != nil {
		return found{}, err
	}
	// GitLab ignores the name if the secret is another kind of token, which must not become whoever it says it is.
	if r.AuthType != "deploy_token" || r.Subject != "" && r.Subject != name || r.info.Username != "" && r.info.Username != name {
		return found{}, wrong("this is no deploy token of that name")
	}
	claims := map[string]any{"token": string(deploy), "username": name}
	if r.info.DeployTokenID > 0 {
		claims["deploy_token_id"] = strconv.FormatInt(r.info.DeployTokenID, 10)
	}
	scope := pullOnly()
	if len(p.projects) > 0 {
		var granted []string
		for _, project := range p.projects {
			actions := r.actions(project)
			if len(actions) > 0 {
				granted = append(granted, project)
			}
			if p.push && slices.Contains(actions, "push") {
				scope = nil
			}
		}
		claims["projects"] = list(granted)
	}
	who, err := p.identity(auth.Robot, name, scope)
	return found{who: who, claims: claims}, err
}

// deployScopes are what GitLab is asked about each project. Whatever it does not grant it leaves out of its answer.
func (p *Provider) deployScopes() []string {
	actions := ":pull"
	if p.push {
		actions = ":pull,push"
	}
	scopes := make([]string, len(p.projects))
	for i, project := range p.projects {
		scopes[i] = "repository:" + strings.ToLower(project) + actions
	}
	return scopes
}
