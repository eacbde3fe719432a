package compute

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

const (
	guestOS    = "other3xLinux64Guest"
	maxNameLen = 80  // of a vSphere object
	ideKey     = 200 // the first IDE controller, which every VM has
	sioKey     = 400 // the super I/O chip, which every VM has
	scsiKey    = -1  // keys below zero name devices of the same request
	diskKey    = -100
	nicKey     = -200
	cdromKey   = -300
	serialKey  = -301
	shortID    = 12
)

// vmName makes a VM's name from the pattern; n > 1 adds "-n" because the plain name is taken.
func vmName(pattern, name, id string, n int) string {
	short := id[:min(shortID, len(id))]
	suffix := ""
	if n > 1 {
		suffix = fmt.Sprintf("-%d", n)
	}
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || strings.ContainsRune(`/\%[]"`, r) {
			return '-'
		}
		return r
	}, strings.TrimPrefix(name, "/"))
	full := func(name string) string {
		return strings.NewReplacer("{name}", name, "{short}", short, "{id}", id).Replace(pattern) + suffix
	}
	for len(full(clean)) > maxNameLen && clean != "" {
		clean = clean[:len(clean)-1]
	}
	return full(clean)
}

// check refuses what cannot be attached, before anything is made.
func check(req compute.CreateRequest) error {
	if req.ID == "" || req.CPUs < 1 || req.MemoryMB < 4 {
		return fmt.Errorf("VM of container %q with %d CPUs and %d MiB: %w", req.ID, req.CPUs, req.MemoryMB, errdef.ErrInvalid)
	}
	if n := len(req.Disks); n > guest.MaxDisks {
		return fmt.Errorf("%d disks are more than the %d that a controller takes: %w", n, guest.MaxDisks, errdef.ErrInvalid)
	}
	for _, disk := range req.Disks {
		var p object.DatastorePath
		if disk.Kind != device.KindVMDK && disk.Kind != device.KindVMDKDelta || !p.FromString(disk.Locator) {
			return fmt.Errorf("disk %s %q cannot be attached: %w", disk.Kind, disk.Locator, errdef.ErrInvalid)
		}
	}
	return checkNICs(req.NICs)
}

func checkNICs(nics []device.NIC) error {
	for _, n := range nics {
		if n.Kind != device.KindPortgroup {
			return fmt.Errorf("NIC %s %q cannot be attached: %w", n.Kind, n.Locator, errdef.ErrInvalid)
		}
		if _, err := net.ParseMAC(n.MAC); n.MAC != "" && err != nil {
			return fmt.Errorf("NIC with MAC %q: %w", n.MAC, errdef.ErrInvalid)
		}
	}
	return nil
}

// spec is the whole VM in one request.
func (d *Driver) spec(ctx context.Context, req compute.CreateRequest, name string) (types.VirtualMachineConfigSpec, error) {
	home := (&object.DatastorePath{Datastore: d.cfg.Compute.Datastore, Path: name}).String()
	nics, lnk := d.withLink(req.NICs)
	s := types.VirtualMachineConfigSpec{
		Name:       name,
		GuestId:    guestOS,
		NumCPUs:    req.CPUs,
		MemoryMB:   req.MemoryMB,
		Files:      &types.VirtualMachineFileInfo{VmPathName: home + "/" + name + ".vmx"},
		Annotation: fmt.Sprintf("Container %s of virtual container host %s", req.Name, d.cfg.VCH.Name),
		BootOptions: &types.VirtualMachineBootOptions{
			BootOrder: []types.BaseVirtualMachineBootOptionsBootableDevice{&types.VirtualMachineBootOptionsBootableCdromDevice{}},
		},
	}
	linkJSON, err := json.Marshal(lnk)
	if err != nil {
		return s, fmt.Errorf("link of container %s: %w", req.ID, err)
	}
	s.ExtraConfig = d.extraConfig(req, string(linkJSON))
	s.DeviceChange = append(s.DeviceChange, add(&types.ParaVirtualSCSIController{VirtualSCSIController: types.VirtualSCSIController{
		VirtualController: types.VirtualController{VirtualDevice: types.VirtualDevice{Key: scsiKey}},
		SharedBus:         types.VirtualSCSISharingNoSharing,
	}}))
	for i, disk := range req.Disks {
		s.DeviceChange = append(s.DeviceChange, d.disk(disk, i, home, name))
	}
	for i, n := range nics {
		b, err := d.backing(ctx, n.Locator)
		if err != nil {
			return s, err
		}
		s.DeviceChange = append(s.DeviceChange, nic(n, i, b))
	}
	s.DeviceChange = append(s.DeviceChange, add(d.cdrom()), add(serial(home+"/"+config.ConsoleLog)))
	return s, nil
}

func add(dev types.BaseVirtualDevice) *types.VirtualDeviceConfigSpec {
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: dev}
}

func connected() *types.VirtualDeviceConnectInfo {
	return &types.VirtualDeviceConnectInfo{StartConnected: true, Connected: true}
}

// extraConfig is all that must survive: with the VM, nowhere else.
func (d *Driver) extraConfig(req compute.CreateRequest, lnk string) []types.BaseOptionValue {
	var layers, volumes []string
	for _, disk := range req.Disks {
		if disk.Kind == device.KindVMDKDelta {
			layers = append(layers, disk.Locator)
		} else {
			volumes = append(volumes, disk.Locator)
		}
	}
	kv := map[string]string{
		inventory.KeyID:       req.ID,
		inventory.KeyVCH:      d.cfg.VCH.Name,
		inventory.KeyMetadata: base64.StdEncoding.EncodeToString(req.Metadata),
		inventory.KeyLayers:   strings.Join(layers, "|"),
		inventory.KeyVolumes:  strings.Join(volumes, "|"),
		// A second start finds the console's file there and must not ask anyone about it.
		"answer.msg.serial.file.open": "Append",
	}
	for k, v := range req.Guest {
		kv[guest.Prefix+k] = v
	}
	if s := inventory.NetworkOf(req.Guest); s != "" {
		kv[inventory.KeyNetwork] = s
	}
	kv[guest.Prefix+guest.KeyLink] = lnk
	return options(kv, false)
}

// options makes option values; empty ones remove a key, which makes no sense in a new VM.
func options(kv map[string]string, empty bool) []types.BaseOptionValue {
	var out []types.BaseOptionValue
	for k, v := range kv {
		if v != "" || empty {
			out = append(out, &types.OptionValue{Key: k, Value: v})
		}
	}
	return out
}

// disk i of the VM; a delta disk is made in the VM's folder.
func (d *Driver) disk(disk device.Disk, i int, home, name string) types.BaseVirtualDeviceConfigSpec {
	unit := int32(guest.SCSITarget(i))
	b := &types.VirtualDiskFlatVer2BackingInfo{DiskMode: string(types.VirtualDiskModePersistent)}
	b.FileName = disk.Locator
	v := &types.VirtualDisk{VirtualDevice: types.VirtualDevice{Key: int32(diskKey - i), ControllerKey: scsiKey, UnitNumber: &unit, Backing: b}}
	change := add(v)
	switch {
	case disk.ReadOnly:
		b.DiskMode = string(types.VirtualDiskModeIndependent_nonpersistent)
	case disk.Kind == device.KindVMDK: // a snapshot of the VM does not take a volume along
		b.DiskMode = string(types.VirtualDiskModeIndependent_persistent)
	}
	if disk.Kind != device.KindVMDKDelta {
		return change
	}
	file := name
	if i > 0 {
		file = fmt.Sprintf("%s_%d", name, i)
	}
	b.FileName = home + "/" + file + ".vmdk"
	b.ThinProvisioned = types.NewBool(true)
	b.Parent = &types.VirtualDiskFlatVer2BackingInfo{}
	b.Parent.FileName = disk.Locator
	v.CapacityInKB = d.cfg.Storage.LayerSizeGB << 20
	change.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
	return change
}

func nic(n device.NIC, i int, b types.BaseVirtualDeviceBackingInfo) types.BaseVirtualDeviceConfigSpec {
	return add(&types.VirtualVmxnet3{VirtualVmxnet: types.VirtualVmxnet{VirtualEthernetCard: types.VirtualEthernetCard{
		VirtualDevice: types.VirtualDevice{Key: int32(nicKey - i), Backing: b, Connectable: connected()},
		AddressType:   string(types.VirtualEthernetCardMacTypeManual),
		MacAddress:    n.MAC,
	}}})
}

func (d *Driver) cdrom() types.BaseVirtualDevice {
	b := &types.VirtualCdromIsoBackingInfo{}
	b.FileName = d.cfg.Compute.BootstrapISO
	return &types.VirtualCdrom{VirtualDevice: types.VirtualDevice{
		Key: cdromKey, ControllerKey: ideKey, UnitNumber: types.NewInt32(0), Backing: b, Connectable: connected(),
	}}
}

func serial(file string) types.BaseVirtualDevice {
	b := &types.VirtualSerialPortFileBackingInfo{}
	b.FileName = file
	return &types.VirtualSerialPort{
		VirtualDevice: types.VirtualDevice{Key: serialKey, ControllerKey: sioKey, UnitNumber: types.NewInt32(0), Backing: b, Connectable: connected()},
		YieldOnPoll:   true,
	}
}

// withLink gives every NIC a MAC and says which one the tether dials from: the first on the bridge.
// A VM without one gets a card of the tether's own there.
func (d *Driver) withLink(in []device.NIC) ([]device.NIC, guest.Link) {
	nics := append([]device.NIC(nil), in...)
	bridge := d.cfg.Network.Bridge.Portgroup
	lnk := guest.Link{Address: d.cfg.Link.Address}
	for i := range nics {
		if nics[i].MAC == "" {
			nics[i].MAC = RandomMAC()
		}
		if lnk.MAC == "" && nics[i].Locator == bridge {
			lnk.MAC = nics[i].MAC
		}
	}
	if lnk.MAC == "" {
		lnk.MAC, lnk.Isolated = RandomMAC(), true
		nics = append(nics, device.NIC{Kind: device.KindPortgroup, Locator: bridge, MAC: lnk.MAC})
	}
	return nics, lnk
}

// RandomMAC returns an address of the range that vSphere leaves to people: 00:50:56:00:00:00 to
// 00:50:56:3f:ff:ff.
func RandomMAC() string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails
	return net.HardwareAddr{0x00, 0x50, 0x56, b[0] & 0x3f, b[1], b[2]}.String()
}

// backing returns how a NIC is connected to a port group; asked for once.
func (d *Driver) backing(ctx context.Context, portgroup string) (types.BaseVirtualDeviceBackingInfo, error) {
	d.mu.Lock()
	b, ok := d.backings[portgroup]
	d.mu.Unlock()
	if ok {
		return b, nil
	}
	b, err := d.networkOf(portgroup).EthernetCardBackingInfo(ctx)
	if err != nil {
		return nil, session.Error("port group "+portgroup, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backings[portgroup] = b
	return b, nil
}

// networkOf is the object that an id of the configuration means: a distributed port group, or a standard
// one, as all those of a stand-alone host are. vSphere's ids tell them apart.
func (d *Driver) networkOf(portgroup string) object.NetworkReference {
	if strings.HasPrefix(portgroup, "dvportgroup-") {
		return object.NewDistributedVirtualPortgroup(d.session.Client(), types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: portgroup})
	}
	return object.NewNetwork(d.session.Client(), types.ManagedObjectReference{Type: "Network", Value: portgroup})
}
