package transfer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// A backup is a zstd stream of
//
//	{"entrepotBackup":1,"made":"…","indexVersion":2}   and a newline
//	R <key> <value>                                    for each row, in the order of keys
//	C <digest> <size>                                  for each content that the rows need, the size in digits, or -1
//	E <summary>                                        as JSON, with the sha256 of all before the E; nothing follows
//
// A field is its length as an unsigned varint (encoding/binary), and its bytes. So what was cut off, and what was changed, is found.
const (
	formatVersion = 1
	maxHeader     = 4 << 10
	maxValue      = 64 << 20 // bytes of a row's value; the longest are manifests
	window        = 4 << 20  // of zstd, in bytes
)

var errDamaged = errors.New("the backup is damaged or was cut off")

// header is the first line of a backup.
type header struct {
	Format       int       `json:"entrepotBackup"`
	Made         time.Time `json:"made"`
	IndexVersion int       `json:"indexVersion"`
}

// Summary is what a backup holds.
type Summary struct {
	Made         time.Time `json:"made"` // the moment it shows
	IndexVersion int       `json:"indexVersion"`
	Rows         int64     `json:"rows"`
	Contents     Count     `json:"contents"` // that the rows need; the size is of those whose size the index knows
	Sum          string    `json:"sum"`      // sha256 in hex, of everything before the summary
}

func zipTo(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
}

// unzip unpacks with little memory, whatever the stream wants.
func unzip(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
}

// writer writes a backup.
type writer struct {
	zip *zstd.Encoder
	sum hash.Hash
	out *bufio.Writer // to both
}

func newWriter(w io.Writer) (*writer, error) {
	zip, err := zipTo(w)
	if err != nil {
		return nil, err
	}
	b := &writer{zip: zip, sum: sha256.New()}
	b.out = bufio.NewWriterSize(io.MultiWriter(zip, b.sum), 64<<10)
	return b, nil
}

// record writes a kind and its fields. An error of the writing comes with the end.
func (b *writer) record(kind byte, fields ...[]byte) {
	_ = b.out.WriteByte(kind)
	for _, f := range fields {
		_, _ = b.out.Write(binary.AppendUvarint(nil, uint64(len(f))))
		_, _ = b.out.Write(f)
	}
}

// writeBackup writes an index as it is seen at one moment.
func writeBackup(ctx context.Context, index kv.View, made time.Time, w io.Writer) (s Summary, err error) {
	if err := whole(ctx, index); err != nil {
		return s, err
	}
	version, err := index.Get(ctx, keyVersion)
	if err == nil {
		s.IndexVersion, err = strconv.Atoi(string(version))
	}
	if err != nil {
		return s, fmt.Errorf("read the index's version: %w", err)
	}
	b, err := newWriter(w)
	if err != nil {
		return s, err
	}
	defer b.zip.Close()
	s.Made = made.UTC()
	first, err := json.Marshal(header{formatVersion, s.Made, s.IndexVersion})
	if err != nil {
		return s, err
	}
	_, _ = b.out.Write(append(first, '\n'))
	for pair, err := range index.Scan(ctx, "", "") {
		if err != nil {
			return s, err
		}
		if len(pair.Value) > maxValue {
			return s, fmt.Errorf("row %.80q has %d bytes, more than a backup takes", pair.Key, len(pair.Value))
		}
		b.record('R', []byte(pair.Key), pair.Value)
		s.Rows++
	}
	for content, err := range Needed(ctx, index) {
		if err != nil {
			return s, err
		}
		if content.Spare {
			continue // it will be another one soon
		}
		b.record('C', []byte(content.Digest), strconv.AppendInt(nil, content.Size, 10))
		s.Contents.add(content.Size)
	}
	return b.end(s)
}

func (b *writer) end(s Summary) (Summary, error) {
	if err := b.out.Flush(); err != nil {
		return s, err
	}
	s.Sum = hex.EncodeToString(b.sum.Sum(nil))
	last, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	b.record('E', last)
	return s, firstOf(b.out.Flush(), b.zip.Close())
}

// reader reads a backup.
type reader struct {
	in  *bufio.Reader
	sum hash.Hash
}

// ReadBackup reads a backup to its end and checks it: what it returns is what the backup says of itself. row and content, which may be nil, are given everything as
// it comes, before it is known whether the whole is sound.
func ReadBackup(ctx context.Context, r io.Reader, row func(kv.Pair) error, content func(Content) error) (s Summary, err error) {
	zip, err := unzip(r)
	if err != nil {
		return s, err
	}
	defer zip.Close()
	b := &reader{in: bufio.NewReaderSize(zip, 64<<10), sum: sha256.New()}
	if s, err = b.begin(); err != nil {
		return s, err
	}
	last := ""
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return s, ctx.Err()
		}
		kind, err := b.in.ReadByte()
		if err != nil {
			return s, damaged(err)
		}
		if kind == 'E' {
			s.Sum, err = b.end(s)
			return s, err
		}
		_, _ = b.sum.Write([]byte{kind})
		switch kind {
		case 'R':
			var pair kv.Pair
			if pair, err = b.row(last); err == nil && row != nil {
				err = row(pair)
			}
			s.Rows, last = s.Rows+1, pair.Key
		case 'C':
			var need Content
			if need, err = b.content(); err == nil && content != nil {
				err = content(need)
			}
			s.Contents.add(need.Size)
		default:
			err = errDamaged
		}
		if err != nil {
			return s, err
		}
	}
}

func (b *reader) begin() (s Summary, err error) {
	line := make([]byte, 0, 256)
	for {
		c, err := b.in.ReadByte()
		if err != nil || len(line) == maxHeader {
			return s, fmt.Errorf("%w, or is no backup of an Entrepôt", errDamaged)
		}
		_, _ = b.sum.Write([]byte{c})
		if c == '\n' {
			break
		}
		line = append(line, c)
	}
	var h header
	if json.Unmarshal(line, &h) != nil || h.Format == 0 {
		return s, fmt.Errorf("%w, or is no backup of an Entrepôt", errDamaged)
	}
	if h.Format != formatVersion || h.IndexVersion > registry.IndexVersion {
		return s, fmt.Errorf("the backup is of format %d with an index of version %d, and this program knows formats up to %d and versions up to %d: run a newer entrepot",
			h.Format, h.IndexVersion, formatVersion, registry.IndexVersion)
	}
	return Summary{Made: h.Made, IndexVersion: h.IndexVersion}, nil
}

func (b *reader) row(last string) (pair kv.Pair, err error) {
	key, err := b.field(kv.MaxKey, true)
	if err == nil {
		pair.Key = string(key)
		pair.Value, err = b.field(maxValue, true)
	}
	if err == nil && pair.Key <= last {
		err = errDamaged
	}
	return pair, err
}

func (b *reader) content() (c Content, err error) {
	name, err := b.field(256, true)
	if err != nil {
		return c, err
	}
	size, err := b.field(20, true)
	if err != nil {
		return c, err
	}
	c.Digest = digest.Digest(name)
	if c.Size, err = strconv.ParseInt(string(size), 10, 64); err != nil || c.Size < -1 || blob.CheckDigest(c.Digest) != nil {
		return c, errDamaged
	}
	return c, nil
}

// end compares what was read with what the backup says that it holds, and returns the sum.
func (b *reader) end(read Summary) (string, error) {
	read.Sum = hex.EncodeToString(b.sum.Sum(nil))
	last, err := b.field(maxHeader, false)
	if err != nil {
		return "", err
	}
	if want, err := json.Marshal(read); err != nil || !bytes.Equal(last, want) {
		return "", errDamaged
	}
	if _, err := b.in.ReadByte(); err != io.EOF {
		return "", errDamaged
	}
	return read.Sum, nil
}

// field reads a field of up to most bytes, with no more memory than there are bytes.
func (b *reader) field(most uint64, summed bool) ([]byte, error) {
	n, err := binary.ReadUvarint(b.in)
	if err != nil {
		return nil, damaged(err)
	}
	if n > most {
		return nil, errDamaged
	}
	var field bytes.Buffer
	if _, err := io.CopyN(&field, b.in, int64(n)); err != nil {
		return nil, damaged(err)
	}
	if summed {
		_, _ = b.sum.Write(binary.AppendUvarint(nil, n))
		_, _ = b.sum.Write(field.Bytes())
	}
	return field.Bytes(), nil
}

// damaged says that a backup cannot be read, and keeps why.
func damaged(err error) error {
	if err == io.EOF {
		return errDamaged
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// walkOfBackup is the walk through a backup's rows.
func walkOfBackup(open func() (io.ReadCloser, error)) walk {
	return func(ctx context.Context) iter.Seq2[kv.Pair, error] {
		return func(yield func(kv.Pair, error) bool) {
			r, err := open()
			if err != nil {
				yield(kv.Pair{}, err)
				return
			}
			defer r.Close()
			enough := errors.New("enough")
			_, err = ReadBackup(ctx, r, func(pair kv.Pair) error {
				if !yield(pair, nil) {
					return enough
				}
				return nil
			}, nil)
			if err != nil && !errors.Is(err, enough) {
				yield(kv.Pair{}, err)
			}
		}
	}
}
