package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Fault is something wrong with an answer.
type Fault func(u *Upstream, w http.ResponseWriter, r *http.Request, q Request, honest http.Handler)

// answered makes a fault of what is wrong with the whole honest answer.
func answered(change func(a *httptest.ResponseRecorder) (send func(w http.ResponseWriter, body []byte))) Fault {
	return func(_ *Upstream, w http.ResponseWriter, r *http.Request, _ Request, honest http.Handler) {
		a := httptest.NewRecorder()
		honest.ServeHTTP(a, r)
		send := change(a)
		for key, values := range a.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(a.Code)
		send(w, a.Body.Bytes())
	}
}

// broken makes a fault of what happens in the body: after so many bytes, then.
func broken(at int64, then func(u *Upstream, w http.ResponseWriter, r *http.Request)) Fault {
	return func(u *Upstream, w http.ResponseWriter, r *http.Request, q Request, honest http.Handler) {
		answered(func(a *httptest.ResponseRecorder) func(http.ResponseWriter, []byte) {
			if a.Header().Get("Content-Length") == "" {
				a.Header().Set("Content-Length", strconv.Itoa(a.Body.Len()))
			}
			return func(w http.ResponseWriter, body []byte) {
				_, _ = w.Write(body[:min(at, int64(len(body)))])
				_ = http.NewResponseController(w).Flush()
				then(u, w, r)
			}
		})(u, w, r, q, honest)
	}
}

func cut(*Upstream, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hang waits until the client goes, or the test ends.
func hang(u *Upstream, _ http.ResponseWriter, r *http.Request) {
	select {
	case <-u.ended:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// Slow sends so many bytes a second.
func Slow(bytesPerSecond int) Fault {
	return func(u *Upstream, w http.ResponseWriter, r *http.Request, q Request, honest http.Handler) {
		answered(func(*httptest.ResponseRecorder) func(http.ResponseWriter, []byte) {
			return func(w http.ResponseWriter, body []byte) {
				piece := max(1, bytesPerSecond/50)
				for len(body) > 0 {
					n := min(piece, len(body))
					_, _ = w.Write(body[:n])
					_ = http.NewResponseController(w).Flush()
					body = body[n:]
					select {
					case <-time.After(time.Duration(n) * time.Second / time.Duration(bytesPerSecond)):
					case <-u.ended:
						return
					case <-r.Context().Done():
						return
					}
				}
			}
		})(u, w, r, q, honest)
	}
}

// TruncateAt ends the connection after n bytes of the body; Content-Length tells of all of them.
func TruncateAt(n int64) Fault { return broken(n, cut) }

// HangInBody sends no more after n bytes of the body.
func HangInBody(n int64) Fault { return broken(n, hang) }

// HangBeforeHeaders sends nothing.
func HangBeforeHeaders() Fault {
	return func(u *Upstream, w http.ResponseWriter, r *http.Request, _ Request, _ http.Handler) { hang(u, w, r) }
}

// Reset resets the connection after n bytes of the body. (Over HTTP/2 it ends the stream.)
func Reset(n int64) Fault {
	return broken(n, func(_ *Upstream, w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			reset(conn)
		}
		panic(http.ErrAbortHandler)
	})
}

// NoAnswer resets the connection at once.
func NoAnswer() Fault {
	return func(_ *Upstream, w http.ResponseWriter, _ *http.Request, _ Request, _ http.Handler) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			reset(conn)
		}
		panic(http.ErrAbortHandler)
	}
}

func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// WrongDigest changes one byte of the body.
func WrongDigest() Fault {
	return answered(func(*httptest.ResponseRecorder) func(http.ResponseWriter, []byte) {
		return func(w http.ResponseWriter, body []byte) {
			if len(body) > 0 {
				body[len(body)/2] ^= 1
			}
			_, _ = w.Write(body)
		}
	})
}

// WrongLength sends a body that is longer by so many bytes (or shorter), in good order: its Content-Length is that of what is sent.
func WrongLength(by int) Fault {
	return answered(func(a *httptest.ResponseRecorder) func(http.ResponseWriter, []byte) {
		body := append(bytes.Clone(a.Body.Bytes()), make([]byte, max(by, 0))...)
		body = body[:max(0, len(body)+min(by, 0))]
		a.Header().Set("Content-Length", strconv.Itoa(len(body)))
		return func(w http.ResponseWriter, _ []byte) { _, _ = w.Write(body) }
	})
}

// Gzip packs the body, as a middlebox does that does not read what was asked for.
func Gzip() Fault {
	return answered(func(a *httptest.ResponseRecorder) func(http.ResponseWriter, []byte) {
		a.Header().Set("Content-Encoding", "gzip")
		a.Header().Del("Content-Length")
		return func(w http.ResponseWriter, body []byte) {
			z := gzip.NewWriter(w)
			_, _ = z.Write(body)
			z.Close()
		}
	})
}

// Always401 asks for another login, whatever it is given.
func Always401() Fault {
	return func(u *Upstream, w http.ResponseWriter, r *http.Request, q Request, honest http.Handler) {
		u.mu.Lock()
		b := u.login.bearer
		u.mu.Unlock()
		challenge := `Basic realm="upstream"`
		if b != nil {
			challenge = fmt.Sprintf(`Bearer realm=%q,service="upstream.example.com"`, u.realmURL(b))
		}
		w.Header().Set("WWW-Authenticate", challenge)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "not with "+q.Authorization)
	}
}

// Unauthorized answers 401 with this challenge.
func Unauthorized(challenge string) Fault {
	return func(_ *Upstream, w http.ResponseWriter, _ *http.Request, _ Request, _ http.Handler) {
		w.Header().Set("WWW-Authenticate", challenge)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	}
}

// TooMany answers 429; retryAfter 0 says nothing about when to come back.
func TooMany(retryAfter time.Duration) Fault {
	return func(_ *Upstream, w http.ResponseWriter, _ *http.Request, _ Request, _ http.Handler) {
		if retryAfter > 0 {
			w.Header().Set("Retry-After", seconds(retryAfter))
		}
		refuse(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many requests")
	}
}

// Status answers with a status and a page for people.
func Status(status int) Fault {
	return func(_ *Upstream, w http.ResponseWriter, _ *http.Request, _ Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<html><h1>%d</h1></html>", status)
	}
}

// RedirectTo sends to another address: a whole one, or one that ends in a slash, to which the request's own path is added.
func RedirectTo(url string) Fault {
	return func(_ *Upstream, w http.ResponseWriter, _ *http.Request, q Request, _ http.Handler) {
		to := url
		if strings.HasSuffix(url, "/") {
			to += strings.TrimPrefix(q.Path, "/")
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// HeadDiffersFromGet answers HEAD with another digest than GET.
func HeadDiffersFromGet() Fault {
	return answered(func(a *httptest.ResponseRecorder) func(http.ResponseWriter, []byte) {
		if a.Body.Len() == 0 {
			a.Header().Set("Docker-Content-Digest", string(digest.FromString("something else")))
		}
		return func(w http.ResponseWriter, body []byte) { _, _ = w.Write(body) }
	})
}

// TagMoves lets the tag name a new image after each answer about it.
func TagMoves() Fault {
	return func(u *Upstream, w http.ResponseWriter, r *http.Request, q Request, honest http.Handler) {
		honest.ServeHTTP(w, r)
		u.move(q.Repo, q.Ref)
	}
}

// Without leaves headers out of the answer.
func Without(headers ...string) Fault {
	return answered(func(a *httptest.ResponseRecorder) func(http.ResponseWriter, []byte) {
		for _, h := range headers {
			a.Header()[http.CanonicalHeaderKey(h)] = nil
		}
		return func(w http.ResponseWriter, body []byte) {
			_ = http.NewResponseController(w).Flush() // or the server counts the bytes by itself
			_, _ = w.Write(body)
		}
	})
}

// With sets a header of the answer.
func With(header, value string) Fault {
	return answered(func(a *httptest.ResponseRecorder) func(http.ResponseWriter, []byte) {
		a.Header().Set(header, value)
		return func(w http.ResponseWriter, body []byte) { _, _ = w.Write(body) }
	})
}

// NoRanges answers a request for a range with all there is.
func NoRanges() Fault {
	return func(_ *Upstream, w http.ResponseWriter, r *http.Request, _ Request, honest http.Handler) {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
		honest.ServeHTTP(w, r)
	}
}

// NoReferrersAPI knows no referrers API, but has the tags that stand in for it.
func NoReferrersAPI() Fault {
	return func(u *Upstream, w http.ResponseWriter, r *http.Request, q Request, honest http.Handler) {
		if q.Kind == "referrers" {
			if d := digest.Digest(q.Ref); d.Validate() == nil && len(u.referrers(q.Repo, d).Manifests) > 0 {
				u.TagReferrers(q.Repo, d)
			}
			http.NotFound(w, r)
			return
		}
		honest.ServeHTTP(w, r)
	}
}

// Schema2Only knows Docker's manifests only: those of OCI are not there, nor are referrers, and who does not accept Docker's gets nothing.
func Schema2Only() Fault {
	return func(_ *Upstream, w http.ResponseWriter, r *http.Request, q Request, honest http.Handler) {
		a := httptest.NewRecorder()
		honest.ServeHTTP(a, r)
		foreign := a.Code == http.StatusOK && !strings.Contains(a.Header().Get("Content-Type"), ".docker.distribution.")
		unwanted := !strings.Contains(strings.Join(r.Header.Values("Accept"), ","), DockerManifest)
		if q.Kind == "referrers" || q.Kind == "manifests" && (foreign || unwanted) {
			refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
			return
		}
		honest.ServeHTTP(w, r)
	}
}

// HugeManifest answers GET with a document of so many bytes, or as many as are read, without telling its length.
func HugeManifest(size int64) Fault {
	return endless("application/vnd.oci.image.manifest.v1+json", size)
}

// Endless answers GET with a body that has no end.
func Endless() Fault { return endless("application/octet-stream", 1<<50) }

func endless(mediaType string, size int64) Fault {
	return func(u *Upstream, w http.ResponseWriter, r *http.Request, _ Request, honest http.Handler) {
		if r.Method == http.MethodHead {
			honest.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", mediaType)
		piece := bytes.Repeat([]byte(" "), 32<<10)
		for left := size; left > 0; left -= int64(len(piece)) { // size is for all answers
			if _, err := w.Write(piece[:min(int64(len(piece)), left)]); err != nil {
				return
			}
			select {
			case <-u.ended:
				return
			default:
			}
		}
	}
}

// EndlessHeaders sends headers for as long as they are read, up to 64 MiB.
func EndlessHeaders() Fault {
	return func(_ *Upstream, w http.ResponseWriter, _ *http.Request, _ Request, _ http.Handler) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer conn.Close()
		_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n")
		for i := range 1 << 16 {
			if _, err := fmt.Fprintf(conn, "X-%d: %01000d\r\n", i, i); err != nil {
				return
			}
		}
	}
}

// LinkLoop says that there is a next page after every one: the same again, or with a number, always another one.
func LinkLoop(same bool) Fault {
	return func(_ *Upstream, w http.ResponseWriter, r *http.Request, q Request, honest http.Handler) {
		query := "n=1"
		if !same {
			query = fmt.Sprintf("n=1&page=%d", q.Nth)
		}
		answered(func(a *httptest.ResponseRecorder) func(http.ResponseWriter, []byte) {
			a.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, q.Path, query))
			return func(w http.ResponseWriter, body []byte) { _, _ = w.Write(body) }
		})(nil, w, r, q, honest)
	}
}
