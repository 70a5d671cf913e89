package operations

import (
	"bytes"
	"context"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// refusal runs a verb that must end by itself within two seconds, with status 1 and one line on standard error, which it returns.
func refusal(t *testing.T, dir string, argv ...string) string {
	t.Helper()
	bin := program.Build(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, argv...)
	cmd.Dir = dir
	var out, line bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &line
	began := time.Now()
	_ = cmd.Run()
	took, said := time.Since(began), line.String()
	if took > 2*time.Second {
		t.Errorf("it took %v to refuse", took)
	}
	if status := cmd.ProcessState.ExitCode(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "entrepot: ") || out.Len() > 0 {
		t.Errorf("want one line on standard error and nothing else, got\n%s\nand on standard output\n%s", said, out.String())
	}
	return said
}

func says(t *testing.T, line string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(line, word) {
			t.Errorf("it says %q, which does not name %q", line, word)
		}
	}
}

// tree returns all that lies in a folder: names, and digests of what the files hold.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		all.WriteString(strings.TrimPrefix(path, dir))
		if !entry.IsDir() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all.WriteString(" " + digest.FromBytes(content).String())
		}
		all.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestStart_PortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	says(t, refusal(t, dir, "serve", "--listen", l.Addr().String()), l.Addr().String(), "in use")
	if got := tree(t, dir); got != "\n" {
		t.Errorf("it left %s", got)
	}
}

// A data folder that cannot be: for root and for everybody else alike.
func TestStart_DataCannotBeThere(t *testing.T) {
	for name, place := range map[string][2]string{ // what is asked for, and what is in its way
		"a file":                   {"taken", "taken"},
		"below a file":             {"taken/data", "taken"},
		"in a kernel's own folder": {"/proc/self/data", "/proc/self/data"},
		"below a link to a file":   {"link/data", "link"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "taken"), []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(dir, "taken"), filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			before := tree(t, dir)
			says(t, refusal(t, dir, "serve", "--listen", "127.0.0.1:0", "--data", place[0]), place[1])
			if after := tree(t, dir); after != before {
				t.Errorf("it left\n%s", after)
			}
		})
	}
}

// A place for content or for the index that cannot be leaves nothing half-made elsewhere.
func TestStart_PartsCannotBeThere(t *testing.T) {
	for _, key := range []string{"storage: {disk: {path: taken/content}}", "index: {bolt: {path: taken/index.db}}"} {
		t.Run(key, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"taken": "precious", "config.yml": "listen: 127.0.0.1:0\n" + key + "\n"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			says(t, refusal(t, dir, "serve", "--config", "config.yml"), "taken")
			if content, err := os.ReadFile(filepath.Join(dir, "taken")); string(content) != "precious" {
				t.Errorf("%q, %v", content, err)
			}
		})
	}
}

// The same data cannot be served twice, verified or indexed while it is served; whoever has it does not notice.
func TestStart_DataInUse(t *testing.T) {
	p := program.Start(t)
	for _, argv := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"verify"}, {"reindex"}} {
		says(t, refusal(t, p.Dir, argv...), "index.db", "process")
	}
	stored(t, p)
	p.Stop()
	if out, err := p.CLI("verify"); err != nil {
		t.Errorf("entrepot verify: %v\n%s", err, out)
	}
	entries, err := os.ReadDir(filepath.Join(p.Dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "new") || strings.Contains(e.Name(), "before") {
			t.Errorf("%s was left", e.Name())
		}
	}
}

func TestStart_UnknownKey(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "entrepot.yml"), []byte("listen: 127.0.0.1:0\nlog:\n  levle: debug\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, refusal(t, dir, "serve", "--config", "entrepot.yml"), "entrepot.yml:3", "log.levle", "log.level")
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("it made its data folder all the same")
	}
}

// An index that a newer program wrote is refused by every verb, and nothing is changed.
func TestStart_NewerIndex(t *testing.T) {
	p := program.Start(t)
	stored(t, p)
	p.Stop()
	path := filepath.Join(p.Dir, "data", "index.db")
	db, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx kv.Tx) error { tx.Put("meta/version", []byte("99")); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, p.Dir)
	for _, argv := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"verify"}} {
		says(t, refusal(t, p.Dir, argv...), "99", "version")
		if tree(t, p.Dir) != before {
			t.Errorf("%v changed something", argv)
		}
	}
}

// There is nothing wrong with a store that is not there, and nothing right either: whoever mistypes its name must not be told that all is well.
func TestVerify_NothingThere(t *testing.T) {
	dir := t.TempDir()
	says(t, refusal(t, dir, "verify", "--data", "mistyped"), "mistyped")
	if got := tree(t, dir); got != "\n" {
		t.Errorf("it made %s", got)
	}
}
