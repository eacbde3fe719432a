package rootfs

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// Pack writes a file, or a directory with all below it, as tar. Names begin with the last part of
// name, as docker cp wants them; those of the root directory with "/".
func Pack(w io.Writer, name string) error {
	abs := absolute(name)
	info, err := os.Lstat(abs)
	if err != nil {
		return classify(err)
	}
	base := path.Base(abs)
	if !info.IsDir() {
		return write(w, func(p *packer) error { return p.add(abs, base, info) })
	}
	if base == "/" {
		base = ""
	}
	// The end of the path stays: "/link/" is the directory that the link leads to.
	return write(w, func(p *packer) error { return p.tree(strings.TrimSuffix(abs, "/")+"/.", base) })
}

// PackAll writes all that the view has; names are relative.
func PackAll(w io.Writer) error {
	return write(w, func(p *packer) error {
		p.relative = true
		return p.below("", "")
	})
}

func write(w io.Writer, fn func(*packer) error) error {
	buf := bufio.NewWriterSize(w, bufferSize)
	p := &packer{tw: tar.NewWriter(buf), links: map[inode]string{}, copy: make([]byte, bufferSize)}
	if err := fn(p); err != nil {
		return err
	}
	if err := p.tw.Close(); err != nil {
		return err
	}
	return buf.Flush()
}

type inode struct{ dev, ino uint64 }

// packer writes one tar stream.
type packer struct {
	tw       *tar.Writer
	links    map[inode]string // first name of files with several
	relative bool             // names do not begin with "/"
	copy     []byte
}

// tree adds a directory and what is in it.
func (p *packer) tree(dir, name string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return classify(err)
	}
	if err := p.add(dir, name, info); err != nil {
		return err
	}
	return p.below(strings.TrimSuffix(dir, "/."), name)
}

// below adds what is in a directory. What goes away meanwhile is left out.
func (p *packer) below(dir, name string) error {
	entries, err := os.ReadDir(dir + "/")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return classify(err)
	}
	for _, e := range entries {
		file, as := dir+"/"+e.Name(), e.Name()
		if name != "" || !p.relative {
			as = name + "/" + as
		}
		info, err := os.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return classify(err)
		}
		if err := p.add(file, as, info); err != nil {
			return err
		}
		if info.IsDir() {
			if err := p.below(file, as); err != nil {
				return err
			}
		}
	}
	return nil
}

// add writes one file.
func (p *packer) add(file, name string, info fs.FileInfo) error {
	if info.Mode()&fs.ModeSocket != 0 {
		return nil
	}
	h, err := header(file, name, info)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	if first, again := p.seen(info, name); again {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
	}
	if h.Typeflag != tar.TypeReg || h.Size == 0 {
		return p.tw.WriteHeader(h)
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	defer f.Close()
	if err := p.tw.WriteHeader(h); err != nil {
		return err
	}
	// A file that grows is cut, one that shrinks is filled up: the header has been written.
	n, err := io.CopyBuffer(p.tw, onlyReader{io.LimitReader(f, h.Size)}, p.copy)
	if err == nil && n < h.Size {
		_, err = io.CopyN(p.tw, zeros{}, h.Size-n)
	}
	return err
}

// onlyReader hides other methods, so that a copy uses its buffer.
type onlyReader struct{ io.Reader }

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// header makes a file's header with numeric owners and extended attributes.
func header(file, name string, info fs.FileInfo) (*tar.Header, error) {
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = os.Readlink(file); err != nil {
			return nil, err
		}
	}
	h, err := tar.FileInfoHeader(nameless{info}, target)
	if err != nil {
		return nil, err
	}
	h.Name, h.Format = name, tar.FormatPAX
	if info.IsDir() {
		h.Name += "/"
	}
	st, err := sysStat(info)
	if err != nil {
		return nil, err
	}
	// nameless keeps archive/tar from looking numbers up in files of the wrong system.
	h.Uid, h.Gid, h.ModTime = int(st.Uid), int(st.Gid), info.ModTime()
	if info.Mode()&fs.ModeDevice != 0 {
		h.Devmajor, h.Devminor = major(st.Rdev), minor(st.Rdev)
	}
	all, err := attributes(file)
	if err != nil {
		return nil, err
	}
	for k, v := range all {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[paxAttribute+k] = v
	}
	return h, nil
}

// nameless hides a file's system data.
type nameless struct{ fs.FileInfo }

func (nameless) Sys() any { return nil }

func major(dev uint64) int64 { return int64(dev>>8&0xfff | dev>>32&^0xfff) }
func minor(dev uint64) int64 { return int64(dev&0xff | dev>>12&^0xff&0xffffffff) }

func device(major, minor int64) int {
	a, b := uint64(major), uint64(minor)
	return int(a&0xfff<<8 | a&^0xfff<<32 | b&0xff | b&^0xff<<12)
}

// seen returns the first name of a file that has several, and whether this is not the first.
func (p *packer) seen(info fs.FileInfo, name string) (string, bool) {
	st, err := sysStat(info)
	if err != nil || info.IsDir() || st.Nlink < 2 {
		return "", false
	}
	key := inode{st.Dev, st.Ino}
	first, again := p.links[key]
	if !again {
		p.links[key] = name
	}
	return first, again
}
