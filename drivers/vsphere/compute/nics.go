package compute

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// maxNICs is what vSphere gives a VM.
const maxNICs = 10

// changeNICs returns the changes of devices that leave a VM with the wanted NICs and the one that its
// link needs. If the link moves, its key is put into kv.
func (d *Driver) changeNICs(ctx context.Context, m *inventory.Machine, want []device.NIC, kv map[string]string) ([]types.BaseVirtualDeviceConfigSpec, error) {
	if err := checkNICs(want); err != nil {
		return nil, err
	}
	for _, n := range want {
		if n.MAC == "" {
			return nil, fmt.Errorf("NIC on %s without a MAC: %w", n.Locator, errdef.ErrInvalid)
		}
	}
	have, err := d.nics(ctx, m)
	if err != nil {
		return nil, err
	}
	var old guest.Link
	if err := json.Unmarshal([]byte(m.Guest(guest.KeyLink)), &old); err != nil {
		return nil, fmt.Errorf("link of VM %s: %w", m.Name, err)
	}
	lnk := d.moveLink(old, want)
	if lnk != old {
		b, err := json.Marshal(lnk)
		if err != nil {
			return nil, fmt.Errorf("link of VM %s: %w", m.Name, err)
		}
		kv[guest.Prefix+guest.KeyLink] = string(b)
	}
	keep := map[string]bool{lnk.MAC: true}
	var out []types.BaseVirtualDeviceConfigSpec
	for i, n := range want {
		mac := normalMAC(n.MAC)
		keep[mac] = true
		if _, there := have[mac]; there {
			continue
		}
		b, err := d.backing(ctx, n.Locator)
		if err != nil {
			return nil, err
		}
		out = append(out, nic(n, i, b))
	}
	for mac, dev := range have {
		if !keep[mac] {
			out = append(out, &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationRemove, Device: dev})
		}
	}
	if len(keep) > maxNICs {
		return nil, fmt.Errorf("VM %s would have %d NICs, %d is the most: %w", m.Name, len(keep), maxNICs, errdef.ErrExhausted)
	}
	return out, nil
}

// nics returns a VM's network cards by MAC.
func (d *Driver) nics(ctx context.Context, m *inventory.Machine) (map[string]types.BaseVirtualDevice, error) {
	var vm mo.VirtualMachine
	pc := property.DefaultCollector(d.session.Client())
	if err := pc.RetrieveOne(ctx, m.Ref, []string{"config.hardware.device"}, &vm); err != nil {
		return nil, session.Error("read the devices of VM "+m.Name, err)
	}
	out := map[string]types.BaseVirtualDevice{}
	if vm.Config == nil {
		return out, nil
	}
	for _, dev := range object.VirtualDeviceList(vm.Config.Hardware.Device) {
		if c, ok := dev.(types.BaseVirtualEthernetCard); ok {
			out[normalMAC(c.GetVirtualEthernetCard().MacAddress)] = dev
		}
	}
	return out, nil
}

func normalMAC(s string) string {
	if mac, err := net.ParseMAC(s); err == nil {
		return mac.String()
	}
	return strings.ToLower(s)
}

// moveLink decides which NIC the tether dials from. A NIC of its own stays. One that it shares with
// the container stays as long as the container has it; then the link moves to another NIC on the
// bridge, or, without one, keeps the NIC for itself.
func (d *Driver) moveLink(old guest.Link, want []device.NIC) guest.Link {
	old.MAC = normalMAC(old.MAC)
	next := old
	for _, n := range want {
		if normalMAC(n.MAC) == old.MAC {
			return old
		}
		if next.MAC == old.MAC && n.Locator == d.cfg.Network.Bridge.Portgroup {
			next.MAC = normalMAC(n.MAC)
		}
	}
	if old.Isolated {
		return old
	}
	next.Isolated = next.MAC == old.MAC
	return next
}
