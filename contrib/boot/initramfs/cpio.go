package initramfs

import (
	"bufio"
	"fmt"
	"io"
)

// WriteTo writes the tree as a newc cpio archive (Documentation/driver-api/early-userspace/
// buffer-format in the kernel's tree). All files belong to root and have the time 0.
func (t *Tree) WriteTo(w io.Writer) (int64, error) {
	out := &counter{w: bufio.NewWriterSize(w, 1<<20)}
	for i, name := range t.names() {
		e := t.entries[name]
		if err := out.entry(i+1, name, e); err != nil {
			return out.n, fmt.Errorf("initramfs: write %s: %w", name, err)
		}
	}
	if err := out.entry(0, "TRAILER!!!", entry{}); err != nil {
		return out.n, fmt.Errorf("initramfs: write the trailer: %w", err)
	}
	if err := out.w.Flush(); err != nil {
		return out.n, fmt.Errorf("initramfs: flush: %w", err)
	}
	return out.n, nil
}

type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) entry(inode int, name string, e entry) error {
	links := 1
	if e.mode&typeDir == typeDir {
		links = 2
	}
	const mtime, uid, gid, devMajor, devMinor, check = 0, 0, 0, 0, 0, 0
	_, err := fmt.Fprintf(c, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		inode, e.mode, uid, gid, links, mtime, len(e.data), devMajor, devMinor, e.major, e.minor, len(name)+1, check, name)
	if err != nil {
		return err
	}
	if err := c.pad(); err != nil {
		return err
	}
	if _, err := c.Write(e.data); err != nil {
		return err
	}
	return c.pad()
}

// pad fills up to a multiple of four bytes.
func (c *counter) pad() error {
	if rest := c.n % 4; rest != 0 {
		_, err := c.Write(make([]byte, 4-rest))
		return err
	}
	return nil
}
