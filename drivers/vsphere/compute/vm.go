package compute

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/guest"
)

func isOn(m *inventory.Machine) bool {
	return m.State == types.VirtualMachinePowerStatePoweredOn
}

// toVM says in the host's words what the cache knows.
func (d *Driver) toVM(m *inventory.Machine) compute.VM {
	vm := compute.VM{
		ID:        m.ID(),
		Name:      m.Name,
		State:     state(m.State),
		CPUs:      m.CPUs,
		MemoryMB:  m.MemoryMB,
		Addresses: addresses(m),
		PoweredOn: m.BootTime,
		Locator:   m.Ref.Value,
	}
	var err error
	if vm.Metadata, err = base64.StdEncoding.DecodeString(m.Extra[inventory.KeyMetadata]); err != nil {
		d.log.Warn("the VM's metadata is damaged", "container", vm.ID, "err", err)
	}
	if s := m.Guest(guest.KeyExit); s != "" {
		var e guest.Exit
		if err := json.Unmarshal([]byte(s), &e); err != nil {
			d.log.Warn("the VM's exit record is damaged", "container", vm.ID, "err", err)
		} else {
			vm.Exit = &compute.Exit{Code: e.Code, OOM: e.OOM, Error: e.Error, Started: e.Started, Finished: e.Finished}
		}
	}
	return vm
}

func state(s types.VirtualMachinePowerState) compute.State {
	switch s {
	case types.VirtualMachinePowerStatePoweredOn:
		return compute.StateRunning
	case types.VirtualMachinePowerStateSuspended:
		return compute.StateSuspended
	default:
		return compute.StateOff
	}
}

// addresses are what the tether reported, then what VMware Tools would have.
func addresses(m *inventory.Machine) []netip.Addr {
	if !isOn(m) {
		return nil
	}
	var out []netip.Addr
	add := func(s string) {
		a, err := netip.ParseAddr(strings.TrimSpace(s))
		if err != nil || a.IsLoopback() {
			return
		}
		for _, o := range out {
			if o == a {
				return
			}
		}
		out = append(out, a)
	}
	for _, part := range strings.Split(m.Guest(guest.KeyAddresses), ",") {
		_, a, _ := strings.Cut(part, "=")
		add(a)
	}
	add(m.IP)
	return out
}
