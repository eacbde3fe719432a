package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
)

// The stores of a Fake: "default" holds disks, FakeShare network shares.
const (
	fakeStore = "default"
	// FakeShare is the name of the Fake's store of network shares.
	FakeShare        = "share"
	fakeCapacity     = 1 << 30
	fakeUsed         = 1 << 20 // an empty file system
	fakeServerOfNFS  = "nfs://filer.example/export/"
	fakeVolumeFolder = "[fake] volumes/"
)

// CreateVolume makes a volume.
func (f *Fake) CreateVolume(ctx context.Context, req CreateVolumeRequest) (Volume, error) {
	err := f.enter(ctx, "CreateVolume")
	defer f.mu.Unlock()
	if err == nil {
		err = CheckVolumeName(req.Name)
	}
	if err != nil {
		return Volume{}, err
	}
	if v, ok := f.volumes[req.Name]; ok {
		return v, nil
	}
	if req.Store == "" {
		req.Store = fakeStore
	}
	v := Volume{Name: req.Name, Store: req.Store, Capacity: req.Capacity, Created: time.Now().UTC(),
		Labels: maps.Clone(req.Labels), Options: maps.Clone(req.Options)}
	switch {
	case req.Store == FakeShare:
		v.Capacity, v.Used = 0, -1
		v.Disk = device.Disk{Kind: device.KindNFS, Locator: fakeServerOfNFS + req.Name}
	case req.Store != fakeStore:
		return Volume{}, fmt.Errorf("volume store %s: %w", req.Store, errdef.ErrNotFound)
	case req.Capacity < 0:
		return Volume{}, fmt.Errorf("capacity %d: %w", req.Capacity, errdef.ErrInvalid)
	case req.Capacity == 0:
		v.Capacity = fakeCapacity
		fallthrough
	default:
		v.Used = fakeUsed
		v.Disk = device.Disk{Kind: device.KindVMDK, Locator: fakeVolumeFolder + req.Name + ".vmdk"}
	}
	f.volumes[req.Name] = v
	return v, nil
}

// GetVolume returns a volume.
func (f *Fake) GetVolume(ctx context.Context, name string) (Volume, error) {
	err := f.enter(ctx, "GetVolume")
	defer f.mu.Unlock()
	if err != nil {
		return Volume{}, err
	}
	return f.volume(name)
}

func (f *Fake) volume(name string) (Volume, error) {
	v, ok := f.volumes[name]
	if !ok {
		return Volume{}, fmt.Errorf("volume %s: %w", name, errdef.ErrNotFound)
	}
	return v, nil
}

// ListVolumes returns all volumes.
func (f *Fake) ListVolumes(ctx context.Context) ([]Volume, error) {
	err := f.enter(ctx, "ListVolumes")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(f.volumes), func(a, b Volume) int { return strings.Compare(a.Name, b.Name) }), nil
}

// RemoveVolume forgets a volume.
func (f *Fake) RemoveVolume(ctx context.Context, name string) error {
	err := f.enter(ctx, "RemoveVolume")
	defer f.mu.Unlock()
	if err == nil && f.attached[name] {
		err = errAttached(name)
	}
	if err == nil {
		delete(f.volumes, name)
	}
	return err
}

func errAttached(name string) error {
	return fmt.Errorf("volume %s: a VM has it attached: %w", name, errdef.ErrConflict)
}

// GrowVolume makes a volume larger.
func (f *Fake) GrowVolume(ctx context.Context, req GrowVolumeRequest) (Volume, error) {
	err := f.enter(ctx, "GrowVolume")
	defer f.mu.Unlock()
	if err != nil {
		return Volume{}, err
	}
	v, err := f.volume(req.Name)
	switch {
	case err != nil:
		return Volume{}, err
	case v.Disk.Kind == device.KindNFS:
		return Volume{}, fmt.Errorf("volume %s is a network share: %w", req.Name, errdef.ErrUnsupported)
	case req.Capacity < v.Capacity:
		return Volume{}, fmt.Errorf("volume %s has %d bytes already: %w", req.Name, v.Capacity, errdef.ErrInvalid)
	case f.attached[req.Name]:
		return Volume{}, errAttached(req.Name)
	}
	v.Capacity = req.Capacity
	f.volumes[req.Name] = v
	return v, nil
}

// AttachVolume says whether a VM has a volume, as a platform knows it.
func (f *Fake) AttachVolume(name string, attached bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attached[name] = attached
}
