package s3

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

func (s *Store) prefix() string {
	if s.cfg.Prefix == "" {
		return ""
	}
	return s.cfg.Prefix + "/"
}

func (s *Store) blobsPrefix() string      { return s.prefix() + "blobs/" }
func (s *Store) quarantinePrefix() string { return s.prefix() + "quarantine/" }
func (s *Store) uploadsPrefix() string    { return s.prefix() + "uploads/" }

// blobKey returns where d lies. d was checked, so that it holds no separator and at least two hex digits.
func (s *Store) blobKey(d digest.Digest) string {
	return s.blobsPrefix() + d.Algorithm().String() + "/" + d.Encoded()[:2] + "/" + d.Encoded()
}

// quarantineKey returns where damaged content of d is kept.
func (s *Store) quarantineKey(d digest.Digest) string {
	return s.quarantinePrefix() + d.Algorithm().String() + "-" + d.Encoded()
}

// parseQuarantineKey returns the digest whose damaged content lies under a key, or false for a key that is not ours.
func (s *Store) parseQuarantineKey(key string) (digest.Digest, bool) {
	rest, found := strings.CutPrefix(key, s.quarantinePrefix())
	algorithm, hex, split := strings.Cut(rest, "-")
	d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
	if !found || !split || blob.CheckDigest(d) != nil {
		return "", false
	}
	return d, true
}

// parseBlobKey returns the digest that lies under a key, or false for a key that is not ours.
func (s *Store) parseBlobKey(key string) (digest.Digest, bool) {
	rest, found := strings.CutPrefix(key, s.blobsPrefix())
	fields := strings.Split(rest, "/")
	if !found || len(fields) != 3 {
		return "", false
	}
	d := digest.NewDigestFromEncoded(digest.Algorithm(fields[0]), fields[2])
	if blob.CheckDigest(d) != nil || s.blobKey(d) != key {
		return "", false
	}
	return d, true
}

// uploadPrefix returns what the keys of an upload's pieces begin with. The name was checked, so that it holds no separator.
func (s *Store) uploadPrefix(name string) string { return s.uploadsPrefix() + name + "/" }

// pieceKey returns the key of a piece. Keys of one upload sort as their numbers do.
func (s *Store) pieceKey(name string, p piece) string {
	return s.uploadPrefix(name) + fmt.Sprintf("%016x-%016x-%08x", p.number, p.start, p.crc)
}

const pieceKeyLength = 16 + 1 + 16 + 1 + 8

// parsePieceKey returns the upload of a piece and what the key tells of the piece, or false for a key that is not ours.
func (s *Store) parsePieceKey(key string) (name string, p piece, ok bool) {
	rest, found := strings.CutPrefix(key, s.uploadsPrefix())
	name, rest, split := strings.Cut(rest, "/")
	if !found || !split || !blob.ValidUpload(name) || len(rest) != pieceKeyLength || rest[16] != '-' || rest[33] != '-' {
		return "", piece{}, false
	}
	number, err1 := strconv.ParseUint(rest[:16], 16, 63)
	start, err2 := strconv.ParseUint(rest[17:33], 16, 63)
	crc, err3 := strconv.ParseUint(rest[34:], 16, 32)
	if err1 != nil || err2 != nil || err3 != nil {
		return "", piece{}, false
	}
	p = piece{key: key, number: int64(number), start: int64(start), crc: uint32(crc)}
	return name, p, s.pieceKey(name, p) == key
}
