package oidctest

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// access is what an access token is good for.
type access struct {
	subject any
	until   time.Time
}

// Userinfo says which claims are at the userinfo endpoint from now on, beside sub, and not in ID tokens unless Person or Claims put them there as well;
// in place of what it was told before. Without it, and with nil, the issuer has no such endpoint.
func (i *Issuer) Userinfo(claims map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.info = maps.Clone(claims)
}

// userinfo is the userinfo endpoint (OpenID Connect Core 1.0, section 5.3).
func (i *Issuer) userinfo(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.info == nil {
		http.NotFound(w, r)
		return
	}
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	shown, ok := i.access[token]
	if !bearer || !ok || !i.now().Before(shown.until) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	subject := shown.subject
	if i.fault == Mistaken {
		subject = "id-somebody-else"
	}
	writeJSON(w, http.StatusOK, merged(map[string]any{"sub": subject}, i.info))
}
