package gitlab

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// reply is what GitLab tells its registry about a token.
type reply struct {
	Subject  string `json:"sub"`       // a user's name; for a deploy token its own, or none
	AuthType string `json:"auth_type"` // what kind of token GitLab took it for
	Access   []struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Actions []string `json:"actions"`
	} `json:"access"`
	User string `json:"user"` // another JWT, with the info; older versions have none
	info userInfo
}

type userInfo struct {
	Username      string `json:"username"`
	UserID        int64  `json:"user_id"`
	DeployTokenID int64  `json:"deploy_token_id"`
}

func (r reply) actions(project string) []string {
	var all []string
	for _, a := range r.Access {
		if a.Type == "repository" && strings.EqualFold(a.Name, project) {
			all = append(all, a.Actions...)
		}
	}
	return all
}

// askRegistry shows a token where GitLab's own container registry sends its clients (Docker's token protocol).
func (p *Provider) askRegistry(ctx context.Context, name, secret string, scopes []string, missing string) (reply, error) {
	var answer struct {
		Token string `json:"token"`
	}
	var r reply
	err := p.ask(ctx, question{
		path:    "/jwt/auth",
		query:   url.Values{"service": {"container_registry"}, "scope": scopes},
		show:    func(r *http.Request) { r.SetBasicAuth(name, secret) },
		missing: missing,
	}, &answer)
	if err != nil {
		return r, err
	}
	// Nobody signed this for us, so there is no signature to check: it is true because GitLab itself just said so.
	if err := payload(answer.Token, &r); err != nil {
		return r, err
	}
	if r.User != "" {
		var user struct {
			Info userInfo `json:"user_info"`
		}
		if err := payload(r.User, &user); err != nil {
			return r, err
		}
		r.info = user.Info
	}
	return r, nil
}

// payload reads what a JWT says (RFC 7519), whoever signed it.
func payload(raw string, into any) error {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return errors.New("its answer holds no JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, into) != nil {
		return errors.New("its answer holds a JWT that cannot be read")
	}
	return nil
}
