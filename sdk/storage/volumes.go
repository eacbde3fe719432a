package storage

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
)

// Volumes keeps volumes: named disks or network shares that outlive containers.
//
// Rules
//
//   - Names are the user's (CheckVolumeName) and are unique within one driver, whatever store a
//     volume lies in.
//   - A volume that is a disk (device.KindVMDK) has one ext4 file system whose directory
//     guest.VolumeDir is what containers see. One running VM at a time may have it attached; the
//     driver need not guard that, but RemoveVolume of a disk that a VM has attached, on or off, and
//     GrowVolume of one that a running VM has, are ErrConflict.
//   - A volume that is a share (device.KindNFS) is never given to a compute driver: the guest mounts
//     it. Any number of VMs use it at once.
//   - CreateVolume is all or nothing: after a crash in its middle the volume is not there, and what
//     is left of it goes with the next CreateVolume of that name or the driver's next start.
//
// A driver without volumes embeds NoVolumes; one that has them says CapVolumes in its
// capabilities.
type Volumes interface {
	// CreateVolume makes an empty volume. A volume of that name that is there is returned as it is,
	// whatever else the request says. ErrInvalid (a name, an option), ErrNotFound (no such store),
	// ErrExhausted.
	CreateVolume(ctx context.Context, req CreateVolumeRequest) (Volume, error)
	// GetVolume returns one volume; ErrNotFound.
	GetVolume(ctx context.Context, name string) (Volume, error)
	// ListVolumes returns all volumes, sorted by name. It looks at the platform: what others have
	// added or taken away shows.
	ListVolumes(ctx context.Context) ([]Volume, error)
	// RemoveVolume destroys a volume and its data; ErrConflict while a VM has it attached. A volume
	// that is not there is no error.
	RemoveVolume(ctx context.Context, name string) error
	// GrowVolume makes a volume larger, with the file system in it. ErrNotFound; ErrConflict while a
	// running VM has it attached; ErrInvalid if the capacity is below what it has; ErrUnsupported for a
	// share. The capacity that it has already is no error.
	GrowVolume(ctx context.Context, req GrowVolumeRequest) (Volume, error)
}

// CreateVolumeRequest describes a volume to make.
type CreateVolumeRequest struct {
	Name string
	// Store is the name of a volume store; empty: the driver's default ("default" if there is one).
	Store string
	// Capacity in bytes; 0: the driver's default. Drivers may round up. Shares ignore it.
	Capacity int64
	Labels   map[string]string
	// Options are the user's, kept to be shown; with those of CommonVolumeOption, whose meaning is in
	// the fields above. Drivers refuse others that they do not know.
	Options map[string]string
	// Fresh says that the name is random: no store has a volume of it, but for one that this very request
	// has made. A store that is away need not be asked then.
	Fresh bool
}

// The options of volumes that the host reads itself, whatever the case of their letters.
const (
	OptionCapacity    = "Capacity"    // MB, or a number with a unit: 2GB
	OptionVolumeStore = "VolumeStore" // the name of a store
)

// CommonVolumeOption says that the host reads this option.
func CommonVolumeOption(key string) bool {
	return strings.EqualFold(key, OptionCapacity) || strings.EqualFold(key, OptionVolumeStore)
}

// GrowVolumeRequest asks for a larger volume.
type GrowVolumeRequest struct {
	Name     string
	Capacity int64 // bytes
}

// Volume is one volume.
type Volume struct {
	Name     string
	Store    string
	Capacity int64 // bytes; 0 for a share
	// Used is the space that it takes on its store, in bytes; -1 if that is not known.
	Used    int64
	Created time.Time
	Labels  map[string]string
	Options map[string]string
	// Disk is what a VM attaches (device.KindVMDK), or what its guest mounts (device.KindNFS).
	Disk device.Disk
}

// VolumeNameRule is of what the name of a volume is: the first character, and the others.
const VolumeNameRule = `[a-zA-Z0-9][a-zA-Z0-9_.-]`

// ReasonVolumeName is the reason of an error (errdef.Error) about a name that does not follow
// VolumeNameRule or has one character alone; the name is its FieldVolume.
const (
	ReasonVolumeName = "VOLUME_NAME"
	FieldVolume      = "volume"
)

// maxVolumeName keeps names within what datastores take for a file, with a suffix.
const maxVolumeName = 200

// CheckVolumeName refuses names that do not follow VolumeNameRule or cannot be the name of a file;
// ErrInvalid.
func CheckVolumeName(name string) error {
	if len(name) > maxVolumeName {
		return fmt.Errorf("volume name %.20q...: longer than %d characters: %w", name, maxVolumeName, errdef.ErrInvalid)
	}
	if !regexp.MustCompile("^" + VolumeNameRule + "+$").MatchString(name) {
		return &errdef.Error{Class: errdef.ErrInvalid, Reason: ReasonVolumeName, Fields: map[string]string{FieldVolume: name},
			Text: fmt.Sprintf("volume name %q: two or more characters of %s", name, VolumeNameRule)}
	}
	return nil
}

// NoVolumes is the part of a driver that has no volumes.
type NoVolumes struct{}

var _ Volumes = NoVolumes{}

func noVolumes() error {
	return fmt.Errorf("this storage driver has no volumes: %w", errdef.ErrUnsupported)
}

// CreateVolume answers ErrUnsupported.
func (NoVolumes) CreateVolume(context.Context, CreateVolumeRequest) (Volume, error) {
	return Volume{}, noVolumes()
}

// GetVolume answers ErrUnsupported.
func (NoVolumes) GetVolume(context.Context, string) (Volume, error) { return Volume{}, noVolumes() }

// ListVolumes answers ErrUnsupported.
func (NoVolumes) ListVolumes(context.Context) ([]Volume, error) { return nil, noVolumes() }

// RemoveVolume answers ErrUnsupported.
func (NoVolumes) RemoveVolume(context.Context, string) error { return noVolumes() }

// GrowVolume answers ErrUnsupported.
func (NoVolumes) GrowVolume(context.Context, GrowVolumeRequest) (Volume, error) {
	return Volume{}, noVolumes()
}
