package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// credentialFile keeps what docker's credential helper was told to keep. Several programs may use it at once: each change takes the lock, reads the
// file, and puts a new one in its place.
type credentialFile struct{ path string }

// keptLogin is what was stored for a server.
type keptLogin struct {
	Server string `json:"server"` // as the client wrote it
	Name   string `json:"username"`
	Secret string `json:"secret"`
}

const (
	credentialFileLimit = 8 << 20 // bytes
	credentialsLimit    = 1000    // logins
	lockPatience        = 10 * time.Second
)

// credentialFile returns the user's, in XDG_CONFIG_HOME (XDG Base Directory Specification) or ~/.config.
func (a *app) credentialFile() (credentialFile, error) {
	dir := a.getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // what is not absolute is to be ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return credentialFile{}, fmt.Errorf("there is no home to keep logins in; set XDG_CONFIG_HOME: %w", err)
		}
		dir = filepath.Join(home, ".config")
	}
	return credentialFile{filepath.Join(dir, "entrepot", "credentials.json")}, nil
}

// read returns all logins by their keys.
func (f credentialFile) read() (map[string]keptLogin, error) {
	content, err := f.content()
	if errors.Is(err, os.ErrNotExist) {
		return map[string]keptLogin{}, nil
	}
	if err != nil {
		return nil, err
	}
	var stored struct {
		Credentials map[string]keptLogin `json:"credentials"`
	}
	if err := readJSON(bytes.NewReader(content), &stored); err != nil {
		return nil, fmt.Errorf("%s is not of the form it must have; mend or remove it", f.path) // the error could repeat a piece of a secret
	}
	if stored.Credentials == nil {
		stored.Credentials = map[string]keptLogin{}
	}
	return stored.Credentials, nil
}

func (f credentialFile) content() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, credentialFileLimit+1))
	if err == nil && len(content) > credentialFileLimit {
		err = fmt.Errorf("%s is longer than %d bytes", f.path, credentialFileLimit)
	}
	return content, err
}

// change lets edit change the logins. Nothing is written if it changes none.
func (f credentialFile) change(ctx context.Context, edit func(map[string]keptLogin) (changed bool)) error {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	all, err := f.read()
	if err != nil {
		return err
	}
	if !edit(all) {
		return nil
	}
	if len(all) > credentialsLimit {
		return fmt.Errorf("%s holds %d logins already; erase some", f.path, credentialsLimit)
	}
	content, err := json.MarshalIndent(map[string]any{"credentials": all}, "", "  ")
	if err != nil {
		return err
	}
	return f.replace(append(content, '\n'))
}

// replace puts a new file, which only its owner may read, in the place of the old one.
func (f credentialFile) replace(content []byte) (err error) {
	t, err := os.CreateTemp(filepath.Dir(f.path), ".credentials-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(t.Name())
		}
	}()
	_, err = t.Write(content)
	if err == nil {
		err = t.Sync()
	}
	if err = errors.Join(err, t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), f.path)
}

// lock waits until nobody else changes the file.
func (f credentialFile) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(f.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockPatience); ; {
		busy, err := lockFile(file)
		switch {
		case err != nil:
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", f.path, err)
		case !busy:
			return func() { _ = file.Close() }, nil // closing unlocks
		case time.Now().After(end):
			_ = file.Close()
			return nil, fmt.Errorf("%s was being changed by others for %s", f.path, lockPatience)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// serverKey brings the addresses that clients use for the same server to one form: a host in small letters, and a path if it is one's own. Docker writes
// the host alone, podman a repository's path behind it, and some write an address with its scheme.
func serverKey(server string) (string, error) {
	rest := server
	for _, scheme := range []string{"https://", "http://"} {
		if after, ok := cutPrefixFold(server, scheme); ok {
			rest = after
			break
		}
	}
	host, path, _ := strings.Cut(rest, "/")
	path = strings.Trim(path, "/")
	if path == "v1" || path == "v2" {
		path = "" // the API's root, as old clients write it
	}
	if host == "" || len(server) > 2048 || strings.ContainsFunc(server, func(r rune) bool { return r <= ' ' || r > '~' }) || strings.ContainsAny(host, "@?#\\") {
		return "", fmt.Errorf("%s is no server's address", clipped(server))
	}
	if path == "" {
		return strings.ToLower(host), nil
	}
	return strings.ToLower(host) + "/" + path, nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}
