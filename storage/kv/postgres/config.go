package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says where the index lies and how long to wait for it.
type Config struct {
	// URL is postgres://user:password@host:port/database?sslmode=verify-full, or the same as key=value pairs. Several hosts may be named,
	// with target_session_attrs=read-write to find the one that takes writes. What is left out comes from the PG… variables of the
	// environment. It is a secret: nothing prints it.
	URL string
	// Schema holds the tables; it must exist. Empty means the first of the user's search_path, mostly public.
	Schema string
	// Table is the name of the table of pairs, and the beginning of the names of the others. Empty means entrepot.
	Table string
	// MaxConns bounds the connections of this DB, but for one more per Listen, Lead and Snapshot. 0 means 16.
	MaxConns int
	// Lazy commits without waiting for the server's disk: what was committed survives the end of this process, but the last half second of
	// it not that of the server.
	Lazy bool
	// Timeout is how long the server may take for one statement, and how long a call waits for a free connection. 0 means 10 s.
	Timeout time.Duration
	// ConnectTimeout is how long a new connection may take. 0 means 5 s.
	ConnectTimeout time.Duration
	// Log takes what nobody else hears of, such as lost connections of Listen. Nil means slog.Default().
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// A peer that is silent is asked whether it lives, so that it is known to be dead after about 14 s. This is for connections that wait; while
// something was sent and not answered, the timeouts above are shorter.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 3 * time.Second, Count: 3}

// grace is what a server that ends a statement by its own timeout has to say so, before it is taken to hang.
const grace = 2 * time.Second

// A name is used in SQL, with suffixes, and must stay below PostgreSQL's 63 bytes.
var namePattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

var errURL = errors.New("postgresql's url cannot be read: it has to look like postgres://user:password@db.example.com:5432/database?sslmode=verify-full, " +
	"with special characters of the password percent-encoded (more is not told, as it could tell the password)")

// complete returns c with its defaults filled in.
func (c Config) complete() (Config, error) {
	c.Table = cmp.Or(c.Table, "entrepot")
	c.MaxConns = cmp.Or(c.MaxConns, 16)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	for what, name := range map[string]string{"table": c.Table, "schema": cmp.Or(c.Schema, "public")} {
		if !namePattern.MatchString(name) {
			return c, fmt.Errorf("%s %.60q of the index: a name is up to 48 small letters, digits and _, and does not begin with a digit", what, name)
		}
	}
	if c.MaxConns < 1 || c.MaxConns > 10_000 || c.Timeout < 0 || c.ConnectTimeout < 0 {
		return c, fmt.Errorf("%d connections, timeouts of %v and %v: they must be positive", c.MaxConns, c.Timeout, c.ConnectTimeout)
	}
	return c, nil
}

// parse returns the settings of the pool.
func (c Config) parse() (*pgxpool.Config, error) {
	if c.URL == "" {
		return nil, errors.New("no url of a postgresql database is given")
	}
	pool, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, errURL // err quotes the URL, and hides the password only as well as it can find it
	}
	dialer := net.Dialer{Timeout: c.ConnectTimeout, KeepAliveConfig: keepAlive}
	pool.MaxConns = int32(c.MaxConns)
	pool.MaxConnLifetimeJitter = 10 * time.Minute // so that they are not all replaced at once
	pool.MaxConnIdleTime = 5 * time.Minute
	pool.PingTimeout = c.Timeout
	pool.ConnConfig.ConnectTimeout = c.ConnectTimeout
	pool.ConnConfig.DialFunc = dialer.DialContext
	if pool.ConnConfig.RuntimeParams["application_name"] == "" {
		pool.ConnConfig.RuntimeParams["application_name"] = "entrepot"
	}
	return pool, nil
}
