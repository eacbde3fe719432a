package vch

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// detach takes the disks out of a VM that do not lie in its home: volumes. vSphere deletes the disks
// that a VM has when the VM is destroyed.
func detach(ctx context.Context, vm *object.VirtualMachine) error {
	var m mo.VirtualMachine
	err := property.DefaultCollector(vm.Client()).RetrieveOne(ctx, vm.Reference(), []string{"config.hardware.device", "config.files.vmPathName"}, &m)
	if err = vsphere.Classify(err); errors.Is(err, errdef.ErrNotFound) || err == nil && m.Config == nil {
		return nil
	}
	if err != nil {
		return err
	}
	home := path.Dir(m.Config.Files.VmPathName) + "/"
	var spec types.VirtualMachineConfigSpec
	for _, dev := range object.VirtualDeviceList(m.Config.Hardware.Device).SelectByType((*types.VirtualDisk)(nil)) {
		b, ok := dev.GetVirtualDevice().Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if ok && !strings.HasPrefix(b.GetVirtualDeviceFileBackingInfo().FileName, home) {
			spec.DeviceChange = append(spec.DeviceChange, &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationRemove, Device: dev})
		}
	}
	if len(spec.DeviceChange) == 0 {
		return nil
	}
	task, err := vm.Reconfigure(ctx, spec)
	if err := session.Wait(ctx, task, err); err != nil {
		return fmt.Errorf("detach %d volumes: %w", len(spec.DeviceChange), err)
	}
	return nil
}
