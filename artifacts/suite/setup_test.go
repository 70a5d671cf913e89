package suite

import (
	"strings"
	"testing"
)

func TestSetup_writes_what_it_wrote(t *testing.T) {
	text, err := Setup("https://registry.example.com:5000/apt/", "cloud-prod", []string{"dmp", "ops"}, "https://registry.example.com:5000/apt/key.asc")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "setup.sh", text)
	if strings.Contains(text, "@") {
		t.Errorf("a word was not put in: %s", text)
	}
}

// Registries on other hosts or ports have other files on a host that takes packages from all of them.
func TestSetup_names_files_after_the_registry(t *testing.T) {
	seen := map[string]string{}
	for base, want := range map[string]string{
		"https://registry.example.com/apt": "registry.example.com", "http://Registry.Example.com:5000/apt/": "registry.example.com_5000", "https://registry.example.com:5001": "registry.example.com_5001",
		"http://127.0.0.1:5000/apt": "127.0.0.1_5000", "http://[::1]:5000/apt": "___1__5000", "http://[::1:5000]/apt": "___1_5000_",
	} {
		text, err := Setup(base, "cloud-prod", []string{"dmp"}, "https://registry.example.com/key.asc")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{
			"keyring=/etc/apt/keyrings/entrepot-" + want + ".asc\n", "Signed-By: /etc/apt/keyrings/entrepot-" + want + ".asc\n",
			"sources=/etc/apt/sources.list.d/entrepot-" + want + "_cloud-prod.sources\n",
		} {
			if !strings.Contains(text, line) {
				t.Errorf("for %s the script does not say %q:\n%s", base, line, text)
			}
		}
		if other, found := seen[want]; found {
			t.Errorf("%s and %s write the same files", base, other)
		}
		seen[want] = base
	}
}

func TestSetup_refuses_what_would_break_out(t *testing.T) {
	base, key := "http://registry.example.com/apt", "http://registry.example.com/apt/key.asc"
	for _, good := range []string{"http://h", "https://h/", "https://127.0.0.1:5000/apt", "http://[::1]:80/a/b", "https://h/~x/a.b_c-d"} {
		if _, err := Setup(good, "cloud-prod", []string{"dmp"}, good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "registry.example.com", "ftp://h/apt", "file:///etc", "https://", "https:///apt", "https://h'/apt", "https://h/a'; rm -rf /; '", "https://h/$(id)", "https://h/`id`", "https://h/a b",
		"https://h/a\nb", "https://h/apt\nTypes: deb", "https://user:word@h/apt", "https://h/apt?x=y", "https://h/apt#x", "https://h/a%20b", "https://h/../apt", "https://h/apt/..", "https://h/./apt",
		"https://h//apt", "https://h:port/apt", "https://h:123456/apt", "https://-h/apt", "https://é/apt", "https://h/a\\b", "https://h/\"", "https://h/[arch=x]", "copy:https://h/apt",
		"https://h/" + strings.Repeat("a", 1100),
	} {
		if text, err := Setup(bad, "cloud-prod", []string{"dmp"}, key); err == nil || text != "" {
			t.Errorf("base %q is taken", bad)
		}
		if text, err := Setup(base, "cloud-prod", []string{"dmp"}, bad); err == nil || text != "" {
			t.Errorf("key %q is taken", bad)
		}
	}
	long := "http://" + strings.Repeat("h", 220) + "/apt"
	if _, err := Setup(long, "cloud-prod", []string{"dmp"}, key); err != nil {
		t.Errorf("a host of 220 characters: %v", err)
	}
	if text, err := Setup(long, "cloud-prod2", []string{"dmp"}, key); err == nil || !strings.Contains(err.Error(), "230 characters") || text != "" {
		t.Errorf("a host and a suite that are too long for a file's name: %v, %q", err, text)
	}
	for _, bad := range []string{"", "a b", "a\nb", "a'b", "../a", "/", ".", "-a", "a/b", "a+b", "É", "$a", "END\n", strings.Repeat("a", 129)} {
		if text, err := Setup(base, bad, []string{"dmp"}, key); err == nil || text != "" {
			t.Errorf("suite %q is taken", bad)
		}
		if text, err := Setup(base, "cloud-prod", []string{"dmp", bad}, key); err == nil || text != "" {
			t.Errorf("component %q is taken", bad)
		}
	}
	if _, err := Setup(base, "cloud-prod", nil, key); err == nil {
		t.Error("no component at all is taken")
	}
}
