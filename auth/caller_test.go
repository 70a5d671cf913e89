package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func newCaller(t *testing.T, name string) Identity {
	t.Helper()
	who, err := NewCaller("ghcr.example.com", name, "canary-secret")
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// A caller pulls what is its upstream's, and may nothing else anywhere but what everybody may.
func TestCaller_pulls_from_its_upstream_alone(t *testing.T) {
	who := newCaller(t, "org/alice")
	if upstream, name, ok := who.AtUpstream(); who.String() != "caller:ghcr.example.com/org/alice" || upstream != "ghcr.example.com" || name != "org/alice" || !ok {
		t.Fatalf("%s is %q, %q, %v", who, upstream, name, ok)
	}
	rules := NewRules([]Grant{
		{Who: Anyone, Role: Reader, On: "public"}, {Who: "user:alice", Role: Admin, On: Everywhere}, {Who: "group:org", Role: Admin, On: Everywhere},
	}, true)
	for _, on := range []string{"", "ghcr.example.com", "ghcr.example.com/a", "ghcr.example.com/a/b/c", "ghcr.example.com.evil/a", "ghcr.example.comx/a", "other.example.com/a",
		"docker.io/library/alpine", "cloud/dmp", "public", "public/app", "ghcr.example.com/../cloud/dmp", "a/ghcr.example.com/b"} {
		for _, do := range Actions {
			there := strings.HasPrefix(on, "ghcr.example.com/") && !strings.Contains(on, "..") || on == "ghcr.example.com"
			want := do == Knock || do == Enter || do == List || do == Pull && (there || strings.HasPrefix(on, "public"))
			if err := rules.Allow(t.Context(), who, do, on); (err == nil) != want {
				t.Errorf("%s on %q: %v, want allowed: %v", do, on, err, want)
			}
		}
	}
	if CheckWho(who.String()) == nil {
		t.Error("a grant can name a caller")
	}
}

func TestNewCaller_refuses(t *testing.T) {
	for _, c := range []struct{ name, secret string }{
		{"", "x"}, {"a:b", "x"}, {" a", "x"}, {"a\nb", "x"}, {strings.Repeat("a", 250), "x"}, {"a", ""}, {"a", "x\ny"}, {"a", "x\x00"}, {"a", strings.Repeat("x", MaxSecret+1)},
	} {
		if who, err := NewCaller("ghcr.example.com", c.name, c.secret); !errors.Is(err, ErrWrong) || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%.20q, %.20q: %s, %v, want ErrWrong", c.name, c.secret, who, err)
		}
	}
}

// Whatever prints an identity does not print its secret.
func TestSecret_is_not_printed(t *testing.T) {
	who := newCaller(t, "alice")
	inside := struct{ hidden Identity }{who}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, who, &who, who.Secret, inside)
	}
	text, err := json.Marshal(who)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "who", who, "secret", who.Secret, "inside", inside)
	}
	if strings.Contains(out.String(), "canary") || strings.Contains(out.String(), fmt.Sprintf("%x", "canary")) {
		t.Errorf("the secret is in %s", out.String())
	}
	if who.Secret.Reveal() != "canary-secret" || (Secret{}).Reveal() != "" || !(Secret{}).IsZero() {
		t.Error("a secret is not what it was made of")
	}
}
