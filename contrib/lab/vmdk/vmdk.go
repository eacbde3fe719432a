// Package vmdk makes and reads virtual disk files as VMFS lays them out, in a form that QEMU reads
// and writes too:
//
//	base   X.vmdk (createType vmfs,       RW n VMFS       "X-flat.vmdk")   a sparse raw file
//	child  X.vmdk (createType vmfsSparse, RW n VMFSSPARSE "X-delta.vmdk")  a hosted sparse extent,
//	                                                                       parentFileNameHint
//
// The descriptors are text, so that govmomi's simulator can read them.
package vmdk

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNotVMDK is returned for a file that is not a text descriptor.
var ErrNotVMDK = errors.New("not a text vmdk descriptor")

const (
	sector      = 512
	noParentCID = "ffffffff"
	maxDesc     = 64 << 10 // no descriptor is longer
)

// Disk is what a descriptor says.
type Disk struct {
	File     string // the descriptor
	CID      string
	Type     string
	Parent   string // file of the parent's descriptor; empty for a base
	UUID     string
	Capacity int64 // bytes
	Extents  []string
}

// Read reads a descriptor.
func Read(file string) (Disk, error) {
	f, err := os.Open(file)
	if err != nil {
		return Disk{}, err
	}
	defer func() { _ = f.Close() }()
	d := Disk{File: file}
	sc := bufio.NewScanner(io.LimitReader(f, maxDesc))
	for sc.Scan() {
		d.line(strings.TrimRight(sc.Text(), "\x00\r"))
	}
	if d.CID == "" || len(d.Extents) == 0 {
		return Disk{}, fmt.Errorf("%s: %w", file, ErrNotVMDK)
	}
	return d, nil
}

func (d *Disk) line(s string) {
	dir := filepath.Dir(d.File)
	if w := strings.Fields(s); len(w) >= 4 && w[0] == "RW" {
		n, err := strconv.ParseInt(w[1], 10, 64)
		if err == nil {
			d.Capacity += n * sector
			d.Extents = append(d.Extents, filepath.Join(dir, strings.Trim(strings.Join(w[3:], " "), `"`)))
		}
		return
	}
	k, v, ok := strings.Cut(s, "=")
	if !ok {
		return
	}
	v = strings.Trim(strings.TrimSpace(v), `"`)
	switch strings.TrimSpace(k) {
	case "CID":
		d.CID = v
	case "createType":
		d.Type = v
	case "ddb.uuid":
		d.UUID = v
	case "parentFileNameHint":
		d.Parent = v
		if !filepath.IsAbs(v) {
			d.Parent = filepath.Join(dir, v)
		}
	}
}

// Chain returns the disk and its ancestors, the disk first.
func Chain(file string) ([]Disk, error) {
	var c []Disk
	for file != "" {
		d, err := Read(file)
		if err != nil {
			return nil, err
		}
		c = append(c, d)
		if len(c) > 255 {
			return nil, fmt.Errorf("%s: chain of more than 255 disks", file)
		}
		file = d.Parent
	}
	return c, nil
}

// CreateBase makes a thin disk of that many bytes.
func CreateBase(file string, size int64) error {
	flat := stem(file) + "-flat.vmdk"
	f, err := os.OpenFile(flat, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	return writeDescriptor(file, desc{parentCID: noParentCID, kind: "vmfs", sectors: size / sector,
		extent: filepath.Base(flat), extentKind: "VMFS"})
}

// CreateChild makes an empty child of the parent.
func CreateChild(file, parent string) error {
	p, err := Read(parent)
	if err != nil {
		return err
	}
	hint, err := filepath.Rel(filepath.Dir(file), parent)
	if err != nil {
		return err
	}
	delta := stem(file) + "-delta.vmdk"
	if err := writeSparse(delta, p.Capacity/sector); err != nil {
		return err
	}
	_ = os.Remove(stem(file) + "-flat.vmdk") // what the simulator may have left
	return writeDescriptor(file, desc{parentCID: p.CID, kind: "vmfsSparse", hint: hint,
		sectors: p.Capacity / sector, extent: filepath.Base(delta), extentKind: "VMFSSPARSE"})
}

// Delete removes the disk's files; not its parents.
func Delete(file string) error {
	d, err := Read(file)
	if errors.Is(err, ErrNotVMDK) {
		return os.Remove(file)
	}
	if err != nil {
		return err
	}
	for _, e := range d.Extents {
		if err := os.Remove(e); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Remove(file)
}

// CopyFlat copies a disk, its whole chain flattened into one base, as vSphere does.
func CopyFlat(ctx context.Context, src, dst string) error {
	d, err := Read(src)
	if err != nil {
		return err
	}
	if err := CreateBase(dst, d.Capacity); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "qemu-img", "convert", "-n", "-f", "vmdk", "-O", "raw",
		src, stem(dst)+"-flat.vmdk").CombinedOutput()
	if err != nil {
		return fmt.Errorf("qemu-img convert %s: %w: %s", src, err, bytes.TrimSpace(out))
	}
	return nil
}

// Move renames a disk and its extents and keeps the link to the parent right.
func Move(src, dst string) error {
	d, err := Read(src)
	if err != nil {
		return err
	}
	if len(d.Extents) != 1 {
		return fmt.Errorf("%s: %d extents: cannot move", src, len(d.Extents))
	}
	text, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	from := filepath.Base(d.Extents[0])
	to := strings.Replace(from, filepath.Base(stem(src)), filepath.Base(stem(dst)), 1)
	s := strings.Replace(string(text), `"`+from+`"`, `"`+to+`"`, 1)
	if d.Parent != "" {
		hint, err := filepath.Rel(filepath.Dir(dst), d.Parent)
		if err != nil {
			return err
		}
		s = replaceValue(s, "parentFileNameHint", hint)
	}
	if err := os.Rename(d.Extents[0], filepath.Join(filepath.Dir(dst), to)); err != nil {
		return err
	}
	if err := os.WriteFile(dst, []byte(s), 0o600); err != nil {
		return err
	}
	return os.Remove(src)
}

// Extend makes a base disk larger.
func Extend(file string, size int64) error {
	d, err := Read(file)
	if err != nil {
		return err
	}
	if d.Type != "vmfs" || len(d.Extents) != 1 || size < d.Capacity {
		return fmt.Errorf("%s: only a base disk can be extended, and only upwards", file)
	}
	if err := os.Truncate(d.Extents[0], size); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s := strings.Replace(string(text), fmt.Sprintf("RW %d ", d.Capacity/sector), fmt.Sprintf("RW %d ", size/sector), 1)
	return os.WriteFile(file, []byte(s), 0o600)
}

// SetUUID changes the disk's identity.
func SetUUID(file, uuid string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(replaceValue(string(text), "ddb.uuid", uuid)), 0o600)
}

func replaceValue(text, key, value string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if k, _, ok := strings.Cut(l, "="); ok && strings.TrimSpace(k) == key {
			lines[i] = fmt.Sprintf("%s=%q", k, value)
		}
	}
	return strings.Join(lines, "\n")
}

func stem(file string) string { return strings.TrimSuffix(file, ".vmdk") }

type desc struct {
	parentCID, kind, hint, extent, extentKind string
	sectors                                   int64
}

func writeDescriptor(file string, d desc) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=%s\nparentCID=%s\ncreateType=\"%s\"\n",
		newCID(), d.parentCID, d.kind)
	if d.hint != "" {
		fmt.Fprintf(&b, "parentFileNameHint=\"%s\"\n", d.hint)
	}
	fmt.Fprintf(&b, "\n# Extent description\nRW %d %s \"%s\"\n", d.sectors, d.extentKind, d.extent)
	fmt.Fprintf(&b, "\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\nddb.virtualHWVersion = \"14\"\nddb.uuid = \"%s\"\n", newUUID())
	return os.WriteFile(file, b.Bytes(), 0o600)
}

func newCID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%08x", binary.BigEndian.Uint32(b[:])&0x7fffffff)
}

// newUUID makes a disk identity in VMware's notation, with VMware's 6000C29 prefix.
func newUUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	copy(b, []byte{0x60, 0x00, 0xc2, 0x90 | b[3]&0xf})
	s := fmt.Sprintf("% x", b)
	return s[:23] + "-" + s[24:]
}
