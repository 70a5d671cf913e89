package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"sync/atomic"
)

// basic and bearer make the headers that show credentials.
func basic(name, secret string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+secret))
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// addRobot adds a robot with a secret.
func (s *site) addRobot(ctx context.Context) error {
	const robots = "/api/v1/auth/robots"
	return spread(ctx, s.server, 1, func(c *conn, _ int) error {
		c.in.keep = true
		if _, err := c.post(robots, fmt.Sprintf(`{"name":%q}`, robot)); err != nil {
			return err
		}
		res, err := c.post(robots+"/"+robot+"/secrets", "{}")
		if err != nil {
			return err
		}
		secret, err := field(res.body, "value")
		s.put[robot] = basic(robot, secret)
		return err
	})
}

// post sends JSON that makes something.
func (c *conn) post(target, body string) (*response, error) {
	c.request("POST", target, "Content-Type: application/json", "Content-Length: "+strconv.Itoa(len(body)))
	c.out = append(c.out, body...)
	return c.expect(201, c.out, nil)
}

// askTokens asks the server for so many tokens, each another, to read repo.
func (s *site) askTokens(ctx context.Context, n int, credentials string) ([]string, error) {
	all, get := make([]string, n), s.getToken(repo, credentials)
	err := spread(ctx, s.server, n, func(c *conn, i int) error {
		c.in.keep = true
		res, err := c.expect(200, get, nil)
		if err == nil {
			all[i], err = field(res.body, "token")
		}
		return err
	})
	return all, err
}

// getToken makes the request for a token to pull from a repository.
func (s *site) getToken(from, credentials string) []byte {
	query := url.Values{"service": {"entrepot"}, "scope": {"repository:" + from + ":pull"}}
	return request(nil, s.addr, "GET", "/auth/token?"+query.Encode(), credentials)
}

// field returns a string of a JSON object.
func field(body []byte, name string) (string, error) {
	var object map[string]any
	err := json.Unmarshal(body, &object)
	value, _ := object[name].(string)
	if err != nil || value == "" {
		return "", fmt.Errorf("the answer holds no %s: %.200s", name, body)
	}
	return value, nil
}

// asks asks for tokens with a robot's secret, for as many repositories by turns.
func (s *site) asks(ctx context.Context, repos int) (measure, error) {
	requests := [][]byte{s.getToken(repo, s.put[robot])}
	for len(requests) < repos {
		requests = append(requests, s.getToken(fmt.Sprintf("%s-%d", repo, len(requests)), s.put[robot]))
	}
	var next atomic.Int64
	l := load{conns: 16, time: s.opt.time(1), do: func(w *worker) (int64, error) {
		_, err := w.expect(200, requests[int(next.Add(1)-1)%repos], nil)
		return 0, err
	}}
	return l.run(ctx, s.server)
}
