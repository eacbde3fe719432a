// Package rootfs is what is done to a container's file system from outside of its process: a stat,
// tar streams in and out, and the comparison with the image. The tether does it in a VM that runs,
// a storage driver to the disks of one that is off; both do it here, so that they do it alike.
//
// # Views
//
// Every function works on plain absolute paths of the calling thread's root directory. View.Do gives a
// function a thread whose root is the container's and whose mounts are the container's volumes, as
// dockerd does: the kernel then resolves links, and no path leads out. What the container itself has
// mounted (tmpfs, /proc, /sys, /dev) is not there; docker cp does not show it either.
//
// # Trees
//
// A tree is a description of all files of a file system in the order of a walk, which sorts by name
// in each directory; see TreeWriter. Compare tells what has changed since. A container's disk is a
// child of its image's, so a file that was not touched has the same inode number and the same change
// time, and one that was has not: no content is read, and a change that restores size and
// modification time is found too.
package rootfs

import (
	"fmt"
	"io/fs"
	"time"
)

// bufferSize is how much is handed on at once.
const bufferSize = 256 << 10

// Stat describes a file as Docker's API does.
type Stat struct {
	Name    string
	Size    int64
	Mode    fs.FileMode
	ModTime time.Time
	// LinkTarget is where a symbolic link ends, as far as that exists.
	LinkTarget string
}

// ChangeKind says what became of a path.
type ChangeKind int

// The kinds of change; the values are those of Docker's API plus one.
const (
	Modified ChangeKind = 1
	Added    ChangeKind = 2
	Deleted  ChangeKind = 3
)

// Change is one path of a container that is not as in its image.
type Change struct {
	Kind ChangeKind
	Path string // absolute
}

// String is the line that docker diff prints.
func (c Change) String() string {
	return map[ChangeKind]string{Modified: "C ", Added: "A ", Deleted: "D "}[c.Kind] + c.Path
}

// Bind is a file or directory that appears in a view.
type Bind struct {
	Source   string // outside of the view
	Target   string // absolute, in the container; made if it is not there
	ReadOnly bool
}

// View is a container's file system: a root directory and what is mounted in it.
type View struct {
	Root     string
	ReadOnly bool
	Binds    []Bind // outer ones first
}

// UnpackOptions say how a tar stream is unpacked.
type UnpackOptions struct {
	Path string // a directory
	// KeepKinds refuses to replace a directory by something else and the other way round.
	KeepKinds bool
	// Owner is Docker's "user[:group]" that all files are given, looked up in the container; empty:
	// as the tar says.
	Owner string
}

// failure is an error whose text users see: it does not name its class.
type failure struct {
	class error
	text  string
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.class }

func fail(class error, format string, args ...any) error {
	return &failure{class, fmt.Sprintf(format, args...)}
}
