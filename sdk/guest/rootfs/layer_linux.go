package rootfs

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// whiteout begins the name of a file that says in a layer that another one is gone (OCI image spec,
// "Whiteouts").
const whiteout = ".wh."

// WriteLayer writes what has changed since base as an OCI layer.
func WriteLayer(w io.Writer, base io.Reader) error {
	return write(w, func(p *packer) error {
		return Compare(base, func(c Change) error { return p.change(c) })
	})
}

func (p *packer) change(c Change) error {
	name := strings.TrimPrefix(c.Path, "/")
	if c.Kind == Deleted {
		dir, base := path.Split(name)
		return p.tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: dir + whiteout + base, ModTime: time.Unix(0, 0), Format: tar.FormatPAX})
	}
	info, err := os.Lstat(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	return p.add(c.Path, name, info)
}
