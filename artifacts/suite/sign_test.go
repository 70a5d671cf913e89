package suite

import (
	"bytes"
	"crypto"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// oneRSA is the one key of RSA for all tests: to make one takes seconds.
var oneRSA = sync.OnceValues(func() (*key, error) { return newKey(RSA4096, userID("registry.example.com"), noon) })

// made makes a key. One of RSA is always the same, of noon.
func made(t testing.TB, algorithm Algorithm, at time.Time) *key {
	t.Helper()
	generate := oneRSA
	if algorithm == Ed25519 {
		generate = func() (*key, error) { return newKey(Ed25519, userID("registry.example.com"), at) }
	}
	k, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// trusting reads a keyring as a host would.
func trusting(t testing.TB, keys ...*key) openpgp.EntityList {
	t.Helper()
	text, err := keyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	return readKeyring(t, text)
}

func readKeyring(t testing.TB, text []byte) openpgp.EntityList {
	t.Helper()
	list, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// accepts checks both signatures of a snapshot against a keyring, at a time.
func accepts(t testing.TB, ring openpgp.EntityList, s *Snapshot, now time.Time) error {
	t.Helper()
	config := &packet.Config{Time: func() time.Time { return now }}
	release := s.text(t, Release)
	if _, err := openpgp.CheckArmoredDetachedSignature(ring, strings.NewReader(release), strings.NewReader(s.text(t, ReleaseGPG)), config); err != nil {
		return fmt.Errorf("Release.gpg: %w", err)
	}
	block, rest := clearsign.Decode([]byte(s.text(t, InRelease)))
	if block == nil || len(rest) > 0 {
		t.Fatalf("InRelease is not one signed text: %s", s.text(t, InRelease))
	}
	if string(block.Plaintext)+"\n" != release {
		t.Errorf("InRelease has another text than Release: %q", block.Plaintext)
	}
	if _, err := block.VerifySignature(ring, config); err != nil {
		return fmt.Errorf("InRelease: %w", err)
	}
	return nil
}

// signatures returns the signatures of Release.gpg.
func signatures(t testing.TB, s *Snapshot) (all []*packet.Signature) {
	t.Helper()
	block, err := armor.Decode(strings.NewReader(s.text(t, ReleaseGPG)))
	if err != nil {
		t.Fatal(err)
	}
	for packets := packet.NewReader(block.Body); ; {
		p, err := packets.Next()
		if err != nil {
			return all
		}
		all = append(all, p.(*packet.Signature))
	}
}

func TestBuild_signs_with_every_key(t *testing.T) {
	ed, rsa, stranger := made(t, Ed25519, noon), made(t, RSA4096, noon), made(t, Ed25519, noon)
	for name, c := range map[string]struct {
		by     []*key
		trusts map[string]*key // and who must refuse it
	}{
		"one":  {[]*key{ed}, map[string]*key{"ed": ed}},
		"RSA":  {[]*key{rsa}, map[string]*key{"rsa": rsa}},
		"both": {[]*key{ed, rsa}, map[string]*key{"ed": ed, "rsa": rsa}},
	} {
		var signers []Signer
		for _, k := range c.by {
			signers = append(signers, k.signer())
		}
		s := build1(t, cloud, few(), noon.Add(time.Hour), nil, signers...)
		for who, k := range c.trusts {
			if err := accepts(t, trusting(t, k), s, noon.Add(2*time.Hour)); err != nil {
				t.Errorf("signed by %s, who trusts %s alone: %v", name, who, err)
			}
		}
		if err := accepts(t, trusting(t, stranger), s, noon.Add(2*time.Hour)); err == nil {
			t.Errorf("signed by %s, and a stranger's key accepts it", name)
		}
		all := signatures(t, s)
		if len(all) != len(c.by) {
			t.Errorf("signed by %s: %d signatures", name, len(all))
		}
		for i, sig := range all {
			algorithm := map[Algorithm]packet.PublicKeyAlgorithm{Ed25519: 22, RSA4096: 1}[c.by[i].algorithm]
			if sig.Version != 4 || sig.Hash != crypto.SHA512 || sig.PubKeyAlgo != algorithm || !sig.CreationTime.Equal(noon.Add(time.Hour)) || len(sig.Notations) > 0 {
				t.Errorf("signed by %s: signature %d is of version %d, %v, algorithm %d, %s, %v", name, i, sig.Version, sig.Hash, sig.PubKeyAlgo, sig.CreationTime, sig.Notations)
			}
		}
		if n := strings.Count(s.text(t, InRelease), "-----BEGIN PGP SIGNATURE-----"); n != 1 {
			t.Errorf("InRelease has %d armors of signatures, want one for all", n)
		}
		if !strings.HasPrefix(s.text(t, InRelease), "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: ") {
			t.Errorf("InRelease begins with %.100q", s.text(t, InRelease))
		}
	}
}

func TestBuild_signature_is_no_older_than_its_key(t *testing.T) {
	old, young := made(t, Ed25519, noon), made(t, Ed25519, noon.Add(30*time.Second)) // by another process, whose clock is ahead
	s := build1(t, cloud, few(), noon, nil, old.signer(), young.signer())
	for _, sig := range signatures(t, s) {
		if sig.CreationTime.Before(noon.Add(30 * time.Second)) {
			t.Errorf("a signature is of %s, a key is of %s", sig.CreationTime, young.created)
		}
	}
	if !s.Date.Equal(noon) {
		t.Errorf("Date is %s, want that of now", s.Date)
	}
}

func TestBuild_signature_covers_everything(t *testing.T) {
	k := made(t, Ed25519, noon)
	s := build1(t, cloud, few(), noon, nil, k.signer())
	for _, path := range []string{Release, InRelease} {
		text := s.text(t, path)
		end := len(text)
		if i := strings.Index(text, "-----BEGIN PGP SIGNATURE"); i > 0 {
			end = i
		}
		for at := strings.Index(text, "Origin"); at < end-1; at += 7 {
			if text[at] == '\n' {
				continue
			}
			altered := []byte(text)
			altered[at] ^= 4
			var err error
			if path == Release {
				_, err = openpgp.CheckArmoredDetachedSignature(trusting(t, k), bytes.NewReader(altered), strings.NewReader(s.text(t, ReleaseGPG)), pgp(noon))
			} else if block, _ := clearsign.Decode(altered); block != nil {
				_, err = block.VerifySignature(trusting(t, k), pgp(noon))
			} else {
				continue
			}
			if err == nil {
				t.Errorf("%s is accepted with another byte at %d", path, at)
			}
		}
	}
}

func TestSigner_shows_no_private_half(t *testing.T) {
	for _, algorithm := range []Algorithm{Ed25519, RSA4096} {
		k := made(t, algorithm, noon)
		for _, shown := range []any{k, *k, k.signer(), []Signer{k.signer()}} {
			for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
				if text := fmt.Sprintf(format, shown); strings.Contains(text, "PRIVATE") || containsSecret(text, k) {
					t.Errorf("%s of a %T shows it", format, shown)
				}
			}
		}
	}
}

// containsSecret looks for a part of the armor of a key's private half.
func containsSecret(text string, k *key) bool {
	for line := range strings.Lines(k.armored()) {
		if line = strings.TrimSpace(line); len(line) > 32 && !strings.HasPrefix(line, "-") && strings.Contains(text, line) {
			return true
		}
	}
	return false
}
