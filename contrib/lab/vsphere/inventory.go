package vsphere

import (
	"context"
	"fmt"
	"os"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// The names of the lab's inventory.
const (
	DatacenterName = "dc1"
	ClusterName    = "cluster1"
	SwitchName     = "dvs1"
	PublicNetwork  = "public"
	ClientNetwork  = "client"
	HostName       = "esx4" // a host in no cluster
)

// Hosts and port groups, in the order in which they are made: the order fixes their references.
func hostNames() []string      { return []string{"esx1", "esx2", "esx3"} }
func portgroupNames() []string { return []string{PublicNetwork, "bridge", "bridge2", "management"} }

// inventory makes the objects that every lab has. The calls are the same each time and come one
// after another, so each object has the same reference each time.
func (s *Server) inventory(ctx context.Context) error {
	content, root := vpx.ServiceContent, vpx.RootFolder
	if s.cfg.ESX {
		content, root = esx.ServiceContent, esx.RootFolder
	}
	sctx, instance := simulator.NewServiceInstance(simulator.NewContext(), content, root)
	s.service = simulator.New(sctx, instance)
	s.reg, s.content = sctx.Map, instance.Content
	s.installDiskManager()
	installCollector(s.reg, instance.Content)
	c, err := vim25.NewClient(ctx, s.service)
	if err != nil {
		return err
	}
	b := builder{ctx: ctx, c: c}
	if s.cfg.ESX {
		s.license()
		b.standalone(s.cfg.Datastores)
	} else {
		b.vcenter(s.cfg.Datastores)
	}
	if b.err != nil {
		return b.err
	}
	s.onHosts()
	s.size()
	s.bound(sctx)
	s.baseRefs = map[types.ManagedObjectReference]bool{}
	for _, e := range s.reg.All("") {
		s.baseRefs[e.Reference()] = true
	}
	s.refreshDatastores()
	return nil
}

// vcenter makes the inventory of a vCenter.
func (b *builder) vcenter(datastores []Datastore) {
	dc := b.datacenter()
	dvs := b.dvs(dc)
	for _, pg := range portgroupNames() {
		b.portgroup(dvs, pg)
	}
	hosts := b.cluster(dc, dvs)
	for _, ds := range datastores {
		b.datastore(hosts, ds)
	}
	// Later additions come last: what is above keeps the references that saved inventories know.
	b.portgroup(dvs, ClientNetwork)
	if h := b.host(dc); h != nil {
		b.join(dvs, []*object.HostSystem{h})
		for _, ds := range datastores {
			b.datastore([]*object.HostSystem{h}, ds)
		}
	}
}

// builder makes inventory through the API; the first error sticks.
type builder struct {
	ctx context.Context
	c   *vim25.Client
	err error
}

func (b *builder) wait(what string, t *object.Task, err error) *types.TaskInfo {
	if b.err != nil {
		return nil
	}
	if err == nil {
		var info *types.TaskInfo
		if info, err = t.WaitForResult(b.ctx); err == nil {
			return info
		}
	}
	b.err = fmt.Errorf("%s: %w", what, err)
	return nil
}

func (b *builder) datacenter() *object.Datacenter {
	dc, err := object.NewRootFolder(b.c).CreateDatacenter(b.ctx, DatacenterName)
	if err != nil {
		b.err = err
	}
	return dc
}

func (b *builder) dvs(dc *object.Datacenter) *object.DistributedVirtualSwitch {
	if b.err != nil {
		return nil
	}
	f, err := dc.Folders(b.ctx)
	if err != nil {
		b.err = err
		return nil
	}
	spec := types.DVSCreateSpec{ConfigSpec: &types.VMwareDVSConfigSpec{DVSConfigSpec: types.DVSConfigSpec{Name: SwitchName}}}
	t, err := f.NetworkFolder.CreateDVS(b.ctx, spec)
	info := b.wait("switch", t, err)
	if b.err != nil {
		return nil
	}
	return object.NewDistributedVirtualSwitch(b.c, info.Result.(types.ManagedObjectReference))
}

func (b *builder) portgroup(dvs *object.DistributedVirtualSwitch, name string) {
	if b.err != nil {
		return
	}
	t, err := dvs.AddPortgroup(b.ctx, []types.DVPortgroupConfigSpec{{Name: name, NumPorts: 128,
		AutoExpand: types.NewBool(true), Type: string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding)}})
	b.wait("port group "+name, t, err)
}

func (b *builder) cluster(dc *object.Datacenter, dvs *object.DistributedVirtualSwitch) []*object.HostSystem {
	if b.err != nil {
		return nil
	}
	f, err := dc.Folders(b.ctx)
	if err != nil {
		b.err = err
		return nil
	}
	drs := types.ClusterConfigSpecEx{DrsConfig: &types.ClusterDrsConfigInfo{Enabled: types.NewBool(true),
		DefaultVmBehavior: types.DrsBehaviorFullyAutomated}}
	cl, err := f.HostFolder.CreateCluster(b.ctx, ClusterName, drs)
	if err != nil {
		b.err = err
		return nil
	}
	var hosts []*object.HostSystem
	for _, name := range hostNames() {
		t, err := cl.AddHost(b.ctx, types.HostConnectSpec{HostName: name}, true, nil, nil)
		if info := b.wait("host "+name, t, err); info != nil {
			hosts = append(hosts, object.NewHostSystem(b.c, info.Result.(types.ManagedObjectReference)))
		}
	}
	b.join(dvs, hosts)
	return hosts
}

// host is one that is in no cluster.
func (b *builder) host(dc *object.Datacenter) *object.HostSystem {
	if b.err != nil {
		return nil
	}
	f, err := dc.Folders(b.ctx)
	if err != nil {
		b.err = err
		return nil
	}
	t, err := f.HostFolder.AddStandaloneHost(b.ctx, types.HostConnectSpec{HostName: HostName}, true, nil, nil)
	info := b.wait("host "+HostName, t, err)
	if info == nil {
		return nil
	}
	return object.NewHostSystem(b.c, info.Result.(types.ManagedObjectReference))
}

// join makes the hosts members of the switch.
func (b *builder) join(dvs *object.DistributedVirtualSwitch, hosts []*object.HostSystem) {
	if b.err != nil {
		return
	}
	cfg := &types.DVSConfigSpec{}
	for _, h := range hosts {
		cfg.Host = append(cfg.Host, types.DistributedVirtualSwitchHostMemberConfigSpec{
			Operation: string(types.ConfigSpecOperationAdd), Host: h.Reference()})
	}
	t, err := dvs.Reconfigure(b.ctx, cfg)
	b.wait("hosts of the switch", t, err)
}

func (b *builder) datastore(hosts []*object.HostSystem, ds Datastore) {
	if b.err != nil {
		return
	}
	if b.err = os.MkdirAll(ds.Path, 0o700); b.err != nil {
		return
	}
	for _, h := range hosts {
		sys, err := h.ConfigManager().DatastoreSystem(b.ctx)
		if err == nil {
			_, err = sys.CreateLocalDatastore(b.ctx, ds.Name, ds.Path)
		}
		if err != nil {
			b.err = fmt.Errorf("datastore %s: %w", ds.Name, err)
			return
		}
	}
}
