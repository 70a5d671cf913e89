package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// says runs a verb, and returns its exit status and all that it prints.
func says(t testing.TB, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &out, &out, []string{"HOME=" + t.TempDir()})
	return code, out.String()
}

// wants runs a verb and wants an exit status, and words in what it prints.
func wants(t testing.TB, want int, words string, args ...string) {
	t.Helper()
	code, out := says(t, args...)
	if code != want || !strings.Contains(out, words) {
		t.Fatalf("%q: exit status %d, want %d and the words %q:\n%s", args, code, want, words, out)
	}
}

// configFor writes a configuration whose data is in a new folder, and returns both.
func configFor(t testing.TB) (file, dir string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "registry.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "data: %q\n", filepath.Join(dir, "data")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, dir
}

// images pushes some, and returns their manifests by tag.
func images(t testing.TB, p *program.Program, tags ...string) map[string]string {
	t.Helper()
	reg, all := wire.At(p.URL), map[string]string{}
	for _, tag := range tags {
		reg.PushBlob(t, "cloud/app", wire.Random(50_000))
		_, body := reg.PushImage(t, "cloud/app", tag)
		all[tag] = string(body)
	}
	return all
}

func serves(t testing.TB, p *program.Program, images map[string]string) {
	t.Helper()
	for tag, want := range images {
		if got := wire.At(p.URL).Do(t, "GET", wire.ManifestPath("cloud/app", tag), nil); got.Status != 200 || string(got.Body) != want {
			t.Errorf("%s is answered %d %s", tag, got.Status, got.Body)
		}
	}
}

// contentOf returns the files of a registry's content, as they lie below its folder.
func contentOf(t testing.TB, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "data", "blobs", "sha256", "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		name, err := filepath.Rel(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func TestMigrate_first_its_content_and_then_the_rest(t *testing.T) {
	p := program.Start(t)
	data := filepath.Join(p.Dir, "data")
	all := images(t, p, "1.0", "2.0")
	to, dir := configFor(t)
	wants(t, 0, "content: ", "migrate", "--data", data, "--to", to, "--content-only")
	wants(t, 1, "stop its server first", "migrate", "--data", data, "--to", to)
	for tag, body := range images(t, p, "3.0") {
		all[tag] = body
	}
	p.Stop()
	wants(t, 0, "the target is finished", "migrate", "--data", data, "--to", to)
	wants(t, 1, "not empty", "migrate", "--data", data, "--to", to)
	wants(t, 1, "nothing to migrate", "migrate", "--config", to, "--to", to)
	wants(t, 1, "there is no store", "migrate", "--data", filepath.Join(dir, "nowhere"), "--to", to)
	wants(t, 2, "--to", "migrate", "--data", data)
	wants(t, 0, "", "verify", "--config", to)
	q := program.Start(t, program.In(dir))
	serves(t, q, all)
}

func TestMigrate_of_wrong_content(t *testing.T) {
	p := program.Start(t)
	images(t, p, "1.0")
	p.Stop()
	data := filepath.Join(p.Dir, "data")
	wrong := contentOf(t, p.Dir)[0]
	if err := os.WriteFile(filepath.Join(p.Dir, wrong), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	to, dir := configFor(t)
	wants(t, 1, filepath.Base(wrong)+": it", "migrate", "--data", data, "--to", to)
	wants(t, 1, "not finished; run entrepot migrate", "serve", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
	wants(t, 1, "finished without them", "migrate", "--data", data, "--to", to, "--incomplete")
	program.Start(t, program.In(dir))
}

func TestBackup_and_restore(t *testing.T) {
	p := program.Start(t)
	all := images(t, p, "1.0", "2.0")
	file := filepath.Join(t.TempDir(), "registry.backup")
	wants(t, 0, "saved ", "backup", "-o", file, p.Addr)
	wants(t, 1, "already", "backup", "-o", file, p.Addr)
	wants(t, 2, "-o", "backup", p.Addr)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want a file that nobody else may read", info, err)
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 1 {
		t.Errorf("beside the backup there are %v, %v", left, err)
	}
	images(t, p, "3.0") // it comes too late
	wants(t, 1, "stop the server first", "restore", file, "--data", filepath.Join(p.Dir, "data"))
	p.Stop()

	to, dir := configFor(t)
	wants(t, 1, "contents are missing", "restore", file, "--config", to)
	wants(t, 1, "not finished; run entrepot migrate or entrepot restore", "serve", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
	for _, name := range contentOf(t, p.Dir) {
		content, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	wants(t, 0, "restored ", "restore", file, "--config", to)
	wants(t, 1, "not empty", "restore", file, "--config", to)
	wants(t, 0, "", "verify", "--config", to)
	q := program.Start(t, program.In(dir))
	serves(t, q, all)
	if got := wire.At(q.URL).Do(t, "GET", wire.ManifestPath("cloud/app", "3.0"), nil); got.Status != 404 {
		t.Errorf("what came behind the backup is answered %d, want 404", got.Status)
	}

	torn := filepath.Join(t.TempDir(), "torn")
	whole, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(torn, whole[:len(whole)/2], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	other, _ := configFor(t)
	wants(t, 1, "damaged or was cut off", "restore", torn, "--config", other)
	wants(t, 1, "finished without them", "restore", file, "--config", other, "--incomplete")
}
