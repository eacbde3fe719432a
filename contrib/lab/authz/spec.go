package authz

import "github.com/vmware/govmomi/vim25/types"

// newVM asks for what the API reference lists for Folder.CreateVM_Task beyond the creation itself.
// Devices other than disks and NICs ask for nothing.
func (c *call) newVM(s *types.VirtualMachineConfigSpec, place Ref) {
	if len(s.ExtraConfig) > 0 {
		c.need("VirtualMachine.Config.AdvancedConfig", place)
	}
	if s.SwapPlacement != "" {
		c.need("VirtualMachine.Config.SwapPlacement", place)
	}
	if s.ChangeTrackingEnabled != nil && *s.ChangeTrackingEnabled {
		c.need("VirtualMachine.Config.ChangeTracking", place)
	}
	home := ""
	if s.Files != nil {
		home = s.Files.VmPathName
		c.onDatastore("Datastore.AllocateSpace", home)
	}
	for _, ch := range s.DeviceChange {
		d := ch.GetVirtualDeviceConfigSpec()
		switch dev := d.Device.(type) {
		case *types.VirtualDisk:
			c.addDisk(d, dev, place, home)
		case types.BaseVirtualEthernetCard:
			c.connect(dev.GetVirtualEthernetCard())
		}
	}
}

// addDisk asks for what a disk needs that is added to a VM.
func (c *call) addDisk(d *types.VirtualDeviceConfigSpec, disk *types.VirtualDisk, on Ref, home string) {
	if d.FileOperation == "" {
		c.need("VirtualMachine.Config.AddExistingDisk", on)
		return
	}
	c.need("VirtualMachine.Config.AddNewDisk", on)
	file := home
	if b, ok := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		if f := b.GetVirtualDeviceFileBackingInfo(); f.FileName != "" {
			file = f.FileName
		}
	}
	c.onDatastore("Datastore.AllocateSpace", file)
}

// connect asks for the network that a NIC is to be on.
func (c *call) connect(n *types.VirtualEthernetCard) {
	switch b := n.Backing.(type) {
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		c.need("Network.Assign", Ref{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey})
	case *types.VirtualEthernetCardNetworkBackingInfo:
		if b.Network != nil {
			c.need("Network.Assign", *b.Network)
		} else if ref, ok := c.w.Network(b.DeviceName); ok {
			c.need("Network.Assign", ref)
		}
	}
}

// reconfigure asks for what the API reference lists for VirtualMachine.ReconfigVM_Task.
func (c *call) reconfigure(s *types.VirtualMachineConfigSpec) {
	const config = "VirtualMachine.Config."
	for _, n := range []struct {
		changed   bool
		privilege string
	}{
		{s.Name != "", "Rename"},
		{s.Annotation != "", "Annotation"},
		{s.NumCPUs != 0 || s.NumCoresPerSocket != nil && *s.NumCoresPerSocket != 0, "CPUCount"},
		{s.MemoryMB != 0, "Memory"},
		{len(s.ExtraConfig) > 0, "AdvancedConfig"},
		{s.Tools != nil || s.Flags != nil || s.PowerOpInfo != nil || s.BootOptions != nil || s.GuestId != "" || s.CpuHotAddEnabled != nil ||
			s.MemoryHotAddEnabled != nil || s.Firmware != "" || s.Files != nil, "Settings"},
		{s.CpuAllocation != nil || s.MemoryAllocation != nil || s.CpuAffinity != nil || s.MemoryAffinity != nil || s.LatencySensitivity != nil, "Resource"},
		{s.SwapPlacement != "", "SwapPlacement"},
		{s.ChangeTrackingEnabled != nil, "ChangeTracking"},
		{s.ManagedBy != nil, "ManagedBy"},
		{s.Version != "", "UpgradeVirtualHardware"},
	} {
		if n.changed {
			c.need(config+n.privilege, c.this)
		}
	}
	for _, ch := range s.DeviceChange {
		if d := ch.GetVirtualDeviceConfigSpec(); d.Device != nil {
			c.changeDevice(d)
		}
	}
	if len(c.needs) == 0 {
		c.need(View, c.this)
	}
}

func (c *call) changeDevice(d *types.VirtualDeviceConfigSpec) {
	nic, isNIC := d.Device.(types.BaseVirtualEthernetCard)
	disk, isDisk := d.Device.(*types.VirtualDisk)
	switch d.Operation {
	case types.VirtualDeviceConfigSpecOperationAdd:
		switch {
		case isDisk:
			c.addDisk(d, disk, c.this, "")
		case isNIC:
			c.need("VirtualMachine.Config.AddRemoveDevice", c.this)
			c.connect(nic.GetVirtualEthernetCard())
		default:
			c.need("VirtualMachine.Config.AddRemoveDevice", c.this)
		}
	case types.VirtualDeviceConfigSpecOperationRemove:
		if isDisk {
			c.need("VirtualMachine.Config.RemoveDisk", c.this)
		} else {
			c.need("VirtualMachine.Config.AddRemoveDevice", c.this)
		}
	default:
		c.editDevice(d.Device)
		if isNIC {
			c.connect(nic.GetVirtualEthernetCard())
		}
	}
}

// editDevice: media of a drive are a matter of their own, all else is a setting of the device.
func (c *call) editDevice(d types.BaseVirtualDevice) {
	switch d.(type) {
	case *types.VirtualCdrom:
		c.need("VirtualMachine.Interact.SetCDMedia", c.this)
	case *types.VirtualFloppy:
		c.need("VirtualMachine.Interact.SetFloppyMedia", c.this)
	default:
		c.need("VirtualMachine.Config.EditDevice", c.this)
	}
}
