package rights

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/rights/ask"
)

// TestLimits_lock_no_job_and_no_robot_out: whoever fails to log in under the name that all jobs share, or that a robot has, keeps none of them from
// logging in with what nobody can guess. A person's name is not listened to for a while, whoever it is who fails, but goes on where it is known.
func TestLimits_lock_no_job_and_no_robot_out(t *testing.T) {
	path := area(t)
	who := robot(t, "limited-robot", path)
	_, plain := ask.Unbasic(who.Show[0])
	name, secret := ask.Unbasic(user(fmt.Sprintf("person-%03d", pool-1)).Show[0])
	known, elsewhere := user(name), user(name)
	known.From, elsewhere.From = "127.3.0.1", "127.3.0.2"
	known.Get(t, "/v2/").Want(t, 200)
	for n, locked := range []string{"gitlab-ci-token", "token", "oauth2accesstoken", "robot$limited-robot", "limited-robot", name} {
		attacker := somebody("", ask.Basic(locked, "a guess"))
		attacker.From = fmt.Sprintf("127.3.1.%d", n+1)
		for i := range 12 {
			attacker = attacker.With(ask.Basic(locked, fmt.Sprint("guess ", i)))
			got := attacker.Get(t, "/v2/").Want(t, 401, 429)
			if wait, err := strconv.Atoi(got.Header.Get("Retry-After")); (got.Status == 429) != (err == nil && wait > 0) {
				t.Errorf("%d with Retry-After: %q", got.Status, got.Header.Get("Retry-After"))
			}
		}
		attacker.Get(t, "/v2/").Want(t, 429)
		if locked == name {
			continue
		}
		for what, shown := range map[string]string{
			"a job": ask.Basic(locked, jobToken(fmt.Sprint("limited-", n), "job-reader")), "a robot": ask.Basic("robot$limited-robot", plain),
			"a token": ask.Basic("token", who.Token(t).Show[0][7:]),
		} {
			c := somebody("", shown)
			c.From = "127.3.0.3"
			if got := c.Get(t, "/v2/"); got.Status != 200 {
				t.Errorf("after failed logins of %s, %s is answered %d: %s", locked, what, got.Status, got.Excerpt())
			}
		}
	}
	known.Get(t, "/v2/").Want(t, 200) // it logged in before
	elsewhere.With(ask.Basic(name, secret+" ")).Get(t, "/v2/").Want(t, 429)
	other := person(t)
	other.From = "127.3.0.2"
	other.Get(t, "/v2/").Want(t, 200)
}

// TestLimits_lock_no_gitlab_job_out: the name that GitLab gives to all jobs is everybody's, and their tokens are as long as those of the registry.
func TestLimits_lock_no_gitlab_job_out(t *testing.T) {
	t.Parallel()
	const good = "glcbt-64_thisIsTheTokenOfARunningJob"
	var gitlab *httptest.Server
	gitlab = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v4/job" || r.Header.Get("Job-Token") != good {
			http.Error(w, `{"message":"401 Unauthorized"}`, http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":7,"status":"running","ref":"main","web_url":"%s/team/app/-/jobs/7","pipeline":{"id":8,"project_id":9,"sha":"abc","source":"push"},"user":{"id":1,"username":"alice","state":"active"}}`, gitlab.URL)
	}))
	defer gitlab.Close()
	p := program.Start(t, program.Config(`auth:
  gitlab:
  - name: gitlab
    url: `+gitlab.URL+`
    bind:
    - {claims: {project_path: team/app}, role: ci, on: '{project_path}'}
`))
	job := ask.Caller{At: p.URL, Show: []string{ask.Basic("gitlab-ci-token", good)}, From: "127.3.2.1"}
	attacker := ask.Caller{At: p.URL, From: "127.3.2.2"}
	for i := range 12 {
		attacker.With(ask.Basic("gitlab-ci-token", fmt.Sprint("a guess ", i))).Get(t, "/v2/").Want(t, 401, 429)
	}
	if got := job.Get(t, "/v2/"); got.Status != 200 {
		t.Errorf("after failed logins of gitlab-ci-token a job is answered %d: %s", got.Status, got.Excerpt())
	}
}
