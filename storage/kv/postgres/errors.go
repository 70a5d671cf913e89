package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/entrepot/entrepot/storage/kv"
)

var (
	// ErrUnavailable says that the server is away, starting, stopping, out of connections, read-only, or too slow, or that an Update met
	// others too often. Nothing was changed; the same call may succeed later.
	ErrUnavailable = fmt.Errorf("postgresql: %w", kv.ErrUnavailable)
	// ErrUnknown says that the connection was lost while a commit was under way and that the server could not be asked since what became of
	// it. It always comes with ErrUnavailable. Whoever gets it has to look, or to do the same again.
	ErrUnknown = errors.New("outcome of the commit is unknown")

	errAgain    = errors.New("worth another try")  // marks errors after which nothing was changed, and of which the next try may know nothing
	errConflict = errors.New("met another update") // of those, the ones that others caused
	errLate     = errors.New("it did not answer in time, or all connections are in use")
	errOver     = errors.New("transaction is over") // its Tx was used after fn returned
)

// marked is an error with marks that errors.Is finds, but that nobody needs to read.
type marked struct {
	error
	marks []error
}

func (m marked) Unwrap() []error { return append([]error{m.error}, m.marks...) }

func mark(err error, marks ...error) error { return marked{err, marks} }

// translate gives the errors of pgx the names that callers know.
func translate(err error) error {
	if err == nil {
		return nil
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return refused(answer)
	}
	// The connection could not be made, or broke.
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		err = connect.Unwrap() // the outer error carries the whole configuration
	}
	return mark(fmt.Errorf("%w: %w", ErrUnavailable, err), errAgain)
}

// refused translates what the server answered, by its SQLSTATE (PostgreSQL manual, appendix A).
func refused(answer *pgconn.PgError) error {
	switch code := answer.Code; {
	case code == "53100": // disk_full
		return fmt.Errorf("%w: %w", kv.ErrFull, answer)
	case code == "40001", code == "40P01": // serialization_failure, deadlock_detected
		return mark(fmt.Errorf("%w: %w", ErrUnavailable, answer), errAgain, errConflict)
	case strings.HasPrefix(code, "08"), // connection exceptions
		strings.HasPrefix(code, "57P"), // shutdown, crash, cannot connect now, idle session
		code == "25P03",                // idle in transaction for too long
		code == "53300":                // too many connections
		return mark(fmt.Errorf("%w: %w", ErrUnavailable, answer), errAgain)
	case strings.HasPrefix(code, "53"), // out of memory and the like
		code == "57014", // statement_timeout
		code == "55P03", // lock_timeout
		code == "25006": // a standby
		return fmt.Errorf("%w: %w", ErrUnavailable, answer)
	}
	return answer
}

// judge says what err means to a caller with ctx: its ctx's end, our own patience's end, or trouble.
func judge(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), pgconn.Timeout(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, errLate)
	}
	return translate(err)
}

// wrap says what was being done, unless it ended because the caller's ctx did.
func wrap(ctx context.Context, err error, format string, args ...any) error {
	if err == nil || err == ctx.Err() || errors.Is(err, kv.ErrClosed) {
		return err
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
