package token

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// Issued tells whether a text says of itself that it is a token of this service, be it a good one or not: then it is nothing to be shown to anybody else.
func (i *Issuer) Issued(raw string) bool {
	_, rest, _ := strings.Cut(raw, ".")
	payload, _, found := strings.Cut(rest, ".")
	if !found || len(raw) > 2*MaxToken {
		return false
	}
	text, err := base64.RawURLEncoding.DecodeString(payload)
	var c struct {
		Issuer string `json:"iss"`
	}
	return err == nil && json.Unmarshal(text, &c) == nil && c.Issuer == i.c.Service
}
