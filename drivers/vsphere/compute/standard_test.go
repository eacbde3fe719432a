package compute_test

import (
	"testing"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	"github.com/openvic/vic/sdk/device"
)

// A container may be on a standard port group, too: on a single host there are no others.
func TestNICOnAStandardNetwork(t *testing.T) {
	v := vctest.New(t)
	f := find.NewFinder(v.Client.Client)
	dc, err := f.DefaultDatacenter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.SetDatacenter(dc).Network(t.Context(), "VM Network")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, v)
	req := r.request(vctest.ID())
	req.NICs = append(req.NICs, device.NIC{Kind: device.KindPortgroup, Locator: n.Reference().Value})
	if _, err := r.Create(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	found := ""
	for _, d := range devicesOf(t, r.VM(t, req.ID)) {
		if c, ok := d.(*types.VirtualVmxnet3); ok {
			if b, ok := c.Backing.(*types.VirtualEthernetCardNetworkBackingInfo); ok {
				found = b.DeviceName
			}
		}
	}
	if found != "VM Network" {
		t.Errorf("the card is on %q", found)
	}
}
