// Package hardware describes the VMs that vic-machine makes, endpoints and hubs alike: a CD that they boot from, one disk that
// outlives what is on the CD, NICs, and a serial port to a file for the console.
package hardware

import (
	"context"
	"fmt"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Keys of new devices: negative until vSphere gives them their own.
const (
	keySCSI   = -100
	keySATA   = -200
	keyDisk   = -300
	keyCD     = -400
	keyNIC    = -500 // and downwards
	keySerial = -600
)

// VM is one that is to be made. Files are as vSphere writes them: "[datastore] folder/file".
type VM struct {
	Name, Annotation string
	CPUs             int32
	MemoryMB         int64
	VMX              string
	ISO              string // that it boots from
	Disk             string // disk 0
	DiskGB           int64  // its size if it is new; 0: the file is there
	Console          string // the file of its console
	Networks         []object.NetworkReference
	Extra            []types.BaseOptionValue // extraConfig
}

// Spec is what vSphere makes the VM of.
func (v VM) Spec(ctx context.Context) (types.VirtualMachineConfigSpec, error) {
	spec := types.VirtualMachineConfigSpec{
		Name: v.Name, Annotation: v.Annotation,
		GuestId:     string(types.VirtualMachineGuestOsIdentifierOther3xLinux64Guest),
		Firmware:    string(types.GuestOsDescriptorFirmwareTypeBios),
		NumCPUs:     v.CPUs,
		MemoryMB:    v.MemoryMB,
		Files:       &types.VirtualMachineFileInfo{VmPathName: v.VMX},
		ExtraConfig: append([]types.BaseOptionValue{&types.OptionValue{Key: "disk.EnableUUID", Value: "TRUE"}}, v.Extra...),
		BootOptions: &types.VirtualMachineBootOptions{
			BootOrder: []types.BaseVirtualMachineBootOptionsBootableDevice{&types.VirtualMachineBootOptionsBootableCdromDevice{}},
		},
	}
	for _, d := range []types.BaseVirtualDevice{scsi(), sata(), v.disk(), v.cdrom(), v.console()} {
		c := &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: d}
		if _, ok := d.(*types.VirtualDisk); ok && v.DiskGB > 0 {
			c.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
		}
		spec.DeviceChange = append(spec.DeviceChange, c)
	}
	for i, n := range v.Networks {
		d, err := nic(ctx, keyNIC-int32(i), n)
		if err != nil {
			return types.VirtualMachineConfigSpec{}, err
		}
		spec.DeviceChange = append(spec.DeviceChange, &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: d})
	}
	return spec, nil
}

func scsi() types.BaseVirtualDevice {
	c := &types.ParaVirtualSCSIController{}
	c.Key, c.SharedBus = keySCSI, types.VirtualSCSISharingNoSharing
	return c
}

func sata() types.BaseVirtualDevice {
	c := &types.VirtualAHCIController{}
	c.Key = keySATA
	return c
}

func (v VM) disk() types.BaseVirtualDevice {
	b := &types.VirtualDiskFlatVer2BackingInfo{
		DiskMode:        string(types.VirtualDiskModeIndependent_persistent), // snapshots of the VM leave it out
		ThinProvisioned: types.NewBool(true),
	}
	b.FileName = v.Disk
	d := &types.VirtualDisk{CapacityInKB: v.DiskGB << 20, CapacityInBytes: v.DiskGB << 30}
	d.Key, d.ControllerKey, d.UnitNumber, d.Backing = keyDisk, keySCSI, types.NewInt32(0), b
	return d
}

func (v VM) cdrom() types.BaseVirtualDevice {
	b := &types.VirtualCdromIsoBackingInfo{}
	b.FileName = v.ISO
	d := &types.VirtualCdrom{}
	d.Key, d.ControllerKey, d.UnitNumber, d.Backing = keyCD, keySATA, types.NewInt32(0), b
	d.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, Connected: true, AllowGuestControl: true}
	return d
}

func (v VM) console() types.BaseVirtualDevice { return Console(v.Console) }

// Console is a serial port whose output goes to a file.
func Console(file string) types.BaseVirtualDevice {
	b := &types.VirtualSerialPortFileBackingInfo{}
	b.FileName = file
	d := &types.VirtualSerialPort{YieldOnPoll: true}
	d.Key, d.Backing = keySerial, b
	d.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, Connected: true}
	return d
}

func nic(ctx context.Context, key int32, n object.NetworkReference) (types.BaseVirtualDevice, error) {
	backing, err := n.EthernetCardBackingInfo(ctx)
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", n.GetInventoryPath(), err)
	}
	d := &types.VirtualVmxnet3{}
	d.Key, d.Backing = key, backing
	d.AddressType = string(types.VirtualEthernetCardMacTypeGenerated)
	d.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, Connected: true, AllowGuestControl: true}
	return d, nil
}

// Boot is the change of a VM's hardware by which it boots another image.
func Boot(ctx context.Context, vm *object.VirtualMachine, iso string) (types.BaseVirtualDeviceConfigSpec, error) {
	devices, err := vm.Device(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the devices of the VM: %w", vsphere.Classify(err))
	}
	all := devices.SelectByType((*types.VirtualCdrom)(nil))
	if len(all) == 0 {
		return nil, fmt.Errorf("the VM has no CD drive: %w", errdef.ErrNotFound)
	}
	cd := all[0].(*types.VirtualCdrom)
	b := &types.VirtualCdromIsoBackingInfo{}
	b.FileName = iso
	cd.Backing = b
	cd.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, Connected: true, AllowGuestControl: true}
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: cd}, nil
}

// shutdownPatience is how long a guest may take to end its services before it is switched off.
const shutdownPatience = 30 * time.Second

// Shutdown asks the guest to end, and switches the VM off if it does not. One that is off is well.
func Shutdown(ctx context.Context, vm *object.VirtualMachine) error {
	state, err := vm.PowerState(ctx)
	if err != nil {
		return fmt.Errorf("read the VM: %w", vsphere.Classify(err))
	}
	if state == types.VirtualMachinePowerStatePoweredOff {
		return nil
	}
	if err := vm.ShutdownGuest(ctx); err == nil {
		wait, cancel := context.WithTimeout(ctx, shutdownPatience)
		defer cancel()
		if vm.WaitForPowerState(wait, types.VirtualMachinePowerStatePoweredOff) == nil {
			return nil
		}
	}
	task, err := vm.PowerOff(ctx)
	if err := session.Wait(ctx, task, err); err != nil && !vsphere.Is(err, &types.InvalidPowerState{}) {
		return fmt.Errorf("power off the VM: %w", err)
	}
	return nil
}

// MACs reads the addresses that vSphere gave to the NICs of a VM, in the order of their networks.
func MACs(ctx context.Context, vm *object.VirtualMachine, networks []object.NetworkReference) ([]string, error) {
	devices, err := vm.Device(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the devices of the VM: %w", err)
	}
	cards := devices.SelectByType((*types.VirtualEthernetCard)(nil))
	var macs []string
	for _, n := range networks {
		backing, err := n.EthernetCardBackingInfo(ctx)
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", n.GetInventoryPath(), err)
		}
		mac := ""
		for i, d := range cards {
			if d == nil {
				continue
			}
			card := d.(types.BaseVirtualEthernetCard).GetVirtualEthernetCard()
			if networkOf(card.Backing) == networkOf(backing) {
				mac, cards[i] = card.MacAddress, nil
				break
			}
		}
		if mac == "" {
			return nil, fmt.Errorf("the VM has no NIC with an address on the network %s: %w", n.GetInventoryPath(), errdef.ErrInternal)
		}
		macs = append(macs, mac)
	}
	return macs, nil
}

// networkOf identifies the network behind a NIC.
func networkOf(b types.BaseVirtualDeviceBackingInfo) string {
	switch b := b.(type) {
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		return "portgroup " + b.Port.PortgroupKey
	case *types.VirtualEthernetCardNetworkBackingInfo:
		return "network " + b.DeviceName
	case *types.VirtualEthernetCardOpaqueNetworkBackingInfo:
		return "opaque " + b.OpaqueNetworkId
	}
	return ""
}
