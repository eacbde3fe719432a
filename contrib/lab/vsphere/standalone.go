package vsphere

import (
	"fmt"
	"slices"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// StandaloneDatacenter is what every ESXi host calls the one datacenter that it has.
const StandaloneDatacenter = "ha-datacenter"

// The switches of a stand-alone host: the one that every host has, and one without a network card.
const (
	outerSwitch = "vSwitch0"
	innerSwitch = "vSwitch1"
)

// standalone gives the ESXi host, which the simulator makes, its port groups and datastores. A host that
// no vCenter manages has standard switches, one datacenter, no clusters, no vApps and no VM folders.
func (b *builder) standalone(datastores []Datastore) {
	host := object.NewHostSystem(b.c, esx.HostSystem.Self)
	net, err := host.ConfigManager().NetworkSystem(b.ctx)
	if err != nil {
		b.err = err
		return
	}
	if b.err = net.AddVirtualSwitch(b.ctx, innerSwitch, &types.HostVirtualSwitchSpec{NumPorts: 1024}); b.err != nil {
		return
	}
	for _, pg := range append(portgroupNames(), ClientNetwork) {
		sw := innerSwitch
		if pg == PublicNetwork || pg == ClientNetwork {
			sw = outerSwitch
		}
		if err := net.AddPortGroup(b.ctx, types.HostPortGroupSpec{Name: pg, VswitchName: sw}); err != nil {
			b.err = fmt.Errorf("port group %s: %w", pg, err)
			return
		}
	}
	for _, ds := range datastores {
		b.datastore([]*object.HostSystem{host}, ds)
	}
}

// onHosts tells the standard networks which hosts have them, and the hosts of their networks: the
// simulator knows neither of a port group that was added.
func (s *Server) onHosts() {
	for _, e := range s.reg.All("Network") {
		if n, ok := e.(*mo.Network); ok {
			s.onAll(n)
		}
	}
}

// onAll says that all hosts have a network. On a vCenter that is so of the one that every new host has;
// on a host that no vCenter manages of all.
func (s *Server) onAll(n *mo.Network) {
	n.Host = nil
	for _, e := range s.reg.All("HostSystem") {
		h, ok := e.(*simulator.HostSystem)
		if !ok {
			continue
		}
		n.Host = append(n.Host, h.Self)
		if !slices.Contains(h.Network, n.Self) {
			h.Network = append(h.Network, n.Self)
		}
	}
}

// datacenterName is that of the one datacenter.
func (s *Server) datacenterName() string {
	if s.cfg.ESX {
		return StandaloneDatacenter
	}
	return DatacenterName
}

// license adds to the evaluation licence, which has all features, the one that a host asks for before
// programs may change anything. The simulator lists two features only.
func (s *Server) license() {
	m, ok := s.reg.Get(*s.content.LicenseManager).(*simulator.LicenseManager)
	if !ok {
		return
	}
	for i := range m.Licenses {
		l := &m.Licenses[i]
		l.Properties = append(slices.Clone(l.Properties), types.KeyAnyValue{Key: "feature", Value: types.KeyValue{Key: "vimapi", Value: "vSphere API"}})
	}
}
