package storage

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/storage"
	"github.com/openvic/vic/sdk/storagetest"
)

// rig is a driver on a simulated vCenter.
type rig struct {
	*Driver
	vc   *vctest.VCenter
	host *fakeHost
}

func newRig(t *testing.T) *rig { return rigOn(t, vctest.New(t)) }

func rigOn(t *testing.T, vc *vctest.VCenter) *rig {
	t.Helper()
	r := &rig{vc: vc}
	r.host = newFakeHost(r.vc, t.TempDir())
	r.restart(t)
	t.Cleanup(func() { r.wantQuiet(t) })
	return r
}

func (r *rig) restart(t *testing.T) {
	t.Helper()
	var err error
	r.Driver, err = New(t.Context(), r.vc.Session, r.vc.Inv, r.host, r.vc.Config, r.vc.Log)
	if err != nil {
		t.Fatal(err)
	}
}

// wantQuiet checks that no disk but the state disk is attached and nothing is mounted.
func (r *rig) wantQuiet(t *testing.T) {
	t.Helper()
	disks, err := r.vc.EndpointDisks(context.WithoutCancel(t.Context())) // also after the test
	if err != nil || len(disks) != 1 {
		t.Errorf("%d disks are in the endpoint VM, want the state disk alone; %v", len(disks), err)
	}
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	if r.host.shares != 0 {
		t.Errorf("%d shares are still mounted", r.host.shares)
	}
	if len(r.host.mounted) != 0 {
		t.Errorf("still mounted: %v", r.host.mounted)
	}
}

func (r *rig) entries(t *testing.T, id string) map[string]string {
	t.Helper()
	root := filepath.Join(r.host.dir(r.store.path(diskFile(id))), guest.RootfsDir)
	out := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(root, p)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// container makes a VM on what was prepared for id and returns the directory that is its disk.
func (r *rig) container(t *testing.T, id string) string {
	t.Helper()
	r.layers.mu.Lock()
	layer := r.store.path(diskFile(r.layers.pins[id].layer))
	r.layers.mu.Unlock()
	r.vc.Container(t, id, layer, nil)
	name := "c-" + id[:12]
	dir := r.host.dir("[" + r.vc.Config.Compute.Datastore + "] " + name + "/" + name + ".vmdk")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestConformance(t *testing.T) { conformance(t, vctest.New) }

// On the lab the disks are real, but nothing mounts them: the endpoint VM does not run.
func TestConformanceOnTheLab(t *testing.T) { conformance(t, vctest.Lab) }

func conformance(t *testing.T, vcenter func(*testing.T) *vctest.VCenter) {
	storagetest.Suite(t, func(t *testing.T) storagetest.Fixture {
		r := rigOn(t, vcenter(t))
		return storagetest.Fixture{
			Driver:  r.Driver,
			Entries: r.entries,
			PutFile: func(t *testing.T, disk, path string, data []byte) {
				file := filepath.Join(r.container(t, disk), path)
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, data, 0o644)); err != nil {
					t.Fatal(err)
				}
			},
			AttachVolume: r.attachVolume,
			Restart:      func(t *testing.T) storage.Driver { r.restart(t); return r.Driver },
		}
	})
}

func (r *rig) write(t *testing.T, id, parent string) {
	t.Helper()
	_, err := r.WriteLayer(t.Context(), storage.WriteLayerRequest{ID: id, Parent: parent}, storagetest.Tar(storagetest.File(id, id)))
	if err := errors.Join(err, r.CommitLayer(t.Context(), id)); err != nil {
		t.Fatal(err)
	}
}

func TestLayerUnderAContainerStays(t *testing.T) {
	r := newRig(t)
	r.write(t, "base", "")
	id := vctest.ID()
	if _, err := r.PrepareDisk(t.Context(), storage.PrepareDiskRequest{ID: id, Layer: "base"}); err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveLayer(t.Context(), "base"); !errors.Is(err, errdef.ErrConflict) {
		t.Errorf("before the VM was made: %v", err)
	}
	r.container(t, id)
	if err := r.RemoveDisk(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	if err := r.RemoveLayer(t.Context(), "base"); !errors.Is(err, errdef.ErrConflict) || !strings.Contains(err.Error(), "c-"+id[:12]) {
		t.Errorf("with the VM: %v", err)
	}
}

func TestChainsDoNotGrowBeyondTheLimit(t *testing.T) {
	r := newRig(t)
	parent := ""
	for i := range maxDepth + 2 {
		id := fmt.Sprintf("l%02d", i)
		if i == maxDepth { // the simulator's copy of a disk has no content of its own
			src := r.host.dir(r.store.path(diskFile(parent)))
			if err := os.Symlink(src, r.host.dir(r.store.path(diskFile(id)))); err != nil {
				t.Fatal(err)
			}
		}
		r.write(t, id, parent)
		l, _ := r.layers.complete(id)
		if want := i%maxDepth + 1; l.Depth != want || l.Parent != parent {
			t.Errorf("layer %d: depth %d, parent %q; want %d, %q", i, l.Depth, l.Parent, want, parent)
		}
		parent = id
	}
	if got := r.entries(t, parent); got["l00"] != "l00" {
		t.Error("the lowest layer's file is not there")
	}
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.host.fail = syscall.ENOSPC
	_, err := r.WriteLayer(t.Context(), storage.WriteLayerRequest{ID: "x"}, storagetest.Tar())
	if !errors.Is(err, errdef.ErrExhausted) {
		t.Errorf("full disk: %v", err)
	}
	files, err := r.store.list(t.Context(), imagesDir, "*")
	if err != nil || len(files["x"]) != 0 {
		t.Errorf("left: %v, %v", files, err)
	}
	if n := len(r.bay.free); n != guest.MaxDisks-1 {
		t.Errorf("%d targets are free", n)
	}
	r.host.fail = nil
	r.write(t, "x", "")
}

func TestStartDetachesAndRemovesWhatACrashLeft(t *testing.T) {
	r := newRig(t)
	r.write(t, "good", "")
	if err := r.freshDir(t.Context(), "half"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.bay.attach(t.Context(), disk{file: r.store.path(diskFile("half")), create: true, sizeKB: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	r.wantQuiet(t)
	files, err := r.store.list(t.Context(), imagesDir, "*.vmdk")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := files["half"]; ok || len(files["good"]) == 0 {
		t.Errorf("folders after the start: %v", files)
	}
	if l, err := r.StatLayer(t.Context(), "good"); err != nil || l.Size != 4 {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestStartOfAContainerEndsItsExports(t *testing.T) {
	r := newRig(t)
	r.write(t, "base", "")
	id := vctest.ID()
	if _, err := r.PrepareDisk(t.Context(), storage.PrepareDiskRequest{ID: id, Layer: "base"}); err != nil {
		t.Fatal(err)
	}
	dir := r.container(t, id)
	big := strings.Repeat("x", 1<<20)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "vic"), 0o755), os.WriteFile(filepath.Join(dir, "vic/big"), []byte(big), 0o600)); err != nil {
		t.Fatal(err)
	}
	var streams []io.ReadCloser
	for range 2 { // they share a mount
		s, err := r.Export(t.Context(), storage.ExportRequest{ID: id, Path: "vic"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		streams = append(streams, s)
	}
	if err := r.Release(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.wantQuiet(t)
	for _, s := range streams {
		if _, err := io.Copy(io.Discard, s); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("the stream ended with %v", err)
		}
	}
}

func TestExportOfARunningContainerIsRefused(t *testing.T) {
	r := newRig(t)
	id := vctest.ID()
	r.vc.Container(t, id, r.vc.Base, nil)
	task, err := r.vc.VM(t, id).PowerOn(t.Context())
	vctest.Wait(t, task, err)
	m, _ := r.vc.Inv.Get(id)
	_ = r.vc.Inv.Refresh(t.Context(), m.Ref)
	if _, err := r.Export(t.Context(), storage.ExportRequest{ID: id, Path: "vic"}); !errors.Is(err, errdef.ErrConflict) {
		t.Errorf("got %v", err)
	}
	task, err = r.vc.VM(t, id).PowerOff(t.Context())
	vctest.Wait(t, task, err)
}

func TestExportKeepsLinksAndDoesNotLeaveTheDisk(t *testing.T) {
	r := newRig(t)
	r.write(t, "base", "")
	id := vctest.ID()
	if _, err := r.PrepareDisk(t.Context(), storage.PrepareDiskRequest{ID: id, Layer: "base"}); err != nil {
		t.Fatal(err)
	}
	dir := r.container(t, id)
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "a/d"), 0o750), os.WriteFile(filepath.Join(dir, "a/d/f"), []byte("data"), 0o640),
		os.Link(filepath.Join(dir, "a/d/f"), filepath.Join(dir, "a/d/g")), os.Symlink("/etc/passwd", filepath.Join(dir, "a/d/s")),
		os.Symlink("/", filepath.Join(dir, "a/out")),
	); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/none", "a/out/etc/passwd"} {
		if _, err := r.Export(t.Context(), storage.ExportRequest{ID: id, Path: name}); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stream, err := r.Export(t.Context(), storage.ExportRequest{ID: id, Path: "/a/../a/d/"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	got := map[string]*tar.Header{}
	for tr := tar.NewReader(stream); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = h
	}
	if len(got) != 4 || got["d/"].Mode != 0o750 || got["d/f"].Size != 4 || got["d/g"].Linkname != "d/f" || got["d/s"].Linkname != "/etc/passwd" {
		t.Errorf("got %v", got)
	}
}

func TestBayTakesTheFirstControllerAndSkipsTargetSeven(t *testing.T) {
	r := newRig(t)
	seen := map[int]bool{}
	for range guest.MaxDisks - 1 {
		seen[<-r.bay.free] = true
	}
	if seen[0] || seen[7] || !seen[15] || len(seen) != 14 {
		t.Errorf("free targets %v", seen)
	}
	c := func(bus, key int32) types.BaseVirtualDevice {
		x := &types.ParaVirtualSCSIController{}
		x.BusNumber, x.Key = bus, key
		return x
	}
	if got, err := firstController([]types.BaseVirtualDevice{c(1, 1001), c(0, 1000)}); got != 1000 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := firstController(nil); err == nil {
		t.Error("no controller is no error")
	}
}
