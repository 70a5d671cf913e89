package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// clientAuthority is who signed the registry's certificate, as far as engines must be told.
type clientAuthority struct {
	needed bool
	whose  string // which certificate that is, in words
	path   string // where it lies on the engines' machines; empty: where engines look for it
	host   string // the registry's, as engines call it
}

// file is where the authority's certificate lies, or is looked for by the engine whose configuration is in a folder.
func (a clientAuthority) file(folder string) string {
	if a.path != "" {
		return a.path
	}
	return folder + "/certs.d/" + a.host + "/ca.crt"
}

// advice says what to do for an engine that looks for it in one place only.
func (a clientAuthority) advice(folder string) string {
	from := a.whose
	if a.path != "" {
		from = printable(a.path)
	}
	a.path = ""
	return fmt.Sprintf("copy to %s: %s", a.file(folder), from)
}

// ownAuthority tells whether engines must be given the authority that signed the registry's certificate: one that this machine does not know by itself,
// or whatever lies at path, if that is said.
func (c Config) ownAuthority(path string) (clientAuthority, error) {
	scheme, host, _ := strings.Cut(c.address(), "://")
	host, _, _ = strings.Cut(host, "/")
	own := clientAuthority{host: host, path: path, needed: path != "" && scheme == "https"}
	if own.needed || scheme != "https" || c.TLS.Cert == "" {
		return own, nil
	}
	chain, err := readChain(c.TLS.Cert)
	if err != nil {
		return own, err
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: chain[0].NotBefore})
	var unknown x509.UnknownAuthorityError
	if own.needed = errors.As(err, &unknown); !own.needed {
		return own, nil
	}
	last := chain[len(chain)-1]
	if bytes.Equal(last.RawSubject, last.RawIssuer) {
		own.whose = fmt.Sprintf("the last one in tls.cert of the registry, %s, of %q", c.TLS.Cert, last.Subject)
	} else {
		own.whose = fmt.Sprintf("the certificate of %q, which signed the registry's", last.Issuer)
	}
	return own, nil
}

// readChain reads the certificates of a PEM file, of which there is at least one.
func readChain(path string) (chain []*x509.Certificate, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read tls.cert: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read tls.cert %s: %w", path, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("read tls.cert %s: there is no PEM certificate in it", path)
	}
	return chain, nil
}
