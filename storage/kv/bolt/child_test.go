package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// Some tests need a process of their own: to kill it, or to take its disk space away. It is this test binary, told by its environment what to do.
const childRole = "ENTREPOT_BOLT_CHILD"

func TestMain(m *testing.M) {
	role, path, isChild := strings.Cut(os.Getenv(childRole), " ")
	if !isChild {
		os.Exit(m.Run())
	}
	var err error
	switch role {
	case "count":
		err = count(path, bolt.Options{})
	case "count-lazily":
		err = count(path, bolt.Options{Lazy: true})
	case "fill":
		err = fill(path)
	case "create-without-room":
		err = createWithoutRoom(path)
	default:
		err = errors.New("unknown role " + role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childRole+"="+role+" "+path)
	cmd.Stderr = os.Stderr
	return cmd
}

const counters = 4

// counter returns the number that two keys of a counter agree on.
func counter(v kv.View, i int) (n int, err error) {
	first, err := v.Get(context.Background(), fmt.Sprintf("a/%d", i))
	if errors.Is(err, kv.ErrNotFound) {
		first, err = []byte("0"), nil
	}
	if err != nil {
		return 0, err
	}
	second, err := v.Get(context.Background(), fmt.Sprintf("z/%d", i))
	if errors.Is(err, kv.ErrNotFound) {
		second, err = []byte("0"), nil
	}
	if err == nil && string(first) != string(second) {
		err = fmt.Errorf("half a transaction: %s and %s", first, second)
	}
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(first), &n)
	return n, err
}

// count increments counters until the process is killed, and prints each number after its commit.
func count(path string, opts bolt.Options) error {
	db, err := bolt.Open(path, opts)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	var failed error
	for i := range counters {
		all.Go(func() {
			for {
				n := 0
				if err := db.Update(context.Background(), func(tx kv.Tx) (err error) {
					if n, err = counter(tx, i); err != nil {
						return err
					}
					n++
					tx.Put(fmt.Sprintf("a/%d", i), fmt.Append(nil, n))
					tx.Put(fmt.Sprintf("m/%d/%d", i, n%500), []byte(strings.Repeat("x", n*37%3000)))
					tx.Put(fmt.Sprintf("z/%d", i), fmt.Append(nil, n))
					return nil
				}); err != nil {
					failed = err
					return
				}
				fmt.Printf("%d %d\n", i, n)
			}
		})
	}
	all.Wait()
	return failed
}

// limit says how large a file this process may write: what the next one asks for beyond is refused as on a full disk.
func limit(bytes uint64) error {
	signal.Ignore(syscall.SIGXFSZ)
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		return err
	}
	l.Cur = min(bytes, l.Max)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
}

// fill writes until there is no room, looks at what is left, and goes on when there is room again; three times over.
func fill(path string) error {
	db, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	block := make([]byte, 100_000)
	n := 0
	write := func() error {
		return db.Update(ctx, func(tx kv.Tx) error {
			tx.Put(fmt.Sprintf("k/%06d", n), block)
			tx.Put("count", fmt.Append(nil, n+1))
			return nil
		})
	}
	check := func() error {
		value, err := db.Get(ctx, "count")
		if err != nil || string(value) != fmt.Sprint(n) {
			return fmt.Errorf("count is %s, %v, want %d", value, err, n)
		}
		seen := 0
		for p, err := range db.Scan(ctx, "k/", "k0") {
			if err != nil || p.Key != fmt.Sprintf("k/%06d", seen) || len(p.Value) != len(block) {
				return fmt.Errorf("pair %d is %q with %d bytes, %v", seen, p.Key, len(p.Value), err)
			}
			seen++
		}
		if seen != n {
			return fmt.Errorf("%d pairs of %d", seen, n)
		}
		return nil
	}
	for round := range 3 {
		room := uint64(db.Size()) // the file may not grow at all …
		if round == 1 {
			room -= 4 << 20 // … or not even be written up to its end
		}
		if err := limit(room); err != nil {
			return err
		}
		refused := 0
		for refused < 5 {
			switch err := write(); {
			case err == nil:
				n++
			case errors.Is(err, kv.ErrFull):
				refused++
				if err := check(); err != nil {
					return fmt.Errorf("while full: %w", err)
				}
			default:
				return fmt.Errorf("write %d: %w, want ErrFull", n, err)
			}
		}
		if err := limit(1 << 40); err != nil {
			return err
		}
		for range 20 {
			if err := write(); err != nil {
				return fmt.Errorf("with room again: %w", err)
			}
			n++
		}
		if err := check(); err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
	}
	if err := db.Close(); err != nil {
		return err
	}
	if db, err = bolt.Open(path, bolt.Options{}); err != nil {
		return err
	}
	return errors.Join(check(), db.Close())
}

func createWithoutRoom(path string) error {
	if err := limit(10_000); err != nil {
		return err
	}
	_, err := bolt.Open(path, bolt.Options{})
	if !errors.Is(err, kv.ErrFull) || !strings.Contains(err.Error(), "open index "+path) {
		return fmt.Errorf("open: %w, want ErrFull", err)
	}
	return nil
}

func TestFull(t *testing.T) {
	if err := child(t, "fill", filepath.Join(t.TempDir(), "entrepot.db")).Run(); err != nil {
		t.Error(err)
	}
}

func TestCreateWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	if err := child(t, "create-without-room", filepath.Join(dir, "entrepot.db")).Run(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("what is left: %v, %v", left, err)
	}
}

func TestKill(t *testing.T)       { kill(t, "count", bolt.Options{}) }
func TestKillLazily(t *testing.T) { kill(t, "count-lazily", bolt.Options{Lazy: true}) }

// kill ends a writing process at random moments; what it said was committed must be there afterwards, and nothing by halves.
func kill(t *testing.T, role string, opts bolt.Options) {
	const rounds = 32
	path := filepath.Join(t.TempDir(), "entrepot.db")
	total := 0
	for round := range rounds {
		cmd := child(t, role, path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var answered [counters]int
		lines, enough := bufio.NewReader(out), 1+round*round*7%200 // a moment of the work, not of the clock
		for read := 0; ; {
			line, err := lines.ReadString('\n')
			if errors.Is(err, io.EOF) {
				break
			}
			var i, n int
			if _, err := fmt.Sscan(line, &i, &n); err == nil {
				answered[i] = n
			}
			if read++; read == enough {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		db, err := bolt.Open(path, opts)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		before := total
		total = 0
		for i, n := range answered {
			is, err := counter(db, i)
			if err != nil || is < n || n > 0 && is > n+1 {
				t.Fatalf("round %d: counter %d is %d (%v), last answered was %d", round, i, is, err, n)
			}
			total += is
		}
		if total <= before {
			t.Fatalf("round %d: %d commits in all, %d in the round before", round, total, before)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
