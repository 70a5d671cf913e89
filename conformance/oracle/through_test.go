package oracle

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// throughEntrepot starts entrepot so that distribution is seen through it, by somebody with this password.
func throughEntrepot(t *testing.T, up *upstream, password, more string) *side {
	t.Helper()
	t.Setenv("ENTREPOT_UPSTREAMS", fmt.Sprintf("[{name: %s, urls: [%q], username: %s, password: %q%s}]", seenAs, up.url, puller, password, more))
	return &side{name: "entrepot", url: entrepot(t)}
}

// acceptedThrough is every difference that is meant to be between what distribution says and what is said of it through entrepot.
var acceptedThrough = []difference{
	differs(`: an image that the client has: (Docker-Content-Digest|Etag): .+ <> $`, "RFC 9110 (15.4.5) wants the ETag on a 304"),
	differs(`: a layer (beyond its end|backwards): (codes: \[UNSUPPORTED\] <> \[\]|Content-Type: application/json <> text/plain)$`,
		"distribution refuses ranges in plain text; entrepot keeps to the envelope"),
	differs(`: a layer (beyond its end|backwards): Docker-Content-Digest:  <> `, "an error's body is not what the digest names"),
}

// What distribution has is the same through entrepot: when it is asked for the first time, and when it is kept. Each manifest and each blob is fetched once,
// whatever is asked of it first.
func TestSameThroughEntrepot(t *testing.T) {
	up := newUpstream(t)
	questions := up.stock(t)
	ours := throughEntrepot(t, up, password, "")
	seen := make([]int, len(acceptedThrough))
	for _, round := range []string{"cold", "warm"} {
		for _, q := range questions {
			for _, d := range differences(round+": "+q.name, through(t, ours, q), up.ask(t, q)) {
				i := slices.IndexFunc(acceptedThrough, func(a difference) bool { return a.pattern.MatchString(d) })
				if i < 0 {
					t.Errorf("undeclared difference (through entrepot <> distribution): %s", d)
					continue
				}
				seen[i]++
			}
		}
		fetched := up.content()
		for what, times := range fetched {
			if times > 1 || strings.HasPrefix(what, "HEAD ") {
				t.Errorf("%s: the upstream was asked %d times: %s; want one GET", round, times, what)
			}
		}
		if want := map[string]int{"cold": 10, "warm": 0}[round]; len(fetched) != want {
			t.Errorf("%s: %d manifests and blobs were fetched, want %d: %v", round, len(fetched), want, fetched)
		}
	}
	for i, a := range acceptedThrough {
		if seen[i] == 0 {
			t.Errorf("a declared difference is not seen any more: %s (%s)", a.pattern, a.reason)
		}
	}
}

// A tag of distribution's moves and is taken away; what is said of it through entrepot follows when the time is over for which nobody asks.
func TestThroughFollowsTags(t *testing.T) {
	up := newUpstream(t)
	up.stock(t)
	ours := throughEntrepot(t, up, password, ", tagTTL: 1s")
	byTag := ask("by tag", "GET", manifests+"image", nil, "Accept", every)
	agree := func(what string, status int) answer {
		t.Helper()
		var left []string
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			a := through(t, ours, byTag)
			if left = differences(what, a, up.ask(t, byTag)); len(left) == 0 && a.Status == status {
				return a
			}
		}
		t.Fatalf("the two do not agree after 30 s: %q", left)
		return answer{}
	}
	first := agree("a tag", http.StatusOK).Headers["Docker-Content-Digest"]
	up.content()

	config, layer := []byte(`{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`), []byte("another layer")
	up.blob(t, config)
	up.blob(t, layer)
	moved := up.put(t, manifests+"image", image, imageOf(config, layer))
	if got := agree("a tag that has moved", http.StatusOK).Headers["Docker-Content-Digest"]; got != moved {
		t.Errorf("the tag names %s, want %s", got, moved)
	}
	for what, times := range up.content() {
		if strings.HasPrefix(what, "GET ") && times > 1 {
			t.Errorf("the upstream was asked %d times: %s; want one GET, and HEADs", times, what)
		}
	}
	if a := up.ask(t, ask("delete", "DELETE", manifests+"image", nil)); a.Status != http.StatusAccepted {
		t.Fatalf("delete the tag: %d %v", a.Status, a.Codes)
	}
	agree("a tag that was taken away", http.StatusNotFound)
	for _, d := range []string{first, moved} {
		if a := through(t, ours, ask("by digest", "GET", manifests+d, nil, "Accept", every)); a.Status != http.StatusOK {
			t.Errorf("what was kept under %s: %d, though content never changes", d, a.Status)
		}
	}
}

// Without the password nothing comes through, and who asks gets to know it; with the upstream gone, what is kept does.
func TestThroughAgainstTheUpstream(t *testing.T) {
	up := newUpstream(t)
	questions := up.stock(t)
	wrong := throughEntrepot(t, up, "not the password", "")
	for _, q := range questions {
		if a := through(t, wrong, q); a.Status == http.StatusOK || len(a.Codes) == 1 && a.Codes[0] == "UNKNOWN" || a.Status == http.StatusInternalServerError {
			t.Errorf("%s, with a wrong password: %d %v", q.name, a.Status, a.Codes)
		}
	}
	ours := throughEntrepot(t, up, password, "")
	before := make([]answer, len(questions))
	for i, q := range questions {
		through(t, ours, q)
		before[i] = up.ask(t, q)
	}
	up.stop()
	for i, q := range questions {
		if before[i].Status >= 400 || strings.Contains(q.path, "/tags/list") {
			continue
		}
		for _, d := range differences("gone: "+q.name, through(t, ours, q), before[i]) {
			if !slices.ContainsFunc(acceptedThrough, func(a difference) bool { return a.pattern.MatchString(d) }) {
				t.Errorf("undeclared difference (through entrepot <> distribution): %s", d)
			}
		}
	}
}
