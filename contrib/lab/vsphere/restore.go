package vsphere

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// restore puts saved objects into the registry, parents first (a parent has the lower number unless
// something was moved, hence the rounds), and rebuilds the lists that point at them.
func (st *store) restore(saved *state) error {
	todo := saved.Objects
	for len(todo) > 0 {
		var later []savedObject
		for _, o := range todo {
			ok, err := st.restoreObject(o)
			if err != nil {
				return err
			}
			if !ok {
				later = append(later, o)
			}
		}
		if len(later) == len(todo) {
			return fmt.Errorf("%d objects have no parent", len(later))
		}
		todo = later
	}
	return st.server.setCounter(saved.Counter)
}

// restoreObject returns false when the object's parent is not there yet.
func (st *store) restoreObject(o savedObject) (bool, error) {
	dec := types.NewJSONDecoder(bytes.NewReader(o.Data))
	s := st.server
	switch o.Type {
	case "Folder":
		f := &simulator.Folder{}
		if err := dec.Decode(&f.Folder); err != nil {
			return false, err
		}
		f.ChildEntity = nil
		return s.placeInFolder(f, &f.ManagedEntity), nil
	case "ResourcePool":
		p := &simulator.ResourcePool{}
		if err := dec.Decode(&p.ResourcePool); err != nil {
			return false, err
		}
		return s.placePool(p, &p.ResourcePool), nil
	case "VirtualApp":
		a := &simulator.VirtualApp{}
		if err := dec.Decode(&a.VirtualApp); err != nil {
			return false, err
		}
		return s.placeVApp(a), nil
	case "DistributedVirtualPortgroup":
		p := &simulator.DistributedVirtualPortgroup{}
		if err := dec.Decode(&p.DistributedVirtualPortgroup); err != nil {
			return false, err
		}
		return s.placePortgroup(p)
	case "VirtualMachine":
		vm := &simulator.VirtualMachine{DataSets: map[string]*simulator.DataSet{}}
		if err := dec.Decode(&vm.VirtualMachine); err != nil {
			return false, err
		}
		return st.placeVM(vm)
	}
	return false, fmt.Errorf("object of kind %q", o.Type)
}

func (s *Server) placeInFolder(o mo.Reference, e *mo.ManagedEntity) bool {
	if e.Parent == nil {
		return false
	}
	f, ok := s.reg.Get(*e.Parent).(*simulator.Folder)
	if !ok {
		return false
	}
	e.RecentTask = nil
	f.ChildEntity = append(f.ChildEntity, o.Reference())
	s.reg.Put(o)
	return true
}

func (s *Server) placePool(o mo.Reference, p *mo.ResourcePool) bool {
	if p.Parent == nil {
		return false
	}
	list := s.childPools(*p.Parent)
	if list == nil {
		return false
	}
	p.Vm, p.ResourcePool, p.RecentTask = nil, nil, nil
	*list = append(*list, o.Reference())
	s.reg.Put(o)
	return true
}

func (s *Server) placeVApp(a *simulator.VirtualApp) bool {
	f, ok := s.reg.Get(*a.ParentFolder).(*simulator.Folder)
	if !ok || !s.placePool(a, &a.VirtualApp.ResourcePool) {
		return false
	}
	f.ChildEntity = append(f.ChildEntity, a.Self)
	return true
}

func (s *Server) childPools(parent types.ManagedObjectReference) *[]types.ManagedObjectReference {
	switch p := s.reg.Get(parent).(type) {
	case *simulator.ResourcePool:
		return &p.ResourcePool.ResourcePool
	case *simulator.VirtualApp:
		return &p.VirtualApp.ResourcePool.ResourcePool
	}
	return nil
}

func (s *Server) placePortgroup(p *simulator.DistributedVirtualPortgroup) (bool, error) {
	dvs, ok := s.reg.Get(*p.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
	if !ok {
		return false, fmt.Errorf("port group %s: its switch is gone", p.Name)
	}
	p.Vm = nil
	if !s.placeInFolder(p, &p.ManagedEntity) {
		return false, nil
	}
	ref := p.Self
	dvs.Portgroup = append(dvs.Portgroup, ref)
	dvs.Summary.PortgroupName = append(dvs.Summary.PortgroupName, p.Name)
	for _, h := range p.Host {
		if host, ok := s.reg.Get(h).(*simulator.HostSystem); ok {
			host.Network = append(host.Network, ref)
		}
	}
	for _, e := range s.reg.All("ClusterComputeResource") {
		if c, ok := e.(*simulator.ClusterComputeResource); ok {
			c.Network = append(c.Network, ref)
		}
	}
	for _, e := range s.reg.All("Datacenter") {
		if dc, ok := e.(*simulator.Datacenter); ok {
			dc.Network = append(dc.Network, ref)
		}
	}
	return true, nil
}

func (st *store) placeVM(vm *simulator.VirtualMachine) (bool, error) {
	s := st.server
	host, ok := s.reg.Get(*vm.Runtime.Host).(*simulator.HostSystem)
	if !ok {
		return false, fmt.Errorf("VM %s: its host is gone", vm.Name)
	}
	pool := s.poolVMs(vm.ResourcePool)
	if pool == nil || vm.Parent == nil || s.reg.Get(*vm.Parent) == nil {
		return false, nil
	}
	if vm.Runtime.PowerState == poweredOn {
		st.on = append(st.on, vm.Self)
	}
	asPoweredOff(vm)
	s.placeInFolder(vm, &vm.ManagedEntity)
	*pool = append(*pool, vm.Self)
	host.Vm = append(host.Vm, vm.Self)
	for _, d := range vm.Datastore {
		if ds, ok := s.reg.Get(d).(*simulator.Datastore); ok {
			ds.Vm = append(ds.Vm, vm.Self)
		}
	}
	s.keepMACs(vm)
	return true, nil
}

func (s *Server) poolVMs(ref *types.ManagedObjectReference) *[]types.ManagedObjectReference {
	if ref == nil {
		return nil
	}
	switch p := s.reg.Get(*ref).(type) {
	case *simulator.ResourcePool:
		return &p.Vm
	case *simulator.VirtualApp:
		return &p.Vm
	}
	return nil
}

// asPoweredOff forgets what only a running VM has.
func asPoweredOff(vm *simulator.VirtualMachine) {
	vm.Runtime.PowerState, vm.Summary.Runtime.PowerState = poweredOff, poweredOff
	vm.Runtime.BootTime, vm.Summary.Runtime.BootTime = nil, nil
	vm.Snapshot, vm.RootSnapshot = nil, nil
	vm.Summary.Vm = &vm.Self
	vm.Guest.ToolsRunningStatus = string(types.VirtualMachineToolsRunningStatusGuestToolsNotRunning)
	vm.Guest.ToolsStatus, vm.Guest.IpAddress = types.VirtualMachineToolsStatusToolsNotRunning, ""
	if vm.Summary.Guest != nil {
		vm.Summary.Guest.ToolsRunningStatus, vm.Summary.Guest.IpAddress = vm.Guest.ToolsRunningStatus, ""
	}
	for i := range vm.Guest.Net {
		vm.Guest.Net[i].IpAddress = nil
	}
}

// keepMACs makes sure that addresses in use are not given out again.
func (s *Server) keepMACs(vm *simulator.VirtualMachine) {
	for _, d := range vm.Config.Hardware.Device {
		c, ok := d.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		var b [3]byte
		text := strings.ToLower(c.GetVirtualEthernetCard().MacAddress)
		if n, err := fmt.Sscanf(text, "00:50:56:%02x:%02x:%02x", &b[0], &b[1], &b[2]); n != 3 || err != nil || b[0] < 0x80 {
			continue
		}
		s.macs.Store(max(s.macs.Load(), uint32(b[0]-0x80)<<16|uint32(b[1])<<8|uint32(b[2])))
	}
}

// setCounter makes the registry go on above n.
func (s *Server) setCounter(n int64) error {
	mark := &mo.Task{}
	mark.Self = types.ManagedObjectReference{Type: "Task", Value: fmt.Sprintf("task-%d", n)}
	s.reg.Put(mark)
	err := s.reg.AlignCounter()
	s.reg.Remove(s.context(), mark.Self)
	return err
}
