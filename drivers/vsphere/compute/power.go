package compute

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Start implements compute.Driver.
func (d *Driver) Start(ctx context.Context, id string) error {
	m, err := d.machine(id)
	if err != nil {
		return err
	}
	if isOn(m) {
		return nil
	}
	if err := d.disks.Release(ctx, id); err != nil {
		return err
	}
	if err := d.clearRecords(ctx, m); err != nil {
		return err
	}
	_, err = d.run(ctx, "power on VM "+m.Name, d.object(m).PowerOn)
	if err != nil && !alreadyIn(err, types.VirtualMachinePowerStatePoweredOn) {
		return err
	}
	return d.inv.Settle(ctx, m.Ref, func(now *inventory.Machine) bool {
		// A guest that ended at once may be off again before the cache saw it on.
		return now != nil && (isOn(now) || !now.BootTime.Equal(m.BootTime) || now.Guest(guest.KeyExit) != "")
	})
}

// clearRecords removes what the last run left in guestinfo, if it left anything.
func (d *Driver) clearRecords(ctx context.Context, m *inventory.Machine) error {
	kv := map[string]string{}
	for _, k := range []string{guest.KeyExit, guest.KeyStarted, guest.KeyAddresses} {
		if m.Guest(k) != "" {
			kv[guest.Prefix+k] = ""
		}
	}
	if len(kv) == 0 {
		return nil
	}
	return d.reconfigure(ctx, m, types.VirtualMachineConfigSpec{ExtraConfig: options(kv, true)})
}

// alreadyIn says that a power operation was refused because the VM is in that state.
func alreadyIn(err error, s types.VirtualMachinePowerState) bool {
	f, ok := session.Find[*types.InvalidPowerState](err)
	return ok && f.ExistingState == s
}

// Kill implements compute.Driver.
func (d *Driver) Kill(ctx context.Context, id string) error {
	m, err := d.machine(id)
	if err != nil {
		return err
	}
	if m.State == types.VirtualMachinePowerStatePoweredOff {
		return nil
	}
	_, err = d.run(ctx, "power off VM "+m.Name, d.object(m).PowerOff)
	if err != nil && !alreadyIn(err, types.VirtualMachinePowerStatePoweredOff) {
		return err
	}
	d.router.Drop(id, false)
	return d.inv.Settle(ctx, m.Ref, func(now *inventory.Machine) bool {
		return now == nil || now.State == types.VirtualMachinePowerStatePoweredOff
	})
}

// Stop implements compute.Driver.
func (d *Driver) Stop(ctx context.Context, id string) error {
	m, err := d.machine(id)
	if err != nil {
		return err
	}
	switch m.State {
	case types.VirtualMachinePowerStatePoweredOff:
		return nil
	case types.VirtualMachinePowerStateSuspended:
		return fmt.Errorf("VM %s is suspended: %w", m.Name, errdef.ErrUnsupported)
	}
	err = d.object(m).ShutdownGuest(ctx)
	if alreadyIn(err, types.VirtualMachinePowerStatePoweredOff) {
		return nil
	}
	return session.Error("shut down the guest of VM "+m.Name, err)
}
