package gitlab

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/entrepot/entrepot/auth"
)

// self is what GET /personal_access_tokens/self answers.
type self struct {
	ID        int64    `json:"id"`
	UserID    int64    `json:"user_id"`
	Active    bool     `json:"active"`
	Revoked   bool     `json:"revoked"`
	Scopes    []string `json:"scopes"`
	ExpiresAt string   `json:"expires_at"` // "2027-03-01" or null
}

// owner is what GET /user answers.
type owner struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	State    string `json:"state"`
	Bot      *bool  `json:"bot"`
}

// personal knows the token of a person, or of the bot that stands for a project or a group. The name is not looked at: GitLab does not either.
func (p *Provider) personal(ctx context.Context, _, secret string) (found, error) {
	show := func(r *http.Request) { r.Header.Set("PRIVATE-TOKEN", secret) }
	var token self
	err := p.ask(ctx, question{
		path: "/api/v4/personal_access_tokens/self", show: show, missing: "it takes GitLab 15.5 or later",
	}, &token)
	if err != nil {
		return found{}, err
	}
	ends, err := token.check(p.now())
	if err != nil {
		return found{}, err
	}
	scope, err := scopeOf(token.Scopes)
	if err != nil {
		return found{}, err
	}
	user, err := p.owner(ctx, token, show, secret)
	if err != nil {
		return found{}, err
	}
	if user.ID != token.UserID || !isUsername(user.Username) {
		return found{}, errors.New("it answers with a user who cannot be the token's owner")
	}
	if user.State != "active" {
		return found{}, wrong("the token's user is not active")
	}
	who, err := p.identity(auth.User, user.Username, scope)
	claims := map[string]any{
		"token": string(personal), "username": user.Username, "user_id": strconv.FormatInt(user.ID, 10), "scopes": list(token.Scopes),
	}
	if user.Bot != nil {
		claims["bot"] = *user.Bot
	}
	return found{who: who, claims: claims, ends: ends}, err
}

// check tells whether the token is good, and until when.
func (s self) check(now time.Time) (ends time.Time, err error) {
	if s.ID <= 0 || s.UserID <= 0 {
		return ends, errors.New("its answer describes no token")
	}
	if s.Revoked || !s.Active {
		return ends, wrong("the token was revoked or has ended")
	}
	if s.ExpiresAt == "" {
		return ends, nil
	}
	// A date means its first moment, in UTC.
	if ends, err = time.Parse(time.DateOnly, s.ExpiresAt); err != nil {
		if ends, err = time.Parse(time.RFC3339, s.ExpiresAt); err != nil {
			return ends, errors.New("its answer tells the token's end in a way that is not understood")
		}
	}
	if !now.Before(ends) {
		return ends, wrong("the token has ended")
	}
	return ends, nil
}

// scopeOf returns what the scopes of a token cut it down to.
func scopeOf(scopes []string) (auth.Scope, error) {
	has := func(s string) bool { return slices.Contains(scopes, s) }
	switch {
	case has("api"), has("write_registry"):
		return nil, nil
	case has("read_registry"), has("read_api"):
		return pullOnly(), nil
	}
	return nil, wrong("the token has none of the scopes api, write_registry, read_registry and read_api")
}

// owner asks whose the token is. The API tells that only to tokens with one of three scopes; GitLab's registry is told in any case.
func (p *Provider) owner(ctx context.Context, token self, show func(*http.Request), secret string) (owner, error) {
	var user owner
	if slices.ContainsFunc(token.Scopes, func(s string) bool { return s == "api" || s == "read_api" || s == "read_user" }) {
		err := p.ask(ctx, question{path: "/api/v4/user", show: show, missing: "is the URL that of a GitLab?"}, &user)
		return user, err
	}
	r, err := p.askRegistry(ctx, "token", secret, nil, "its container registry is off, without which it does not say whose this token is: "+
		"give the token the scope read_user")
	if err != nil {
		return user, err
	}
	if r.AuthType != "personal_access_token" || r.info.UserID != 0 && r.info.UserID != token.UserID {
		return user, errors.New("it takes the token for another kind in its registry")
	}
	return owner{ID: token.UserID, Username: r.Subject, State: "active"}, nil // or it would have refused
}

// list makes a claim of strings.
func list(words []string) []any {
	claim := make([]any, len(words))
	for i, w := range words {
		claim[i] = w
	}
	return claim
}
