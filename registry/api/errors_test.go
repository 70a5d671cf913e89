package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// The codes of the distribution-spec ("Error Codes"): with 4xx clients know no others.
var specCodes = map[string]bool{
	"BLOB_UNKNOWN": true, "BLOB_UPLOAD_INVALID": true, "BLOB_UPLOAD_UNKNOWN": true, "DIGEST_INVALID": true, "MANIFEST_BLOB_UNKNOWN": true,
	"MANIFEST_INVALID": true, "MANIFEST_UNKNOWN": true, "NAME_INVALID": true, "NAME_UNKNOWN": true, "SIZE_INVALID": true, "UNAUTHORIZED": true,
	"DENIED": true, "UNSUPPORTED": true, "TOOMANYREQUESTS": true,
}

func TestAnswers(t *testing.T) {
	for code, a := range answers {
		if a.Status >= 400 && a.Status < 500 && !specCodes[a.Code] {
			t.Errorf("%s is answered %d with %s, which is no code of the specification", code, a.Status, a.Code)
		}
		if http.StatusText(a.Status) == "" || a.Message == "" {
			t.Errorf("%s: %+v", code, a)
		}
	}
	for _, a := range []door.Answer{door.Unauthorized, door.Denied, door.BadQuery, brokenOff, tooSlow} {
		if !specCodes[a.Code] {
			t.Errorf("%d with %s, which is no code of the specification", a.Status, a.Code)
		}
	}
}

// outcomes is what becomes of each error.
var outcomes = []struct {
	err    error
	status int
	code   string
	cause  string // in the log, and nowhere else
}{
	{&registry.Error{Code: registry.BlobUnknown}, 404, "BLOB_UNKNOWN", ""},
	{&registry.Error{Code: registry.ManifestInvalid, Err: errors.New("its cause")}, 400, "MANIFEST_INVALID", "its cause"},
	{&registry.Error{Code: registry.RangeInvalid}, 416, "BLOB_UPLOAD_INVALID", ""},
	{&registry.Error{Code: registry.TooLarge}, 413, "SIZE_INVALID", ""},
	{&registry.Error{Code: registry.Busy}, 409, "BLOB_UPLOAD_INVALID", ""},
	{&registry.Error{Code: registry.Full, Err: fmt.Errorf("its cause: %w", kv.ErrFull)}, 507, "STORAGE_FULL", "its cause"},
	{&registry.Error{Code: "POLICY_OF_AN_ADMISSION"}, 400, "POLICY_OF_AN_ADMISSION", ""},
	{fmt.Errorf("around: %w", &registry.Error{Code: registry.NameUnknown}), 404, "NAME_UNKNOWN", ""},
	{&auth.Refusal{Login: true, Reason: "log in"}, 401, "UNAUTHORIZED", ""},
	{&auth.Refusal{Reason: "never"}, 403, "DENIED", ""},
	{errors.New("its cause: /var/lib/entrepot/secret"), 500, "UNKNOWN", "/var/lib/entrepot/secret"},
	{io.ErrUnexpectedEOF, 500, "UNKNOWN", "unexpected EOF"},
	{context.Canceled, 500, "UNKNOWN", "context canceled"},
	{&door.Refusal{Answer: door.BadQuery, Header: http.Header{"X-Its-Own": {"1"}}}, 400, "UNSUPPORTED", ""},
	{&registry.Error{Code: registry.ManifestInvalid, Detail: map[string]any{"no JSON": func() {}}}, 400, "UNKNOWN", ""},
}

// single is a door with a single route, to everything.
func (h *house) single(serve door.Endpoint) http.Handler {
	access := door.Access{Action: auth.Pull, Serve: told(serve)}
	match := func(string) (on, last string, ok bool) { return "", "", true }
	return door.New(h.door, door.Route{Name: "test", Match: match, Methods: map[string]door.Access{"GET": access, "HEAD": access, "PUT": access}})
}

func TestOutcomes(t *testing.T) {
	h := build(t)
	log := h.log
	for _, o := range outcomes {
		for _, method := range []string{"GET", "HEAD", "PUT"} {
			log.taken()
			w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/v2/a/manifests/b", http.NoBody)
			w.Header().Set("Content-Length", "77") // what an endpoint set before it failed
			w.Header().Set("Etag", `"x"`)
			h.single(func(http.ResponseWriter, *http.Request, door.Call) error { return o.err }).ServeHTTP(w, r)
			if w.Code != o.status {
				t.Errorf("%v: status %d, want %d", o.err, w.Code, o.status)
			}
			if w.Header().Get("Content-Length") == "77" || w.Header().Get("Etag") != "" || w.Header().Get("X-Request-Id") == "" {
				t.Errorf("%v: headers %v", o.err, w.Header())
			}
			retry := o.status == 507 || o.status == 409
			if (w.Header().Get("Retry-After") != "") != retry {
				t.Errorf("%v: Retry-After %q", o.err, w.Header().Get("Retry-After"))
			}
			text := log.taken()
			if method == "HEAD" {
				if w.Body.Len() > 0 {
					t.Errorf("%v: a HEAD with a body", o.err)
				}
				continue
			}
			var e struct{ Errors []struct{ Code string } }
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || len(e.Errors) != 1 || e.Errors[0].Code != o.code {
				t.Errorf("%v: %s, want code %s", o.err, w.Body, o.code)
			}
			if o.cause != "" && strings.Contains(w.Body.String(), o.cause) {
				t.Errorf("%v: the client is told the cause: %s", o.err, w.Body)
			}
			if o.cause != "" && !strings.Contains(text, o.cause) {
				t.Errorf("%v: the log is not: %s", o.err, text)
			}
			if o.status == 500 && !strings.Contains(w.Body.String(), w.Header().Get("X-Request-Id")) {
				t.Errorf("%v: no id to ask the operator with: %s", o.err, w.Body)
			}
			if !strings.Contains(text, `"request":"`+w.Header().Get("X-Request-Id")+`"`) && text != "" {
				t.Errorf("%v: the log has another id than the client: %s", o.err, text)
			}
		}
	}
}

// TestDoor_cuts_an_answer_that_failed_on_its_way: what has begun cannot be taken back, but it must not look whole, and it is counted.
func TestDoor_cuts_an_answer_that_failed_on_its_way(t *testing.T) {
	h := build(t)
	server := httptest.NewServer(h.single(func(w http.ResponseWriter, _ *http.Request, _ door.Call) error {
		_, _ = io.WriteString(w, "half of it")
		http.NewResponseController(w).Flush()
		return errors.New("its cause")
	}))
	defer server.Close()
	h.log.taken()
	res, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("it looks whole: %q", body)
	}
	eventually(t, "the cause is in the log", func() bool { return strings.Contains(h.log.taken(), "its cause") })
}

// TestPushes_that_are_wrong is the table of what clients are told.
func TestPushes_that_are_wrong(t *testing.T) {
	h := build(t)
	d, body := h.pushImage("push/a", "latest", "1")
	none := digest.FromString("none")
	lacking := imageOf([]byte("a config that nobody pushed"), "1")
	up := h.begin("push/a")
	for _, c := range []struct {
		method, path string
		body         []byte
		header       [2]string
		status       int
		code         string
	}{
		{"PUT", "/v2/push/a/manifests/x", []byte("{"), [2]string{}, 400, "MANIFEST_INVALID"},
		{"PUT", "/v2/push/a/manifests/x", nil, [2]string{}, 400, "MANIFEST_INVALID"},
		{"PUT", "/v2/push/a/manifests/x", body, [2]string{"Content-Type", "text/plain"}, 400, "MANIFEST_INVALID"},
		{"PUT", "/v2/push/a/manifests/x", lacking, [2]string{}, 404, "MANIFEST_BLOB_UNKNOWN"},
		{"PUT", "/v2/push/a/manifests/" + string(none), body, [2]string{}, 400, "DIGEST_INVALID"},
		{"PUT", "/v2/push/a/manifests/x?tag=y", body, [2]string{}, 400, "UNSUPPORTED"},
		{"PUT", "/v2/push/a/manifests/" + string(d) + "?" + strings.Repeat("tag=y&", 101), body, [2]string{}, 414, "UNSUPPORTED"},
		{"PUT", "/v2/PUSH/manifests/x", body, [2]string{}, 400, "NAME_INVALID"},
		{"PUT", "/v2/push/a/manifests/x", make([]byte, registry.DefaultManifestBytes+1), [2]string{}, 413, "SIZE_INVALID"},
		{"POST", "/v2/push/a/blobs/uploads/?digest=x", nil, [2]string{}, 400, "DIGEST_INVALID"},
		{"POST", "/v2/push/a/blobs/uploads/?digest=" + string(none), []byte("other"), [2]string{}, 400, "DIGEST_INVALID"},
		{"POST", "/v2/push/a/blobs/uploads/?mount=x", nil, [2]string{}, 400, "DIGEST_INVALID"},
		{"POST", "/v2/push/a/blobs/uploads/?digest-algorithm=md5", nil, [2]string{}, 400, "DIGEST_INVALID"},
		{"PATCH", up, []byte("abc"), [2]string{"Content-Range", "5-7"}, 416, "BLOB_UPLOAD_INVALID"},
		{"PATCH", up, []byte("abc"), [2]string{"Content-Range", "0-9"}, 416, "BLOB_UPLOAD_INVALID"},
		{"PATCH", up + "x", []byte("abc"), [2]string{}, 404, "BLOB_UPLOAD_UNKNOWN"},
		{"PUT", up, nil, [2]string{}, 400, "DIGEST_INVALID"},
		{"PUT", strings.Replace(up, "push/a", "push/b", 1) + "?digest=" + string(none), nil, [2]string{}, 404, "BLOB_UPLOAD_UNKNOWN"},
		{"GET", "/v2/push/a/tags/list?n=x", nil, [2]string{}, 400, "UNSUPPORTED"},
		{"GET", "/v2/push/a/tags/list?last=" + strings.Repeat("x", 1025), nil, [2]string{}, 400, "UNSUPPORTED"},
		{"GET", "/v2/push/a/referrers/latest", nil, [2]string{}, 400, "DIGEST_INVALID"},
		{"GET", "/v2/none/tags/list", nil, [2]string{}, 404, "NAME_UNKNOWN"},
		{"GET", "/api/v1/audit?n=x", nil, [2]string{}, 400, "UNSUPPORTED"},
		{"DELETE", "/v2/push/a/manifests/none", nil, [2]string{}, 404, "MANIFEST_UNKNOWN"},
		{"DELETE", "/v2/push/a/manifests/" + string(none), nil, [2]string{}, 404, "MANIFEST_UNKNOWN"},
		{"DELETE", "/v2/push/a/blobs/" + string(none), nil, [2]string{}, 404, "BLOB_UNKNOWN"},
		{"DELETE", up + "x", nil, [2]string{}, 404, "BLOB_UPLOAD_UNKNOWN"},
	} {
		var headers []string
		if c.header[0] != "" {
			headers = c.header[:]
		}
		before := dump(t, h.index)
		res := h.do(c.method, c.path, c.body, headers...)
		code, _ := res.fault(t)
		if res.StatusCode != c.status || code != c.code {
			t.Errorf("%s %.80s: %d %s, want %d %s", c.method, c.path, res.StatusCode, code, c.status, c.code)
		}
		if c.status == 416 && c.body != nil && res.Header.Get("Location") == "" && c.header[1] == "5-7" {
			t.Errorf("%s %.80s: no word of where it goes on: %v", c.method, c.path, res.Header)
		}
		if dump(t, h.index) != before {
			t.Errorf("%s %.80s: something changed", c.method, c.path)
		}
	}
}
