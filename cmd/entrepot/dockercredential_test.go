package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestServerKey_is_one_for_all_spellings(t *testing.T) {
	for server, want := range map[string]string{
		"registry.example.com":                 "registry.example.com",
		"Registry.Example.com:5000":            "registry.example.com:5000",
		"https://registry.example.com":         "registry.example.com",
		"HTTP://registry.example.com/":         "registry.example.com",
		"https://registry.example.com/v2/":     "registry.example.com",
		"https://index.docker.io/v1/":          "index.docker.io",
		"registry.example.com/cloud/App":       "registry.example.com/cloud/App",
		"registry.example.com/cloud/":          "registry.example.com/cloud",
		"[::1]:5000":                           "[::1]:5000",
		"":                                     "",
		"/":                                    "",
		"https://":                             "",
		"registry.example.com evil":            "",
		"user:pw@registry.example.com":         "",
		"registry.example.com\n":               "",
		"https://a?b":                          "",
		"r\u00e9gistry.example.com":            "",
		"https://" + strings.Repeat("a", 3000): "",
	} {
		got, err := serverKey(server)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", server, got, err, want)
		}
	}
}

// TestCredentialFile_has_room_for_many_writers stores logins from several programs at once; none is lost.
func TestCredentialFile_has_room_for_many_writers(t *testing.T) {
	env := []string{"XDG_CONFIG_HOME=" + t.TempDir()}
	const writers, each = 8, 10
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				login := fmt.Sprintf(`{"ServerURL":"h%d-%d.example.com","Username":"u","Secret":"s%d-%d"}`, w, i, w, i)
				if code, stdout, stderr := typed(t, env, login, "docker-credential", "store"); code != 0 {
					t.Errorf("store: exit status %d: %s%s", code, stdout, stderr)
				}
			}
		})
	}
	wait.Wait()
	_, stdout, _ := typed(t, env, "", "docker-credential", "list")
	var all map[string]string
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || len(all) != writers*each {
		t.Errorf("%d logins are left of %d: %v", len(all), writers*each, err)
	}
	for w := range writers {
		if _, stdout, _ := typed(t, env, fmt.Sprintf("h%d-3.example.com", w), "docker-credential", "get"); !strings.Contains(stdout, fmt.Sprintf(`"s%d-3"`, w)) {
			t.Errorf("writer %d reads %s", w, stdout)
		}
	}
}

// TestCredentialFile_that_is_broken_is_left_alone stores into a file that somebody has edited wrongly.
func TestCredentialFile_that_is_broken_is_left_alone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "entrepot", "credentials.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	const broken = `{"credentials": {"a": {"secret": canary}}}`
	if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"store", `{"ServerURL":"a","Username":"u","Secret":"s"}`}, {"get", "a"}, {"erase", "a"}, {"list", ""}} {
		code, stdout, stderr := typed(t, []string{"XDG_CONFIG_HOME=" + dir}, c[1], "docker-credential", c[0])
		if code != 1 || !strings.Contains(stdout, path+" is not of the form it must have") || strings.Contains(stdout+stderr, "canary") {
			t.Errorf("%s: exit status %d: %s%s; want the file named, and nothing of it shown", c[0], code, stdout, stderr)
		}
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != broken {
		t.Errorf("%s, %v; want the file as it was", kept, err)
	}
	// Nothing else is left in the folder but the lock.
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) > 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

// FuzzDockerCredential stores anything, and gets it back under its name if it was taken; nothing else is found then, and an error holds no secret.
func FuzzDockerCredential(f *testing.F) {
	f.Add(`{"ServerURL":"registry.example.com","Username":"alice","Secret":"s"}`, "https://registry.example.com/")
	f.Add(`{"ServerURL":"https://index.docker.io/v1/","Username":"<token>","Secret":""}`, "index.docker.io")
	f.Add(`{"ServerURL":"registry.example.com/cloud","Username":"a:b","Secret":"\u0000"}`, "registry.example.com")
	f.Add(`{"Secret":`, "")
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, login, other string) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		env := []string{"XDG_CONFIG_HOME=" + dir, envServer + "=job.example.com", envRobot + "=r", envSecret + "=canary"}
		speak := func(verb, input string) (stdout string, ok bool) {
			var out, log bytes.Buffer
			err := helper{&app{strings.NewReader(input), &out, &log, env}}.answer(t.Context(), verb)
			if log.Len() > 0 || err != nil && (!errors.Is(err, errAnswered) || out.Len() == 0) {
				t.Fatalf("%s: %v: %s%s; want what is wrong on standard output", verb, err, out.String(), log.String())
			}
			return out.String(), err == nil
		}
		var given helperLogin
		_, stored := speak("store", login)
		if stored {
			if err := json.Unmarshal([]byte(login), &given); err != nil {
				t.Fatalf("what is no JSON was stored: %v", err)
			}
			key, _ := serverKey(strings.TrimSpace(given.ServerURL))
			host, _, _ := strings.Cut(key, "/")
			stdout, ok := speak("get", given.ServerURL)
			var got helperLogin
			if err := json.Unmarshal([]byte(stdout), &got); !ok || err != nil || host != "job.example.com" && (got.Username != given.Username || got.Secret != given.Secret) {
				t.Fatalf("get: %s; want what was stored", stdout)
			}
		}
		stdout, found := speak("get", other)
		key, err := serverKey(strings.TrimSpace(other))
		host, _, _ := strings.Cut(key, "/")
		if strings.Contains(stdout, "canary") && host != "job.example.com" && !strings.Contains(login+other, "canary") {
			t.Fatalf("%q got what is for another server", other)
		}
		if found && host != "job.example.com" {
			if same, _ := serverKey(strings.TrimSpace(given.ServerURL)); err != nil || !stored || same != key {
				t.Fatalf("%q got %s, which was stored for %q", other, stdout, given.ServerURL)
			}
		}
	})
}
