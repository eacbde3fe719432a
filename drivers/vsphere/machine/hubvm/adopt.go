package hubvm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/hardware"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/hubguest"
)

// Adoption says how a hub that was deployed from the OVA is taken over.
type Adoption struct {
	SSODomain string        // the system domain of vCenter Single Sign-On whose users sign in; empty: they do not
	Patience  time.Duration // how long the hub may take to serve
}

// deployed is a VM from the OVA.
type deployed struct {
	vm     *object.VirtualMachine
	m      mo.VirtualMachine
	record Record
	hub    hubguest.Hub
	files  session.Files
	log    *progress.Log
}

// Adopt takes over a hub that was deployed from the OVA: its OVF properties become the configuration that Create would have written, its VM
// gets a Record and a console, and the hub is registered at Single Sign-On. Passwords and keys are removed from the OVF properties.
// The VM boots anew. errdef.ErrNotFound if there is no such VM, errdef.ErrExists if it has a Record.
func (a Adoption) Adopt(ctx context.Context, s *session.Session, q Query, log *progress.Log) (*Details, error) {
	all, err := List(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, h := range all {
		if q.ID != "" && h.ID == q.ID || q.ID == "" && h.Record.Name == q.Name {
			return nil, fmt.Errorf("the hub %s is vic-machine's already: %w", q, errdef.ErrExists)
		}
	}
	d, err := findDeployed(ctx, s, q)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, missing(q, all)
	}
	d.log = log
	if err := d.read(ctx, s); err != nil {
		return nil, err
	}
	if a.SSODomain != "" && s.IsVC() {
		d.record.SSO = &SSO{Domain: a.SSODomain, User: solutionUser(d.record.ID)}
	}
	if err := d.takeOver(ctx, s); err != nil {
		return nil, err
	}
	task, err := d.vm.PowerOn(ctx)
	if err := session.Wait(ctx, task, err); err != nil {
		return nil, advice.Wrap(fmt.Errorf("power on the VM: %w", err), "the hub is vic-machine's now: look at the task in vSphere, and power the VM on")
	}
	wait, cancel := context.WithTimeoutCause(ctx, a.Patience, fmt.Errorf("no success within %s: %w", a.Patience, errdef.ErrUnavailable))
	defer cancel()
	if _, err := vch.WaitServing(wait, s, vch.Appliance{VM: d.vm, Port: Port, Iface: iface, DHCP: !d.record.Static.Address.IsValid(),
		Look: "look at the VM's console, " + d.console()}, log); err != nil {
		return nil, err
	}
	return Inspect(ctx, s, Query{ID: d.vm.Reference().Value})
}

// findDeployed finds a VM from the OVA that has no Record; nil if there is none.
func findDeployed(ctx context.Context, s *session.Session, q Query) (*deployed, error) {
	v, err := view.NewManager(s.Client()).CreateContainerView(ctx, s.Client().ServiceContent.RootFolder, []string{"VirtualMachine"}, true)
	if err != nil {
		return nil, fmt.Errorf("list VMs: %w", vsphere.Classify(err))
	}
	defer func() { _ = v.Destroy(context.WithoutCancel(ctx)) }()
	var names []mo.VirtualMachine
	if err := v.Retrieve(ctx, []string{"VirtualMachine"}, []string{"name"}, &names); err != nil {
		return nil, fmt.Errorf("list VMs: %w", vsphere.Classify(err))
	}
	var found []*deployed
	var ids []string
	for _, n := range names {
		if q.ID != "" && n.Self.Value != q.ID || q.ID == "" && n.Name != q.Name {
			continue
		}
		d := &deployed{vm: object.NewVirtualMachine(s.Client(), n.Self)}
		err := property.DefaultCollector(s.Client()).RetrieveOne(ctx, n.Self, []string{"name", "config", "network", "runtime.powerState"}, &d.m)
		if err != nil {
			return nil, fmt.Errorf("read the VM: %w", vsphere.Classify(err))
		}
		if d.fromOVA() {
			found, ids = append(found, d), append(ids, n.Self.Value)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, advice.Wrap(fmt.Errorf("%d VMs from the OVA are named %s: %w", len(found), q.Name, errdef.ErrConflict),
		"choose one with --id: %s", strings.Join(ids, ", "))
}

// fromOVA says whether a VM has the properties of the OVA, and no Record.
func (d *deployed) fromOVA() bool {
	if d.m.Config == nil || d.m.Config.VAppConfig == nil {
		return false
	}
	if _, has := object.OptionValueList(d.m.Config.ExtraConfig).GetString(RecordKey); has {
		return false
	}
	_, ok := d.properties()[hubguest.Class+"."+hubguest.Properties()[0].Key]
	return ok
}

// properties are those of the VM, as its OVF environment has them.
func (d *deployed) properties() map[string]string {
	out := map[string]string{}
	for _, p := range d.m.Config.VAppConfig.GetVmConfigInfo().Property {
		value := p.Value
		if value == "" {
			value = p.DefaultValue
		}
		out[p.ClassId+"."+p.Id] = value
	}
	return out
}

// notAdopted is the error for a VM from the OVA that vic-machine is asked to change; nil if there is none.
func notAdopted(ctx context.Context, s *session.Session, q Query) error {
	d, err := findDeployed(ctx, s, q)
	if err != nil || d == nil {
		return err
	}
	return advice.Wrap(fmt.Errorf("the hub %s was deployed from the OVA, and is not vic-machine's yet: %w", q, errdef.ErrConflict),
		"take it over first: vic-machine hub adopt --name %s", d.m.Name)
}

// read makes record and configuration of what vSphere knows.
func (d *deployed) read(ctx context.Context, s *session.Session) (err error) {
	if d.hub, err = hubguest.FromEnvironment(hubguest.Environment{Properties: d.properties()}); err != nil {
		return err
	}
	c := d.m.Config
	var home object.DatastorePath
	if !home.FromString(c.Files.VmPathName) || path.Dir(home.Path) == "." || strings.Contains(path.Dir(home.Path), "/") {
		return fmt.Errorf("the VM's folder %q is not in the root of a datastore: %w", c.Files.VmPathName, errdef.ErrUnsupported)
	}
	folder := path.Dir(home.Path)
	d.record = Record{Name: d.m.Name, ID: uuid.NewString(), Created: time.Now().UTC().Truncate(time.Second), Datastore: home.Datastore, Folder: folder,
		Static: vch.Static{Address: d.hub.Address, Gateway: d.hub.Gateway}, DNS: d.hub.DNS, CPUs: c.Hardware.NumCPU, MemoryMB: int64(c.Hardware.MemoryMB)}
	if p := c.VAppConfig.GetVmConfigInfo().Product; len(p) > 0 {
		d.record.Version = p[0].Version
	}
	if err := d.hardware(ctx, s, folder); err != nil {
		return err
	}
	d.files, err = vch.FilesByName(ctx, s, "", home.Datastore)
	if err != nil {
		return err
	}
	d.record.Datacenter = d.files.Datacenter.Reference().Value
	return nil
}

// hardware reads the data disk, the image and the NIC.
func (d *deployed) hardware(ctx context.Context, s *session.Session, folder string) error {
	inFolder := func(name string) (string, bool) {
		var p object.DatastorePath
		ok := p.FromString(name) && p.Datastore == d.record.Datastore && path.Dir(p.Path) == folder
		return path.Base(p.Path), ok
	}
	var disks, nics int
	for _, dev := range d.m.Config.Hardware.Device {
		switch x := dev.(type) {
		case *types.VirtualDisk:
			disks++
			b, ok := x.Backing.(types.BaseVirtualDeviceFileBackingInfo)
			if !ok {
				return fmt.Errorf("the data disk is a %T: %w", x.Backing, errdef.ErrUnsupported)
			}
			if d.record.Data, ok = inFolder(b.GetVirtualDeviceFileBackingInfo().FileName); !ok {
				return advice.Wrap(fmt.Errorf("the data disk does not lie in the VM's folder: %w", errdef.ErrUnsupported),
					"move the VM to one datastore, without snapshots")
			}
			d.record.DataGB = x.CapacityInKB >> 20
		case *types.VirtualCdrom:
			if b, ok := x.Backing.(*types.VirtualCdromIsoBackingInfo); ok && d.record.ISO == "" {
				d.record.ISO, _ = inFolder(b.FileName)
			}
		case types.BaseVirtualEthernetCard:
			nics++
			d.hub.MAC = x.GetVirtualEthernetCard().MacAddress
		}
	}
	if disks != 1 || nics != 1 || d.record.ISO == "" || len(d.m.Network) != 1 {
		return fmt.Errorf("the VM has %d disks, %d NICs and %q as its CD, which is not what the OVA made: %w", disks, nics, d.record.ISO, errdef.ErrUnsupported)
	}
	var err error
	d.record.Network, err = object.NewCommon(s.Client(), d.m.Network[0]).ObjectName(ctx)
	d.hub.Network = d.record.Network
	return vsphere.Classify(err)
}

func (d *deployed) console() string {
	return d.files.Path(path.Join(d.record.Folder, d.record.Name, config.ConsoleLog))
}

// takeOver shuts the VM down and changes it. What fails before it is changed is undone, but for the VM, which stays off.
func (d *deployed) takeOver(ctx context.Context, s *session.Session) (err error) {
	d.log.Printf("shutting the hub down")
	if err := hardware.Shutdown(ctx, d.vm); err != nil {
		return err
	}
	const again = "mend the cause and run the same command again, or power the VM on to leave it as it was"
	if d.record.SSO != nil {
		files, maybe, err := register(ctx, s, *d.record.SSO, d.log)
		if err != nil {
			if maybe {
				err = errors.Join(err, unregister(context.WithoutCancel(ctx), s, *d.record.SSO))
			}
			return advice.Wrap(fmt.Errorf("Single Sign-On: %w", err),
				"give --target the name that vCenter's certificate is for, --sso-domain, and an account that administers Single Sign-On; or --no-sso. Then %s", again)
		}
		d.hub.Sources, d.hub.More = []string{sourceVSphere}, files
	}
	if err := d.change(ctx); err != nil {
		if d.record.SSO != nil {
			err = errors.Join(err, unregister(context.WithoutCancel(ctx), s, *d.record.SSO))
		}
		return advice.Wrap(err, "%s", again)
	}
	return nil
}

// change writes record, configuration and console in one step.
func (d *deployed) change(ctx context.Context) error {
	record, err := d.record.json()
	if err != nil {
		return err
	}
	text, err := json.Marshal(d.hub.Config())
	if err != nil {
		return err
	}
	if err := d.files.MakeDir(ctx, path.Join(d.record.Folder, d.record.Name)); err != nil && !errors.Is(err, errdef.ErrExists) {
		return err
	}
	if err := d.record.writeMarker(ctx, d.files); err != nil {
		return err
	}
	spec := types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{option(RecordKey, record), option(keyConfig, string(text))},
		VAppConfig: &types.VmConfigSpec{Property: d.withoutSecrets()}}
	if len(object.VirtualDeviceList(d.m.Config.Hardware.Device).SelectByType((*types.VirtualSerialPort)(nil))) == 0 {
		spec.DeviceChange = []types.BaseVirtualDeviceConfigSpec{
			&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: hardware.Console(d.console())}}
	}
	task, err := d.vm.Reconfigure(ctx, spec)
	if err := session.Wait(ctx, task, err); err != nil {
		return fmt.Errorf("change the VM: %w", err)
	}
	d.log.Printf("the VM has its record and its configuration")
	return nil
}

// withoutSecrets are the OVF properties that held some, emptied.
func (d *deployed) withoutSecrets() (out []types.VAppPropertySpec) {
	secret := map[string]bool{}
	for _, p := range hubguest.Properties() {
		secret[p.Key] = p.Password
	}
	for _, p := range d.m.Config.VAppConfig.GetVmConfigInfo().Property {
		if p.ClassId == hubguest.Class && secret[p.Id] && p.Value != "" {
			p.Value = ""
			out = append(out, types.VAppPropertySpec{ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: types.ArrayUpdateOperationEdit}, Info: &p})
		}
	}
	return out
}

// detachData takes the data disk out of a VM, so that it is not destroyed with it.
func detachData(ctx context.Context, vm *object.VirtualMachine, file string) error {
	devices, err := vm.Device(ctx)
	if err != nil {
		return ignoreMissing(vsphere.Classify(err))
	}
	for _, dev := range devices.SelectByType((*types.VirtualDisk)(nil)) {
		b, ok := dev.GetVirtualDevice().Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if !ok || b.GetVirtualDeviceFileBackingInfo().FileName != file {
			continue
		}
		task, err := vm.Reconfigure(ctx, types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{
			&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationRemove, Device: dev}}})
		if err := session.Wait(ctx, task, err); err != nil {
			return fmt.Errorf("detach the data disk: %w", err)
		}
	}
	return nil
}
