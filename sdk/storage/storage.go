// Package storage is the plugin kind that keeps image layers, container disks and volumes. This file,
// files.go and volumes.go are all a driver's author has to read: the interface, its vocabulary and the
// errors.
//
// # Rules
//
//   - Layer IDs are chosen by the host: the layer's chain ID (OCI image spec, "Layer ChainID")
//     without "sha256:", 64 hexadecimal digits. Disk IDs are container IDs.
//   - Every method may be called again with the same arguments and then has the same outcome.
//   - A layer is written once and never changed. Until CommitLayer it is not complete: StatLayer and
//     ListLayers do not show it, and the driver removes it at its next start. Two writers of one
//     layer share one write: the second waits and gets the first one's result.
//   - The root file system of a disk lies in its directory guest.RootfsDir; what the tether keeps
//     (logs) lies in guest.StateDir.
//
// # Errors
//
// ErrNotFound, ErrExists, ErrConflict (a layer that others stand on cannot be removed),
// ErrInvalid (not a tar stream), ErrUnsupported (a driver without volumes), ErrExhausted (no space), ErrUnavailable.
package storage

import (
	"context"
	"io"
	"time"

	"github.com/openvic/vic/sdk/device"
)

// Driver is what a storage plugin serves.
type Driver interface {
	Layers
	Disks
	Volumes
	Files
}

// Layers keeps read-only image layers.
type Layers interface {
	// StatLayer returns a complete layer; ErrNotFound.
	StatLayer(ctx context.Context, id string) (Layer, error)
	// WriteLayer makes a layer on top of req.Parent from an uncompressed tar stream with OCI
	// whiteouts (image spec, "Representing Changes") and reads it to its end. The layer is not
	// complete before CommitLayer.
	WriteLayer(ctx context.Context, req WriteLayerRequest, tar io.Reader) (Layer, error)
	// CommitLayer marks a written layer complete; ErrNotFound if it was not written.
	CommitLayer(ctx context.Context, id string) error
	// ListLayers returns all complete layers.
	ListLayers(ctx context.Context) ([]Layer, error)
	// RemoveLayer removes a layer, written or complete; ErrConflict while another layer or a
	// container disk stands on it. A layer that is not there is no error.
	RemoveLayer(ctx context.Context, id string) error
}

// Disks makes the writable disks of containers.
type Disks interface {
	// PrepareDisk says what a container's root is made of: a writable disk over a layer.
	PrepareDisk(ctx context.Context, req PrepareDiskRequest) (Root, error)
	// RemoveDisk removes what PrepareDisk made and the compute driver did not remove with the VM.
	// A disk that is not there is no error.
	RemoveDisk(ctx context.Context, id string) error
	// Export returns a tar stream of one directory or file (req.Path, relative to the root of the
	// disk's file system, e.g. "vic/log") of a container whose VM is off. Names in the stream are
	// relative to the path's parent. ErrNotFound; ErrConflict if the disk is in use.
	Export(ctx context.Context, req ExportRequest) (io.ReadCloser, error)
}

// WriteLayerRequest names a layer and the one below.
type WriteLayerRequest struct {
	ID     string
	Parent string // empty for the lowest layer
}

// Layer is one read-only layer.
type Layer struct {
	ID      string
	Parent  string
	Size    int64 // bytes of the files in this layer, unpacked
	Created time.Time
	Locator string // the platform's name of it, for people
}

// PrepareDiskRequest asks for a container's root.
type PrepareDiskRequest struct {
	ID    string // the container
	Layer string // the image's top layer; empty for an image without one
}

// RootKind says how the guest assembles the root file system.
type RootKind string

// The kinds of root.
const (
	// RootSingle: the one disk holds the whole root.
	RootSingle RootKind = "single"
	// RootOverlay: the disks are overlayfs layers, lowest first, the last one writable.
	RootOverlay RootKind = "overlay"
)

// Root is a prepared root file system.
type Root struct {
	Kind  RootKind
	Disks []device.Disk
}

// ExportRequest names a part of a container's disk.
type ExportRequest struct {
	ID   string
	Path string
}
