package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCredentials_show_no_secrets(t *testing.T) {
	for _, c := range []Credentials{{Username: "alice", Password: "s3cret"}, {Identity: "s3cret"}, {Bearer: "s3cret"},
		{Username: "alice", Identity: "s3cret"}} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c, "p", &c, "in", []Credentials{c})
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "c", c, "p", &c, "in", []Credentials{c})
		j, err := json.Marshal(struct{ C Credentials }{c})
		wantNoSecret(t, "printed", fmt.Sprintf("%v %+v %#v %s %q %v", c, c, c, c, c, &c)+log.String()+string(j), "s3cret")
		if err != nil || c.Username != "" && !strings.Contains(log.String(), "alice") {
			t.Errorf("%v, %s", err, log.String())
		}
	}
	if got := fmt.Sprint(Credentials{}); got != "anonymous" {
		t.Error(got)
	}
}

func TestCredentials_that_cannot_be_sent(t *testing.T) {
	for _, c := range []Credentials{{Username: "a:b", Password: "x"}, {Username: "a\nb"}, {Username: "a", Password: "x\r\ny"}, {Password: "\x00"},
		{Bearer: "a b"}, {Bearer: "ä"}, {Identity: strings.Repeat("x", maxSecret+1)}} {
		if c.check() == nil {
			t.Errorf("%+v may be sent", []string{c.Username, c.Password, c.Bearer})
		}
	}
	for _, c := range []Credentials{{}, {Username: "a", Password: "x: yä€"}, {Bearer: "a.b-c_d/+="}, {Identity: "any thing\n"}} {
		if err := c.check(); err != nil {
			t.Error(err)
		}
	}
}

func TestPasswordFile_is_read_again(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	s := PasswordFile("alice", path)
	for content, want := range map[string]string{"s3cret": "s3cret", "s3cret\n": "s3cret", "s3cret\r\n": "s3cret", " a b \n\n": " a b \n",
		"": "!", "\n": "!",
		"a\x00b": "!", strings.Repeat("x", maxSecret+1): "!"} {
		write(t, path, content, 0o600)
		c, err := s(t.Context())
		if (err != nil) != (want == "!") || err == nil && c != (Credentials{Username: "alice", Password: want}) {
			t.Errorf("%.20q is %q, %v", content, c.Password, err)
		}
		if err != nil && content != "" && content != "\n" {
			wantNoSecret(t, "the error", err.Error(), content)
		}
	}
	if _, err := PasswordFile("alice", path+"x")(t.Context()); err == nil {
		t.Error("a file that is not there is no error")
	}
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// helper writes a credential helper that answers so, once it has read its server.
func helper(t *testing.T, name, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	write(t, path, "#!/bin/sh\nread -r server || [ -n \"$server\" ]\n[ \"$1\" = get ] || exit 9\n"+script, 0o700)
	return path
}

func TestHelper(t *testing.T) {
	for what, c := range map[string]struct {
		script, host string
		want         Credentials
		fails        string
	}{
		"a login": {`echo '{"ServerURL":"x","Username":"'$server'","Secret":"s3cret"}'`, "registry.example.com",
			Credentials{Username: "registry.example.com", Password: "s3cret"}, ""},
		"Docker Hub": {`echo '{"Username":"'$server'","Secret":"s3cret"}'`, "docker.io",
			Credentials{Username: "https://index.docker.io/v1/", Password: "s3cret"}, ""},
		"a token":     {`echo '{"Username":"<token>","Secret":"s3cret"}'`, "a", Credentials{Identity: "s3cret"}, ""},
		"none":        {`echo credentials not found in native keychain; exit 1`, "a", Credentials{}, ""},
		"a failure":   {`echo s3cret; exit 3`, "a", Credentials{}, "exit status 3"},
		"no JSON":     {`echo s3cret`, "a", Credentials{}, "did not answer with a Username"},
		"no secret":   {`echo '{"Username":"s3cret"}'`, "a", Credentials{}, "did not answer with a Username"},
		"without end": {`while :; do echo s3cret s3cret s3cret s3cret; done`, "a", Credentials{}, "credential helper"},
	} {
		began := time.Now()
		got, err := Helper(helper(t, "helper", c.script), c.host)(t.Context())
		if took := time.Since(began); took > helperWait/2 {
			t.Errorf("%s: it took %v", what, took)
		}
		if (err != nil) != (c.fails != "") || got != c.want {
			t.Errorf("%s: %q %q %q, %v", what, got.Username, got.Password, got.Identity, err)
		}
		if err != nil {
			wantText(t, err, c.fails)
			wantNoSecret(t, what, err.Error(), "s3cret")
		}
	}
	if _, err := Helper(filepath.Join(t.TempDir(), "none"), "a")(t.Context()); err == nil {
		t.Error("a helper that is not there is no error")
	}
}

func TestHelper_that_hangs_ends_with_its_caller(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := Helper(helper(t, "helper", "exec sleep 60"), "a")(ctx)
	wantText(t, err, "deadline exceeded")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestDockerConfig(t *testing.T) {
	named := helper(t, "docker-credential-named", `echo '{"Username":"named","Secret":"'$server'"}'`)
	stored := helper(t, "docker-credential-stored", `[ "$server" = c.example.com ] || { echo credentials not found in native keychain; exit 1; }
echo '{"Username":"stored","Secret":"'$server'"}'`)
	t.Setenv("PATH", filepath.Dir(named)+":"+filepath.Dir(stored)+":"+os.Getenv("PATH"))
	pair := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	const helped = `{"credHelpers":{"a.example.com":"named"},"credsStore":"stored",
		"auths":{"a.example.com":{"auth":"YTpi"},"b.example.com":{"auth":"YTpi"},"c.example.com":{}}}`
	for _, c := range []struct {
		config, host string
		want         Credentials
		fails        string
	}{
		{`{"auths":{"a.example.com":{"auth":"` + pair("alice:s3:cret") + `"}}}`, "a.example.com", Credentials{Username: "alice", Password: "s3:cret"}, ""},
		{`{"auths":{"https://a.example.com/v1/":{"auth":"` + pair("alice:s3cret") + `"}}}`, "a.example.com",
			Credentials{Username: "alice", Password: "s3cret"}, ""},
		{`{"auths":{"https://index.docker.io/v1/":{"auth":"` + pair("alice:s3cret") + `"}}}`, "docker.io",
			Credentials{Username: "alice", Password: "s3cret"}, ""},
		{`{"auths":{"a.example.com":{"username":"alice","password":"s3cret"}}}`, "a.example.com", Credentials{Username: "alice", Password: "s3cret"}, ""},
		{`{"auths":{"a.example.com":{"auth":"` + pair("alice:") + `","identitytoken":"s3cret"}}}`, "a.example.com", Credentials{Identity: "s3cret"}, ""},
		{`{"auths":{"a.example.com":{"registrytoken":"s3cret"}}}`, "a.example.com", Credentials{Bearer: "s3cret"}, ""},
		{`{"auths":{"a.example.com":{"auth":"` + pair("alice:s3cret") + `"}}}`, "b.example.com", Credentials{}, ""},
		{`{}`, "a.example.com", Credentials{}, ""},
		{helped, "a.example.com", Credentials{Username: "named", Password: "a.example.com"}, ""},
		{helped, "b.example.com", Credentials{Username: "a", Password: "b"}, ""},
		{helped, "c.example.com", Credentials{Username: "stored", Password: "c.example.com"}, ""},
		{helped, "d.example.com", Credentials{}, ""},
		{`{"auths":{"a.example.com":{"auth":"s3cret"}}}`, "a.example.com", Credentials{}, "base64"},
		{`{"auths":{"a.example.com":{"auth":"` + pair("s3cret") + `"}}}`, "a.example.com", Credentials{}, "base64"},
		{`{"credsStore":"../../bin/sh"}`, "a.example.com", Credentials{}, "no name"},
		{`{"credsStore":"missing"}`, "a.example.com", Credentials{}, "docker-credential-missing"},
		{`s3cret`, "a.example.com", Credentials{}, "not the JSON"},
	} {
		path := filepath.Join(t.TempDir(), "config.json")
		write(t, path, c.config, 0o600)
		got, err := DockerConfig(path, c.host)(t.Context())
		if (err != nil) != (c.fails != "") || got != c.want {
			t.Errorf("%s for %s: %q %q %q %q, %v", c.config, c.host, got.Username, got.Password, got.Identity, got.Bearer, err)
		}
		if err != nil {
			wantText(t, err, c.fails)
			wantNoSecret(t, "the error", err.Error(), "s3cret")
		}
	}
	if _, err := DockerConfig(filepath.Join(t.TempDir(), "none"), "a")(t.Context()); err == nil {
		t.Error("a file that is not there is no error")
	}
}
