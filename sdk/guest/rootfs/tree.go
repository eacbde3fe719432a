package rootfs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// treeMagic begins a tree.
const treeMagic = "VICTREE1"

// maxPath is more than any path in a tree may have.
const maxPath = 64 << 10

// node is one file of a tree.
type node struct {
	path  string // absolute
	mode  uint32 // Linux's, with the type
	uid   uint32
	gid   uint32
	ino   uint64
	nlink uint64
	size  int64
	mtime int64 // nanoseconds
	ctime int64
}

func (n node) dir() bool { return n.mode&0o170000 == 0o040000 }

// kind is the type of file.
func (n node) kind() uint32 { return n.mode & 0o170000 }

// before is the order of a walk: what is in a directory follows it at once.
func before(a, b string) bool {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] == b[i] {
			continue
		}
		if a[i] == '/' || b[i] == '/' {
			return a[i] == '/'
		}
		return a[i] < b[i]
	}
	return len(a) < len(b)
}

// within says that path lies in dir.
func within(path, dir string) bool {
	return strings.HasPrefix(path, dir) && len(path) > len(dir) && (path[len(dir)] == '/' || dir == "/")
}

// treeWriter writes nodes in the order of a walk: each as what its path shares with the one before,
// the rest of the path, and numbers.
type treeWriter struct {
	w    *bufio.Writer
	last string
	buf  []byte
}

func newTreeWriter(w io.Writer) (*treeWriter, error) {
	b := bufio.NewWriterSize(w, bufferSize)
	_, err := b.WriteString(treeMagic)
	return &treeWriter{w: b}, err
}

func (t *treeWriter) add(n node) error {
	shared := 0
	for shared < len(t.last) && shared < len(n.path) && t.last[shared] == n.path[shared] {
		shared++
	}
	b := binary.AppendUvarint(t.buf[:0], uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(n.path)-shared))
	b = append(b, n.path[shared:]...)
	for _, v := range []uint64{uint64(n.mode), uint64(n.uid), uint64(n.gid), n.ino, n.nlink} {
		b = binary.AppendUvarint(b, v)
	}
	for _, v := range []int64{n.size, n.mtime, n.ctime} {
		b = binary.AppendVarint(b, v)
	}
	t.last, t.buf = n.path, b
	_, err := t.w.Write(b)
	return err
}

// close writes the end: a path of no length, so that a tree that was cut is not taken for whole.
func (t *treeWriter) close() error {
	b := binary.AppendUvarint(t.buf[:0], 0)
	b = binary.AppendUvarint(b, 0)
	if _, err := t.w.Write(b); err != nil {
		return err
	}
	return t.w.Flush()
}

// treeReader reads what treeWriter wrote.
type treeReader struct {
	r    *bufio.Reader
	last string
}

func newTreeReader(r io.Reader) (*treeReader, error) {
	b := bufio.NewReaderSize(r, bufferSize)
	magic := make([]byte, len(treeMagic))
	if _, err := io.ReadFull(b, magic); err != nil || string(magic) != treeMagic {
		return nil, errors.Join(fail(errdef.ErrInvalid, "not a tree"), err)
	}
	return &treeReader{r: b}, nil
}

// next returns io.EOF after the last node.
func (t *treeReader) next() (node, error) {
	n, err := t.read()
	if err == io.EOF { //nolint:errorlint // of the stream itself: it ended too early
		err = io.ErrUnexpectedEOF
	}
	if errors.Is(err, errEndOfTree) {
		err = io.EOF
	}
	return n, err
}

var errEndOfTree = errors.New("end of the tree")

func (t *treeReader) read() (n node, err error) {
	u := func() uint64 {
		var v uint64
		if err == nil {
			v, err = binary.ReadUvarint(t.r)
		}
		return v
	}
	s := func() int64 {
		var v int64
		if err == nil {
			v, err = binary.ReadVarint(t.r)
		}
		return v
	}
	shared, rest := u(), u()
	if err != nil {
		return n, err
	}
	if shared == 0 && rest == 0 {
		return n, errEndOfTree
	}
	if shared > uint64(len(t.last)) || rest > maxPath {
		return n, fail(errdef.ErrInvalid, "a damaged tree")
	}
	name := make([]byte, rest)
	if _, err := io.ReadFull(t.r, name); err != nil {
		return n, err
	}
	n.path = t.last[:shared] + string(name)
	t.last = n.path
	n.mode, n.uid, n.gid, n.ino, n.nlink = uint32(u()), uint32(u()), uint32(u()), u(), u()
	n.size, n.mtime, n.ctime = s(), s(), s()
	return n, err
}
