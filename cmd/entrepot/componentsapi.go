package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"oras.land/oras-go/v2/registry/remote/errcode"
)

// The registry's API of components, documents and promotions: lists are {"items", "next"}, and errors are problems (RFC 9457).

const (
	componentsAPI = "/api/v1"
	refusalLimit  = 4 << 20  // of a refusal, which may list a hundred findings, in bytes
	textLimit     = 64 << 20 // of a text that is printed, in bytes
	itemLimit     = 1_000_000
)

// ask sends a request and reads its answer: in is sent as JSON (nil: nothing), and the answer is read into out (nil: nobody wants it).
func (c *client) ask(ctx context.Context, method, server, path string, query url.Values, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	return c.exchange(ctx, method, server, path, query, "application/json", body, func(res *http.Response) error {
		if out == nil {
			return nil
		}
		if err := readJSON(io.LimitReader(res.Body, answerLimit), out); err != nil {
			return notAsAsked(server, err)
		}
		return nil
	})
}

// get asks for something below /api/v1.
func (c *client) get(ctx context.Context, server, path string, query url.Values, out any) error {
	return c.ask(ctx, http.MethodGet, server, componentsAPI+path, query, nil, out)
}

// text asks for a text as it is.
func (c *client) text(ctx context.Context, server, path string, query url.Values) (text []byte, err error) {
	err = c.exchange(ctx, http.MethodGet, server, path, query, "", nil, func(res *http.Response) error {
		text, err = io.ReadAll(io.LimitReader(res.Body, textLimit+1))
		if err == nil && len(text) > textLimit {
			err = fmt.Errorf("%s answers with more than %s", server, humanSize(textLimit))
		}
		return err
	})
	return text, err
}

// exchange sends a short request, and lets read have an answer that is no refusal.
func (c *client) exchange(ctx context.Context, method, server, path string, query url.Values, mediaType string, body []byte, read func(*http.Response) error) error {
	if _, err := c.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.address(server, path, query), content)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", mediaType)
	}
	res, err := c.sendOwn(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := refused(res); err != nil {
		return err
	}
	return read(res)
}

func (c *client) address(server, path string, query url.Values) string {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.url(server, path)
}

// page is a part of a list.
type page struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next"`
}

// list asks for a list below /api/v1 until its end, or until it has limit entries (0: all of them). more tells that it has not come to the end.
func (c *client) list(ctx context.Context, server, path string, query url.Values, limit int) (items []json.RawMessage, more bool, err error) {
	asked := url.Values{}
	for name, values := range query {
		asked[name] = values
	}
	items = []json.RawMessage{}
	for range pageLimit {
		n := pageOfNames
		if limit > 0 {
			n = min(n, limit-len(items))
		}
		asked.Set("limit", strconv.Itoa(n))
		var p page
		if err := c.get(ctx, server, path, asked, &p); err != nil {
			return nil, false, err
		}
		items = append(items, p.Items...)
		switch {
		case limit > 0 && len(items) >= limit:
			return items[:limit], p.Next != "" || len(items) > limit, nil
		case p.Next == "":
			return items, false, nil
		case len(items) > itemLimit || p.Next == asked.Get("after"):
			return nil, false, errors.New("the list does not end")
		}
		asked.Set("after", p.Next)
	}
	return nil, false, errors.New("the list does not end")
}

// entries reads what a list holds.
func entries[T any](items []json.RawMessage) ([]T, error) {
	all := make([]T, len(items))
	for i, item := range items {
		if err := json.Unmarshal(item, &all[i]); err != nil {
			return nil, fmt.Errorf("the server listed something else than was asked for: %w", err)
		}
	}
	return all, nil
}

// printItems prints a list as the server gave it, or as a table with a row for each entry; more tells that there are others.
func printItems[T any](a *app, output string, items []json.RawMessage, more bool, head []string, row func(T) []string) error {
	if output != asTable {
		return a.printAs(output, items)
	}
	all, err := entries[T](items)
	if err != nil {
		return err
	}
	rows := [][]string{head}
	for _, one := range all {
		rows = append(rows, row(one))
	}
	if err := a.listed(rows); err != nil {
		return err
	}
	if more {
		fmt.Fprintln(a.stderr, "there are more; ask for them with a higher --limit")
	}
	return nil
}

// refused returns the refusal that an answer is, or nil. It is an *errcode.ErrorResponse, except where the server has nothing like the path.
func refused(res *http.Response) error {
	if res.StatusCode >= 200 && res.StatusCode <= 299 {
		return nil
	}
	e := &errcode.ErrorResponse{Method: res.Request.Method, URL: res.Request.URL, StatusCode: res.StatusCode}
	body, _ := io.ReadAll(io.LimitReader(res.Body, refusalLimit)) // the status says enough
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch media {
	case "application/problem+json", "application/json":
		var told struct {
			Errors errcode.Errors `json:"errors"`
		}
		if json.Unmarshal(body, &told) == nil {
			e.Errors = told.Errors
		}
	case "text/plain":
		text := strings.TrimSpace(strings.TrimPrefix(string(body), strconv.Itoa(res.StatusCode)))
		e.Errors = errcode.Errors{{Message: text[:min(len(text), 4096)]}}
	}
	asText := strings.HasPrefix(res.Request.URL.Path, "/apt/") || strings.HasPrefix(res.Request.URL.Path, "/tree/")
	if res.StatusCode == http.StatusNotFound && media != "application/problem+json" && !asText {
		return fmt.Errorf("%s is no Entrepôt, or an older one: it has no %s", res.Request.URL.Host, res.Request.URL.Path)
	}
	return e
}
