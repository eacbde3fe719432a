package vch

import (
	"context"
	"fmt"
	"path"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
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

// vmSpec is the endpoint VM: disk 0 is the state disk.
func (p *Plan) vmSpec(ctx context.Context) (types.VirtualMachineConfigSpec, error) {
	record, err := p.Record.finished().json()
	if err != nil {
		return types.VirtualMachineConfigSpec{}, err
	}
	devices := []types.BaseVirtualDevice{p.scsi(), p.sata(), p.stateDisk(), p.cdrom(), p.console()}
	for i, n := range p.Record.NICs {
		nic, err := nic(ctx, keyNIC-int32(i), p.Res.network(n))
		if err != nil {
			return types.VirtualMachineConfigSpec{}, err
		}
		devices = append(devices, nic)
	}
	spec := types.VirtualMachineConfigSpec{
		Name:       p.Spec.Name,
		Annotation: "Endpoint of a virtual container host; made by vic-machine, remove with vic-machine delete.",
		GuestId:    string(types.VirtualMachineGuestOsIdentifierOther3xLinux64Guest),
		Firmware:   string(types.GuestOsDescriptorFirmwareTypeBios),
		NumCPUs:    p.Spec.EndpointCPU,
		MemoryMB:   p.Spec.EndpointMemoryMB,
		Files:      &types.VirtualMachineFileInfo{VmPathName: p.path(p.Spec.Name, p.Spec.Name+".vmx")},
		ExtraConfig: []types.BaseOptionValue{
			&types.OptionValue{Key: RecordKey, Value: record},
			&types.OptionValue{Key: "disk.EnableUUID", Value: "TRUE"},
		},
		BootOptions: &types.VirtualMachineBootOptions{
			BootOrder: []types.BaseVirtualMachineBootOptionsBootableDevice{&types.VirtualMachineBootOptionsBootableCdromDevice{}},
		},
	}
	for _, d := range devices {
		c := &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: d}
		if _, ok := d.(*types.VirtualDisk); ok {
			c.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
		}
		spec.DeviceChange = append(spec.DeviceChange, c)
	}
	return spec, nil
}

func (p *Plan) scsi() types.BaseVirtualDevice {
	c := &types.ParaVirtualSCSIController{}
	c.Key, c.SharedBus = keySCSI, types.VirtualSCSISharingNoSharing
	return c
}

func (p *Plan) sata() types.BaseVirtualDevice {
	c := &types.VirtualAHCIController{}
	c.Key = keySATA
	return c
}

func (p *Plan) stateDisk() types.BaseVirtualDevice {
	b := &types.VirtualDiskFlatVer2BackingInfo{
		DiskMode:        string(types.VirtualDiskModeIndependent_persistent), // snapshots of the endpoint leave it out
		ThinProvisioned: types.NewBool(true),
	}
	b.FileName = p.path(p.Spec.Name + "-state.vmdk")
	d := &types.VirtualDisk{CapacityInKB: p.Spec.StateGB << 20, CapacityInBytes: p.Spec.StateGB << 30}
	d.Key, d.ControllerKey, d.UnitNumber, d.Backing = keyDisk, keySCSI, types.NewInt32(0), b
	return d
}

func (p *Plan) cdrom() types.BaseVirtualDevice {
	b := &types.VirtualCdromIsoBackingInfo{}
	b.FileName = p.path(p.Record.ApplianceISO)
	d := &types.VirtualCdrom{}
	d.Key, d.ControllerKey, d.UnitNumber, d.Backing = keyCD, keySATA, types.NewInt32(0), b
	d.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, Connected: true, AllowGuestControl: true}
	return d
}

func (p *Plan) console() types.BaseVirtualDevice {
	b := &types.VirtualSerialPortFileBackingInfo{}
	b.FileName = p.path(p.Spec.Name, config.ConsoleLog)
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

// nicMACs reads the addresses that vSphere gave to the NICs, by the names of their interfaces.
func (p *Plan) nicMACs(ctx context.Context, vm *object.VirtualMachine) (map[string]string, error) {
	devices, err := vm.Device(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the devices of the endpoint VM: %w", err)
	}
	cards := devices.SelectByType((*types.VirtualEthernetCard)(nil))
	macs := map[string]string{}
	for _, n := range p.Record.NICs {
		backing, err := p.Res.network(n).EthernetCardBackingInfo(ctx)
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", n.Name, err)
		}
		for i, d := range cards {
			if d == nil {
				continue
			}
			card := d.(types.BaseVirtualEthernetCard).GetVirtualEthernetCard()
			if networkOf(card.Backing) == networkOf(backing) {
				macs[n.Interface], cards[i] = card.MacAddress, nil
				break
			}
		}
		if macs[n.Interface] == "" {
			return nil, fmt.Errorf("the endpoint VM has no NIC with an address on the network %s: %w", n.Name, errdef.ErrInternal)
		}
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

// homeOf is the folder of a VM, relative to its datastore, and the datastore's name.
func homeOf(vmPath string) (datastore, dir string) {
	var p object.DatastorePath
	if !p.FromString(vmPath) {
		return "", ""
	}
	return p.Datastore, path.Dir(p.Path)
}
