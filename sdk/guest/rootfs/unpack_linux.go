package rootfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/openvic/vic/sdk/errdef"
)

const readOnlyFlag = 1 // ST_RDONLY of statfs(2)

// Unpack writes the files of a tar stream into a directory, which must exist, with owners, modes,
// times, attributes and links. Its rules are those of docker cp.
func Unpack(r io.Reader, o UnpackOptions) error {
	dir, err := filepath.EvalSymlinks(path.Join("/", o.Path))
	if err != nil {
		return classify(err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return classify(err)
	}
	if !info.IsDir() {
		return fail(errdef.ErrInvalid, "extraction point is not a directory")
	}
	if err := writable(dir); err != nil {
		return err
	}
	u := &unpacker{dir: dir, keepKinds: o.KeepKinds, copy: make([]byte, bufferSize)}
	if o.Owner != "" {
		if u.owner, err = lookup(o.Owner); err != nil {
			return err
		}
	}
	if err := u.all(tar.NewReader(r)); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r) // what follows the end of the archive
	return err
}

// writable tells a read-only mount before anything is written.
func writable(dir string) error {
	if ok, err := readOnly(dir); err != nil || !ok {
		return err
	}
	rootToo, err := readOnly("/")
	if err != nil {
		return err
	}
	var at, root syscall.Stat_t
	if err := errors.Join(syscall.Lstat(dir, &at), syscall.Lstat("/", &root)); err != nil {
		return classify(err)
	}
	if !rootToo || at.Dev != root.Dev {
		return fail(errdef.ErrInvalid, "mounted volume is marked read-only")
	}
	return fail(errdef.ErrInvalid, "container rootfs is marked read-only")
}

func readOnly(dir string) (bool, error) {
	var st syscall.Statfs_t
	err := syscall.Statfs(dir, &st)
	return st.Flags&readOnlyFlag != 0, classify(err)
}

type ids struct{ uid, gid int }

// unpacker writes one tar stream.
type unpacker struct {
	dir       string
	keepKinds bool
	owner     *ids
	dirs      []*tar.Header // their times are set last
	copy      []byte
}

func (u *unpacker) all(tr *tar.Reader) error {
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fail(errdef.ErrInvalid, "not a whole tar stream: %v", err)
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		h.Name = strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if err := u.one(h, tr); err != nil {
			return classify(err)
		}
	}
	for _, h := range u.dirs {
		if err := setTimes(path.Join(u.dir, h.Name), h); err != nil {
			return classify(err)
		}
	}
	return nil
}

func (u *unpacker) one(h *tar.Header, r io.Reader) error {
	file := path.Join(u.dir, h.Name)
	if h.Name != "" {
		if _, err := os.Lstat(path.Dir(file)); errors.Is(err, fs.ErrNotExist) {
			if err := os.MkdirAll(path.Dir(file), 0o755); err != nil {
				return err
			}
		}
	}
	done, err := u.makeRoom(h, file)
	if err != nil || done {
		return err
	}
	if u.owner != nil {
		h.Uid, h.Gid = u.owner.uid, u.owner.gid
	}
	if err := u.create(h, file, r); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeLink {
		return nil // its owner and times are the other name's
	}
	return u.attributes(h, file)
}

// makeRoom removes what a file replaces. done says that nothing else is to do: the directory itself.
func (u *unpacker) makeRoom(h *tar.Header, file string) (done bool, err error) {
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	dir := h.Typeflag == tar.TypeDir
	switch {
	case u.keepKinds && info.IsDir() && !dir:
		return false, fail(errdef.ErrInvalid, "cannot overwrite directory %q with non-directory %q", file, u.dir)
	case u.keepKinds && !info.IsDir() && dir:
		return false, fail(errdef.ErrInvalid, "cannot overwrite non-directory %q with directory %q", file, u.dir)
	case info.IsDir() && h.Name == "":
		return true, nil
	case info.IsDir() && dir:
		return false, nil
	}
	return false, os.RemoveAll(file)
}

func (u *unpacker) create(h *tar.Header, file string, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		u.dirs = append(u.dirs, h)
		if err := os.Mkdir(file, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeReg:
		f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(onlyWriter{f}, onlyReader{r}, u.copy)
		return errors.Join(err, f.Close())
	case tar.TypeSymlink:
		return os.Symlink(h.Linkname, file)
	case tar.TypeLink:
		return os.Link(path.Join(u.dir, path.Clean("/"+h.Linkname)), file)
	case tar.TypeFifo:
		return syscall.Mkfifo(file, 0o600)
	case tar.TypeChar:
		return syscall.Mknod(file, syscall.S_IFCHR|0o600, device(h.Devmajor, h.Devminor))
	case tar.TypeBlock:
		return syscall.Mknod(file, syscall.S_IFBLK|0o600, device(h.Devmajor, h.Devminor))
	}
	return fail(errdef.ErrInvalid, "unhandled tar header type %q", h.Typeflag)
}

type onlyWriter struct{ io.Writer }

// attributes sets what a file has besides its content: the owner first, which clears others.
func (u *unpacker) attributes(h *tar.Header, file string) error {
	if err := os.Lchown(file, h.Uid, h.Gid); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := syscall.Chmod(file, uint32(h.Mode)&0o7777); err != nil {
			return err
		}
	}
	for k, v := range h.PAXRecords {
		if name, ok := strings.CutPrefix(k, paxAttribute); ok {
			if err := setAttribute(file, name, v); err != nil {
				return err
			}
		}
	}
	if h.Typeflag == tar.TypeDir {
		return nil
	}
	return setTimes(file, h)
}

// setTimes sets a file's times; links are not followed.
func setTimes(file string, h *tar.Header) error {
	atime := h.AccessTime
	if atime.Before(h.ModTime) {
		atime = h.ModTime
	}
	ts := [2]syscall.Timespec{timespec(atime), timespec(h.ModTime)}
	p, err := syscall.BytePtrFromString(file)
	if err != nil {
		return err
	}
	const noFollow = 0x100
	cwd := atFDCWD
	_, _, errno := syscall.Syscall6(syscall.SYS_UTIMENSAT, uintptr(cwd), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&ts[0])), noFollow, 0, 0)
	if errno != 0 {
		return fmt.Errorf("times of %s: %w", file, errno)
	}
	return nil
}

func timespec(t time.Time) syscall.Timespec {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return syscall.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
