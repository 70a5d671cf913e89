// Package wire speaks to a registry as plainly as a client can: one request, one reply, nothing hidden.
//
//	r := wire.At(p.URL)
//	repo := wire.Repo(t)                               // a repository that no other test uses
//	d := r.PushBlob(t, repo, wire.Random(1024))
//	r.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200)
//	r.Do(t, "GET", "/v2/Bad/tags/list", nil).Refused(t, "NAME_INVALID", 400)
//
// It follows no redirect, sets no header that was not asked for and decompresses nothing, so that a test sees what was sent.
// What ought to be answered is the business of the tests.
package wire

import (
	"bufio"
	"bytes"
	"crypto/rand"
	_ "crypto/sha256" // the algorithms that a digest may name
	_ "crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// Registry is a registry at an address.
type Registry struct {
	URL    string // http://127.0.0.1:port
	client *http.Client
}

// At returns the registry at a URL without a trailing slash.
func At(url string) *Registry {
	return &Registry{URL: url, client: &http.Client{
		Transport: &http.Transport{
			DisableCompression:  true, // a transport that unpacks hides the Content-Length
			MaxIdleConnsPerHost: 64,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       2 * time.Minute,
	}}
}

// Reply is what came back, read to its end.
type Reply struct {
	Asked  string // "PUT /v2/…", for messages
	Status int
	Header http.Header
	Length int64 // Content-Length as declared, -1 if there was none
	Body   []byte
}

// Do sends one request, to a path or to an absolute URL such as a Location, with headers given as name, value, name, value…
func (r *Registry) Do(t testing.TB, method, target string, body []byte, headers ...string) Reply {
	t.Helper()
	var src io.Reader
	if body != nil {
		src = bytes.NewReader(body)
	}
	return r.Stream(t, method, target, src, headers...)
}

// Stream is Do with a body whose length is told only if src is a *bytes.Reader; any other is sent in chunked coding.
func (r *Registry) Stream(t testing.TB, method, target string, src io.Reader, headers ...string) Reply {
	t.Helper()
	reply, err := r.Try(method, target, src, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return reply
}

// Try is Stream for callers that expect the connection itself to fail, or that run beside the test's own goroutine.
func (r *Registry) Try(method, target string, src io.Reader, headers ...string) (Reply, error) {
	if strings.HasPrefix(target, "/") {
		target = r.URL + target
	}
	req, err := http.NewRequest(method, target, src)
	if err != nil {
		return Reply{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return Reply{}, fmt.Errorf("read the reply's body after %d bytes: %w", len(b), err)
	}
	return Reply{Asked: method + " " + req.URL.RequestURI(), Status: res.StatusCode, Header: res.Header, Length: res.ContentLength, Body: b}, nil
}

// Raw sends bytes as they are over a connection of their own and reads one reply; it is for requests that no HTTP client would send.
// A server that hangs up without a word gives an error.
func (r *Registry) Raw(request string) (Reply, error) {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(r.URL, "http://"), 5*time.Second)
	if err != nil {
		return Reply{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	// The reply may come, and the connection may end, before all was written: that is the server's good right.
	go func() { _, _ = io.WriteString(conn, request) }()
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return Reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	line, _, _ := strings.Cut(request, "\r\n")
	return Reply{Asked: line, Status: res.StatusCode, Header: res.Header, Length: res.ContentLength, Body: b}, err
}

// Torn sends bytes as they are, ends its side of the connection as a client does that dies in the middle, and waits until the server has
// ended its side too.
func (r *Registry) Torn(request string) error {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(r.URL, "http://"), 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

// Want ends the test unless the reply has one of the statuses.
func (a Reply) Want(t testing.TB, statuses ...int) Reply {
	t.Helper()
	if !slices.Contains(statuses, a.Status) {
		t.Fatalf("%s: status %d, want %v\n%s", a.Asked, a.Status, statuses, a.Excerpt())
	}
	return a
}

// Excerpt returns the beginning of the body, for messages.
func (a Reply) Excerpt() string {
	if len(a.Body) > 600 {
		return string(a.Body[:600]) + "…"
	}
	return string(a.Body)
}

// Has fails the test unless the header has exactly this value.
func (a Reply) Has(t testing.TB, name, value string) Reply {
	t.Helper()
	if got := a.Header.Values(name); len(got) != 1 || got[0] != value {
		t.Errorf("%s: header %s is %q, want %q", a.Asked, name, got, value)
	}
	return a
}

// JSON decodes the body into v or ends the test.
func (a Reply) JSON(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		t.Fatalf("%s: %v in\n%s", a.Asked, err, a.Excerpt())
	}
}

// Fault is one entry of the error envelope.
type Fault struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Detail  json.RawMessage `json:"detail"`
}

// codes is the specification's table "Error Codes"; a code outside it is not allowed.
var codes = []string{
	"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID",
	"MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
}

// Refused ends the test unless the reply is a refusal with one of the statuses, in the specification's envelope, and one of its faults
// has the code. The code may be several, "A|B", or empty when any will do.
func (a Reply) Refused(t testing.TB, code string, statuses ...int) []Fault {
	t.Helper()
	a.Want(t, statuses...)
	want := "application/json"
	if strings.Contains(a.Asked, "/api/") {
		want = "application/problem+json" // the registry's own API
	}
	if mt, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type")); mt != want {
		t.Fatalf("%s: %d with Content-Type %q, want %s\n%s", a.Asked, a.Status, a.Header.Get("Content-Type"), want, a.Excerpt())
	}
	var envelope struct {
		Errors []Fault `json:"errors"`
	}
	a.JSON(t, &envelope)
	if len(envelope.Errors) == 0 {
		t.Fatalf("%s: %d without an error in its envelope\n%s", a.Asked, a.Status, a.Excerpt())
	}
	wanted := strings.Split(code, "|")
	found := code == ""
	for _, f := range envelope.Errors {
		if !slices.Contains(codes, f.Code) {
			t.Errorf("%s: error code %q is not in the specification's table", a.Asked, f.Code)
		}
		if len(f.Detail) == 0 || string(f.Detail) == "null" {
			t.Errorf("%s: error %s has no detail\n%s", a.Asked, f.Code, a.Excerpt())
		}
		found = found || slices.Contains(wanted, f.Code)
	}
	if !found {
		t.Errorf("%s: no error has code %s\n%s", a.Asked, code, a.Excerpt())
	}
	return envelope.Errors
}

var (
	unusable   = regexp.MustCompile(`[^a-z0-9]+`)
	repository atomic.Int64
)

// Repo returns a repository name of two segments that no other test of this process uses. Two, because a name of three is a
// component, whose version tags have rules of their own.
func Repo(t testing.TB) string {
	name := strings.Trim(unusable.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	if len(name) > 100 {
		name = strings.Trim(name[:100], "-")
	}
	return fmt.Sprintf("check/%s-%d", name, repository.Add(1))
}

// Random returns n bytes that nobody has seen before.
func Random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return b
}

// BlobPath is the path of a blob.
func BlobPath(repo string, d digest.Digest) string { return "/v2/" + repo + "/blobs/" + d.String() }

// UploadsPath is the path at which uploads begin.
func UploadsPath(repo string) string { return "/v2/" + repo + "/blobs/uploads/" }

// ManifestPath is the path of a manifest by tag or digest.
func ManifestPath[R ~string](repo string, ref R) string {
	return "/v2/" + repo + "/manifests/" + string(ref)
}

// ReferrersPath is the path of the list of referrers.
func ReferrersPath(repo string, d digest.Digest) string {
	return "/v2/" + repo + "/referrers/" + d.String()
}

// Resolve returns the reply's Location as an absolute URL, or ends the test.
func (r *Registry) Resolve(t testing.TB, a Reply) string {
	t.Helper()
	loc := a.Header.Get("Location")
	if loc == "" {
		t.Fatalf("%s: %d without a Location", a.Asked, a.Status)
	}
	base, err := url.Parse(r.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	u, err := base.Parse(loc)
	if err != nil {
		t.Fatalf("%s: Location %q: %v", a.Asked, loc, err)
	}
	return u.String()
}

// With adds query parameters, given as key, value…, to a URL that may have some already.
func With(target string, pairs ...string) string {
	sep := "?"
	if strings.Contains(target, "?") {
		sep = "&"
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		target += sep + url.QueryEscape(pairs[i]) + "=" + url.QueryEscape(pairs[i+1])
		sep = "&"
	}
	return target
}
