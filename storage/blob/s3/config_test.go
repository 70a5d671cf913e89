package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob/s3"
)

func TestOpen_says_what_is_wrong_with_a_configuration(t *testing.T) {
	for want, change := range map[string]func(*s3.Config){
		"use at least 16 MiB":                           func(c *s3.Config) { c.Memory, c.PartSize = 15<<20, 5<<20 },
		"no bucket is named":                            func(c *s3.Config) { c.Bucket = "" },
		"cannot be the name of a bucket":                func(c *s3.Config) { c.Bucket = "a/b" },
		"prefix":                                        func(c *s3.Config) { c.Prefix = "a/../b" },
		"use letters, digits":                           func(c *s3.Config) { c.Prefix = "a b" },
		"one of them is missing":                        func(c *s3.Config) { c.SecretKey = "" },
		"use AES256 or aws:kms":                         func(c *s3.Config) { c.SSE = "rot13" },
		"a KMS key needs":                               func(c *s3.Config) { c.KMSKey = "k" },
		"use 5 MiB to 1 GiB":                            func(c *s3.Config) { c.PartSize = 1 },
		"parts at once":                                 func(c *s3.Config) { c.Parallel = 1000 },
		"at least two parts":                            func(c *s3.Config) { c.Memory = 20 << 20 },
		"endpoint: use a URL":                           func(c *s3.Config) { c.Endpoint = "s3.example.com" },
		"public endpoint: use a URL":                    func(c *s3.Config) { c.PublicEndpoint = "ftp://s3.example.com" },
		"without user, query and fragment":              func(c *s3.Config) { c.Endpoint = "https://someone:hidden@s3.example.com" },
		"stall, attempts and leftover are not negative": func(c *s3.Config) { c.Stall = -1 },
	} {
		cfg := example()
		change(&cfg)
		_, err := s3.Open(context.Background(), cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
			continue
		}
		if strings.Contains(err.Error(), "hidden") {
			t.Errorf("%v: it tells a secret", err)
		}
	}
}

func TestConfig_prints_no_secret(t *testing.T) {
	cfg := example()
	cfg.SessionToken = "hidden too"
	for _, shown := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg), cfg.LogValue().String()} {
		if strings.Contains(shown, "hidden") || !strings.Contains(shown, "registry") {
			t.Errorf("printed as %s", shown)
		}
	}
}

// example is a configuration of a server that does not exist.
func example() s3.Config {
	return s3.Config{Bucket: "registry", Endpoint: "https://s3.example.com", AccessKey: "known", SecretKey: "hidden", PathStyle: true}
}

func TestLink_leads_clients_to_the_public_endpoint(t *testing.T) {
	d := digest.FromString("content")
	for _, c := range []struct {
		change func(*s3.Config)
		want   string
	}{
		{func(*s3.Config) {}, "https://s3.example.com/registry/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded()},
		{func(c *s3.Config) { c.PublicEndpoint = "https://content.example.com:8443" }, "https://content.example.com:8443/registry/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded()},
		{func(c *s3.Config) { c.PathStyle, c.Prefix = false, "/a/" }, "https://registry.s3.example.com/a/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded()},
		{func(c *s3.Config) { c.Endpoint, c.PathStyle, c.Region = "", false, "eu-central-1" },
			"https://registry.s3.eu-central-1.amazonaws.com/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded()},
	} {
		cfg := example()
		c.change(&cfg)
		s, err := s3.Open(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		link, err := s.Link(context.Background(), d, 15*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if got := u.Scheme + "://" + u.Host + u.Path; got != c.want {
			t.Errorf("link to %s, want %s", got, c.want)
		}
		if q.Get("X-Amz-Expires") != "900" || q.Get("X-Amz-SignedHeaders") != "host" || q.Get("response-content-type") != "application/octet-stream" {
			t.Errorf("link %s: want 900 seconds, no header but host, and a content type", link)
		}
		if strings.Contains(link, "hidden") {
			t.Errorf("link %s tells the secret key", link)
		}
	}
}

func TestLink_refuses_what_S3_would(t *testing.T) {
	s, err := s3.Open(context.Background(), example())
	if err != nil {
		t.Fatal(err)
	}
	for _, ttl := range []time.Duration{-1, 0, time.Millisecond, 8 * 24 * time.Hour} {
		if link, err := s.Link(context.Background(), digest.FromString("content"), ttl); err == nil {
			t.Errorf("a link for %v: %s", ttl, link)
		}
	}
	if _, err := s.Link(context.Background(), "sha256:../..", time.Minute); !errors.Is(err, digest.ErrDigestInvalidLength) {
		t.Errorf("a link for a digest that is none: %v", err)
	}
}

// TestOpen_needs_no_server shows that a server can start while S3 is away, and that asking for it then says so.
func TestOpen_needs_no_server(t *testing.T) {
	cfg := example()
	cfg.Endpoint, cfg.Attempts = "http://127.0.0.1:1", 1
	s, err := s3.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Check(context.Background())
	if !errors.Is(err, s3.ErrUnavailable) || !strings.HasPrefix(err.Error(), "S3 bucket registry at http://127.0.0.1:1 does not answer: check that the endpoint is right") {
		t.Errorf("check: %v", err)
	}
	if _, err := s.Stat(context.Background(), digest.FromString("content")); !errors.Is(err, s3.ErrUnavailable) {
		t.Errorf("stat: %v; want %v", err, s3.ErrUnavailable)
	}
}
