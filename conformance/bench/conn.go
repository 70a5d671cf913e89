package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// conn is one kept-alive connection to a server. It sends requests that were written beforehand and reads answers with a reader that
// keeps only what the bench looks at, so that of two cores nearly all is left to the server.
type conn struct {
	addr  string
	from  net.IP    // the address that the client has; nil is any
	until time.Time // no read or write lasts beyond this
	net   net.Conn
	in    reader
	out   []byte // where requests are put together
}

// dial connects to addr; the connection may be used until the given time.
func dial(addr string, until time.Time) (*conn, error) {
	c := &conn{addr: addr, until: until}
	return c, c.connect()
}

func (c *conn) connect() error {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if c.from != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: c.from}
	}
	n, err := dialer.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	c.net = n
	c.in.reset(n)
	return n.SetDeadline(c.until)
}

func (c *conn) close() {
	if c.net != nil {
		_ = c.net.Close()
		c.net = nil
	}
}

// send writes a request, and its body when there is one, and reads the answer. What the answer holds is valid until the next send.
func (c *conn) send(request []byte, body func(io.Writer) error) (*response, error) {
	if c.net == nil {
		if err := c.connect(); err != nil {
			return nil, err
		}
	}
	if _, err := c.net.Write(request); err != nil {
		c.close()
		return nil, err
	}
	if body != nil {
		if err := body(c.net); err != nil {
			c.close()
			return nil, err
		}
	}
	res, err := c.in.read(bytes.HasPrefix(request, []byte("HEAD ")))
	if err != nil || res.close {
		c.close()
	}
	return res, err
}

// expect sends a request and refuses every status but the wanted one.
func (c *conn) expect(status int, request []byte, body func(io.Writer) error) (*response, error) {
	res, err := c.send(request, body)
	if err == nil && res.status != status {
		line, _, _ := bytes.Cut(request, []byte("\r\n"))
		err = fmt.Errorf("%s: %d, want %d: %.200s", line, res.status, status, res.body)
	}
	return res, err
}

// request appends the head of a request to dst. Headers come as "Name: value".
func request(dst []byte, addr, method, target string, headers ...string) []byte {
	dst = append(append(append(append(dst, method...), ' '), target...), " HTTP/1.1\r\nHost: "...)
	dst = append(append(dst, addr...), "\r\nUser-Agent: bench\r\n"...)
	for _, h := range headers {
		dst = append(append(dst, h...), "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// response is what the bench looks at in an answer.
type response struct {
	status int
	size   int64  // how many bytes of body came
	header []byte // lines, each ended by CRLF, without the status line
	body   []byte // empty for a body that was thrown away
	close  bool   // the connection cannot be used again
}

// get returns the value of a header, or "".
func (r *response) get(name string) string {
	for rest := r.header; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, crlf)
		if k, v, ok := bytes.Cut(line, colon); ok && strings.EqualFold(string(k), name) {
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}

var (
	crlf  = []byte("\r\n")
	blank = []byte("\r\n\r\n")
	colon = []byte(":")
)

const (
	window = 64 << 10  // no header may be longer
	waste  = 256 << 10 // bodies are thrown away in pieces of this size
)

// reader reads HTTP/1.1 answers from a stream. It knows bodies with a length, chunked ones and those that end with the connection.
type reader struct {
	src   io.Reader
	buf   []byte // what was read and not yet used is buf[from:to]
	from  int
	to    int
	waste []byte
	keep  bool // keep successful bodies; those of errors are always kept
	res   response
}

func (r *reader) reset(src io.Reader) {
	if r.buf == nil {
		r.buf = make([]byte, window)
	}
	r.src, r.from, r.to = src, 0, 0
}

// fill reads more into the buffer, moving what is there to its beginning when there is no room behind it.
func (r *reader) fill() error {
	if r.from > 0 && (r.from == r.to || r.to == len(r.buf)) {
		r.to = copy(r.buf, r.buf[r.from:r.to])
		r.from = 0
	}
	if r.to == len(r.buf) {
		return errors.New("line or header longer than 64 KiB")
	}
	n, err := r.src.Read(r.buf[r.to:])
	r.to += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// until returns what stands before mark and goes behind it.
func (r *reader) until(mark []byte) ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.Index(r.buf[r.from+seen:r.to], mark); i >= 0 {
			b := r.buf[r.from : r.from+seen+i]
			r.from += seen + i + len(mark)
			return b, nil
		}
		seen = max(0, r.to-r.from-len(mark)+1)
		if err := r.fill(); err != nil {
			if err == io.EOF && r.to > r.from {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// read reads one answer; head says that it answers a HEAD and so has no body. Interim answers (1xx) are passed over.
func (r *reader) read(head bool) (*response, error) {
	r.res = response{header: r.res.header[:0], body: r.res.body[:0]}
	length, chunked, err := int64(-1), false, error(nil)
	for r.res.status < 200 {
		if length, chunked, err = r.head(); err != nil {
			return nil, err
		}
	}
	keep := r.keep || r.res.status >= 400
	switch {
	case head, r.res.status == 204, r.res.status == 304:
		return &r.res, nil
	case chunked:
		err = r.chunks(keep)
	case length >= 0:
		err = r.take(length, keep)
	default:
		r.res.close = true
		if err = r.take(1<<62, keep); err == io.ErrUnexpectedEOF {
			err = nil
		}
	}
	return &r.res, err
}

// head reads a status line and headers.
func (r *reader) head() (length int64, chunked bool, err error) {
	b, err := r.until(blank)
	if err != nil {
		return 0, false, err
	}
	line, rest, _ := bytes.Cut(b, crlf)
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return 0, false, fmt.Errorf("not an HTTP/1.x answer: %.60q", line)
	}
	if r.res.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, false, fmt.Errorf("bad status line %.60q", line)
	}
	r.res.close = line[7] == '0'
	r.res.header = append(append(r.res.header[:0], rest...), crlf...)
	length = -1
	for rest = r.res.header; len(rest) > 0; {
		line, rest, _ = bytes.Cut(rest, crlf)
		if len(line) < 10 || (line[0]|0x20 != 'c' && line[0]|0x20 != 't') {
			continue // neither Content-Length, Connection nor Transfer-Encoding
		}
		k, v, _ := bytes.Cut(line, colon)
		v = bytes.TrimSpace(v)
		switch {
		case bytes.EqualFold(k, []byte("Content-Length")):
			if length, err = strconv.ParseInt(string(v), 10, 64); err != nil || length < 0 {
				return 0, false, fmt.Errorf("bad Content-Length %q", v)
			}
		case bytes.EqualFold(k, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(v, []byte("chunked"))
		case bytes.EqualFold(k, []byte("Connection")):
			r.res.close = bytes.EqualFold(v, []byte("close"))
		}
	}
	return length, chunked, nil
}

// take takes n bytes of body: from the buffer first, then straight from the stream.
func (r *reader) take(n int64, keep bool) error {
	for n > 0 {
		b := r.buf[r.from:r.to]
		if len(b) > 0 {
			b = b[:min(int64(len(b)), n)]
			r.from += len(b)
		} else {
			if r.waste == nil {
				r.waste = make([]byte, waste)
			}
			got, err := r.src.Read(r.waste[:min(int64(len(r.waste)), n)])
			if got == 0 {
				if err == nil {
					err = io.ErrNoProgress
				} else if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
			b = r.waste[:got]
		}
		if keep {
			r.res.body = append(r.res.body, b...)
		}
		r.res.size += int64(len(b))
		n -= int64(len(b))
	}
	return nil
}

// chunks reads a chunked body with its trailer.
func (r *reader) chunks(keep bool) error {
	for {
		line, err := r.until(crlf)
		if err != nil {
			return err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(bytes.TrimSpace(digits)), 16, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("bad chunk size %.40q", line)
		}
		if n == 0 {
			break
		}
		if err := r.take(n, keep); err != nil {
			return err
		}
		if end, err := r.until(crlf); err != nil {
			return err
		} else if len(end) > 0 {
			return fmt.Errorf("chunk of %d bytes is followed by %.40q", n, end)
		}
	}
	for {
		if line, err := r.until(crlf); err != nil || len(line) == 0 {
			return err
		}
	}
}
