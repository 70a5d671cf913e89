package suite

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Signer signs snapshots with one key. The keys' owner hands it out: see [Keys.Signers].
type Signer struct {
	// Fingerprint names the key, in upper-case hex.
	Fingerprint string

	created time.Time
	private func() *packet.PrivateKey // behind a function, so that whatever prints a signer cannot print this
}

// pgp returns how to sign and to make keys at a time: with SHA-512, and without the random notation that would make no two signatures the same.
func pgp(at time.Time) *packet.Config {
	salted := false
	return &packet.Config{DefaultHash: crypto.SHA512, Time: func() time.Time { return at }, NonDeterministicSignaturesViaNotation: &salted}
}

// sign adds Release and what is signed of it.
func (s *Snapshot) sign(release string, signers []Signer) error {
	if len(signers) == 0 {
		return errors.New("nobody signs it: hosts refuse what is not signed")
	}
	// No signature may be older than its key: gpgv calls it bad. The key may come from a process whose clock is ahead.
	at := s.Date
	for _, signer := range signers {
		if signer.private == nil {
			return errors.New("a signer has no key: take those that Keys hand out")
		}
		if signer.created.After(at) {
			at = signer.created
		}
	}
	inline, err := signInline(release, signers, at)
	if err != nil {
		return fmt.Errorf("sign InRelease: %w", err)
	}
	detached, err := signDetached(release, signers, at)
	if err != nil {
		return fmt.Errorf("sign Release.gpg: %w", err)
	}
	s.put(Release, []byte(release))
	s.put(InRelease, inline)
	s.put(ReleaseGPG, detached)
	return nil
}

// signInline puts a text between signatures (RFC 4880, section 7). The newline of its last line is the one that the format adds.
func signInline(text string, signers []Signer, at time.Time) ([]byte, error) {
	var keys []*packet.PrivateKey
	for _, s := range signers {
		keys = append(keys, s.private())
	}
	var b bytes.Buffer
	w, err := clearsign.EncodeMulti(&b, keys, pgp(at))
	if err != nil {
		return nil, err
	}
	if _, err := w.Write([]byte(strings.TrimSuffix(text, "\n"))); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return ended(b.Bytes()), nil
}

// signDetached writes the signatures alone, all in one armor.
func signDetached(text string, signers []Signer, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, "PGP SIGNATURE", nil)
	if err != nil {
		return nil, err
	}
	for _, s := range signers {
		key := s.private()
		sig := &packet.Signature{
			Version: key.Version, SigType: packet.SigTypeBinary, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA512, CreationTime: at,
			IssuerKeyId: &key.KeyId, IssuerKeyVersion: uint8(key.Version), IssuerFingerprint: key.Fingerprint,
		}
		h := crypto.SHA512.New()
		h.Write([]byte(text))
		if err := sig.Sign(h, key, pgp(at)); err != nil {
			return nil, err
		}
		if err := sig.Serialize(w); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return ended(b.Bytes()), nil
}

// ended makes a text end with one newline.
func ended(text []byte) []byte { return append(bytes.TrimRight(text, "\n"), '\n') }
