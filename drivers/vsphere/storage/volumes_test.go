package storage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/storage"
)

// attachVolume has a running VM say that it has a volume, or takes that VM away.
func (r *rig) attachVolume(t *testing.T, v storage.Volume, attached bool) {
	t.Helper()
	for _, m := range r.vc.Inv.List() {
		if strings.Contains(m.Extra[inventory.KeyVolumes], v.Disk.Locator) && !attached {
			task, err := r.vc.VM(t, m.ID()).PowerOff(t.Context())
			vctest.Wait(t, task, err)
			task, err = r.vc.VM(t, m.ID()).Destroy(t.Context())
			vctest.Wait(t, task, err)
			if err := r.vc.Inv.Settle(t.Context(), m.Ref, func(m *inventory.Machine) bool { return m == nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !attached {
		return
	}
	if err := r.ensureScratch(t.Context()); err != nil {
		t.Fatal(err)
	}
	ref := r.vc.Container(t, vctest.ID(), r.store.path(diskFile(scratch)), map[string]string{inventory.KeyVolumes: v.Disk.Locator})
	task, err := object.NewVirtualMachine(r.vc.Client.Client, ref).PowerOn(t.Context())
	vctest.Wait(t, task, err)
	if err := r.vc.Inv.Settle(t.Context(), ref, func(m *inventory.Machine) bool { return m.State == types.VirtualMachinePowerStatePoweredOn }); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) volumeStore() *diskStore { return r.vols.stores["default"].(*diskStore) }

func (r *rig) create(t *testing.T, req storage.CreateVolumeRequest) storage.Volume {
	t.Helper()
	v, err := r.CreateVolume(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAVolumeIsAFormattedDiskInItsFolder(t *testing.T) {
	r := newRig(t)
	v := r.create(t, storage.CreateVolumeRequest{Name: "db"})
	want := r.vc.Config.Storage.VolumeStores["default"] + "/volumes/db/db.vmdk"
	if v.Disk != (device.Disk{Kind: device.KindVMDK, Locator: want}) || v.Capacity != 1024*mib || v.Store != "default" {
		t.Errorf("%+v", v)
	}
	if st, err := os.Stat(filepath.Join(r.host.dir(v.Disk.Locator), guest.VolumeDir)); err != nil || !st.IsDir() {
		t.Errorf("the directory that containers see: %v", err)
	}
	files, err := r.volumeStore().files.list(t.Context(), volumeDir("db"), "*.json")
	if err != nil || len(files[""]) != 1 || !files[""].has(volumeMeta) {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestAFailedVolumeLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.host.broken = errors.New("no mke2fs")
	if _, err := r.CreateVolume(t.Context(), storage.CreateVolumeRequest{Name: "db"}); !errors.Is(err, r.host.broken) {
		t.Fatal(err)
	}
	if _, found, err := r.volumeStore().scan(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("left: %v, %v", found, err)
	}
	r.host.broken = nil
	r.create(t, storage.CreateVolumeRequest{Name: "db"})
}

// half leaves a folder as a crash does: the disk and a mark, no description.
func (r *rig) half(t *testing.T, name, vch string) {
	t.Helper()
	s := r.volumeStore()
	if _, err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.files.mkdir(t.Context(), volumeDir(name)); err != nil {
		t.Fatal(err)
	}
	put := func(file, text string) {
		if err := s.files.put(t.Context(), volumeDir(name)+"/"+file, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	put(name+".vmdk", "half")
	if vch != "" {
		put(volumeMark, `{"vch":"`+vch+`"}`)
	}
}

func TestWhatACrashLeftGoesAndWhatOthersPutThereStays(t *testing.T) {
	r := newRig(t)
	r.half(t, "ours", r.vc.Config.VCH.Name)
	r.half(t, "theirs", "another-vch")
	r.half(t, "foreign", "")
	whole := r.create(t, storage.CreateVolumeRequest{Name: "whole", Labels: map[string]string{"a": "b"}})
	if err := r.volumeStore().mark(t.Context(), r.volumeStore().files, "whole"); err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	_, found, err := r.volumeStore().scan(t.Context())
	if err != nil || found["ours"] != nil || found["theirs"] == nil || found["foreign"] == nil || found["whole"].has(volumeMark) {
		t.Errorf("%v, %v", found, err)
	}
	vs, err := r.ListVolumes(t.Context())
	if err != nil || len(vs) != 1 || vs[0].Name != "whole" || vs[0].Labels["a"] != "b" || vs[0].Used <= 0 || !vs[0].Created.Equal(whole.Created) {
		t.Errorf("%+v, %v", vs, err)
	}
	for _, name := range []string{"theirs", "foreign"} {
		if _, err := r.CreateVolume(t.Context(), storage.CreateVolumeRequest{Name: name}); !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.create(t, storage.CreateVolumeRequest{Name: "ours"})
}

func TestListShowsWhatOthersDid(t *testing.T) {
	r := newRig(t)
	r.create(t, storage.CreateVolumeRequest{Name: "gone"})
	if err := r.volumeStore().files.remove(t.Context(), volumeDir("gone")); err != nil {
		t.Fatal(err)
	}
	if vs, err := r.ListVolumes(t.Context()); err != nil || len(vs) != 0 {
		t.Errorf("%v, %v", vs, err)
	}
	if _, err := r.GetVolume(t.Context(), "gone"); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("GetVolume: %v", err)
	}
}

func TestGrowthFitsTheFileSystemToTheDisk(t *testing.T) {
	r := newRig(t)
	v := r.create(t, storage.CreateVolumeRequest{Name: "db", Capacity: 64 * mib})
	got, err := r.GrowVolume(t.Context(), storage.GrowVolumeRequest{Name: "db", Capacity: 100*mib + 1})
	if err != nil || got.Capacity != 101*mib {
		t.Fatalf("%+v, %v", got, err)
	}
	if len(r.host.resized) != 1 || r.host.resized[0] != r.host.dir(v.Disk.Locator) {
		t.Errorf("resized: %v", r.host.resized)
	}
	r.restart(t)
	if again, err := r.GetVolume(t.Context(), "db"); err != nil || again.Capacity != got.Capacity {
		t.Errorf("after a restart: %+v, %v", again, err)
	}
}

func TestRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		req   storage.CreateVolumeRequest
		class error
		text  string
	}{
		{storage.CreateVolumeRequest{Name: "db", Capacity: mib}, errdef.ErrInvalid, "16 MB"},
		{storage.CreateVolumeRequest{Name: "db", Capacity: 63 << 40}, errdef.ErrInvalid, "62 TB"},
		{storage.CreateVolumeRequest{Name: "db", Store: "fast"}, errdef.ErrNotFound, "default, shared"},
		{storage.CreateVolumeRequest{Name: "db", Options: map[string]string{"type": "tmpfs"}}, errdef.ErrInvalid, `"type"`},
	} {
		if _, err := r.CreateVolume(t.Context(), tc.req); !errors.Is(err, tc.class) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%+v: %v", tc.req, err)
		}
	}
	r.vols.stores = nil
	if _, err := r.CreateVolume(t.Context(), storage.CreateVolumeRequest{Name: "db"}); !errors.Is(err, errdef.ErrUnsupported) {
		t.Errorf("without stores: %v", err)
	}
}

func TestAVolumeOnAShare(t *testing.T) {
	r := newRig(t)
	v := r.create(t, storage.CreateVolumeRequest{Name: "web", Store: "shared", Labels: map[string]string{"a": "b"}})
	if v.Disk != (device.Disk{Kind: device.KindNFS, Locator: "nfs://filer/export/volumes/web?vers=3"}) || v.Capacity != 0 {
		t.Errorf("%+v", v)
	}
	dir := filepath.Join(r.host.root, "shares/filer/export/volumes")
	if err := os.WriteFile(filepath.Join(dir, "web/file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	got, err := r.GetVolume(t.Context(), "web")
	if err != nil || got.Labels["a"] != "b" || got.Disk != v.Disk || got.Store != "shared" {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
	if _, err := r.GrowVolume(t.Context(), storage.GrowVolumeRequest{Name: "web", Capacity: 1 << 40}); !errors.Is(err, errdef.ErrUnsupported) {
		t.Errorf("grow: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "mine/x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateVolume(t.Context(), storage.CreateVolumeRequest{Name: "mine", Store: "shared"}); !errors.Is(err, errdef.ErrConflict) {
		t.Errorf("a directory that somebody has filled: %v", err)
	}
	if err := r.RemoveVolume(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != "mine" {
		t.Errorf("left: %v", left)
	}
}

func TestAShareThatIsAwayIsNotTakenForEmpty(t *testing.T) {
	r := newRig(t)
	r.host.away = errors.New("no route to host")
	if _, err := r.CreateVolume(t.Context(), storage.CreateVolumeRequest{Name: "db"}); !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("nobody knows yet whether the share has it: %v", err)
	}
	id := strings.Repeat("a1", 32)
	r.create(t, storage.CreateVolumeRequest{Name: id, Fresh: true})
	if _, err := r.GetVolume(t.Context(), id); err != nil {
		t.Errorf("a name that the share cannot have: %v", err)
	}
	r.create(t, storage.CreateVolumeRequest{Name: id, Fresh: true}) // the same again
	r.host.away = nil
	r.create(t, storage.CreateVolumeRequest{Name: "web", Store: "shared"})
	r.host.away = errors.New("no route to host")
	r.create(t, storage.CreateVolumeRequest{Name: "db"})
	if vs, err := r.ListVolumes(t.Context()); err != nil || len(vs) != 3 {
		t.Errorf("%+v, %v", vs, err)
	}
}
