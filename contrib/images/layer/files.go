package layer

import (
	"archive/tar"
	"fmt"
	"slices"
	"strings"
)

// File is one entry of a layer that is written out by hand. Mode decides what it is: a directory
// if Dir, a symbolic link if Link, a hard link if Hard, else a file.
type File struct {
	Name     string
	Mode     int64
	UID, GID int
	Data     []byte
	Dir      bool
	Link     string
	Hard     string
}

// WriteFiles writes entries in the order of their names.
func WriteFiles(tw *tar.Writer, files []File) error {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int {
		// A hard link must follow the file that it names.
		if (a.Hard == "") != (b.Hard == "") {
			if a.Hard == "" {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, f := range files {
		hdr := &tar.Header{Name: f.Name, Mode: f.Mode, Uid: f.UID, Gid: f.GID, ModTime: clamp, Typeflag: tar.TypeReg, Size: int64(len(f.Data))}
		switch {
		case f.Dir:
			hdr.Typeflag, hdr.Name = tar.TypeDir, f.Name+"/"
		case f.Link != "":
			hdr.Typeflag, hdr.Linkname = tar.TypeSymlink, f.Link
		case f.Hard != "":
			hdr.Typeflag, hdr.Linkname = tar.TypeLink, f.Hard
		}
		normalise(hdr)
		if err := tw.WriteHeader(hdr); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if _, err := tw.Write(f.Data); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}
