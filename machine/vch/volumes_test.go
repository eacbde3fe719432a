package vch

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/machine/session"
	"github.com/openvic/vic/machine/simtest"
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

// attachVolume makes a disk and gives it to a container VM that is off.
func attachVolume(t *testing.T, s *simtest.Sim, p *Plan, file string) {
	t.Helper()
	disk := p.Res.Files.Path(file)
	spec := &types.FileBackedVirtualDiskSpec{CapacityKb: 1 << 10, VirtualDiskSpec: types.VirtualDiskSpec{
		AdapterType: string(types.VirtualDiskAdapterTypeLsiLogic), DiskType: string(types.VirtualDiskTypeThin)}}
	task, err := object.NewVirtualDiskManager(s.Session.Client).CreateVirtualDisk(t.Context(), disk, p.Res.Datacenter, spec)
	must(t, session.Wait(t.Context(), task, err))
	container(t, s, p, "db", false, &types.OptionValue{Key: "vic.id", Value: "abc"}, &types.OptionValue{Key: RecordKey, Value: "vch1"})
	vm, err := find.NewFinder(s.Session.Client, true).SetDatacenter(p.Res.Datacenter).VirtualMachine(t.Context(), "db")
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
