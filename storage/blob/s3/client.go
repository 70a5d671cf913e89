package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// longestPause is the most that lies between two tries of a request.
const longestPause = 5 * time.Second

// patient is how many times longer S3 may be silent while it copies on its side: some servers answer only when they are through.
const patient = 10

// newClients makes the clients of the store.
func (s *Store) newClients(ctx context.Context) error {
	options := []func(*config.LoadOptions) error{
		config.WithRegion(s.cfg.Region),
		config.WithHTTPClient(awshttp.NewBuildableClient()),
		config.WithRetryer(func() aws.Retryer { return newRetryer(s.cfg.Attempts) }),
		// The store tells the checksums it has itself, see put; and content that goes out matches its digest or is refused by who gets it.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if s.cfg.AccessKey != "" {
		static := credentials.NewStaticCredentialsProvider(s.cfg.AccessKey, s.cfg.SecretKey, s.cfg.SessionToken)
		options = append(options, config.WithCredentialsProvider(static))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return fmt.Errorf("load the AWS configuration: %w", err)
	}
	if loaded.Region == "" {
		return errors.New("no region is known; set the region of the bucket, or AWS_REGION")
	}
	public := s.cfg.PublicEndpoint
	if public == "" {
		public = s.cfg.Endpoint
	}
	s.client = newClient(loaded, s.cfg, s.cfg.Endpoint, s.cfg.Stall)
	s.composer = newClient(loaded, s.cfg, s.cfg.Endpoint, patient*s.cfg.Stall)
	s.links = s3.NewPresignClient(newClient(loaded, s.cfg, public, s.cfg.Stall))
	return nil
}

func newClient(loaded aws.Config, cfg Config, endpoint string, stall time.Duration) *s3.Client {
	return s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.UsePathStyle = cfg.PathStyle
		o.HTTPClient = newHTTPClient(loaded.HTTPClient, stall)
		at(o, endpoint)
	})
}

// at directs a client to an endpoint, if that is not Amazon's own. Over TLS nobody on the way can change the bytes, so that hashing all of them
// for the signature would only cost time: their CRC32C, in a signed header, shows what broke by accident.
func at(o *s3.Options, endpoint string) {
	if endpoint != "" {
		o.BaseEndpoint = &endpoint
	}
	if !strings.HasPrefix(endpoint, "http://") {
		o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
	}
}

func newRetryer(attempts int) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = attempts, longestPause
		o.Retryables = append(o.Retryables, retry.RetryableErrorCode{Codes: passing})
	})
}

// passing are conflicts (409) that pass by themselves: Amazon asks to come again, and servers that keep keys as paths fail so when the folder of one object
// goes with the last in it while another comes. None of our keys is the folder of others.
var passing = map[string]struct{}{"OperationAborted": {}, "ExistingObjectIsDirectory": {}}

// newHTTPClient returns a client that trusts whom base does (AWS_CA_BUNDLE is in there), and follows no redirect: a redirected request would carry
// its credentials along.
func newHTTPClient(base aws.HTTPClient, stall time.Duration) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if buildable, ok := base.(*awshttp.BuildableClient); ok {
		transport = buildable.GetTransport()
	}
	tune(transport, stall)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// tune makes a transport give up a connection on which nothing moves for stall, and keep enough of them for all that is done at once.
func tune(t *http.Transport, stall time.Duration) {
	dialer := &net.Dialer{Timeout: stall, KeepAlive: 30 * time.Second}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watchedConn{conn, stall}, nil
	}
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.IdleConnTimeout = 256, 256, min(30*time.Second, stall/2)
	t.TLSHandshakeTimeout = stall
	t.WriteBufferSize, t.ReadBufferSize = 128<<10, 128<<10
	t.DisableCompression = true
	t.ForceAttemptHTTP2 = false // many bodies in one connection would stall each other
}

// watchedConn fails a Read or a Write that takes longer than stall: a server that accepts a request and then says nothing, or stops amid a body.
type watchedConn struct {
	net.Conn
	stall time.Duration
}

func (c *watchedConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write moves the deadline of reading too: nobody answers a request that is still being written.
func (c *watchedConn) Write(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
