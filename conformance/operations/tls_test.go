package operations

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/program"
)

// authority signs certificates, for servers and clients alike.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t}
	a.pem, _, a.cert, a.key = a.sign("authority", nil)
	return a
}

// sign makes a certificate and returns it, and its key, as PEM.
func (a *authority) sign(name string, by *authority) (certPEM, keyPEM []byte, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true, IsCA: by == nil,
	}
	parent, signer := form, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, form, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), cert, key
}

// issue writes a certificate and its key into dir as tls.crt and tls.key, whole files by rename as certificate managers do.
func (a *authority) issue(dir, name string) {
	cert, key, _, _ := a.sign(name, a)
	for file, content := range map[string][]byte{"tls.key": key, "tls.crt": cert} {
		replace(a.t, filepath.Join(dir, file), content)
	}
}

func replace(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".draft", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".draft", path); err != nil {
		t.Fatal(err)
	}
}

// client trusts the authority, and shows a certificate of another one if there is one.
func (a *authority) client(http2 bool, shown *authority) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	config := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	if shown != nil {
		cert, key, _, _ := shown.sign("client", shown)
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			a.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, Protocols: protocols}, Timeout: 10 * time.Second}
}

// served asks for /v2/ and returns the name in the server's certificate, the protocol, and whether the connection was one of before.
func served(c *http.Client, url string) (name, protocol string, reused bool, err error) {
	req, err := http.NewRequest("GET", url+"/v2/", nil)
	if err != nil {
		return "", "", false, err
	}
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	res, err := c.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		return "", "", reused, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != 200 {
		return "", "", reused, fmt.Errorf("status %d", res.StatusCode)
	}
	return res.TLS.PeerCertificates[0].Subject.CommonName, res.Proto, reused, nil
}

// becomes waits until new connections are shown the certificate.
func becomes(t *testing.T, a *authority, url, want string) {
	t.Helper()
	var name string
	var err error
	for deadline := time.Now().Add(6 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if name, _, _, err = served(a.client(false, nil), url); name == want {
			return
		}
	}
	t.Errorf("after 6 s a new connection is shown %q (%v), want %q", name, err, want)
}

func TestTLS_RenewsWithoutRestart(t *testing.T) {
	t.Parallel()
	a, dir := newAuthority(t), t.TempDir()
	a.issue(dir, "first")
	p := program.Start(t, program.In(dir), program.Config("tls: {cert: tls.crt, key: tls.key}\n"), program.HTTPS(a.client(false, nil)))
	one, two := a.client(false, nil), a.client(true, nil)
	for c, protocol := range map[*http.Client]string{one: "HTTP/1.1", two: "HTTP/2.0"} {
		if name, spoken, _, err := served(c, p.URL); err != nil || name != "first" || spoken != protocol {
			t.Errorf("%s by %s: %v", name, spoken, err)
		}
	}
	time.Sleep(20 * time.Millisecond) // so that the file's time is another one on any filesystem
	a.issue(dir, "second")
	becomes(t, a, p.URL, "second")
	for _, c := range []*http.Client{one, two} {
		if name, _, reused, err := served(c, p.URL); err != nil || !reused || name != "first" {
			t.Errorf("the connection of before: shown %q, reused %t, %v", name, reused, err)
		}
	}

	replace(t, filepath.Join(dir, "tls.crt"), []byte("no certificate"))
	for range 12 { // for longer than it takes to be noticed
		if name, _, _, err := served(a.client(false, nil), p.URL); err != nil || name != "second" {
			t.Fatalf("with a broken file in its place: shown %q, %v", name, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if !strings.Contains(p.Log(), "level=ERROR") || !strings.Contains(p.Log(), "tls.crt") {
		t.Errorf("the log does not tell of the broken file:\n%s", p.Log())
	}
	a.issue(dir, "third")
	becomes(t, a, p.URL, "third")
	if res, err := http.Get("http://" + p.Addr + "/v2/"); err == nil {
		if res.Body.Close(); res.StatusCode != 400 {
			t.Errorf("plain HTTP was answered %d", res.StatusCode)
		}
	}
}

func TestTLS_AsksClientsForCertificates(t *testing.T) {
	t.Parallel()
	a, other, dir := newAuthority(t), newAuthority(t), t.TempDir()
	a.issue(dir, "server")
	replace(t, filepath.Join(dir, "clients.pem"), a.pem)
	p := program.Start(t, program.In(dir), program.Config("tls: {cert: tls.crt, key: tls.key, clientCA: clients.pem}\n"), program.HTTPS(a.client(false, a)))
	for _, http2 := range []bool{false, true} {
		if _, _, _, err := served(a.client(http2, a), p.URL); err != nil {
			t.Errorf("with a certificate: %v", err)
		}
		for name, shown := range map[string]*authority{"none": nil, "a stranger's": other} {
			if _, _, _, err := served(a.client(http2, shown), p.URL); err == nil {
				t.Errorf("with %s certificate it was let in", name)
			}
		}
	}
}

// What cannot be used is told at once, and before anything is made.
func TestTLS_FilesAreWrong(t *testing.T) {
	t.Parallel()
	a, dir := newAuthority(t), t.TempDir()
	a.issue(dir, "server")
	replace(t, filepath.Join(dir, "empty.pem"), nil)
	for section, word := range map[string]string{
		"cert: absent.crt, key: tls.key":                    "absent.crt",
		"cert: tls.crt, key: tls.crt":                       "tls.key",
		"cert: tls.crt, key: tls.key, clientCA: absent.pem": "absent.pem",
		"cert: tls.crt, key: tls.key, clientCA: empty.pem":  "empty.pem",
	} {
		replace(t, filepath.Join(dir, "config.yml"), []byte("listen: 127.0.0.1:0\ntls: {"+section+"}\n"))
		says(t, refusal(t, dir, "serve", "--config", "config.yml"), word)
		if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
			t.Fatal("it made its data folder all the same")
		}
	}
}

func TestPlainHTTP2(t *testing.T) {
	t.Parallel()
	p := program.Start(t)
	res, err := plainHTTP2().Get(p.URL + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.ProtoMajor != 2 {
		t.Errorf("%s %s", res.Proto, res.Status)
	}
}
