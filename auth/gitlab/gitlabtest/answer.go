package gitlabtest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type object = map[string]any

func number(n int64) string { return strconv.FormatInt(n, 10) }

// ServeHTTP answers as GitLab does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	down, limited, instead := s.down, s.limited, s.instead[r.URL.Path]
	s.asked = append(s.asked, r.URL.Path)
	s.mu.Unlock()
	switch {
	case down:
		panic(http.ErrAbortHandler)
	case limited:
		w.Header().Set("Retry-After", "17")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte("Retry later\n"))
		return
	case instead != nil:
		instead(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := map[string]func(*http.Request) (int, object){
		"/api/v4/user":                        s.user,
		"/api/v4/personal_access_tokens/self": s.self,
		"/api/v4/job":                         s.job,
		"/jwt/auth":                           s.jwt,
	}
	answer := answers[r.URL.Path]
	if answer == nil || r.Method != http.MethodGet {
		reply(w, http.StatusNotFound, object{"error": "404 Not Found"})
		return
	}
	code, body := answer(r)
	reply(w, code, body)
}

func reply(w http.ResponseWriter, code int, body object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

// holder finds the token that a request shows, or says why it is no good.
func (s *Server) holder(r *http.Request) (p Personal, code int, problem object) {
	p, found := s.personal[r.Header.Get("PRIVATE-TOKEN")]
	switch {
	case !found:
		return p, http.StatusUnauthorized, object{"message": "401 Unauthorized"}
	case p.Revoked:
		return p, http.StatusUnauthorized, object{"error": "invalid_token", "error_description": "Token was revoked."}
	case s.expired(p):
		return p, http.StatusUnauthorized, object{"error": "invalid_token", "error_description": "Token is expired."}
	case p.State != "active":
		return p, http.StatusForbidden, object{"message": "403 Forbidden - Your account has been " + p.State + "."}
	}
	return p, 0, nil
}

// expired tells whether its day has come, in UTC.
func (s *Server) expired(p Personal) bool {
	return p.Expires != "" && s.now().UTC().Format(time.DateOnly) >= p.Expires
}

func (s *Server) self(r *http.Request) (int, object) {
	p, code, problem := s.holder(r)
	if problem != nil {
		return code, problem
	}
	var expires any
	if p.Expires != "" {
		expires = p.Expires
	}
	return http.StatusOK, object{
		"id": p.id, "name": "a token", "revoked": false, "created_at": "2026-01-02T03:04:05.678Z", "description": nil, "scopes": p.Scopes,
		"user_id": p.UserID, "last_used_at": nil, "active": true, "expires_at": expires,
	}
}

func (s *Server) user(r *http.Request) (int, object) {
	p, code, problem := s.holder(r)
	if problem != nil {
		return code, problem
	}
	if !hasAny(p.Scopes, "api", "read_api", "read_user") {
		return http.StatusForbidden, object{
			"error": "insufficient_scope", "error_description": "The request requires higher privileges than provided by the access token.",
			"scope": "api read_api read_user",
		}
	}
	return http.StatusOK, s.person(p.UserID, p.Username, p.State, p.Bot)
}

func (s *Server) person(id int64, username, state string, bot bool) object {
	return object{
		"id": id, "username": username, "name": username, "state": state, "locked": false, "bot": bot, "avatar_url": nil,
		"web_url": s.URL + "/" + username, "created_at": "2020-01-02T03:04:05.678Z", "external": false,
	}
}

func (s *Server) job(r *http.Request) (int, object) {
	j, found := s.jobs[r.Header.Get("JOB-TOKEN")]
	if !found || j.Status != "running" {
		return http.StatusUnauthorized, object{"message": "401 Unauthorized"}
	}
	address := j.WebURL
	if address == "" {
		address = s.URL + "/" + j.Project + "/-/jobs/" + number(j.ID)
	}
	const sha = "0ff3ae198f8601a285adcf5c0fff204ee6fba5fd"
	return http.StatusOK, object{
		"id": j.ID, "name": "build", "stage": "build", "status": j.Status, "ref": j.Ref, "tag": j.Tag, "coverage": nil, "allow_failure": false,
		"created_at": "2026-01-02T03:04:05.678Z", "started_at": "2026-01-02T03:04:06.789Z", "finished_at": nil, "duration": 1.5,
		"user":      s.person(1, j.User, "active", false),
		"commit":    object{"id": sha, "short_id": sha[:8], "title": "A commit"},
		"pipeline":  object{"id": j.ID + 1_000, "iid": 1, "project_id": j.ID + 2_000, "sha": sha, "ref": j.Ref, "status": "running", "source": j.Source},
		"web_url":   address,
		"project":   object{"ci_job_token_scope_enabled": false},
		"artifacts": []any{}, "runner": nil,
	}
}

// session is what /jwt/auth takes a name and a secret for.
type session struct {
	authType   string
	info       object // of the "user" JWT
	sub        any
	pull, push bool // somewhere
	projects   func(project string) bool
}

func (s *Server) jwt(r *http.Request) (int, object) {
	if r.URL.Query().Get("service") != "container_registry" || !s.registry {
		return http.StatusNotFound, object{"errors": []object{{"code": "UNAVAILABLE", "message": "registry not enabled"}}}
	}
	name, secret, _ := r.BasicAuth()
	is, found := s.session(name, secret)
	if !found {
		return http.StatusUnauthorized, object{"errors": []object{{"code": "UNAUTHORIZED", "message": "HTTP Basic: Access denied."}}}
	}
	if !is.pull && !is.push {
		return http.StatusForbidden, object{"errors": []object{{"code": "DENIED", "message": "access forbidden"}}}
	}
	access := []object{}
	for _, scope := range r.URL.Query()["scope"] {
		for _, one := range strings.Fields(scope) {
			if granted := is.grant(one); granted != nil {
				access = append(access, granted)
			}
		}
	}
	now := s.now().Unix()
	info := jwt(object{"user_info": is.info, "iat": now})
	return http.StatusOK, object{"token": jwt(object{
		"iss": "gitlab-issuer", "aud": "container_registry", "sub": is.sub, "iat": now, "nbf": now - 5, "exp": now + 300,
		"auth_type": is.authType, "access": access, "user": info,
	})}
}

// session tries the kinds of token in the order in which GitLab does.
func (s *Server) session(name, secret string) (is session, found bool) {
	if j, found := s.jobs[secret]; found && name == "gitlab-ci-token" && j.Status == "running" {
		return session{
			authType: "build", info: object{"token_type": "build", "username": j.User, "user_id": 1}, sub: j.User, pull: true, push: true,
			projects: func(project string) bool { return project == j.Project },
		}, true
	}
	if p, found := s.personal[secret]; found && !p.Revoked && !s.expired(p) && p.State == "active" {
		return session{
			authType: "personal_access_token", sub: p.Username,
			info:     object{"token_type": "personal_access_token", "username": p.Username, "user_id": p.UserID},
			pull:     hasAny(p.Scopes, "api", "read_api", "read_registry"),
			push:     hasAny(p.Scopes, "api", "write_registry"),
			projects: func(string) bool { return true },
		}, true
	}
	if d, found := s.deploy[secret]; found && !d.Revoked && name == d.Username {
		return session{
			authType: "deploy_token", sub: nil,
			info:     object{"token_type": "deploy_token", "username": d.Username, "deploy_token_id": d.ID},
			pull:     hasAny(d.Scopes, "read_registry"),
			push:     hasAny(d.Scopes, "write_registry"),
			projects: func(project string) bool { return slices.Contains(d.Projects, project) },
		}, true
	}
	return session{}, false
}

// grant returns what of "repository:group/project:pull,push" is granted, or nil.
func (is session) grant(scope string) object {
	parts := strings.SplitN(scope, ":", 3)
	if len(parts) != 3 || parts[0] != "repository" || !is.projects(parts[1]) {
		return nil
	}
	var actions []string
	for _, action := range strings.Split(parts[2], ",") {
		if action == "pull" && is.pull || action == "push" && is.push {
			actions = append(actions, action)
		}
	}
	if actions == nil {
		return nil
	}
	return object{"type": "repository", "name": parts[1], "actions": actions, "meta": object{"project_path": parts[1]}}
}

func jwt(claims object) string {
	signature := make([]byte, 256)
	rand.Read(signature)
	var parts []string
	for _, part := range []object{{"typ": "JWT", "alg": "RS256", "kid": "AAAA:BBBB"}, claims} {
		text, _ := json.Marshal(part) // of maps and strings
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	return strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(signature)), ".")
}

func hasAny(scopes []string, wanted ...string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(wanted, s) })
}
