package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/auth"
)

// TestLog_never_tells_secrets: whatever a client sends to prove who it is, no line of the log, no answer and no event repeats it.
func TestLog_never_tells_secrets(t *testing.T) {
	p := &asked{answer: func(auth.Action, string) error { return nil }}
	h := build(t, func(h *house) { h.policy = p })
	where := paths(h)
	canaries := []string{"Authorization", "Bearer canary-1", "Proxy-Authorization", "Basic canary-2", "Cookie", "session=canary-3", "X-Api-Key", "canary-4"}
	for _, answer := range refusals {
		for _, refused := range []bool{false, true} {
			p.answer = func(auth.Action, string) error {
				if refused {
					return answer.err
				}
				return nil
			}
			for _, r := range Routes(Config{}) {
				for method := range methodsOf(r) {
					if method == "DELETE" && !refused {
						continue
					}
					res := h.do(method, where[shape(r.Name)]+"?token=canary-5", []byte("x"), canaries...)
					if text := string(res.body); strings.Contains(text, "canary-1") || strings.Contains(text, "canary-2") || strings.Contains(text, "canary-3") || strings.Contains(text, "canary-4") {
						t.Errorf("%s %s answers %s", method, r.Name, text)
					}
				}
			}
		}
	}
	if text := h.log.taken(); strings.Contains(text, "canary") || text == "" {
		t.Errorf("the log has secrets: %s", text)
	}
	if text := dump(t, h.index) + dump(t, h.uploads); strings.Contains(text, "canary") {
		t.Errorf("the index has secrets: %s", text)
	}
}

// TestRequest_ids are the server's own: the client is told the one that is in the log and in the journal, and cannot choose it.
func TestRequest_ids(t *testing.T) {
	h := build(t)
	seen := map[string]bool{}
	for range 5 {
		for _, forged := range [][]string{nil, {"Entrepot-Request", "forged"}, {"entrepot-request", "forged"}} {
			h.log.taken()
			res := h.do("GET", "/v2/A/manifests/x", nil, forged...).want(t, 400)
			id := res.Header.Get("X-Request-Id")
			if id == "" || id == "forged" || seen[id] {
				t.Errorf("id %q", id)
			}
			seen[id] = true
			var line map[string]any
			if err := json.Unmarshal([]byte(h.log.taken()), &line); err != nil || line["request"] != id || line["status"] != 400.0 || line["method"] != "GET" {
				t.Errorf("the log says %v, %v", line, err)
			}
			h.do("POST", "/v2/log/a/blobs/uploads/?digest=sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", []byte("{}"), forged...).want(t, 201)
			if err := json.Unmarshal([]byte(h.log.taken()), &line); err != nil || seen[line["request"].(string)] {
				t.Errorf("the log says %v, %v", line, err)
			}
			id = line["request"].(string)
			seen[id] = true
			h.do("DELETE", "/v2/log/a/blobs/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", nil, forged...).want(t, 202)
			if text := dump(t, h.index); strings.Contains(text, "forged") || !strings.Contains(text, `"request":"`+id+`"`) {
				t.Errorf("the journal does not say %s: %s", id, text)
			}
		}
	}
}

// TestLog_is_quiet_about_what_goes_well and speaks once of what does not.
func TestLog_is_quiet_about_what_goes_well(t *testing.T) {
	h := build(t)
	d, _ := h.pushImage("log/a", "latest", "1")
	h.log.taken()
	h.do("GET", "/v2/log/a/manifests/latest", nil)
	h.do("HEAD", "/v2/log/a/manifests/"+string(d), nil)
	h.do("GET", "/v2/", nil)
	if text := h.log.taken(); text != "" {
		t.Errorf("of reads that went well: %s", text)
	}
	h.do("GET", "/v2/log/a/manifests/none", nil)
	if text := h.log.taken(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `"level":"DEBUG"`) {
		t.Errorf("of what is missing: %s", text)
	}
	h.do("PUT", "/v2/log/a/manifests/bad", []byte("x\ny"), "User-Agent", "a\tb "+strings.Repeat("u", 5000))
	if text := h.log.taken(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `"level":"INFO"`) || len(text) > 2000 {
		t.Errorf("of a refusal: %s", text)
	}
}
