package storage

import (
	"context"
	"io"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/guest/rootfs"
)

// Files reads and changes the file systems of containers whose VM is off (of one that is on, the
// tether does it). Paths and tar streams are as package rootfs says, which does the work for every
// driver that can mount a disk.
//
// Errors: ErrNotFound (the container, or the path), ErrConflict (the VM is on, or a volume is in use
// elsewhere), ErrInvalid (not a directory, not tar, read-only), ErrExhausted (no space),
// ErrUnsupported (a kind of volume that the driver cannot mount). A start of the VM ends what reads.
type Files interface {
	// StatPath describes one file.
	StatPath(ctx context.Context, req PathRequest) (rootfs.Stat, error)
	// CopyOut streams a file or a directory as tar.
	CopyOut(ctx context.Context, req CopyOutRequest) (rootfs.Stat, io.ReadCloser, error)
	// CopyIn unpacks a tar stream into a directory and returns when it is on the disk.
	CopyIn(ctx context.Context, req CopyInRequest, tar io.Reader) error
	// Changes lists what differs from the image, in the order of rootfs.Compare.
	Changes(ctx context.Context, req ChangesRequest) ([]rootfs.Change, error)
	// Diff streams what differs from the image as an OCI layer.
	Diff(ctx context.Context, req ChangesRequest) (io.ReadCloser, error)
	// Tree streams a layer's tree (package rootfs, "Trees") for the comparison with a container that
	// runs. Only drivers of RootSingle are asked: of an overlay the guest knows its changes. An
	// empty layer is the tree of containers without an image.
	Tree(ctx context.Context, layer string) (io.ReadCloser, error)
	// Usage returns how many bytes a container's disk takes on its datastore, of its own, whether its
	// VM is on or off.
	Usage(ctx context.Context, id string) (int64, error)
}

// Mount is a volume in a container's file system.
type Mount struct {
	Disk     device.Disk
	SubDir   string // of the volume's file system, e.g. guest.VolumeDir; made if it is not there
	Target   string // absolute, in the container
	ReadOnly bool
}

// PathRequest names a path of a container.
type PathRequest struct {
	ID     string
	Path   string
	Mounts []Mount
}

// CopyOutRequest names what is read.
type CopyOutRequest struct {
	PathRequest
	// Whole: all of the root file system, without volumes; Path and Mounts do not count, and names
	// are relative to the root.
	Whole bool
}

// CopyInRequest says where files go.
type CopyInRequest struct {
	ID           string
	Mounts       []Mount
	ReadOnlyRoot bool
	rootfs.UnpackOptions
}

// ChangesRequest names a container and its image's top layer.
type ChangesRequest struct {
	ID    string
	Layer string // empty for an image without one
}
