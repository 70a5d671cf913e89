package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/entrepot/entrepot/auth"
)

// running is what GET /job answers.
type running struct {
	ID       int64  `json:"id"`
	Status   string `json:"status"`
	Ref      string `json:"ref"`
	Tag      bool   `json:"tag"`
	WebURL   string `json:"web_url"`
	Pipeline struct {
		ID        int64  `json:"id"`
		ProjectID int64  `json:"project_id"`
		SHA       string `json:"sha"`
		Source    string `json:"source"`
	} `json:"pipeline"`
	User *owner `json:"user"`
}

// job knows the token of a job that runs.
func (p *Provider) job(ctx context.Context, _, secret string) (found, error) {
	var j running
	err := p.ask(ctx, question{
		path:    "/api/v4/job",
		show:    func(r *http.Request) { r.Header.Set("JOB-TOKEN", secret) },
		missing: "it takes GitLab 13.10 or later",
	}, &j)
	if err != nil {
		return found{}, err
	}
	if j.ID <= 0 || j.Pipeline.ID <= 0 {
		return found{}, errors.New("its answer describes no job")
	}
	if j.Status != "running" {
		return found{}, wrong("the job does not run")
	}
	if j.User != nil && !isUsername(j.User.Username) {
		return found{}, errors.New("it answers with a user whose name cannot be one")
	}
	if j.User != nil && j.User.State != "active" {
		return found{}, wrong("the job's user is not active")
	}
	project, err := p.projectOf(j)
	if err != nil {
		return found{}, err
	}
	who, err := p.identity(auth.CI, "job:"+project, nil)
	return found{who: who, claims: j.claims(project)}, err
}

// projectOf reads the project's path from the job's address, <external URL>/<project>/-/jobs/<number>: the answer has it nowhere else.
func (p *Provider) projectOf(j running) (string, error) {
	u, err := url.Parse(j.WebURL)
	if err != nil {
		return "", errors.New("its answer has no address of the job")
	}
	if !strings.EqualFold(u.Hostname(), p.external.Hostname()) || port(u) != port(p.external) {
		return "", fmt.Errorf("it does not call itself %s: set the external URL to what it calls itself (external_url)", p.external)
	}
	below, ok := strings.CutPrefix(u.EscapedPath(), p.external.EscapedPath()+"/")
	project, found := strings.CutSuffix(below, "/-/jobs/"+strconv.FormatInt(j.ID, 10))
	if !ok || !found || u.RawQuery != "" || !isProject(project) {
		return "", fmt.Errorf("the address of the job is not one of a project's jobs below %s", p.external)
	}
	return project, nil
}

// port is the port of an address, if it is not its scheme's own: behind a proxy GitLab may be wrong about the scheme.
func port(u *url.URL) string {
	if u.Port() == "80" || u.Port() == "443" {
		return ""
	}
	return u.Port()
}

func (j running) claims(project string) map[string]any {
	claims := map[string]any{
		"token":          string(job),
		"project_path":   project,
		"namespace_path": path.Dir(project),
		"ref":            j.Ref,
		"ref_type":       j.refType(),
		"sha":            j.Pipeline.SHA,
		"job_id":         strconv.FormatInt(j.ID, 10),
		"pipeline_id":    strconv.FormatInt(j.Pipeline.ID, 10),
	}
	if j.Pipeline.ProjectID != 0 {
		claims["project_id"] = strconv.FormatInt(j.Pipeline.ProjectID, 10)
	}
	if j.Pipeline.Source != "" {
		claims["pipeline_source"] = j.Pipeline.Source
	}
	if j.User != nil {
		claims["user_login"], claims["user_id"] = j.User.Username, strconv.FormatInt(j.User.ID, 10)
	}
	return claims
}

func (j running) refType() string {
	switch {
	case j.Tag:
		return "tag"
	case strings.HasPrefix(j.Ref, "refs/merge-requests/"):
		return "merge_request"
	}
	return "branch"
}
