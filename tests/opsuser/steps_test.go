package opsuser

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/compute"
	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/drivers/vsphere/linkrouter"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/drivers/vsphere/storage"
	sdkcompute "github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	sdkstorage "github.com/openvic/vic/sdk/storage"
)

// host stands for the endpoint VM's kernel: every disk is a directory.
type host struct{ root string }

func (h host) Device(_ context.Context, target int) (string, error) {
	dir := filepath.Join(h.root, fmt.Sprint(target))
	return dir, os.MkdirAll(dir, 0o755)
}
func (h host) Format(_ context.Context, dev string) error {
	return errors.Join(os.RemoveAll(dev), os.MkdirAll(dev, 0o755))
}
func (h host) Mount(dev string) (string, error) { return dev, nil }
func (h host) MountRead(dev string) (string, error) {
	return dev, os.MkdirAll(filepath.Join(dev, "vic", "log"), 0o755)
}
func (h host) Unmount(string, string) error               { return nil }
func (h host) Forget(string) error                        { return nil }
func (h host) MountWrite(dev string) (string, error)      { return h.MountRead(dev) }
func (h host) FormatVolume(context.Context, string) error { return nil }
func (h host) Size(string) (int64, error)                 { return 1 << 40, nil }
func (h host) Resize(context.Context, string) error       { return nil }
func (h host) UnmountShare(string) error                  { return nil }
func (h host) MountShare(context.Context, config.Share) (string, error) {
	return "", errdef.ErrUnsupported
}
func (h host) Unpack(ctx context.Context, dir string, r io.Reader) (int64, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { // a child has its parent's
		return 0, err
	}
	return archive.Apply(ctx, dir, r, archive.WithNoSameOwner())
}

// drivers are the drivers over one session, as the plugin makes them.
type drivers struct {
	session *session.Session
	inv     *inventory.Inventory
	compute *compute.Driver
	storage *storage.Driver
	id      string
	v       *vch
	stop    []func()
	once    sync.Once
}

func (d *drivers) close() {
	d.once.Do(func() {
		for i := len(d.stop) - 1; i >= 0; i-- {
			d.stop[i]()
		}
	})
}

// open does what the plugin does when it is configured.
func (d *drivers) open(ctx context.Context, dir string) error {
	s, err := session.Open(ctx, d.v.cfg.VCenter, quiet())
	if err != nil {
		return err
	}
	d.session = s
	d.stop = append(d.stop, func() { _ = s.Close(context.WithoutCancel(ctx)) })
	d.inv = inventory.New(s, types.ManagedObjectReference{Type: d.v.cfg.VCH.PoolType, Value: d.v.cfg.VCH.Pool}, quiet())
	run, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { d.inv.Run(run); close(done) }()
	d.stop = append(d.stop, func() { cancel(); <-done })
	if err := d.inv.WaitReady(ctx); err != nil {
		return err
	}
	if d.storage, err = storage.New(ctx, s, d.inv, host{dir}, d.v.cfg, quiet()); err != nil {
		return err
	}
	router := linkrouter.NewRouter(func(id string) bool { _, ok := d.inv.Get(id); return ok }, quiet())
	d.compute = compute.New(s, d.inv, router, d.storage, d.v.cfg, quiet())
	go d.compute.Run(run)
	return nil
}

// step is one thing that the endpoint does, in the words of its users.
type step struct {
	name string
	run  func(ctx context.Context, d *drivers) error
}

// steps is a VCH's life. Each stands on those before it.
func steps(dir string) []step {
	return []step{
		{"start the endpoint", func(ctx context.Context, d *drivers) error { return d.open(ctx, dir) }},
		{"docker pull", pull},
		{"docker volume create", func(ctx context.Context, d *drivers) error {
			_, err := d.storage.CreateVolume(ctx, sdkstorage.CreateVolumeRequest{Name: "data"})
			return err
		}},
		{"grow a volume", func(ctx context.Context, d *drivers) error {
			_, err := d.storage.GrowVolume(ctx, sdkstorage.GrowVolumeRequest{Name: "data", Capacity: 2 << 30})
			return err
		}},
		{"docker create -v", create},
		{"docker start", func(ctx context.Context, d *drivers) error { return d.compute.Start(ctx, d.id) }},
		{"docker network disconnect", nics(1)},
		{"docker network connect", nics(2)},
		{"docker update --restart", func(ctx context.Context, d *drivers) error {
			return d.compute.Update(ctx, sdkcompute.UpdateRequest{ID: d.id, Metadata: []byte(`{"restart":"always"}`)})
		}},
		{"docker rename", func(ctx context.Context, d *drivers) error {
			return d.compute.Update(ctx, sdkcompute.UpdateRequest{ID: d.id, Name: "renamed"})
		}},
		{"docker stop", stop},
		{"docker update --cpus", func(ctx context.Context, d *drivers) error {
			return d.compute.Update(ctx, sdkcompute.UpdateRequest{ID: d.id, CPUs: 2})
		}},
		{"docker update --memory", func(ctx context.Context, d *drivers) error {
			return d.compute.Update(ctx, sdkcompute.UpdateRequest{ID: d.id, MemoryMB: 128})
		}},
		{"docker logs of a stopped container", export},
		{"docker ps --size", func(ctx context.Context, d *drivers) error {
			_, err := d.storage.Usage(ctx, d.id)
			return err
		}},
		{"docker rm", func(ctx context.Context, d *drivers) error { return d.compute.Remove(ctx, d.id) }},
		{"docker volume rm", func(ctx context.Context, d *drivers) error { return d.storage.RemoveVolume(ctx, "data") }},
		{"docker rmi", func(ctx context.Context, d *drivers) error {
			return errors.Join(d.storage.RemoveDisk(ctx, d.id), d.storage.RemoveLayer(ctx, "layer"))
		}},
	}
}

func pull(ctx context.Context, d *drivers) error {
	var b bytes.Buffer
	if err := tar.NewWriter(&b).Close(); err != nil {
		return err
	}
	if _, err := d.storage.WriteLayer(ctx, sdkstorage.WriteLayerRequest{ID: "layer"}, &b); err != nil {
		return err
	}
	return d.storage.CommitLayer(ctx, "layer")
}

func mac(i int) string { return fmt.Sprintf("00:50:56:01:02:%02x", i) }

func (d *drivers) nics(n int) []device.NIC {
	var l []device.NIC
	for i := range n {
		l = append(l, device.NIC{Kind: device.KindPortgroup, Locator: d.v.cfg.Network.Bridge.Portgroup, MAC: mac(i)})
	}
	return l
}

func create(ctx context.Context, d *drivers) error {
	var b [32]byte
	_, _ = rand.Read(b[:])
	d.id = hex.EncodeToString(b[:])
	root, err := d.storage.PrepareDisk(ctx, sdkstorage.PrepareDiskRequest{ID: d.id, Layer: "layer"})
	if err != nil {
		return err
	}
	volume, err := d.storage.GetVolume(ctx, "data")
	if err != nil {
		return err
	}
	_, err = d.compute.Create(ctx, sdkcompute.CreateRequest{ID: d.id, Name: "web", CPUs: 1, MemoryMB: 64, Metadata: []byte("{}"),
		Disks: append(root.Disks, volume.Disk), NICs: d.nics(2),
		Guest: map[string]string{guest.KeyConfig: `{"version":1}`}})
	return err
}

func nics(n int) func(context.Context, *drivers) error {
	return func(ctx context.Context, d *drivers) error {
		l := d.nics(n)
		return d.compute.Update(ctx, sdkcompute.UpdateRequest{ID: d.id, NICs: &l})
	}
}

// stop asks the guest, and ends the VM the hard way when it has not been asked (its guest runs no
// tools here).
func stop(ctx context.Context, d *drivers) error {
	if err := d.compute.Stop(ctx, d.id); err != nil && !errors.Is(err, errdef.ErrUnsupported) {
		return err
	}
	return d.compute.Kill(ctx, d.id)
}

func export(ctx context.Context, d *drivers) error {
	r, err := d.storage.Export(ctx, sdkstorage.ExportRequest{ID: d.id, Path: "vic/log"})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// outcome is what failed first: nothing, if the name is empty.
type outcome struct {
	step string
	err  error
}

// live runs the steps until one fails.
func (v *vch) live(ctx context.Context, dir string) outcome {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	d := &drivers{v: v}
	defer d.close()
	for _, s := range steps(dir) {
		if err := s.run(ctx, d); err != nil {
			return outcome{s.name, err}
		}
	}
	return outcome{}
}

// message is an error's text without what differs from run to run.
func message(o outcome, v *vch) string {
	text := o.err.Error()
	for _, r := range [][2]string{{v.cfg.VCH.Name, "vch"}, {v.user, "ops"}} {
		text = strings.ReplaceAll(text, r[0], r[1])
	}
	return text
}
