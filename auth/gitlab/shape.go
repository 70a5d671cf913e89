package gitlab

import "strings"

// kind is what a token is.
type kind string

const (
	unknown  kind = ""
	personal kind = "personal" // or a project's, or a group's: GitLab makes no difference
	job      kind = "job"
	deploy   kind = "deploy"
)

// Names under which tokens log in.
const (
	jobName    = "gitlab-ci-token"
	deployName = "gitlab+deploy-token-" // and a number
)

const (
	minToken = 16 // GitLab's have 20 random characters and more
	maxToken = 8 << 10
)

// shape tells what kind of GitLab's tokens this is, by the secret's prefix or else by the name; unknown if nothing says that it is one at all.
func (p *Provider) shape(name, secret string) kind {
	if len(secret) < minToken || len(secret) > maxToken || !tokenChars(secret) {
		return unknown
	}
	if k := prefixed(secret); k != unknown {
		return k
	}
	for _, own := range p.prefixes {
		if rest, found := strings.CutPrefix(secret, own); found {
			if k := prefixed(strings.TrimPrefix(rest, "-")); k != unknown {
				return k
			}
			return personal
		}
	}
	if name == jobName {
		return job
	}
	if number, found := strings.CutPrefix(name, deployName); found && digits(number) {
		return deploy
	}
	return unknown
}

func prefixed(secret string) kind {
	switch {
	case strings.HasPrefix(secret, "glpat-"):
		return personal
	case strings.HasPrefix(secret, "glcbt-"):
		return job
	case strings.HasPrefix(secret, "gldt-"):
		return deploy
	}
	return unknown
}

// tokenChars tells whether s is made of what tokens are made of: random characters, or a JWT.
func tokenChars(s string) bool {
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '-' && s[i] != '_' && s[i] != '.' && s[i] != '=' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) < 20
}

// isUsername tells whether s can be the name of a user or of a deploy token in GitLab.
func isUsername(s string) bool {
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '-' && s[i] != '_' && s[i] != '.' && s[i] != '+' {
			return false
		}
	}
	return s != "" && len(s) <= 255
}

// isProject tells whether s is a project's path in GitLab: a namespace, maybe with others below it, and the project.
func isProject(s string) bool {
	parts := strings.Split(s, "/")
	for _, part := range parts {
		if !isUsername(part) || part == "-" || part == "." || part == ".." || strings.Contains(part, "+") {
			return false
		}
	}
	return len(parts) > 1
}
