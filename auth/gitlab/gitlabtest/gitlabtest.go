// Package gitlabtest is a small GitLab for tests: it answers on loopback what a true one answers to those who show it a token.
//
//	g := gitlabtest.Start(t)
//	g.AddPersonalToken(gitlabtest.Personal{Token: "glpat-…", Username: "alice", Scopes: []string{"read_registry"}})
//	g.AddJob(gitlabtest.Job{Token: "glcbt-…", Project: "cloud/dmp", Ref: "main", User: "alice"})
//	g.AddDeployToken(gitlabtest.Deploy{Token: "gldt-…", Scopes: []string{"read_registry"}, Projects: []string{"cloud/dmp"}})
//	p, err := gitlab.New(gitlab.Config{URL: g.URL})
//	g.Down()
//
// It has GET /api/v4/user, GET /api/v4/personal_access_tokens/self, GET /api/v4/job and GET /jwt/auth, with the status codes and the fields that
// GitLab 18 has, as far as anybody could want them. What is peculiar to the true one is so here too: /api/v4/user takes only tokens with a scope for it;
// /jwt/auth takes any kind of token and looks at the name for deploy and job tokens only; a job token is good only while its job runs; what was not
// granted is left out of the JWT. The JWT's signatures are made up: only GitLab's own registry could check them.
package gitlabtest

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Server is a GitLab. Its methods may be called by many at once, and while it is asked.
type Server struct {
	URL    string
	CAFile string // the authority of its certificate, with StartTLS

	mu       sync.Mutex
	now      func() time.Time
	personal map[string]Personal
	jobs     map[string]Job
	deploy   map[string]Deploy
	instead  map[string]http.HandlerFunc
	asked    []string
	down     bool
	limited  bool
	registry bool
	lastID   int64
}

// Personal is a personal, project or group access token, and its owner.
type Personal struct {
	Token    string
	Username string
	UserID   int64 // given if 0
	Scopes   []string
	State    string // of the owner: "active" if empty, or blocked, deactivated, banned, …
	Bot      bool   // the owner stands for a project or a group
	Revoked  bool
	Expires  string // "2027-03-01": the first day on which it is no good; empty for never

	id int64
}

// Job is a job of a pipeline.
type Job struct {
	Token   string
	ID      int64  // given if 0
	Project string // group/project
	Ref     string // "main" if empty
	Tag     bool
	Status  string // "running" if empty; with any other the token is no good
	Source  string // of the pipeline: "push" if empty
	User    string // "root" if empty
	WebURL  string // made of the server's URL and the project if empty
}

// Deploy is a deploy token.
type Deploy struct {
	Token    string
	ID       int64  // given if 0
	Username string // gitlab+deploy-token-<ID> if empty
	Scopes   []string
	Projects []string // that it belongs to
	Revoked  bool
}

// Start starts a GitLab that ends with the test.
func Start(t testing.TB) *Server {
	s := newServer()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.URL = h.URL
	return s
}

// StartTLS starts one that speaks HTTPS, with a certificate of the authority in CAFile.
func StartTLS(t testing.TB) *Server {
	s := newServer()
	h := httptest.NewUnstartedServer(s)
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	h.StartTLS()
	t.Cleanup(h.Close)
	s.URL, s.CAFile = h.URL, filepath.Join(t.TempDir(), "gitlab-ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	if err := os.WriteFile(s.CAFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func newServer() *Server {
	return &Server{
		now: time.Now, personal: map[string]Personal{}, jobs: map[string]Job{}, deploy: map[string]Deploy{}, instead: map[string]http.HandlerFunc{},
		registry: true, lastID: 100,
	}
}

func (s *Server) locked(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *Server) newID() int64 { s.lastID++; return s.lastID }

// AddPersonalToken adds a token, or puts another in the place of one with the same Token.
func (s *Server) AddPersonalToken(p Personal) {
	s.locked(func() {
		p.id = s.newID()
		if p.UserID == 0 {
			p.UserID = s.newID()
		}
		if p.State == "" {
			p.State = "active"
		}
		s.personal[p.Token] = p
	})
}

// AddJob adds a job, or changes the one with the same Token.
func (s *Server) AddJob(j Job) {
	s.locked(func() {
		if j.ID == 0 {
			j.ID = s.newID()
		}
		for field, value := range map[*string]string{&j.Ref: "main", &j.Status: "running", &j.Source: "push", &j.User: "root"} {
			if *field == "" {
				*field = value
			}
		}
		s.jobs[j.Token] = j
	})
}

// AddDeployToken adds a deploy token, or changes the one with the same Token.
func (s *Server) AddDeployToken(d Deploy) {
	s.locked(func() {
		if d.ID == 0 {
			d.ID = s.newID()
		}
		if d.Username == "" {
			d.Username = "gitlab+deploy-token-" + number(d.ID)
		}
		s.deploy[d.Token] = d
	})
}

// Remove forgets a token of any kind.
func (s *Server) Remove(token string) {
	s.locked(func() {
		delete(s.personal, token)
		delete(s.jobs, token)
		delete(s.deploy, token)
	})
}

// Down makes it cut every connection without an answer, until Up.
func (s *Server) Down() { s.locked(func() { s.down = true }) }

// Up undoes Down.
func (s *Server) Up() { s.locked(func() { s.down = false }) }

// Limit makes it answer 429 to everything, or no longer.
func (s *Server) Limit(on bool) { s.locked(func() { s.limited = on }) }

// Registry turns its container registry on or off; it is on at first.
func (s *Server) Registry(on bool) { s.locked(func() { s.registry = on }) }

// SetTime tells it what time it is, for tokens that expire.
func (s *Server) SetTime(now time.Time) {
	s.locked(func() { s.now = func() time.Time { return now } })
}

// Instead answers requests to a path in another way, for tests of what a GitLab would not do; nil undoes it.
func (s *Server) Instead(path string, answer http.HandlerFunc) {
	s.locked(func() { s.instead[path] = answer })
}

// Asked returns the paths that were asked so far, in order.
func (s *Server) Asked() (paths []string) {
	s.locked(func() { paths = slices.Clone(s.asked) })
	return paths
}
