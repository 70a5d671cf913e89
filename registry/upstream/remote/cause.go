package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// ended is why a request was cut off by ourselves.
type ended struct {
	what  string
	after time.Duration
}

func (e *ended) Error() string { return fmt.Sprintf("%s within %v", e.what, e.after) }

var errClosed = errors.New("closed")

// cause returns why a request failed in words of our own or of the network's: an error of net/http can hold a URL with a signature, or what the other
// side sent.
func cause(ctx context.Context, err error) error {
	var late *ended
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(context.Cause(ctx), &late):
		return late
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &authority):
		return authority
	case errors.Is(err, http.ErrSchemeMismatch):
		return errors.New("it does not speak TLS")
	case errors.Is(err, errGuarded):
		return errGuarded
	case errors.As(err, &network):
		return network
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	}
	return errors.New("it does not speak HTTP as it should")
}

// clean makes one short printable line of what others wrote.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// hide takes secrets out of a text that might repeat them.
func hide(s string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}

// secretsOf returns what must not be seen of an Authorization header.
func secretsOf(authorization string) []string {
	_, value, _ := strings.Cut(authorization, " ")
	pair, _ := base64.StdEncoding.DecodeString(value)
	_, password, _ := strings.Cut(string(pair), ":")
	return []string{value, password}
}
