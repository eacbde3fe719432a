package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/continuity/fs"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
)

// fakeHost keeps what is on each disk in a directory: a new child begins as a copy of its parent.
type fakeHost struct {
	vc   *vctest.VCenter
	root string

	mu      sync.Mutex
	mounted map[string]bool
	fail    error // of Unpack
	broken  error // of FormatVolume
	resized []string
	shares  int
	away    error // of MountShare
}

var _ Host = (*fakeHost)(nil)

func newFakeHost(vc *vctest.VCenter, root string) *fakeHost {
	return &fakeHost{vc: vc, root: root, mounted: map[string]bool{}}
}

// dir is where the content of a disk lies.
func (h *fakeHost) dir(file string) string {
	return filepath.Join(h.root, strings.NewReplacer("[", "", "] ", "_", "/", "_").Replace(file))
}

func (h *fakeHost) Device(ctx context.Context, target int) (string, error) {
	disks, err := h.vc.EndpointDisks(ctx)
	if err != nil {
		return "", err
	}
	d, ok := disks[target]
	if !ok {
		return "", fmt.Errorf("no disk at target %d", target)
	}
	b := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	dir := h.dir(b.FileName)
	if _, err := os.Stat(dir); err == nil || b.Parent == nil {
		return dir, nil
	}
	return dir, fs.CopyDir(dir, h.dir(b.Parent.FileName))
}

func (h *fakeHost) Format(_ context.Context, dev string) error {
	return errors.Join(os.RemoveAll(dev), os.MkdirAll(dev, 0o755))
}

func (h *fakeHost) Mount(dev string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mounted[dev] {
		return "", errors.New("mounted twice")
	}
	h.mounted[dev] = true
	return dev, nil
}

func (h *fakeHost) MountRead(dev string) (string, error) { return h.Mount(dev) }

func (h *fakeHost) MountWrite(dev string) (string, error) { return h.Mount(dev) }

func (h *fakeHost) Unmount(_, dev string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.mounted[dev] {
		return errors.New("not mounted")
	}
	delete(h.mounted, dev)
	return nil
}

func (h *fakeHost) Forget(dev string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mounted[dev] {
		return errors.New("still mounted")
	}
	return nil
}

func (h *fakeHost) Unpack(ctx context.Context, dir string, tar io.Reader) (int64, error) {
	if h.fail != nil {
		return 0, h.fail
	}
	var opts []archive.ApplyOpt
	if os.Geteuid() != 0 {
		opts = append(opts, archive.WithNoSameOwner())
	}
	return archive.Apply(ctx, dir, tar, opts...)
}

func (h *fakeHost) FormatVolume(ctx context.Context, dev string) error {
	if h.broken != nil {
		return h.broken
	}
	return h.Format(ctx, dev)
}

// Size is what vSphere says of the disk.
func (h *fakeHost) Size(dev string) (int64, error) {
	disks, err := h.vc.EndpointDisks(context.Background())
	if err != nil {
		return 0, err
	}
	for _, d := range disks {
		if h.dir(d.Backing.(*types.VirtualDiskFlatVer2BackingInfo).FileName) == dev {
			return d.CapacityInKB << 10, nil
		}
	}
	return 0, errors.New("no such disk")
}

func (h *fakeHost) Resize(_ context.Context, dev string) error {
	h.resized = append(h.resized, dev)
	return nil
}

// MountShare gives the share's directory itself: nobody else serves it.
func (h *fakeHost) MountShare(_ context.Context, s config.Share) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away != nil {
		return "", h.away
	}
	h.shares++
	dir := filepath.Join(h.root, "shares", s.Host, s.Path)
	return dir, os.MkdirAll(dir, 0o755)
}

func (h *fakeHost) UnmountShare(string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shares--
	return nil
}
