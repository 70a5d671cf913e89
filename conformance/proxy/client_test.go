package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// answer is what a client sees.
type answer struct {
	status int           // 0: the answer did not come whole, and the client could tell
	code   string        // of an error
	retry  string        // Retry-After
	stale  bool          // a Warning says that it may not be the newest
	names  digest.Digest // the content that came, whole and right
}

func (a answer) String() string {
	s := strconv.Itoa(a.status)
	if a.status == 0 {
		s = "a cut connection"
	}
	for _, part := range []string{a.code, string(a.names)} {
		if part != "" {
			s += " " + part
		}
	}
	if a.retry != "" {
		s += ", to be tried again in " + a.retry + " s"
	}
	if a.stale {
		s += ", with a warning"
	}
	return s
}

// reply is an answer with all that belongs to it.
type reply struct {
	answer
	header http.Header
	body   []byte
	err    error // why it is not whole
}

// client follows no redirects, and asks nothing twice by itself: each request has a connection of its own.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       90 * time.Second,
}

// get asks the registry at url for a path below /v2/.
func (h *house) get(url, path string) reply { return h.do("GET", url, path) }

func (h *house) do(method, url, path string, headers ...string) reply {
	req, err := http.NewRequestWithContext(h.t.Context(), method, url+"/v2/"+path, nil)
	if err != nil {
		return reply{err: err}
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	r := reply{header: res.Header}
	if r.body, r.err = io.ReadAll(res.Body); r.err != nil {
		return r
	}
	r.status, r.retry, r.stale = res.StatusCode, res.Header.Get("Retry-After"), strings.HasPrefix(res.Header.Get("Warning"), "110 ")
	switch {
	case res.StatusCode >= 400:
		r.code = r.fault()
	case res.StatusCode == http.StatusOK && method == http.MethodGet:
		r.names, r.code = r.content()
	}
	return r
}

// content is the digest of what came, and what is wrong with it: nobody may get other bytes than those that the answer names.
func (r *reply) content() (d digest.Digest, wrong string) {
	said := digest.Digest(r.header.Get("Docker-Content-Digest"))
	if said == "" {
		return "", "" // a list
	}
	if got := digest.FromBytes(r.body); got != said {
		return "", fmt.Sprintf("WRONG BYTES: %d that are %s for %s", len(r.body), got, said)
	}
	if length := r.header.Get("Content-Length"); length != strconv.Itoa(len(r.body)) {
		return "", fmt.Sprintf("WRONG LENGTH: %s for %d bytes", length, len(r.body))
	}
	return said, ""
}

// fault is the code of an error, which must be of the specification's form.
func (r *reply) fault() string {
	var said struct {
		Errors []struct {
			Code, Message string
			Detail        map[string]any
		}
	}
	if len(r.body) == 0 {
		return ""
	}
	if err := json.Unmarshal(r.body, &said); err != nil || len(said.Errors) != 1 || said.Errors[0].Message == "" {
		return fmt.Sprintf("NO ENVELOPE: %q", r.body)
	}
	return said.Errors[0].Code
}

// together lets so many clients ask for the same at once.
func (h *house) together(clients int, method, path string) []reply {
	all := make([]reply, clients)
	var wg sync.WaitGroup
	h.gate.expect(clients)
	for i := range all {
		wg.Go(func() { all[i] = h.do(method, h.url, path) })
	}
	wg.Wait()
	h.gate.lift()
	return all
}
