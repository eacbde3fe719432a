package opsuser

import (
	"context"
	"testing"

	"github.com/vmware/govmomi/object"

	"github.com/openvic/vic/sdk/computetest"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/storagetest"
)

// asOps makes a VCH and opens the drivers as its operations user; the administrator acts beside them.
func asOps(t *testing.T) (*drivers, *world) {
	t.Helper()
	w := newWorld(t)
	v := w.newVCH(t, false)
	v.grant(t, lacking{})
	d := &drivers{v: v}
	t.Cleanup(d.close)
	must(t, d.open(context.WithoutCancel(t.Context()), t.TempDir()))
	return d, w
}

func TestComputeConformanceAsTheOperationsUser(t *testing.T) {
	computetest.Suite(t, func(t *testing.T) computetest.Fixture {
		d, w := asOps(t)
		vm := func(t *testing.T, id string) *object.VirtualMachine {
			m, ok := d.inv.Get(id)
			if !ok {
				t.Fatalf("no VM of container %s", id)
			}
			return object.NewVirtualMachine(w.client.Client, m.Ref)
		}
		return computetest.Fixture{
			Driver: d.compute,
			Disks: func(*testing.T, string) []device.Disk {
				return []device.Disk{{Kind: device.KindVMDKDelta, Locator: d.v.base}}
			},
			NICs:  func(*testing.T, string) []device.NIC { return d.nics(1) },
			Guest: func(*testing.T, string) map[string]string { return map[string]string{guest.KeyConfig: `{"version":1}`} },
			PowerOff: func(t *testing.T, id string) {
				task, err := vm(t, id).PowerOff(t.Context())
				must(t, err)
				must(t, task.Wait(t.Context()))
			},
			Delete: func(t *testing.T, id string) {
				if task, err := vm(t, id).PowerOff(t.Context()); err == nil {
					_ = task.Wait(t.Context())
				}
				task, err := vm(t, id).Destroy(t.Context())
				must(t, err)
				must(t, task.Wait(t.Context()))
			},
		}
	})
}

func TestStorageConformanceAsTheOperationsUser(t *testing.T) {
	storagetest.Suite(t, func(t *testing.T) storagetest.Fixture {
		d, _ := asOps(t)
		return storagetest.Fixture{Driver: d.storage}
	})
}
