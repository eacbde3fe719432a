package storage

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/vmware/govmomi/vim25/types"
	"golang.org/x/sys/unix"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/storage"
)

const exportBuffer = 256 << 10

// Export implements storage.Driver.
func (d *Driver) Export(ctx context.Context, req storage.ExportRequest) (io.ReadCloser, error) {
	m, ok := d.inv.Get(req.ID)
	if !ok {
		return nil, fmt.Errorf("disk of container %s: %w", req.ID, errdef.ErrNotFound)
	}
	if m.State != types.VirtualMachinePowerStatePoweredOff {
		return nil, fmt.Errorf("disk of container %s: VM %s is not off: %w", req.ID, m.Name, errdef.ErrConflict)
	}
	select {
	case d.exports <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l, err := d.acquire(ctx, m)
	if err != nil {
		<-d.exports
		return nil, err
	}
	release := sync.OnceFunc(func() { d.drop(req.ID, l); <-d.exports })
	rel, err := locate(l.dir, req.Path)
	if err != nil {
		release()
		return nil, fmt.Errorf("disk of container %s: %w", req.ID, err)
	}
	pr, pw := io.Pipe()
	stop := context.AfterFunc(l.ctx, func() { pw.CloseWithError(context.Cause(l.ctx)) })
	go func() {
		err := writeTar(pw, l.dir, rel)
		stop()
		release()
		pw.CloseWithError(err)
	}()
	return pr, nil
}

// locate checks that name is there and that no symbolic link on the way leads out of dir. It returns
// the clean name relative to dir.
func locate(dir, name string) (string, error) {
	rel := strings.TrimPrefix(path.Clean("/"+name), "/")
	if rel == "" {
		return ".", nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("mounted disk: %w", err)
	}
	defer root.Close()
	_, err = root.Lstat(rel)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return "", fmt.Errorf("%s: %w", rel, errdef.ErrNotFound)
	case err != nil:
		return "", fmt.Errorf("%s: %w: %w", rel, errdef.ErrInvalid, err)
	}
	return rel, nil
}

// writeTar writes dir/rel and all below it; names begin with the last part of rel.
func writeTar(w io.Writer, dir, rel string) error {
	buf := bufio.NewWriterSize(w, exportBuffer)
	t := &tarWriter{tw: tar.NewWriter(buf), links: map[inode]string{}}
	start := filepath.Join(dir, rel)
	base := path.Base(rel)
	err := filepath.WalkDir(start, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(start, file)
		if err != nil {
			return err
		}
		return t.add(file, path.Join(base, below), e)
	})
	if err != nil {
		return fmt.Errorf("export %s: %w", rel, err)
	}
	if err := t.tw.Close(); err != nil {
		return err
	}
	return buf.Flush()
}

type inode struct{ dev, ino uint64 }

type tarWriter struct {
	tw    *tar.Writer
	links map[inode]string // first name of files with several
}

func (t *tarWriter) add(file, name string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket != 0 {
		return nil
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(file); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname, h.Format = name, "", "", tar.FormatPAX
	if info.IsDir() {
		h.Name += "/"
	}
	if err := t.attributes(file, h); err != nil {
		return err
	}
	if first, again := t.seen(info, name); again {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
	}
	if err := t.tw.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(t.tw, f)
	return err
}

// seen returns the first name of a file that has several, and whether this is not the first.
func (t *tarWriter) seen(info fs.FileInfo, name string) (string, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.IsDir() || st.Nlink < 2 {
		return "", false
	}
	key := inode{st.Dev, st.Ino}
	first, again := t.links[key]
	if !again {
		t.links[key] = name
	}
	return first, again
}

// attributes adds the file's extended attributes.
func (t *tarWriter) attributes(file string, h *tar.Header) error {
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(file, buf)
	if errors.Is(err, unix.ENOTSUP) || n == 0 && err == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("extended attributes: %w", err)
	}
	for _, name := range strings.Split(strings.Trim(string(buf[:n]), "\x00"), "\x00") {
		v := make([]byte, 64<<10)
		m, err := unix.Lgetxattr(file, name, v)
		if err != nil {
			continue // gone, or not for us
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+name] = string(v[:m])
	}
	return nil
}
