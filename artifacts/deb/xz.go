package deb

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzBlocks is how many blocks an .xz may have: more only make work. xz itself begins a new one after 1 MiB or more.
const xzBlocks = 64

// xz reads one stream of the .xz file format 1.2.0 with blocks of LZMA2. The container is read here and not by the library, because this one reserves as
// much memory for each block as the block asks for, up to 4 GiB.
type xz struct {
	in    counted
	flags [2]byte
	most  int64 // bytes that anybody will read

	block   *lzma.Reader2 // nil between blocks
	head    xzBlock
	began   int64 // where the present block's header began
	started int64 // where its data did
	n       int64 // bytes of it that came out
	sum     hash.Hash
	done    []xzRecord
}

// xzRecord is what the index says of a block.
type xzRecord struct{ unpadded, unpacked uint64 }

// counted counts what was read.
type counted struct {
	r *bufio.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// take reads exactly n bytes.
func (c *counted) take(n int) ([]byte, error) {
	p := make([]byte, n)
	if _, err := io.ReadFull(c, p); err != nil {
		return nil, early(err)
	}
	return p, nil
}

// early is the error for data that ends where more is due.
func early(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func newXZ(r io.Reader, most int64) (*xz, error) {
	x := &xz{in: counted{r: bufio.NewReader(r)}, most: most}
	head, err := x.in.take(12)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")) {
		return nil, errors.New("xz: no xz data")
	}
	if crc32.ChecksumIEEE(head[6:8]) != binary.LittleEndian.Uint32(head[8:]) {
		return nil, errors.New("xz: wrong checksum of the stream's header")
	}
	copy(x.flags[:], head[6:8])
	if x.sum = x.check(); x.flags[0] != 0 || x.sum == nil && x.flags[1] != 0 {
		return nil, fmt.Errorf("xz: unknown flags %x", x.flags)
	}
	return x, nil
}

// check returns the hash by which blocks are checked, or nil for none.
func (x *xz) check() hash.Hash {
	switch x.flags[1] {
	case 1:
		return reversed{crc32.NewIEEE()}
	case 4:
		return reversed{crc64.New(crc64.MakeTable(crc64.ECMA))}
	case 10:
		return sha256.New()
	}
	return nil
}

// reversed is a sum whose bytes stand in the file with the lowest first.
type reversed struct{ hash.Hash }

func (h reversed) Sum(b []byte) []byte {
	sum := h.Hash.Sum(nil)
	for i := len(sum) - 1; i >= 0; i-- {
		b = append(b, sum[i])
	}
	return b
}

// Read gives what the blocks hold, and io.EOF when the index and the footer agree with them and nothing follows.
func (x *xz) Read(p []byte) (int, error) {
	for {
		if x.block == nil {
			if err := x.next(); err != nil {
				return 0, err
			}
		}
		n, err := x.block.Read(p)
		x.n += int64(n)
		if x.sum != nil {
			x.sum.Write(p[:n])
		}
		if err == io.EOF {
			err = x.end()
		}
		if n > 0 || err != nil {
			return n, early(err)
		}
	}
}

// next begins a block, or reads what follows the last one.
func (x *xz) next() error {
	x.began = x.in.n
	length, err := x.in.take(1)
	if err != nil {
		return err
	}
	if length[0] == 0 {
		if err := x.index(); err != nil {
			return early(err)
		}
		return io.EOF
	}
	if len(x.done) == xzBlocks {
		return fmt.Errorf("xz: more than %d blocks", xzBlocks)
	}
	rest, err := x.in.take(int(length[0])*4 + 3)
	if err != nil {
		return err
	}
	if x.head, err = parseXZBlock(append(length, rest...)); err != nil {
		return err
	}
	x.started, x.n = x.in.n, 0
	if x.sum != nil {
		x.sum.Reset()
	}
	window := max(lzma.MinDictCap, min(x.head.dictionary, x.most))
	x.block, err = lzma.Reader2Config{DictCap: int(window)}.NewReader2(&x.in)
	return early(err)
}

// end checks a block that was read.
func (x *xz) end() error {
	packed := x.in.n - x.started
	if known := x.head; known.packed >= 0 && known.packed != packed || known.unpacked >= 0 && known.unpacked != x.n {
		return errors.New("xz: a block has another length than its header says")
	}
	pad, err := x.in.take(int(-packed & 3))
	if err != nil {
		return err
	}
	if !zero(pad) {
		return errors.New("xz: no zeros behind a block")
	}
	record := xzRecord{uint64(x.in.n-x.began) - uint64(len(pad)), uint64(x.n)}
	if x.sum != nil {
		want, err := x.in.take(x.sum.Size())
		if err != nil {
			return err
		}
		if !bytes.Equal(x.sum.Sum(nil), want) {
			return errors.New("xz: wrong checksum of a block")
		}
		record.unpadded += uint64(len(want))
	}
	x.done, x.block = append(x.done, record), nil
	return nil
}

// index reads the index, whose first byte is read already, and the footer.
func (x *xz) index() error {
	at := x.in.n - 1
	sum := crc32.NewIEEE()
	sum.Write([]byte{0})
	r := bytewise{io.TeeReader(&x.in, sum)}
	blocks, err := readXZNumber(r)
	if err != nil {
		return err
	}
	if blocks != uint64(len(x.done)) {
		return errors.New("xz: the index has another number of blocks")
	}
	for _, want := range x.done {
		unpadded, err := readXZNumber(r)
		if err != nil {
			return err
		}
		unpacked, err := readXZNumber(r)
		if err != nil {
			return err
		}
		if want != (xzRecord{unpadded, unpacked}) {
			return errors.New("xz: the index has another length for a block")
		}
	}
	pad := make([]byte, (at-x.in.n)&3)
	if _, err := io.ReadFull(r, pad); err != nil {
		return err
	}
	if !zero(pad) {
		return errors.New("xz: no zeros behind the index")
	}
	return x.footer(sum.Sum32(), x.in.n-at)
}

// footer reads what follows the index: its sum, then the footer, which repeats the length of the index and the flags.
func (x *xz) footer(sum uint32, length int64) error {
	tail, err := x.in.take(4 + 12)
	if err != nil {
		return err
	}
	switch {
	case binary.LittleEndian.Uint32(tail) != sum:
		return errors.New("xz: wrong checksum of the index")
	case binary.LittleEndian.Uint32(tail[4:]) != crc32.ChecksumIEEE(tail[8:14]):
		return errors.New("xz: wrong checksum of the footer")
	case (int64(binary.LittleEndian.Uint32(tail[8:]))+1)*4 != length+4 || !bytes.Equal(tail[12:14], x.flags[:]) || string(tail[14:]) != "YZ":
		return errors.New("xz: the footer is not that of the stream")
	}
	switch _, err := x.in.r.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return errors.New("xz: something follows the stream")
	default:
		return err
	}
}

// xzBlock is the header of a block. Lengths that it does not tell are -1.
type xzBlock struct{ packed, unpacked, dictionary int64 }

// parseXZBlock reads a header with its checksum. The only filter is LZMA2, the only one that dpkg-deb uses.
func parseXZBlock(head []byte) (xzBlock, error) {
	b := xzBlock{packed: -1, unpacked: -1}
	body, sum := head[:len(head)-4], head[len(head)-4:]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(sum) {
		return b, errors.New("xz: wrong checksum of a block's header")
	}
	flags, r := body[1], bytes.NewReader(body[2:])
	if flags&^0xc0 != 0 {
		return b, errors.New("xz: a block has other filters than LZMA2")
	}
	for _, field := range []struct {
		flag byte
		to   *int64
	}{{0x40, &b.packed}, {0x80, &b.unpacked}} {
		if flags&field.flag == 0 {
			continue
		}
		n, err := readXZNumber(r)
		if err != nil {
			return b, err
		}
		*field.to = int64(n)
	}
	filter := make([]byte, 3)
	if _, err := io.ReadFull(r, filter); err != nil || filter[0] != 0x21 || filter[1] != 1 || filter[2] > 40 {
		return b, errors.New("xz: a block has other filters than LZMA2")
	}
	rest := make([]byte, r.Len())
	if _, _ = r.Read(rest); !zero(rest) {
		return b, errors.New("xz: a block's header has unknown fields")
	}
	b.dictionary = 1<<32 - 1
	if size := filter[2]; size < 40 {
		b.dictionary = int64(2|size&1) << (size/2 + 11)
	}
	return b, nil
}

// readXZNumber reads a number of up to 63 bits, seven a byte, the lowest first.
func readXZNumber(r io.ByteReader) (uint64, error) {
	var n uint64
	for shift := 0; shift < 63; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, early(err)
		}
		n |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			if b == 0 && shift > 0 {
				break
			}
			return n, nil
		}
	}
	return 0, errors.New("xz: a number is not written as it should be")
}

// bytewise reads single bytes.
type bytewise struct{ io.Reader }

func (b bytewise) ReadByte() (byte, error) {
	var p [1]byte
	_, err := io.ReadFull(b, p[:])
	return p[0], err
}

func zero(p []byte) bool { return len(bytes.Trim(p, "\x00")) == 0 }
