package main

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// ways are how a stream may be cut into reads.
var ways = map[string]func(io.Reader) io.Reader{
	"whole":        func(r io.Reader) io.Reader { return r },
	"byte by byte": iotest.OneByteReader,
	"halves":       iotest.HalfReader,
}

func TestReaderReadsAnswers(t *testing.T) {
	long := strings.Repeat("x", 3*window)
	for name, c := range map[string]struct {
		in     string
		head   bool
		status int
		body   string
		close  bool
	}{
		"length":       {in: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", status: 200, body: "hello"},
		"no body":      {in: "HTTP/1.1 204 No Content\r\n\r\n", status: 204},
		"not modified": {in: "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", status: 304},
		"head":         {in: "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", head: true, status: 200},
		"chunked": {
			in:     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
			status: 200, body: "hello",
		},
		"chunked, trailer": {
			in:     "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
			status: 200, body: "0123456789",
		},
		"interim":            {in: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", status: 201},
		"larger than buffer": {in: "HTTP/1.1 200 OK\r\nContent-Length: 196608\r\n\r\n" + long, status: 200, body: long},
		"large chunk": {
			in:     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30000\r\n" + long + "\r\n0\r\n\r\n",
			status: 200, body: long,
		},
		"to the end": {in: "HTTP/1.1 200 OK\r\n\r\nhello", status: 200, body: "hello", close: true},
		"closing": {
			in:     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
			status: 200, body: "x", close: true,
		},
		"HTTP/1.0": {in: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x", close: true},
	} {
		for how, wrap := range ways {
			r := &reader{keep: true}
			r.reset(wrap(strings.NewReader(c.in)))
			res, err := r.read(c.head)
			if err != nil {
				t.Errorf("%s, %s: %v", name, how, err)
				continue
			}
			if res.status != c.status || string(res.body) != c.body || res.size != int64(len(c.body)) || res.close != c.close {
				t.Errorf("%s, %s: got %d, %d bytes (%.20q), close %v", name, how, res.status, res.size, res.body, res.close)
			}
		}
	}
}

func TestReaderReadsOneAnswerAfterTheOther(t *testing.T) {
	one := "HTTP/1.1 200 OK\r\nLocation: /a?b=c\r\nContent-Length: 3\r\n\r\nabc"
	two := "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
	r := &reader{}
	r.reset(iotest.HalfReader(strings.NewReader(strings.Repeat(one+two, 2000))))
	for i := range 2000 {
		res, err := r.read(false)
		if err != nil || res.status != 200 || res.size != 3 || len(res.body) != 0 || res.get("location") != "/a?b=c" {
			t.Fatalf("answer %d: %+v, %v", 2*i, res, err)
		}
		if res, err = r.read(false); err != nil || res.status != 404 || string(res.body) != "no" {
			t.Fatalf("answer %d: %+v, %v", 2*i+1, res, err)
		}
	}
	if _, err := r.read(false); err != io.EOF {
		t.Errorf("after the last answer: %v, want EOF", err)
	}
}

func TestReaderRefusesBrokenAnswers(t *testing.T) {
	for name, in := range map[string]string{
		"cut header":       "HTTP/1.1 200 OK\r\nContent-Le",
		"cut body":         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
		"cut chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"no last chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
		"chunk too long":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
		"bad chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"negative length":  "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"not HTTP":         "SSH-2.0-OpenSSH_9.2 and so on\r\n\r\n",
		"bad status":       "HTTP/1.1 abc OK\r\n\r\n",
		"header too large": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", window) + "\r\n\r\n",
	} {
		r := &reader{keep: true}
		r.reset(strings.NewReader(in))
		if res, err := r.read(false); err == nil {
			t.Errorf("%s: accepted as %+v", name, res)
		}
	}
}
