package vmdk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
)

const (
	grainSectors   = 128 // 64 KiB
	tableEntries   = 512 // grain table entries: 32 MiB of disk for each table
	tableSectors   = tableEntries * 4 / sector
	sparseMagic    = 0x564d444b // "KDMV"
	flagNewline    = 1
	grainAlignment = grainSectors
)

// sparseHeader is the header of a hosted sparse extent (VMware Virtual Disk Format 1.1).
type sparseHeader struct {
	Magic            uint32
	Version          uint32
	Flags            uint32
	Capacity         uint64
	GrainSize        uint64
	DescriptorOffset uint64
	DescriptorSize   uint64
	NumGTEsPerGT     uint32
	RGDOffset        uint64
	GDOffset         uint64
	Overhead         uint64
	UncleanShutdown  uint8
	SingleEndLine    byte
	NonEndLine       byte
	DoubleEndLine1   byte
	DoubleEndLine2   byte
	Compress         uint16
}

// writeSparse makes an empty sparse extent: header, grain directory, and grain tables that are all
// zero and therefore only a hole in the file.
func writeSparse(file string, sectors int64) error {
	capacity := roundUp(uint64(sectors), grainSectors)
	tables := roundUp(capacity, grainSectors*tableEntries) / (grainSectors * tableEntries)
	dirSectors := roundUp(tables*4, sector) / sector
	firstTable := 1 + dirSectors
	overhead := roundUp(firstTable+tables*tableSectors, grainAlignment)

	var b bytes.Buffer
	h := sparseHeader{Magic: sparseMagic, Version: 1, Flags: flagNewline, Capacity: capacity,
		GrainSize: grainSectors, NumGTEsPerGT: tableEntries, GDOffset: 1, Overhead: overhead,
		SingleEndLine: '\n', NonEndLine: ' ', DoubleEndLine1: '\r', DoubleEndLine2: '\n'}
	_ = binary.Write(&b, binary.LittleEndian, h) // a bytes.Buffer takes it all
	b.Write(make([]byte, sector-b.Len()))
	for i := range tables {
		b.Write(binary.LittleEndian.AppendUint32(nil, uint32(firstTable+i*tableSectors)))
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	return errors.Join(err, f.Truncate(int64(overhead*sector)), f.Close())
}

func roundUp(n, to uint64) uint64 { return (n + to - 1) / to * to }
