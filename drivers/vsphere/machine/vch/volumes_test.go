package vch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/sdk/errdef"
)

func TestVolumesOutliveTheirVCHAndEmptyStoresDoNot(t *testing.T) {
	for _, kept := range []bool{false, true} {
		s := simtest.New(t)
		before := s.Inventory()
		p, _ := created(t, s, func(_ *Spec, r *Resources) {
			r.VolumeStores = []VolumeStore{{Label: "default", Files: r.Files, Path: "deep/vols"}, {Label: "nfs", Share: "nfs://filer/export"}}
		})
		toml, err := p.endpoint("vm-1", nil).vsphere()
		must(t, err)
		for _, want := range []string{`default = "[LocalDS_0] deep/vols"`, `nfs = "nfs://filer/export"`} {
			if !strings.Contains(string(toml), want) {
				t.Errorf("vsphere.toml lacks %s:\n%s", want, toml)
			}
		}
		const volume = "deep/vols/volumes/db"
		if kept {
			must(t, p.Res.Files.MakeDir(context.Background(), volume))
			attachVolume(t, s, p, volume+"/db.vmdk")
		}
		must(t, Delete(t.Context(), p.Res.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
		if !kept {
			if after := s.Inventory(); after != before {
				t.Errorf("left behind:\n%s", after)
			}
			continue
		}
		if names, err := p.Res.Files.List(t.Context(), volume); err != nil || !slices.Contains(names, "db.vmdk") {
			t.Errorf("the volume is gone: %v, %v", names, err)
		}
	}
}

// TestForceTakesTheVolumesOfTheVCHAlone has two VCHs with one store in common.
func TestForceTakesTheVolumesOfTheVCHAlone(t *testing.T) {
	s := simtest.New(t)
	ctx := t.Context()
	p, _ := created(t, s, func(_ *Spec, r *Resources) {
		r.VolumeStores = []VolumeStore{{Label: "default", Files: r.Files, Path: "common"}}
	})
	files := p.Res.Files
	must(t, files.MakeDir(ctx, "common/volumes/db"))
	before := s.Inventory()
	second := func() {
		created(t, s, func(spec *Spec, r *Resources) {
			spec.Name = "vch2"
			r.VolumeStores = []VolumeStore{{Label: "a", Files: r.Files, Path: "common"}, {Label: "b", Files: r.Files, Path: "own"},
				{Label: "nfs", Share: "nfs://filer/export"}}
		})
	}
	second()
	must(t, files.MakeDir(ctx, "own/volumes/db"))
	must(t, Delete(ctx, s.Session, DeleteOptions{Query: Query{Name: "vch2"}, Force: true}, nil))
	if after := s.Inventory(); after != before {
		t.Errorf("left behind, or too much is gone:\n%s\nbefore:\n%s", after, before)
	}
	must(t, Delete(ctx, s.Session, DeleteOptions{Query: Query{Name: "vch1"}}, nil))
	if _, err := files.List(ctx, "common/volumes/db"); err != nil {
		t.Errorf("without --force: %v", err)
	}
	// A VCH that is made on what was left has the volumes, and may take them along.
	second()
	must(t, Delete(ctx, s.Session, DeleteOptions{Query: Query{Name: "vch2"}, Force: true}, nil))
	if _, err := files.List(ctx, "common/volumes"); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("with --force: %v", err)
	}
}

// attachVolume makes a disk and gives it to a container VM that is off.
func attachVolume(t *testing.T, s *simtest.Sim, p *Plan, file string) {
	t.Helper()
	disk := p.Res.Files.Path(file)
	spec := &types.FileBackedVirtualDiskSpec{CapacityKb: 1 << 10, VirtualDiskSpec: types.VirtualDiskSpec{
		AdapterType: string(types.VirtualDiskAdapterTypeLsiLogic), DiskType: string(types.VirtualDiskTypeThin)}}
	task, err := object.NewVirtualDiskManager(s.Session.Client()).CreateVirtualDisk(t.Context(), disk, p.Res.Datacenter, spec)
	must(t, session.Wait(t.Context(), task, err))
	container(t, s, p, "db", false, &types.OptionValue{Key: "vic.id", Value: "abc"}, &types.OptionValue{Key: RecordKey, Value: "vch1"})
	vm, err := find.NewFinder(s.Session.Client(), true).SetDatacenter(p.Res.Datacenter).VirtualMachine(t.Context(), "db")
	must(t, err)
	scsi := &types.ParaVirtualSCSIController{}
	scsi.Key, scsi.SharedBus = -1, types.VirtualSCSISharingNoSharing
	must(t, vm.AddDevice(t.Context(), scsi))
	devices, err := vm.Device(t.Context())
	must(t, err)
	controller, err := devices.FindSCSIController("")
	must(t, err)
	d := devices.CreateDisk(controller, p.Res.Files.Datastore.Reference(), disk)
	must(t, vm.AddDevice(t.Context(), d))
}
