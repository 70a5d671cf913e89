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
