package vch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// VM is one that is in a VCH's pool.
type VM struct {
	Ref     types.ManagedObjectReference
	Name    string
	On      bool
	Path    string  // of its vmx file, "[datastore] folder/name.vmx"
	Record  *Record // of an endpoint VM
	Foreign bool    // nothing in it says that it is a VCH's
}

var vmProperties = []string{"name", "runtime.powerState", "config.files.vmPathName", "config.extraConfig"}

// settled repeats a listing that found something which was gone when it was read: others, whose VMs it
// lists as well, make and remove theirs meanwhile.
func settled[T any](list func() ([]T, error)) ([]T, error) {
	const tries = 5
	for try := 1; ; try++ {
		all, err := list()
		if try == tries || !errors.Is(err, errdef.ErrNotFound) {
			return all, err
		}
	}
}

// poolVMs lists the VMs of a vApp or pool; none if the pool is gone.
func poolVMs(ctx context.Context, c *vim25.Client, pool types.ManagedObjectReference) ([]VM, error) {
	return settled(func() ([]VM, error) { return listPool(ctx, c, pool) })
}

func listPool(ctx context.Context, c *vim25.Client, pool types.ManagedObjectReference) ([]VM, error) {
	pc := property.DefaultCollector(c)
	var p mo.ResourcePool
	if err := pc.RetrieveOne(ctx, pool, []string{"vm"}, &p); err != nil {
		if err = vsphere.Classify(err); errors.Is(err, errdef.ErrNotFound) {
			return nil, nil
		}
		return nil, fmt.Errorf("list the VMs of %s: %w", pool.Value, err)
	}
	if len(p.Vm) == 0 {
		return nil, nil
	}
	var vms []mo.VirtualMachine
	if err := pc.Retrieve(ctx, p.Vm, vmProperties, &vms); err != nil {
		return nil, fmt.Errorf("read the VMs of %s: %w", pool.Value, vsphere.Classify(err))
	}
	out := make([]VM, 0, len(vms))
	for _, m := range vms {
		out = append(out, vmOf(m))
	}
	return out, nil
}

func vmOf(m mo.VirtualMachine) VM {
	v := VM{Ref: m.Self, Name: m.Name, On: m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff, Foreign: true}
	if m.Config == nil {
		return v
	}
	v.Path = m.Config.Files.VmPathName
	extra := object.OptionValueList(m.Config.ExtraConfig)
	for k := range extra.Map() {
		if strings.HasPrefix(k, guest.Prefix) || strings.HasPrefix(k, "vic.") {
			v.Foreign = false
		}
	}
	if s, ok := extra.GetString(RecordKey); ok {
		v.Record, _ = ParseRecord(s) // container VMs have another value
	}
	return v
}

// readExtra reads a VM's extraConfig.
func readExtra(ctx context.Context, s *session.Session, vm types.ManagedObjectReference) (object.OptionValueList, error) {
	var m mo.VirtualMachine
	if err := property.DefaultCollector(s.Client()).RetrieveOne(ctx, vm, []string{"config.extraConfig"}, &m); err != nil {
		return nil, fmt.Errorf("read the endpoint VM: %w", vsphere.Classify(err))
	}
	if m.Config == nil {
		return nil, nil
	}
	return m.Config.ExtraConfig, nil
}

// endpoint is an endpoint VM anywhere on the server.
type endpoint struct {
	Record *Record
	VM     mo.VirtualMachine // name, runtime, guest address and the keys of guestinfo that matter
}

// endpoints lists the endpoint VMs of the server, or of the datacenter that the session's target
// names. Only the one key of each VM crosses the network at first.
func endpoints(ctx context.Context, s *session.Session) ([]endpoint, error) {
	return settled(func() ([]endpoint, error) { return listEndpoints(ctx, s) })
}

func listEndpoints(ctx context.Context, s *session.Session) ([]endpoint, error) {
	c := s.Client()
	root := c.ServiceContent.RootFolder
	if s.Target.Datacenter != "" {
		dcs, err := s.Datacenters(ctx)
		if err != nil {
			return nil, err
		}
		root = dcs[0].Reference()
	}
	v, err := view.NewManager(c).CreateContainerView(ctx, root, []string{"VirtualMachine"}, true)
	if err != nil {
		return nil, fmt.Errorf("list VMs: %w", vsphere.Classify(err))
	}
	defer func() { _ = v.Destroy(context.WithoutCancel(ctx)) }()
	var content []types.ObjectContent
	if err := v.Retrieve(ctx, []string{"VirtualMachine"}, []string{`config.extraConfig["` + RecordKey + `"]`}, &content); err != nil {
		return nil, fmt.Errorf("list VMs: %w", vsphere.Classify(err))
	}
	records := map[types.ManagedObjectReference]*Record{}
	var refs []types.ManagedObjectReference
	for _, o := range content {
		for _, p := range o.PropSet {
			if r := recordOf(p.Val); r != nil {
				records[o.Obj] = r
				refs = append(refs, o.Obj)
			}
		}
	}
	if len(refs) == 0 {
		return nil, nil
	}
	var vms []mo.VirtualMachine
	props := []string{"name", "runtime.powerState", "guest.ipAddress", "resourcePool", "config.extraConfig"}
	if err := property.DefaultCollector(c).Retrieve(ctx, refs, props, &vms); err != nil {
		return nil, fmt.Errorf("read the endpoint VMs: %w", vsphere.Classify(err))
	}
	var out []endpoint
	for _, m := range vms {
		out = append(out, endpoint{Record: records[m.Self], VM: m})
	}
	return out, nil
}

func recordOf(v any) *Record {
	var s string
	switch o := v.(type) {
	case types.OptionValue:
		s, _ = o.Value.(string)
	case *types.OptionValue:
		s, _ = o.Value.(string)
	}
	r, err := ParseRecord(s)
	if err != nil {
		return nil
	}
	return r
}
