package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strings"

	"github.com/entrepot/entrepot/door"
)

// bodyOf reads a body of up to most bytes.
func bodyOf(w http.ResponseWriter, r *http.Request, c door.Call, most int) ([]byte, error) {
	long := &door.Refusal{Answer: tooLong, Detail: map[string]any{"limit": most, "hint": "shorten it"}}
	if r.ContentLength > int64(most) {
		return nil, long
	}
	src, err := checked(r, c.Body(w, r))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(src, int64(most)+1)) // one more than allowed shows that there is more
	var own *door.Refusal
	switch {
	case errors.As(err, &own):
		return nil, err
	case err != nil:
		return nil, interrupted(err)
	case len(body) > most:
		return nil, long
	}
	return body, nil
}

// checked compares a body with the SHA-256 that was announced for it, in X-Checksum-Sha256 or Repr-Digest (RFC 9530), and fails at its end if it is another.
func checked(r *http.Request, body io.Reader) (io.Reader, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, &door.Refusal{Answer: encoded, Detail: map[string]string{"hint": "send the content as it is, without Content-Encoding"}}
	}
	want, err := announced(r.Header)
	if err != nil || want == nil {
		return body, err
	}
	return &checkedBody{src: body, want: want, sum: sha256.New(), length: r.ContentLength}, nil
}

// announced returns the SHA-256 that a request gives for its body; nil: none.
func announced(h http.Header) (want []byte, err error) {
	if text := h.Get("X-Checksum-Sha256"); text != "" {
		if want, err = hex.DecodeString(text); err != nil || len(want) != sha256.Size {
			return nil, invalid("the header X-Checksum-Sha256 is %s; write 64 hexadecimal digits", quote(text))
		}
	}
	for _, value := range h["Repr-Digest"] {
		for entry := range strings.SplitSeq(value, ",") {
			text, ok := strings.CutPrefix(strings.TrimSpace(entry), "sha-256=")
			if !ok {
				continue // of an algorithm that nobody looks at
			}
			coded, begins := strings.CutPrefix(text, ":")
			coded, ends := strings.CutSuffix(coded, ":")
			sum, err := base64.StdEncoding.DecodeString(coded)
			if err != nil || !begins || !ends || len(sum) != sha256.Size {
				return nil, invalid("the header Repr-Digest is %s; write sha-256=:…: with the digest in Base64", quote(value))
			}
			if want != nil && !bytes.Equal(want, sum) {
				return nil, invalid("two SHA-256 are given for one body, which differ")
			}
			want = sum
		}
	}
	return want, nil
}

// checkedBody keeps the end of a wrong body back, so that nobody who reads it can take it for whole.
type checkedBody struct {
	src    io.Reader
	want   []byte
	sum    hash.Hash
	length int64 // as announced; -1: until it ends
	bytes  int64
}

func (b *checkedBody) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	b.sum.Write(p[:n])
	b.bytes += int64(n)
	if errors.Is(err, io.EOF) || b.bytes == b.length {
		if got := b.sum.Sum(nil); !bytes.Equal(got, b.want) {
			return 0, &door.Refusal{Answer: wrongSum, Detail: map[string]any{
				"announced": hex.EncodeToString(b.want), "received": hex.EncodeToString(got), "size": b.bytes,
				"hint": "nothing was kept; what arrived has another SHA-256 than was announced, so look at the file, and send it again",
			}}
		}
	}
	return n, err
}
