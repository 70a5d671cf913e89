package suite

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/entrepot/entrepot/storage/kv"
)

// Algorithm is what a key is made for.
type Algorithm string

// The algorithms. Both sign SHA-512.
const (
	Ed25519 Algorithm = "ed25519" // EdDSA as gpg has it since 2.1: short, fast, and known to every apt since Debian 9
	RSA4096 Algorithm = "rsa4096" // for those who must
)

const (
	publicBlock, privateBlock = "PGP PUBLIC KEY BLOCK", "PGP PRIVATE KEY BLOCK"
	// maxArmor bounds what is read of a key. One of RSA has about 3 KiB.
	maxArmor = 64 << 10
)

// key is one signing key. It does not change.
type key struct {
	fingerprint string
	algorithm   Algorithm
	created     time.Time
	retires     time.Time                 // until when it signs; zero while no other one has taken over
	public      []byte                    // its packets
	private     func() *packet.PrivateKey // nil once it does not sign any more
	armored     func() string             // the private half as the row has it, "" when there is none
}

// newKey makes a key for a user id, at a time.
func newKey(algorithm Algorithm, id *packet.UserId, at time.Time) (*key, error) {
	config := pgp(at.UTC().Truncate(time.Second))
	config.Algorithm, config.Curve = packet.PubKeyAlgoEdDSA, packet.Curve25519
	if algorithm == RSA4096 {
		config.Algorithm, config.RSABits = packet.PubKeyAlgoRSA, 4096
	}
	entity, err := openpgp.NewEntity(id.Name, id.Comment, id.Email, config)
	if err != nil {
		return nil, err
	}
	entity.Subkeys = nil // it is for signing: nobody shall encrypt anything to it
	var secret bytes.Buffer
	w, err := armor.Encode(&secret, privateBlock, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(entity.SerializePrivateWithoutSigning(w, nil), w.Close()); err != nil {
		return nil, err
	}
	return keyFrom(entity, secret.String(), time.Time{})
}

// keyFrom returns the key of an entity. Its private half is there if secret is.
func keyFrom(entity *openpgp.Entity, secret string, retires time.Time) (*key, error) {
	var public bytes.Buffer
	if err := entity.Serialize(&public); err != nil {
		return nil, err
	}
	k := &key{
		fingerprint: strings.ToUpper(hex.EncodeToString(entity.PrimaryKey.Fingerprint)),
		created:     entity.PrimaryKey.CreationTime.UTC(),
		retires:     retires.UTC(),
		public:      public.Bytes(),
		armored:     func() string { return secret },
	}
	switch entity.PrimaryKey.PubKeyAlgo {
	case packet.PubKeyAlgoEdDSA:
		k.algorithm = Ed25519
	case packet.PubKeyAlgoRSA:
		k.algorithm = RSA4096
	default:
		return nil, errRow
	}
	if secret != "" {
		private := entity.PrivateKey
		if private == nil || private.Encrypted || private.Dummy() {
			return nil, errRow
		}
		k.private = func() *packet.PrivateKey { return private }
	}
	return k, nil
}

// signs tells whether the key signs at a time.
func (k *key) signs(now time.Time) bool {
	return k.private != nil && (k.retires.IsZero() || now.Before(k.retires))
}

// retired returns the key as it is once another one has taken over.
func (k *key) retired(at time.Time) *key {
	old := *k
	old.retires = at.UTC()
	return &old
}

// withoutPrivate returns the key as it is when it has signed for the last time.
func (k *key) withoutPrivate() *key {
	old := *k
	old.private, old.armored = nil, func() string { return "" }
	return &old
}

func (k *key) signer() Signer {
	return Signer{Fingerprint: k.fingerprint, created: k.created, private: k.private}
}

// row is a key in the index.
type row struct {
	Public  string    `json:"public"`
	Private string    `json:"private,omitempty"`
	Created time.Time `json:"created"`
	Retires time.Time `json:"retires,omitzero"`
}

func (k *key) put(tx kv.Tx) error {
	public, err := keyring([]*key{k})
	if err != nil {
		return err
	}
	text, err := json.Marshal(row{Public: string(public), Private: k.armored(), Created: k.created, Retires: k.retires})
	if err != nil {
		return err
	}
	tx.Put(keyOf(k.fingerprint), text)
	return nil
}

// errRow says that a row holds no key. The reason of a decoder is not told: it might quote what it could not read.
var errRow = errors.New("it holds no signing key that this version knows")

func parseKey(p kv.Pair) (*key, error) {
	var r row
	if err := json.Unmarshal(p.Value, &r); err != nil {
		return nil, errRow
	}
	block, kind := cmp.Or(r.Private, r.Public), publicBlock
	if r.Private != "" {
		kind = privateBlock
	}
	packets, err := dearmor(block, kind)
	if err != nil {
		return nil, errRow
	}
	entities, err := openpgp.ReadKeyRing(bytes.NewReader(packets))
	if err != nil || len(entities) != 1 {
		return nil, errRow
	}
	k, err := keyFrom(entities[0], r.Private, r.Retires)
	if err != nil {
		return nil, errRow
	}
	if p.Key != keyOf(k.fingerprint) {
		return nil, fmt.Errorf("it holds the key %s", k.fingerprint)
	}
	return k, nil
}

func dearmor(text, kind string) ([]byte, error) {
	block, err := armor.Decode(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	if block.Type != kind {
		return nil, fmt.Errorf("it is a %s", block.Type)
	}
	return io.ReadAll(io.LimitReader(block.Body, maxArmor))
}

// keyring writes the public halves of keys into one armor: apt reads a file of keys up to the end of the first armor, and no further.
func keyring(keys []*key) ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, publicBlock, nil)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if _, err := w.Write(k.public); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return ended(b.Bytes()), nil
}
