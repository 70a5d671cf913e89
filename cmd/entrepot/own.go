package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// The registry's own API, beside that of the specification. It challenges with Basic, which oras could answer; but it also takes the token that a
// login has left, which oras could not, and who asks matters even where nobody needs a name. So the login that is kept for the host goes along at once.

const (
	ownAPI      = "/api/v1/auth"
	answerLimit = 16 << 20
	answerTime  = time.Minute
)

// isOwn tells whether a path is one of the registry's own API.
func isOwn(path string) bool {
	return strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/auth/")
}

// stayHere follows no redirects: what goes to the own API is passwords and tokens, and they are for nobody else.
func stayHere(req *http.Request, via []*http.Request) error {
	return fmt.Errorf("%s sends elsewhere, to %s; name the right server with --server", via[0].URL.Host, req.URL.Host)
}

// sendOwn sends a request with what there is to log in to its host with, unless it says itself who asks.
func (c *client) sendOwn(req *http.Request) (*http.Response, error) {
	if req.Header.Get("Authorization") == "" {
		known, err := c.http.Credential(req.Context(), req.URL.Host)
		if err != nil {
			return nil, fmt.Errorf("look for the login to %s: %w", req.URL.Host, err)
		}
		authorize(req, known)
	}
	return c.sendPlain(req)
}

// sendPlain is sendOwn as nobody in particular, or as the request itself says.
func (c *client) sendPlain(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", userAgent())
	return c.own.Do(req)
}

// authorize lets a request show who asks.
func authorize(req *http.Request, known auth.Credential) {
	switch {
	case known.AccessToken != "":
		req.Header.Set("Authorization", "Bearer "+known.AccessToken)
	case known.RefreshToken != "":
		req.Header.Set("Authorization", "Bearer "+known.RefreshToken)
	case known.Password != "":
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(known.Username+":"+known.Password)))
	}
}

// call asks the server's management of logins for something: path is what comes behind its root, in is sent as JSON (nil: nothing) and the answer is
// read into out (nil: there is none).
func (c *client) call(ctx context.Context, method, server, path string, in, out any) error {
	if _, err := c.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var body io.Reader
	if in != nil {
		content, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(content)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url(server, ownAPI+path), body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.sendOwn(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return readAnswer(res, out)
}

// readAnswer reads an answer of JSON, or the refusal that it is.
func readAnswer(res *http.Response, out any) error {
	if res.StatusCode < 200 || res.StatusCode > 299 {
		if res.StatusCode == http.StatusNotFound && !saysWhy(res) {
			return fmt.Errorf("%s is no Entrepôt, or an older one: it has no %s", res.Request.URL.Host, res.Request.URL.Path)
		}
		return refusal(res)
	}
	if out == nil {
		return nil
	}
	if err := readJSON(io.LimitReader(res.Body, answerLimit), out); err != nil {
		return notAsAsked(res.Request.URL.Host, err)
	}
	return nil
}

// notAsAsked says that an answer is none to what was asked for: another program answers there, or an older one.
func notAsAsked(server string, err error) error {
	return fmt.Errorf("%s answered something else than was asked for: %w", server, err)
}

// pageOfNames is how many entries the server lists at once.
const pageOfNames = 1000

// pages asks for a list until its end. page reads one answer and returns how many entries it has and the last one's name.
func (c *client) pages(ctx context.Context, server, path string, page func(json.RawMessage) (n int, last string, err error)) error {
	query := ""
	for range pageLimit {
		var answer json.RawMessage
		if err := c.call(ctx, http.MethodGet, server, path+query, nil, &answer); err != nil {
			return err
		}
		n, last, err := page(answer)
		if err != nil || n < pageOfNames {
			return err
		}
		query = "?last=" + url.QueryEscape(last)
	}
	return errors.New("the list does not end")
}

// saysWhy tells whether a refusal is one that an Entrepôt writes: as a problem, or, an older one, in the envelope.
func saysWhy(res *http.Response) bool {
	media := res.Header.Get("Content-Type")
	return strings.HasPrefix(media, "application/problem+json") || strings.HasPrefix(media, "application/json")
}
