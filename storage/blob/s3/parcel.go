package s3

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"io"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parcel is content in memory on its way to S3. It grows until it is sent, and is not changed afterwards.
type parcel struct {
	start int64 // where it lies in its upload
	size  int64
	crc   uint32
	slabs []*slab
}

func (p *parcel) end() int64 { return p.start + p.size }

// room returns how much more the slabs can hold.
func (p *parcel) room() int64 { return int64(len(p.slabs))*slabSize - p.size }

// add copies as much of b as there is room for into the slab that is being filled, and returns how much that was.
func (p *parcel) add(b []byte) int {
	if p.room() == 0 {
		return 0
	}
	n := copy(p.slabs[p.size/slabSize][p.size%slabSize:], b)
	p.crc = crc32.Update(p.crc, castagnoli, b[:n])
	p.size += int64(n)
	return n
}

// read takes n bytes of src, for which there is room, and returns their own checksum.
func (p *parcel) read(src io.Reader, n int64) (crc uint32, err error) {
	for n > 0 {
		free := p.slabs[p.size/slabSize][p.size%slabSize:]
		free = free[:min(int64(len(free)), n)]
		if _, err := io.ReadFull(src, free); err != nil {
			return 0, err
		}
		crc = crc32.Update(crc, castagnoli, free)
		p.crc = crc32.Update(p.crc, castagnoli, free)
		p.size += int64(len(free))
		n -= int64(len(free))
	}
	return crc, nil
}

// copyAt copies what lies at an offset of the parcel, up to the end of a slab.
func (p *parcel) copyAt(b []byte, at int64) int { return copy(b, p.run(at)) }

// run returns what lies at an offset of the parcel, up to the end of a slab.
func (p *parcel) run(at int64) []byte {
	first := at / slabSize
	return p.slabs[first][at%slabSize : min(slabSize, p.size-first*slabSize)]
}

// md5 returns the MD5 of the parcel, as the header Content-MD5 has it (RFC 1864). It finds what broke by accident, and protects from nobody.
func (p *parcel) md5() string {
	sum := md5.New()
	for at := int64(0); at < p.size; at += slabSize {
		sum.Write(p.run(at))
	}
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// reader returns a reader of the whole parcel that can be rewound, for a request that is repeated.
func (p *parcel) reader() io.ReadSeeker { return &parcelReader{p: p} }

type parcelReader struct {
	p  *parcel
	at int64
}

func (r *parcelReader) Read(b []byte) (int, error) {
	if r.at >= r.p.size {
		return 0, io.EOF
	}
	n := r.p.copyAt(b, r.at)
	r.at += int64(n)
	return n, nil
}

// WriteTo hands out whole slabs.
func (r *parcelReader) WriteTo(w io.Writer) (total int64, err error) {
	for r.at < r.p.size && err == nil {
		var n int
		n, err = w.Write(r.p.run(r.at))
		r.at += int64(n)
		total += int64(n)
	}
	return total, err
}

func (r *parcelReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.p.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	r.at = offset
	return offset, nil
}
