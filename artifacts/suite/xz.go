package suite

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"

	"github.com/ulikunitz/xz/lzma"
)

// A Packages.xz is one stream (The .xz File Format, version 1.2.0) of many blocks. A block is compressed for itself, so that the blocks of the snapshot
// before serve again wherever the text between two cuts is the same. Where the cuts are depends on the packages between them and on nothing else: one
// package more or less moves the nearest cuts, and those beyond stay. That makes the cost of adding a package independent of how many there are.

const (
	minBlock = 96 << 10
	maxBlock = 512 << 10

	// xzWindow is the dictionary that a reader needs, and xzWindowCode how headers write it: 2 << (14/2 + 11).
	xzWindow     = maxBlock
	xzWindowCode = 14

	xzMagic, xzFooterMagic = "\xfd7zXZ\x00", "YZ"
	xzFlags                = "\x00\x01" // blocks are checked by their CRC32
	xzHeader               = 12
	xzFooter               = 12
	xzCheck                = 4
)

// xzBlockHeader is the header of every block: 12 bytes long, no sizes, and LZMA2 alone.
var xzBlockHeader = summed([]byte{2, 0, 0x21, 1, xzWindowCode, 0, 0, 0})

// isCut tells whether a block that has a size ends behind an entry. The hash of a package is as good as a die with 16 faces.
func isCut(size int, e *entry) bool {
	return size >= maxBlock || size >= minBlock && e.SHA256[len(e.SHA256)-1] == '0'
}

// block is a block as it lies in a file, header, padding and check included.
type block struct {
	raw      []byte
	unpadded uint64 // its size without the padding
	size     uint64 // of the text
}

// summed appends the CRC32 of b to it, the lowest byte first.
func summed(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)) }

// pad appends zeros until the length is a multiple of four.
func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// packXZ compresses a text in the blocks that the cuts make of it, but for those that are known.
func packXZ(text []byte, cuts []int, known map[[sha256.Size]byte]block) ([]byte, error) {
	out := append([]byte(xzMagic), xzFlags...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE([]byte(xzFlags)))
	index := binary.AppendUvarint([]byte{0}, uint64(len(cuts)))
	begin := 0
	for _, end := range cuts {
		part := text[begin:end]
		begin = end
		b, ok := known[sha256.Sum256(part)]
		if !ok {
			var err error
			if b, err = packBlock(part); err != nil {
				return nil, err
			}
		}
		out = append(out, b.raw...)
		index = binary.AppendUvarint(binary.AppendUvarint(index, b.unpadded), b.size)
	}
	index = summed(pad(index))
	footer := append(binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1)), xzFlags...)
	out = append(out, index...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(footer))
	return append(append(out, footer...), xzFooterMagic...), nil
}

// packBlock compresses one block. The library's other matcher is a hundred times slower on such texts, and hardly packs closer.
func packBlock(part []byte) (block, error) {
	b := bytes.NewBuffer(bytes.Clone(xzBlockHeader))
	w, err := lzma.Writer2Config{DictCap: max(lzma.MinDictCap, min(len(part), xzWindow)), Matcher: lzma.HashTable4}.NewWriter2(b)
	if err != nil {
		return block{}, err
	}
	if _, err := w.Write(part); err != nil {
		return block{}, err
	}
	if err := w.Close(); err != nil {
		return block{}, err
	}
	n := b.Len()
	raw := binary.LittleEndian.AppendUint32(pad(b.Bytes()), crc32.ChecksumIEEE(part))
	return block{raw: raw, unpadded: uint64(n + xzCheck), size: uint64(len(part))}, nil
}

// blocksOf returns the blocks of a Packages.xz by the hashes of their texts, and none if the files are not there, do not belong together, or were made in
// another way.
func blocksOf(text, packed File) map[[sha256.Size]byte]block {
	if !packed.known() {
		return nil
	}
	records, ok := xzIndex(packed.Content)
	if !ok {
		return nil
	}
	blocks := make(map[[sha256.Size]byte]block, len(records))
	rest, raw := text.Content, packed.Content[xzHeader:]
	for _, r := range records {
		padded := (r.unpadded + 3) &^ 3
		if r.size > uint64(len(rest)) || padded > uint64(len(raw)) || !bytes.HasPrefix(raw, xzBlockHeader) {
			return nil
		}
		r.raw = raw[:padded]
		if binary.LittleEndian.Uint32(r.raw[padded-xzCheck:]) != crc32.ChecksumIEEE(rest[:r.size]) {
			return nil
		}
		blocks[sha256.Sum256(rest[:r.size])] = r
		rest, raw = rest[r.size:], raw[padded:]
	}
	if len(rest) > 0 {
		return nil
	}
	return blocks
}

// xzIndex reads the index of a file, which stands at its end. The blocks have no bytes yet.
func xzIndex(file []byte) ([]block, bool) {
	if len(file) < xzHeader+xzFooter || string(file[:8]) != xzMagic+xzFlags || string(file[len(file)-4:]) != xzFlags+xzFooterMagic {
		return nil, false
	}
	footer := file[len(file)-xzFooter:]
	length := (uint64(binary.LittleEndian.Uint32(footer[4:])) + 1) * 4
	if length > uint64(len(file)-xzHeader-xzFooter) {
		return nil, false
	}
	index := file[uint64(len(file)-xzFooter)-length : len(file)-xzFooter]
	if index[0] != 0 {
		return nil, false
	}
	index = index[1:]
	next := func() uint64 {
		n, used := binary.Uvarint(index)
		index = index[max(used, 0):]
		return n
	}
	count := next()
	if count > uint64(len(index)) {
		return nil, false
	}
	blocks := make([]block, count)
	for i := range blocks {
		blocks[i] = block{unpadded: next(), size: next()}
		if b := blocks[i]; b.unpadded < uint64(len(xzBlockHeader))+xzCheck || b.unpadded > uint64(len(file)) || b.size == 0 {
			return nil, false
		}
	}
	return blocks, true
}
