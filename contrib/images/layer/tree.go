package layer

import (
	"archive/tar"
	"bytes"
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

	"golang.org/x/sys/unix"
)

// Tree is a root file system in a folder, as a layer sees it.
type Tree struct {
	Dir string
	// Skip says which paths ("etc/hostname") are left out, with all below them.
	Skip func(name string, d fs.DirEntry) bool
}

// Names lists the paths of the tree in the order of a walk; a directory comes before its content.
func (t Tree) Names() ([]string, error) {
	var names []string
	err := filepath.WalkDir(t.Dir, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(t.Dir, full)
		if err != nil || name == "." {
			return err
		}
		if t.Skip != nil && t.Skip(name, d) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		names = append(names, name)
		return nil
	})
	return names, err
}

// Write writes the named paths of the tree to an archive.
func (t Tree) Write(tw *tar.Writer, names []string) error {
	links := map[uint64]string{} // inode to the first name of a file with several
	for _, name := range names {
		if err := t.writeOne(tw, name, links); err != nil {
			return err
		}
	}
	return nil
}

func (t Tree) writeOne(tw *tar.Writer, name string, links map[uint64]string) error {
	full := filepath.Join(t.Dir, name)
	hdr, st, err := header(full, name)
	if err != nil {
		return err
	}
	if hdr.Typeflag == tar.TypeReg && st.Nlink > 1 {
		if first, ok := links[st.Ino]; ok {
			hdr.Typeflag, hdr.Linkname, hdr.Size = tar.TypeLink, first, 0
		} else {
			links[st.Ino] = name
		}
	}
	if err := tw.WriteHeader(hdr); err != nil {
		return err
	}
	if hdr.Typeflag != tar.TypeReg {
		return nil
	}
	f, err := os.Open(full)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(tw, f)
	return err
}

func header(full, name string) (*tar.Header, *syscall.Stat_t, error) {
	info, err := os.Lstat(full)
	if err != nil {
		return nil, nil, err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(full); err != nil {
			return nil, nil, err
		}
	}
	hdr, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return nil, nil, err
	}
	hdr.Name = name
	if info.IsDir() {
		hdr.Name += "/"
	}
	normalise(hdr)
	if info.Mode().IsRegular() {
		if hdr.PAXRecords, err = capabilities(full); err != nil {
			return nil, nil, err
		}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, nil, fmt.Errorf("%s: no inode", name)
	}
	return hdr, st, nil
}

// normalise removes from a header what depends on this machine and moment.
func normalise(hdr *tar.Header) {
	hdr.Uname, hdr.Gname = "", ""
	hdr.AccessTime, hdr.ChangeTime = time.Time{}, time.Time{}
	hdr.ModTime = hdr.ModTime.Truncate(time.Second)
	if hdr.ModTime.After(clamp) {
		hdr.ModTime = clamp
	}
	hdr.Format = tar.FormatPAX
}

// capabilities returns the file capabilities of a program as records of a tar header.
func capabilities(full string) (map[string]string, error) {
	const attr = "security.capability"
	buf := make([]byte, 64)
	n, err := unix.Lgetxattr(full, attr, buf)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", full, attr, err)
	}
	return map[string]string{"SCHILY.xattr." + attr: string(buf[:n])}, nil
}

// Diff lists what a layer on top of lower must hold to make it the tree upper: the names of upper
// that are new or changed (with the directories above them) and the names of lower that are gone.
func Diff(lower, upper Tree) (changed, gone []string, err error) {
	lowerNames, err := lower.Names()
	if err != nil {
		return nil, nil, err
	}
	upperNames, err := upper.Names()
	if err != nil {
		return nil, nil, err
	}
	inLower, inUpper := set(lowerNames), set(upperNames)
	keep := map[string]bool{}
	for _, name := range upperNames {
		same := inLower[name]
		if same {
			if same, err = equal(filepath.Join(lower.Dir, name), filepath.Join(upper.Dir, name)); err != nil {
				return nil, nil, err
			}
		}
		if !same {
			for dir := name; dir != "."; dir = path.Dir(dir) {
				keep[dir] = true
			}
		}
	}
	for _, name := range upperNames {
		if keep[name] {
			changed = append(changed, name)
		}
	}
	for _, name := range lowerNames {
		if parent := path.Dir(name); !inUpper[name] && (parent == "." || inUpper[parent]) {
			gone = append(gone, name)
		}
	}
	return changed, gone, nil
}

// Whiteouts writes the marks that remove the named paths of the layers below.
func Whiteouts(tw *tar.Writer, gone []string) error {
	for _, name := range gone {
		hdr := &tar.Header{Name: path.Join(path.Dir(name), ".wh."+path.Base(name)), Typeflag: tar.TypeReg, Mode: 0o600, ModTime: clamp}
		normalise(hdr)
		if err := tw.WriteHeader(hdr); err != nil {
			return err
		}
	}
	return nil
}

// equal compares type, permissions, owner, target and content, but no times.
func equal(a, b string) (bool, error) {
	ha, sa, err := header(a, "x")
	if err != nil {
		return false, err
	}
	hb, sb, err := header(b, "x")
	if err != nil {
		return false, err
	}
	if sa.Mode != sb.Mode || sa.Uid != sb.Uid || sa.Gid != sb.Gid || sa.Rdev != sb.Rdev ||
		ha.Linkname != hb.Linkname || ha.Size != hb.Size || fmt.Sprint(ha.PAXRecords) != fmt.Sprint(hb.PAXRecords) {
		return false, nil
	}
	if ha.Typeflag != tar.TypeReg {
		return true, nil
	}
	ca, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	cb, err := os.ReadFile(b)
	return bytes.Equal(ca, cb), err
}

func set(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, name := range names {
		out[name] = true
	}
	return out
}

// Below says whether a path is a directory or lies in it.
func Below(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, dir+"/")
}
