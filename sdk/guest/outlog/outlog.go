// Package outlog is the format in which a tether keeps what a container's process wrote: a directory
// of files of records on the container's own disk. The tether writes and reads it while the VM runs;
// the host reads it from the disk when the VM is off.
//
// The output of a process is one sequence of bytes (both streams, in the order in which the tether
// read them), and an offset is a position in it. A record is a piece of one stream; it carries its
// own offset, so that a gap (output that could not be written, for a full disk) is visible and does
// no harm. Offsets go on over restarts of the VM: a run appends to what the run before left.
//
// A file is named after the offset of its first record, sixteen hexadecimal digits and ".log"; names
// sort in the order of the offsets. A record is a header of HeaderSize bytes and then the data:
//
//	0  2 bytes  "VL"
//	2  1 byte   version, 1
//	3  1 byte   stream, 1 stdout, 2 stderr
//	4  4 bytes  length of the data
//	8  8 bytes  time, Unix nanoseconds
//	16 8 bytes  offset
//	24 4 bytes  CRC-32C of the 24 bytes before
//
// All numbers are little endian. A record that is cut short at the end of a file was being written
// when the VM lost its power; it is left out, and cut off by the next run.
package outlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// HeaderSize is the number of bytes before each record's data.
const HeaderSize = 28

// MaxData bounds the data of one record.
const MaxData = 1 << 20

// ErrCorrupt is returned for bytes that are no record.
var ErrCorrupt = errors.New("outlog: not a record")

// errShort says that the bytes end within a record.
var errShort = errors.New("outlog: record is cut short")

// Stream is where the process wrote to. The numbers are those of the link protocol.
type Stream uint8

// The streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Record is a piece of output.
type Record struct {
	Offset int64
	Time   time.Time
	Stream Stream
	Data   []byte
}

// Next is the offset after the record.
func (r Record) Next() int64 { return r.Offset + int64(len(r.Data)) }

// From returns the part of the record at and after offset.
func (r Record) From(offset int64) Record {
	if offset <= r.Offset {
		return r
	}
	skip := min(offset-r.Offset, int64(len(r.Data)))
	r.Offset += skip
	r.Data = r.Data[skip:]
	return r
}

// AppendHeader appends the encoded header of r to b; the data follows it in a file.
func AppendHeader(b []byte, r Record) []byte {
	start := len(b)
	b = append(b, 'V', 'L', 1, byte(r.Stream))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Data)))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Time.UnixNano()))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Offset))
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

func checksum(b []byte) uint32 {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}

// header is a decoded record without its data.
type header struct {
	rec  Record
	size int // of the data
}

func parseHeader(b []byte) (header, error) {
	if len(b) < HeaderSize {
		return header{}, errShort
	}
	if b[0] != 'V' || b[1] != 'L' || binary.LittleEndian.Uint32(b[24:]) != checksum(b[:24]) {
		return header{}, ErrCorrupt
	}
	if b[2] != 1 {
		return header{}, fmt.Errorf("%w: version %d", ErrCorrupt, b[2])
	}
	h := header{size: int(binary.LittleEndian.Uint32(b[4:]))}
	if h.size > MaxData {
		return header{}, fmt.Errorf("%w: length %d", ErrCorrupt, h.size)
	}
	h.rec.Stream = Stream(b[3])
	h.rec.Time = time.Unix(0, int64(binary.LittleEndian.Uint64(b[8:])))
	h.rec.Offset = int64(binary.LittleEndian.Uint64(b[16:]))
	return h, nil
}
