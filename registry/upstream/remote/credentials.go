package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Credentials are what an upstream knows somebody by. The zero value is nobody. Printed, they show no secrets.
type Credentials struct {
	Username, Password string
	Identity           string // a refresh token, traded for tokens by OAuth 2.0: what docker calls an identity token
	Bearer             string // a token of the registry itself, sent as it is
}

// Source tells credentials. It is called before each login, so it may well look them up anew; it should heed its context.
type Source func(context.Context) (Credentials, error)

// Static is a source of one user's password.
func Static(user, password string) Source {
	return func(context.Context) (Credentials, error) {
		return Credentials{Username: user, Password: password}, nil
	}
}

// Token is a source of a token that the registry takes as it is.
func Token(bearer string) Source {
	return func(context.Context) (Credentials, error) { return Credentials{Bearer: bearer}, nil }
}

// PasswordFile is a source of a password that is the whole content of a file, but for one line end. The file is read again for each login.
func PasswordFile(user, path string) Source {
	return func(context.Context) (Credentials, error) {
		text, err := readFile(path, maxSecret)
		if err != nil {
			return Credentials{}, fmt.Errorf("read the password of %s: %w", user, err)
		}
		password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
		if password == "" || strings.ContainsRune(password, 0) {
			return Credentials{}, fmt.Errorf("the password of %s in %s is empty or holds a NUL", user, path)
		}
		return Credentials{Username: user, Password: password}, nil
	}
}

const maxSecret = 64 << 10

func (c Credentials) none() bool { return c == Credentials{} }

// check refuses what cannot be sent.
func (c Credentials) check() error {
	switch {
	case strings.Contains(c.Username, ":") || strings.ContainsAny(c.Username+c.Password, "\r\n\x00"):
		return errors.New("the credentials hold a line end or a NUL, or the name a colon")
	case !sendable(c.Bearer) && c.Bearer != "" || len(c.Username+c.Password+c.Identity) > maxSecret:
		return errors.New("the credentials are too long or cannot be sent in a header")
	}
	return nil
}

// String tells who they are, and hides the rest.
func (c Credentials) String() string {
	switch {
	case c.none():
		return "anonymous"
	case c.Username == "":
		return "a token"
	}
	return c.Username
}

// GoString is String, for %#v.
func (c Credentials) GoString() string { return c.String() }

// LogValue is String, for logs.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON is String, for logs that are JSON.
func (c Credentials) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }
