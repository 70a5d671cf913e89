package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// serverOf answers as a server would, and returns what a verb's environment says of it.
func serverOf(t *testing.T, handler http.HandlerFunc) []string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return []string{envServer + "=" + strings.TrimPrefix(s.URL, "http://"), "DOCKER_CONFIG=" + t.TempDir()}
}

func answer(status int, mediaType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const problemType = "application/problem+json"

// problemOf is a refusal as the server writes it.
func problemOf(message, detail string) string {
	return fmt.Sprintf(`{"title":%q,"errors":[{"code":"CODE","message":%q,"detail":%s}]}`, message, message, detail)
}

func TestRefusals_in_words(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string // behind "entrepot: …: "
	}{
		"one reason stays in the line": {
			answer(422, problemType, problemOf("rules speak against it", `{"hint":"all of it","reasons":[{"says":"it is red","fix":"paint it"}]}`)),
			"it is red; paint it\n"},
		"several have lines of their own": {
			answer(409, problemType, problemOf("rules speak against it", `{"reasons":[{"says":"it is red","fix":"paint it"},{"says":"it is\n old"}]}`)),
			"rules speak against it:\n  it is red; paint it\n  it is old\n"},
		"findings have places": {
			answer(422, problemType, problemOf("it is wrong", `{"findings":[{"level":"deny","file":"m.yaml","line":3,"column":9,"field":"a","problem":"is bad","fix":"mend it"},
				{"level":"warn","file":"o.yaml","problem":"is missing"}]}`)),
			"it is wrong:\n  m.yaml:3:9: deny: a: is bad; mend it\n  o.yaml: warn: is missing\n"},
		"a hint is enough": {
			answer(413, problemType, problemOf("too long", `{"limit":3,"hint":"shorten it"}`)), "shorten it\n"},
		"a parameter is named": {
			answer(400, problemType, problemOf("wrong", `{"parameter":"at","value":"x","hint":"write a time"}`)), "at is \"x\": write a time\n"},
		"who may not": {
			answer(403, problemType, `{"errors":[{"code":"DENIED","message":"denied","detail":{"hint":"no grant gives you promote"}}]}`), "refused: no grant gives you promote\n"},
		"an own way of an empty detail": {
			answer(404, problemType, problemOf("repository name not known to this registry", `{"name":"cloud/dmp/app"}`)),
			"repository name not known to this registry\n"},
		"details of another form": {
			answer(422, problemType, problemOf("it is wrong", `["hint"]`)), "it is wrong\n"},
		"a stranger cannot paint the terminal": {
			answer(422, problemType, problemOf("x", `{"reasons":[{"says":"\u001b[31mred"},{"says":"\u009bred"}]}`)), "x:\n  \uFFFD[31mred\n  \uFFFDred\n"},
		"no such path": {
			answer(404, "application/json", `{"errors":[{"code":"UNSUPPORTED","message":"no such path"}]}`), "HOST is no Entrepôt, or an older one: it has no /api/v1/rollbacks\n"},
		"another server": {
			answer(404, "text/html", `<p>404`), "HOST is no Entrepôt, or an older one: it has no /api/v1/rollbacks\n"},
		"something else": {answer(200, "text/html", `<p>hello`), "HOST answered something else than was asked for"},
		"a long way": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://other.example.com/", http.StatusFound)
		},
			"HOST sends elsewhere, to other.example.com; name the right server with --server"},
	} {
		t.Run(name, func(t *testing.T) {
			environ := serverOf(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet { // what is deployed, which nobody needs
					answer(404, problemType, `{"errors":[]}`)(w, r)
					return
				}
				test.handler(w, r)
			})
			code, stdout, stderr := cli(t, environ, "rollback", "cloud/dmp/app@cloud.prod")
			want := "entrepot: roll back cloud/dmp/app at cloud.prod: " + strings.ReplaceAll(test.want, "HOST", strings.TrimPrefix(environ[0], envServer+"="))
			if code != 1 || stdout != "" || !strings.HasPrefix(stderr, want) {
				t.Errorf("exit status %d, standard output %q, standard error %q; want 1, nothing and %q", code, stdout, stderr, want)
			}
		})
	}
}

// lister lists the numbers below n, and remembers what it was asked.
func lister(n int, asked *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.RawQuery)
		var from, limit int
		_, _ = fmt.Sscan(r.URL.Query().Get("after"), &from)
		_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
		p := page{}
		for i := from; i < min(from+limit, n); i++ {
			p.Items = append(p.Items, json.RawMessage(fmt.Sprintf(`{"name":"a/b/c%d"}`, i)))
		}
		if from+limit < n {
			p.Next = fmt.Sprint(from + limit)
		}
		_ = json.NewEncoder(w).Encode(p)
	}
}

func TestList_goes_on_to_its_end_or_limit(t *testing.T) {
	for _, test := range []struct {
		n     int
		args  []string
		lines int // with the head
		asked []string
		note  string
	}{
		{0, nil, 0, []string{"limit=1000"}, ""},
		{2500, nil, 2501, []string{"limit=1000", "after=1000&limit=1000", "after=2000&limit=1000"}, ""},
		{2500, []string{"--limit", "1200"}, 1201, []string{"limit=1000", "after=1000&limit=200"}, "there are more"},
		{7, []string{"--limit", "7"}, 8, []string{"limit=7"}, ""},
		{7, []string{"--limit", "3", "--label", "a=b", "--label", "c=d e", "--good=false", "--newest", "--team", "x", "txt"}, 4,
			[]string{"good=false&label=a%3Db&label=c%3Dd+e&limit=3&q=txt&sort=newest&team=x"}, "there are more"},
	} {
		var asked []string
		code, stdout, stderr := cli(t, serverOf(t, lister(test.n, &asked)), append([]string{"components"}, test.args...)...)
		if lines := strings.Count(stdout, "\n"); code != 0 || lines != test.lines || !slices.Equal(asked, test.asked) {
			t.Errorf("%d with %q: exit status %d, %d lines, asked %q; want 0, %d and %q", test.n, test.args, code, lines, asked, test.lines, test.asked)
		}
		if strings.Contains(stderr, "there are more") != (test.note != "") {
			t.Errorf("%d with %q: standard error is %q; want %q", test.n, test.args, stderr, test.note)
		}
	}
}

func TestList_that_does_not_end(t *testing.T) {
	environ := serverOf(t, answer(200, "application/json", `{"items":[{}],"next":"x"}`))
	code, _, stderr := cli(t, environ, "components")
	if code != 1 || !strings.Contains(stderr, "the list does not end") {
		t.Errorf("exit status %d, standard error %q; want 1 and that the list does not end", code, stderr)
	}
}

func TestUsage_of_components_verbs(t *testing.T) {
	t.Chdir(t.TempDir())
	for line, want := range map[string]string{
		"components --port 0":                                     "--port 0 is no port",
		"components --label x":                                    `--label "x" is no label`,
		"components --format rpm":                                 `--format "rpm" is none of docker, deb, generic`,
		"components --level off":                                  "neither deny nor warn",
		"components --at soon":                                    `--at: "soon" is no time`,
		"components -o xml":                                       `--output "xml" is none of table, json and yaml`,
		"versions cloud/dmp/app@1.0":                              "names one version",
		"latest cloud/dmp":                                        "is no component",
		"resolve cloud/dmp/app --format tag":                      "none of version, digest and pull",
		"promote cloud/dmp/app prod":                              "is no place",
		"rollback cloud/dmp/app":                                  "no place is named; write cloud/dmp/app@cloud.prod",
		"history --at prod":                                       "--at: ",
		"history --limit -1":                                      "less than none",
		"places --at 1h":                                          "name the place, too",
		"deps cloud/dmp/app --at prod":                            "--at: ",
		"document draft cloud/dmp/app":                            "names no version",
		"document draft cloud/dmp/app@1.0.0 --format rpm":         "none of docker, deb, generic",
		"document get cloud/dmp metadata":                         "is of a version, and cloud/dmp is a group",
		"document get cloud/dmp/app@1.0.0 policy.yaml":            "is of a group",
		"document get cloud/dmp/app@1.0.0 components.yaml":        "is no document",
		"document put cloud/dmp/app@1.0.0 notes.yaml":             "is no document to be put",
		"validate notes.yaml":                                     "the name of notes.yaml is that of no document",
		"validate - --offline":                                    "say what it is with --kind",
		"validate x.yaml --kind thing":                            `--kind "thing" is none of manifest, metadata`,
		"validate metadata.yaml --version x":                      "--version: x is no version",
		"push cloud/dmp/app@1.0.0 x.deb":                          "push it with entrepot deb push",
		"push cloud/dmp/app@1.0.0 x --format docker":              "docker push",
		"push cloud/dmp/app x":                                    "names no version",
		"deb push x.deb":                                          "with --to",
		"deb push x.deb --to cloud/dmp/app --version seven":       "is no version",
		"deb push x.deb --to cloud/dmp/app@1.0.0 --version 2.0.0": "--to says version 1.0.0 and --version 2.0.0",
		"index rpm":                 "is no file of the index",
		"index components -o table": "neither yaml nor json",
	} {
		code, stdout, stderr := cli(t, nil, strings.Fields(line)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit status %d, standard error %q; want 2 and %q", line, code, stderr, want)
		}
	}
}

func TestPush_sends_what_it_has_said(t *testing.T) {
	var got http.Header
	var body []byte
	environ := serverOf(t, func(w http.ResponseWriter, r *http.Request) {
		got, body = r.Header, nil
		body, _ = io.ReadAll(r.Body)
		kept := `{"repo":"cloud/dmp/app","tag":"generic-1.0.0","digest":"sha256:1","name":"f","file":"sha256:` + hexOf("00") + `"}`
		answer(201, "application/json", kept)(w, r)
	})
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := cli(t, environ, "push", "cloud/dmp/app@1.0.0", file)
	if want := "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; got.Get("X-Checksum-Sha256") != want || string(body) != "hello" {
		t.Errorf("sent %q with the checksum %s; want hello and %s", body, got.Get("X-Checksum-Sha256"), want)
	}
	if code != 1 || stdout != "" || !strings.Contains(stderr, "there; push it again under another version") {
		t.Errorf("exit status %d, standard output %q, standard error %q; want 1, nothing, and that the server has other content", code, stdout, stderr)
	}
}

func TestPush_tries_all_and_tells_each_failure_once(t *testing.T) {
	environ := serverOf(t, answer(422, "text/plain; charset=utf-8", "422 the package is not taken: it is no package"))
	dir := t.TempDir()
	for _, name := range []string{"a.deb", "b.deb"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, _, stderr := cli(t, environ, "deb", "push", filepath.Join(dir, "a.deb"), filepath.Join(dir, "none.deb"), dir, filepath.Join(dir, "b.deb"), "--to", "cloud/dmp/app")
	if code != 1 || strings.Count(stderr, "the package is not taken: it is no package\n") != 2 || strings.Count(stderr, "no such file") != 1 ||
		strings.Count(stderr, "it is no plain file") != 1 || strings.Count(stderr, "\n") != 4 {
		t.Errorf("exit status %d, standard error %q; want 1, and four failures in four lines", code, stderr)
	}
}

func TestUpload_that_stands_still_ends(t *testing.T) {
	ctx, w := watchUpload(t.Context(), 10*time.Millisecond)
	defer w.stop()
	select {
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, errStandstill) {
			t.Errorf("it ends with %v; want %v", cause, errStandstill)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("an upload of which nothing is read goes on")
	}
	_, done := watchUpload(t.Context(), time.Hour)
	defer done.stop()
	if _, err := io.ReadAll(done.over(strings.NewReader("all"))); err != nil {
		t.Fatal(err)
	}
	if done.timer.Stop() {
		t.Error("the watch goes on although everything is read")
	}
}

func TestMoment_reads_times_days_and_how_long_ago(t *testing.T) {
	now := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"": "", "2026-05-09": "2026-05-09", "2026-05-09T10:00:00+02:00": "2026-05-09T08:00:00Z", "24h": "2026-05-09T12:00:00Z", "7d": "2026-05-03T12:00:00Z",
	} {
		if got, err := moment(text, now); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "2026-13-01", "-1h"} {
		if got, err := moment(text, now); err == nil {
			t.Errorf("%q is read as %q, but should be refused", text, got)
		}
	}
}
