package rootfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// WriteTree describes all files of the view.
func WriteTree(w io.Writer) error {
	t, err := newTreeWriter(w)
	if err != nil {
		return err
	}
	if err := walk(func(n node) error { return t.add(n) }); err != nil {
		return err
	}
	return t.close()
}

// walk calls fn with every file of the view in the order of a tree.
func walk(fn func(node) error) error {
	var st syscall.Stat_t
	if err := syscall.Lstat("/", &st); err != nil {
		return classify(err)
	}
	if err := fn(nodeOf("/", &st)); err != nil {
		return err
	}
	return walkBelow("", fn)
}

func walkBelow(dir string, fn func(node) error) error {
	entries, err := os.ReadDir(dir + "/")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return classify(err)
	}
	for _, e := range entries {
		file := dir + "/" + e.Name()
		var st syscall.Stat_t
		err := syscall.Lstat(file, &st)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return classify(err)
		}
		n := nodeOf(file, &st)
		if err := fn(n); err != nil {
			return err
		}
		if n.dir() {
			if err := walkBelow(file, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

func nodeOf(path string, st *syscall.Stat_t) node {
	return node{path: path, mode: st.Mode, uid: st.Uid, gid: st.Gid, ino: st.Ino, nlink: uint64(st.Nlink), size: st.Size, //nolint:unconvert // 32 bits on arm64
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}
}
