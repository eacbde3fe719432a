package vsphere

import (
	"fmt"
	"net/url"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/contrib/lab/qemu"
)

// spec reads the hardware of a VM out of its configuration; the caller holds the VM's lock.
func (s *Server) spec(vm *simulator.VirtualMachine) (qemu.Spec, error) {
	ref := vm.Self
	spec := qemu.Spec{ID: ref.Value, Name: vm.Name, Dir: s.runDir(ref), CPUs: int(vm.Config.Hardware.NumCPU),
		MemoryMB: int(vm.Config.Hardware.MemoryMB), Answer: func(line string) string { return s.answer(ref, line) }}
	devs := object.VirtualDeviceList(vm.Config.Hardware.Device)
	for _, d := range devs {
		if err := s.addToSpec(&spec, d, devs); err != nil {
			return spec, fmt.Errorf("device %d: %w", d.GetVirtualDevice().Key, err)
		}
	}
	return spec, nil
}

func (s *Server) addToSpec(spec *qemu.Spec, d types.BaseVirtualDevice, devs object.VirtualDeviceList) error {
	switch x := d.(type) {
	case types.BaseVirtualSCSIController:
		c := x.GetVirtualSCSIController()
		spec.Controllers = append(spec.Controllers, qemu.Controller{Bus: int(c.BusNumber), Model: controllerModel(d)})
	case *types.VirtualDisk:
		disk, err := s.disk(x, devs)
		if err != nil {
			return err
		}
		spec.Disks = append(spec.Disks, disk)
	case types.BaseVirtualEthernetCard:
		spec.NICs = append(spec.NICs, nic(d))
	case *types.VirtualCdrom:
		if iso := s.medium(x); iso != "" {
			spec.CDROM = iso
		}
	case *types.VirtualSerialPort:
		p, err := s.serial(x)
		if err != nil {
			return err
		}
		spec.Serials = append(spec.Serials, p)
	}
	return nil
}

func controllerModel(d types.BaseVirtualDevice) string {
	switch d.(type) {
	case *types.ParaVirtualSCSIController:
		return "pvscsi"
	case *types.VirtualLsiLogicController:
		return "lsi53c895a"
	}
	return "mptsas1068"
}

func (s *Server) disk(d *types.VirtualDisk, devs object.VirtualDeviceList) (qemu.Disk, error) {
	b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if !ok {
		return qemu.Disk{}, fmt.Errorf("disk backing %T is not supported", d.Backing)
	}
	ctl, ok := devs.FindByKey(d.ControllerKey).(types.BaseVirtualSCSIController)
	if !ok || d.UnitNumber == nil {
		return qemu.Disk{}, fmt.Errorf("controller %d is not a SCSI controller", d.ControllerKey)
	}
	scratch := b.DiskMode == string(types.VirtualDiskModeIndependent_nonpersistent) || b.DiskMode == string(types.VirtualDiskModeNonpersistent)
	return qemu.Disk{Key: d.Key, Bus: int(ctl.GetVirtualSCSIController().BusNumber), Unit: int(*d.UnitNumber),
		File: s.path(b.FileName), Serial: b.Uuid, Scratch: scratch}, nil
}

func nic(d types.BaseVirtualDevice) qemu.NIC {
	c := d.(types.BaseVirtualEthernetCard).GetVirtualEthernetCard()
	model := "vmxnet3"
	switch d.(type) {
	case *types.VirtualE1000:
		model = "e1000"
	case *types.VirtualE1000e:
		model = "e1000e"
	}
	return qemu.NIC{Key: c.Key, Model: model, MAC: c.MacAddress, Segment: segment(c)}
}

// segment names the switch that a NIC's backing means.
func segment(c *types.VirtualEthernetCard) string {
	switch b := c.Backing.(type) {
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		return b.Port.PortgroupKey
	case *types.VirtualEthernetCardNetworkBackingInfo:
		return standardSegment(b.DeviceName)
	}
	return "nowhere"
}

// standardSegment is the switch of a standard network.
func standardSegment(name string) string { return "network:" + name }

// medium is the ISO file in a drive, if one is to be connected.
func (s *Server) medium(cd *types.VirtualCdrom) string {
	b, ok := cd.Backing.(*types.VirtualCdromIsoBackingInfo)
	if !ok || b.FileName == "" || (cd.Connectable != nil && !cd.Connectable.StartConnected && !cd.Connectable.Connected) {
		return ""
	}
	return s.path(b.FileName)
}

func (s *Server) serial(p *types.VirtualSerialPort) (qemu.Serial, error) {
	switch b := p.Backing.(type) {
	case *types.VirtualSerialPortURIBackingInfo:
		u, err := url.Parse(b.ServiceURI)
		if err != nil {
			return qemu.Serial{}, err
		}
		return qemu.Serial{Host: u.Hostname(), Port: u.Port(), Telnet: u.Scheme == "telnet",
			Server: b.Direction == string(types.VirtualDeviceURIBackingOptionDirectionServer)}, nil
	case types.BaseVirtualDeviceFileBackingInfo:
		return qemu.Serial{File: s.path(b.GetVirtualDeviceFileBackingInfo().FileName)}, nil
	}
	return qemu.Serial{}, nil
}
