package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus"
)

// distribution serves the oracle's answers: its own application over its filesystem driver, with deletes on.
func distribution(t *testing.T) string {
	t.Helper()
	logrus.SetOutput(io.Discard) // it logs each refused request, and refusals are most of the questions
	config := &configuration.Configuration{
		Version: configuration.CurrentVersion,
		Storage: configuration.Storage{
			"filesystem":  configuration.Parameters{"rootdirectory": t.TempDir()},
			"delete":      configuration.Parameters{"enabled": true},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	config.Catalog.MaxEntries = 1000
	config.HTTP.Secret = "only for this process"
	server := httptest.NewServer(handlers.NewApp(context.Background(), config))
	t.Cleanup(server.Close)
	return server.URL
}

// side is one of the two registries, with what it has answered so far.
type side struct {
	name, url string
	upload    string // the Location of the upload that is going on
}

// answer is what is compared.
type answer struct {
	Status  int
	Codes   []string
	Headers map[string]string
	Body    string
}

// compared are the headers that a client depends on.
var compared = []string{
	"Content-Type", "Content-Length", "Content-Range", "Docker-Content-Digest", "Docker-Distribution-Api-Version", "Etag", "Location", "Range", "Link", "Allow",
	"Accept-Ranges", "Www-Authenticate", "Oci-Subject",
}

var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask sends the question and returns what is to be compared of the answer.
func (s *side) ask(t *testing.T, q question) answer {
	t.Helper()
	target := s.url + q.path
	if rest, found := strings.CutPrefix(q.path, "{upload}"); found {
		target = s.upload
		if query, found := strings.CutPrefix(rest, "?"); found {
			if strings.Contains(target, "?") {
				query = "&" + query
			} else {
				query = "?" + query
			}
			target += query
		}
	}
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	req, err := http.NewRequest(q.method, target, body)
	if err != nil {
		t.Fatalf("%s: %v", q.name, err)
	}
	for name, value := range q.headers {
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s: %s: %v", q.name, s.name, err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %s: %v", q.name, s.name, err)
	}
	if loc := res.Header.Get("Location"); loc != "" && (res.StatusCode == 202 || res.StatusCode == 204) {
		s.upload = s.absolute(t, loc)
	}
	a := answer{Status: res.StatusCode, Headers: map[string]string{}}
	var envelope struct{ Errors []struct{ Code string } }
	if res.StatusCode >= 400 {
		_ = json.Unmarshal(content, &envelope)
		for _, e := range envelope.Errors {
			a.Codes = append(a.Codes, e.Code)
		}
	} else if q.method != "HEAD" && !q.opaque {
		a.Body = canonical(content)
	}
	for _, name := range compared {
		a.Headers[name] = s.plain(t, name, res.Header.Values(name), res.StatusCode)
	}
	return a
}

var session = regexp.MustCompile(`(/blobs/uploads/)[^?]+(\?.*)?$`)

// plain reduces a header's value to what must agree: an address without its host, an upload without its id, a list without its order.
func (s *side) plain(t *testing.T, name string, values []string, status int) string {
	t.Helper()
	value := strings.Join(values, ", ")
	switch {
	case value == "":
	case name == "Location":
		u, err := url.Parse(s.absolute(t, value))
		if err != nil {
			t.Fatal(err)
		}
		value = session.ReplaceAllString(u.RequestURI(), "$1<id>")
	case name == "Content-Type":
		if mediaType, _, err := mime.ParseMediaType(value); err == nil {
			value = mediaType
		}
	case name == "Content-Length" && status >= 400:
		value = "" // messages differ
	case name == "Allow":
		list := strings.Split(strings.ReplaceAll(value, " ", ""), ",")
		slices.Sort(list)
		value = strings.Join(list, ",")
	}
	return value
}

func (s *side) absolute(t *testing.T, location string) string {
	t.Helper()
	base, err := url.Parse(s.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	u, err := base.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// canonical makes two JSON documents that mean the same equal, and leaves everything else as it is.
func canonical(content []byte) string {
	var v any
	if json.Unmarshal(content, &v) != nil {
		return string(content)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return string(content)
	}
	return string(b)
}

// differences tells what does not agree, one line each: "question: what: ours <> theirs".
func differences(name string, ours, theirs answer) []string {
	var all []string
	add := func(what string, a, b any) {
		if fmt.Sprint(a) != fmt.Sprint(b) {
			all = append(all, fmt.Sprintf("%s: %s: %v <> %v", name, what, a, b))
		}
	}
	add("status", ours.Status, theirs.Status)
	add("codes", ours.Codes, theirs.Codes)
	for _, header := range compared {
		// A header of a refusal says little once the status differs; a body nothing.
		if ours.Status == theirs.Status {
			add(header, ours.Headers[header], theirs.Headers[header])
		}
	}
	if ours.Status == theirs.Status {
		add("body", excerpt(ours.Body), excerpt(theirs.Body))
	}
	return all
}

func excerpt(s string) string {
	if len(s) > 300 {
		return fmt.Sprintf("%s… (%d bytes)", s[:300], len(s))
	}
	return s
}

// Both registries are asked everything in the same order, and every difference is a declared one.
func TestSameAnswersAsDistribution(t *testing.T) {
	ours, theirs := &side{name: "entrepot", url: entrepot(t)}, &side{name: "distribution", url: distribution(t)}
	seen := make([]int, len(accepted))
	questions := questions()
	names := map[string]bool{}
	for _, q := range questions {
		if names[q.name] {
			t.Fatalf("two questions are called %q", q.name)
		}
		names[q.name] = true
		for _, d := range differences(q.name, ours.ask(t, q), theirs.ask(t, q)) {
			i := slices.IndexFunc(accepted, func(a difference) bool { return a.pattern.MatchString(d) })
			if i < 0 {
				t.Errorf("undeclared difference (entrepot <> distribution): %s", d)
				continue
			}
			seen[i]++
		}
	}
	for i, a := range accepted {
		if seen[i] == 0 {
			t.Errorf("a declared difference is not seen any more: %s (%s)", a.pattern, a.reason)
		}
	}
	t.Logf("%d questions, %d declared kinds of difference", len(questions), len(accepted))
}
