package s3

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Config says where the bucket is and how it is used. Only Bucket is required.
type Config struct {
	// Bucket exists already; the store makes none.
	Bucket string
	// Region is where it lies. Without it the AWS configuration decides (AWS_REGION, ~/.aws/config); with an Endpoint it is us-east-1.
	Region string
	// Endpoint is the URL of a server other than Amazon's, such as https://s3.example.com.
	Endpoint string
	// PublicEndpoint is the URL under which clients reach the same server, for the links that Link makes. Without it they are for Endpoint.
	PublicEndpoint string
	// Prefix is put before every key, with a slash between.
	Prefix string
	// PathStyle puts the bucket into the path of a URL and not into the name of the host, as most servers other than Amazon's want it.
	PathStyle bool
	// AccessKey and SecretKey, and SessionToken if there is one, are the credentials. Without them they are found where the AWS tools find theirs:
	// in the environment, in ~/.aws, by a web identity token, or from the machine's role.
	AccessKey, SecretKey, SessionToken string
	// SSE asks for encryption on the server: AES256, or aws:kms, with KMSKey or the bucket's own key. Empty: as the bucket is set up.
	SSE, KMSKey string
	// StorageClass is for content; uploads lie in the bucket's default class. Empty: the default.
	StorageClass string

	// PartSize is how long a piece of an upload is; 16 MiB if zero, and at least 5 MiB. Since content has at most 10,000 parts, it also bounds how
	// large content may be: 160 GiB by default.
	PartSize int64
	// Parallel is how many pieces of one upload are on their way at once; 4 if zero.
	Parallel int
	// Memory is how much content all uploads together may hold in memory, in bytes; 256 MiB if zero, and at least two PartSize
	// and 16 MiB.
	Memory int64

	// Stall is how long a connection may stand still, and how long connecting may take; one minute if zero.
	Stall time.Duration
	// Attempts is how often a request is tried before its failure is told; 5 if zero.
	Attempts int
	// Leftover is the age from which a multipart upload of S3 counts as left over by a killed Commit, and is listed by Uploads; an hour if zero.
	Leftover time.Duration

	Log *slog.Logger     // slog.Default if nil
	Now func() time.Time // time.Now if nil
}

// String tells where the bucket is, and none of the secrets.
func (c Config) String() string { return fmt.Sprintf("S3 bucket %s at %s", c.Bucket, c.place()) }

// GoString is String, so that no way of printing shows the secrets.
func (c Config) GoString() string { return c.String() }

// LogValue implements [slog.LogValuer], for the same reason.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// place names the server.
func (c Config) place() string {
	switch {
	case c.Endpoint != "":
		return withoutUser(c.Endpoint)
	case c.Region != "":
		return "amazonaws.com in " + c.Region
	}
	return "amazonaws.com"
}

// withoutUser takes credentials out of a URL.
func withoutUser(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "an endpoint that is no URL"
	}
	return u.Redacted()
}

const (
	// minPart is the least that S3 takes as a part of a multipart upload, except the last.
	minPart = 5 << 20
	// leastMemory is what a part may have that Commit reads, see plan.
	leastMemory = 16 << 20
	// maxPart keeps a piece well below what a single request may carry or copy (5 GB).
	maxPart = 1 << 30
	// maxParts is how many parts a multipart upload may have.
	maxParts = 10_000
	// maxPrefix leaves room for the rest of a key, of which S3 allows 1024 bytes.
	maxPrefix = 512
)

// complete returns the configuration with its defaults, or what is wrong with it.
func (c Config) complete() (Config, error) {
	c.Prefix = strings.Trim(c.Prefix, "/")
	setDefault(&c.PartSize, 16<<20)
	setDefault(&c.Parallel, 4)
	setDefault(&c.Memory, 256<<20)
	setDefault(&c.Stall, time.Minute)
	setDefault(&c.Attempts, 5)
	setDefault(&c.Leftover, time.Hour)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Region == "" && c.Endpoint != "" {
		c.Region = "us-east-1"
	}
	return c, c.check()
}

func setDefault[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}

func (c Config) check() error {
	switch {
	case c.Bucket == "":
		return errors.New("no bucket is named")
	case strings.ContainsAny(c.Bucket, "/?#\\ ") || len(c.Bucket) > 255:
		return fmt.Errorf("%.80q cannot be the name of a bucket", c.Bucket)
	case !plainPrefix(c.Prefix):
		return fmt.Errorf("prefix %.80q: use letters, digits, and . _ - between slashes, at most %d bytes", c.Prefix, maxPrefix)
	case (c.AccessKey == "") != (c.SecretKey == ""):
		return errors.New("an access key and its secret key belong together: one of them is missing")
	case c.SSE != "" && c.SSE != "AES256" && c.SSE != "aws:kms":
		return fmt.Errorf("server-side encryption %.40q: use AES256 or aws:kms, or leave it to the bucket", c.SSE)
	case c.KMSKey != "" && c.SSE != "aws:kms":
		return errors.New("a KMS key needs server-side encryption aws:kms")
	case c.PartSize < minPart || c.PartSize > maxPart:
		return fmt.Errorf("part size %d: use 5 MiB to 1 GiB", c.PartSize)
	case c.Parallel < 1 || c.Parallel > 64:
		return fmt.Errorf("%d parts at once: use 1 to 64", c.Parallel)
	case c.Memory < max(2*c.PartSize, leastMemory):
		return fmt.Errorf("memory of %d bytes: use at least 16 MiB, and at least two parts, which have %d", c.Memory, c.PartSize)
	case c.Stall < 0 || c.Attempts < 1 || c.Leftover < 0:
		return errors.New("stall, attempts and leftover are not negative")
	}
	return errors.Join(checkEndpoint("endpoint", c.Endpoint), checkEndpoint("public endpoint", c.PublicEndpoint))
}

// checkEndpoint returns nil for an absolute URL of a host and for none at all.
func checkEndpoint(what, raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%s: use a URL such as https://s3.example.com", what)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s %s: a URL without user, query and fragment is wanted; keys have settings of their own", what, withoutUser(raw))
	}
	return nil
}

// plainPrefix tells whether a prefix reads the same in a key, in a URL and in a path.
func plainPrefix(prefix string) bool {
	if prefix == "" {
		return true
	}
	if len(prefix) > maxPrefix {
		return false
	}
	for element := range strings.SplitSeq(prefix, "/") {
		if strings.Trim(element, ".") == "" {
			return false
		}
		for _, c := range []byte(element) {
			if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '-' {
				return false
			}
		}
	}
	return true
}
