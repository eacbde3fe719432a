package precheck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	checkBridgeName = "bridge network"
	checkPublicName = "public network"
)

// checkNetworks finds both networks.
func (c *checker) checkNetworks(ctx context.Context) {
	bridge, err := c.findNetwork(ctx, "--bridge-network", c.BridgeNetwork)
	if err != nil {
		c.fail(checkBridgeName, err, "make a port group for this VCH alone and name it with --bridge-network")
	} else if err := c.others.Uses(bridge); err != nil {
		c.fail(checkBridgeName, fmt.Errorf("%s: %w", nameOf(bridge), err), "make a port group for this VCH alone and name it with --bridge-network")
	} else if c.checkBridge(ctx, bridge) {
		c.out.Resources.Bridge, c.out.Resources.BridgeName = bridge, nameOf(bridge)
	}
	public, err := c.findNetwork(ctx, "--public-network", c.PublicNetwork)
	if err != nil {
		c.fail(checkPublicName, err, "name the network on which clients reach the VCH with --public-network")
		return
	}
	if bridge != nil && bridge.Reference() == public.Reference() {
		c.fail(checkPublicName, fmt.Errorf("%s is the bridge network too: %w", nameOf(public), errdef.ErrConflict),
			"give two different networks: the bridge belongs to the containers alone")
		return
	}
	if c.checkPublic(ctx, checkPublicName, public) {
		c.out.Resources.Public, c.out.Resources.PublicName = public, nameOf(public)
	}
	c.out.Resources.Client = c.checkOther(ctx, vch.RoleClient, c.ClientNetwork, bridge)
	c.out.Resources.Management = c.checkOther(ctx, vch.RoleManagement, c.ManagementNetwork, bridge)
	c.checkShared(public)
	c.checkContainerNetworks(ctx, bridge)
}

// checkOther finds the client or the management network, if one is given.
func (c *checker) checkOther(ctx context.Context, role, name string, bridge object.NetworkReference) object.NetworkReference {
	check, option := role+" network", "--"+role+"-network"
	if name == "" {
		return nil
	}
	n, err := c.findNetwork(ctx, option, name)
	switch {
	case err != nil:
		c.fail(check, err, "give "+option+" the name of a network")
	case bridge != nil && bridge.Reference() == n.Reference():
		c.fail(check, fmt.Errorf("%s is the bridge network too: %w", nameOf(n), errdef.ErrConflict),
			"give two different networks: the bridge belongs to the containers alone")
	case c.checkPublic(ctx, check, n):
		return n
	}
	return nil
}

// checkShared refuses two addresses of one NIC: networks that are the same share it.
func (c *checker) checkShared(public object.NetworkReference) {
	on := map[types.ManagedObjectReference]string{public.Reference(): vch.RolePublic}
	for _, r := range []struct {
		role string
		n    object.NetworkReference
	}{{vch.RoleClient, c.out.Resources.Client}, {vch.RoleManagement, c.out.Resources.Management}} {
		if r.n == nil {
			continue
		}
		first, ok := on[r.n.Reference()]
		if !ok {
			on[r.n.Reference()] = r.role
			c.warnSameSubnet(r.role)
			continue
		}
		if mine, given := c.Spec.Static[r.role]; given && mine.Address != c.Spec.Static[first].Address {
			c.fail(r.role+" network", fmt.Errorf("%s is the %s network too, and the endpoint has one NIC there: %w", nameOf(r.n), first, errdef.ErrConflict),
				fmt.Sprintf("leave --%s-network-ip out, or give the same as --%s-network-ip", r.role, first))
		}
	}
}

// warnSameSubnet tells of two NICs with one subnet: what leaves by which of them is chance.
func (c *checker) warnSameSubnet(role string) {
	for _, other := range []string{vch.RolePublic, vch.RoleClient} {
		mine, theirs := c.Spec.Static[role].Address, c.Spec.Static[other].Address
		if other != role && mine.IsValid() && theirs.IsValid() && mine.Overlaps(theirs) {
			c.warn(role+" network", "give each network a subnet of its own, or one port group for both", "%s is in the %s network's %s too", mine, other,
				theirs.Masked())
		}
	}
}

// checkAddresses refuses static addresses in the bridge network: the endpoint would look for them among its containers.
func (c *checker) checkAddresses() {
	for _, role := range []string{vch.RolePublic, vch.RoleClient, vch.RoleManagement} {
		if a := c.Spec.Static[role].Address; a.IsValid() && a.Overlaps(c.Spec.BridgeRange) {
			c.fail(role+" network", fmt.Errorf("%s overlaps the bridge network's %s: %w", a.Masked(), c.Spec.BridgeRange, errdef.ErrConflict),
				"give another --bridge-network-range")
		}
	}
}

// checkContainerNetworks finds the port groups that containers may join.
func (c *checker) checkContainerNetworks(ctx context.Context, bridge object.NetworkReference) {
	const check = "container network"
	for _, n := range c.Containers {
		found, err := c.findNetwork(ctx, "--container-network", n.Network)
		if err == nil && bridge != nil && found.Reference() == bridge.Reference() {
			err = fmt.Errorf("%s is the bridge network too: %w", n.Network, errdef.ErrConflict)
		}
		if err != nil {
			c.fail(check, err, "give --container-network another port group")
			continue
		}
		if n.Subnet.IsValid() && n.Subnet.Overlaps(c.Spec.BridgeRange) {
			c.fail(check, fmt.Errorf("the subnet %s of %s overlaps the bridge network's %s: %w", n.Subnet, n.Name, c.Spec.BridgeRange, errdef.ErrConflict),
				"give another --bridge-network-range")
			continue
		}
		if c.checkPublic(ctx, check, found) {
			n.Kind, n.Portgroup = found.Reference().Type, found.Reference().Value
			c.out.Resources.Containers = append(c.out.Resources.Containers, n)
		}
	}
}

func nameOf(n object.NetworkReference) string {
	p := n.GetInventoryPath()
	return p[strings.LastIndex(p, "/")+1:]
}

// findNetwork finds a network by name or path; switches are none.
func (c *checker) findNetwork(ctx context.Context, option, name string) (object.NetworkReference, error) {
	all, err := c.finder.NetworkList(ctx, "*")
	if err != nil && !isNotFound(err) {
		return nil, vsphere.Classify(err)
	}
	var found []object.NetworkReference
	var names []string
	for _, n := range all {
		if _, ok := n.(*object.DistributedVirtualSwitch); ok {
			continue
		}
		if n.GetInventoryPath() == name || nameOf(n) == name {
			found = append(found, n)
		}
		if strings.Contains(nameOf(n), "DVUplinks") {
			continue // found by name, but no use to propose
		}
		if _, ok := n.(*object.DistributedVirtualPortgroup); ok || option != "--bridge-network" {
			names = append(names, nameOf(n))
		}
	}
	slices.Sort(names)
	switch {
	case name == "":
		return nil, advice.Wrap(fmt.Errorf("%s is not given: %w", option, errdef.ErrInvalid), "give %s one of: %s", option, list(names))
	case len(found) == 0:
		return nil, advice.Wrap(fmt.Errorf("%s %q: %w", option, name, errdef.ErrNotFound), "give %s one of: %s", option, list(names))
	case len(found) > 1:
		return nil, advice.Wrap(fmt.Errorf("%s %q: %w: %d networks have this name", option, name, errdef.ErrInvalid, len(found)),
			"give its whole path, as in %s", found[0].GetInventoryPath())
	}
	return found[0], nil
}

// checkBridge wants a distributed port group on vCenter: it must be one layer-2 network on all hosts.
func (c *checker) checkBridge(ctx context.Context, n object.NetworkReference) bool {
	pg, ok := n.(*object.DistributedVirtualPortgroup)
	if !ok {
		if !c.Session.IsVC() {
			c.ok(checkBridgeName, "%s", nameOf(n))
			return true
		}
		c.fail(checkBridgeName, fmt.Errorf("%s is not a distributed port group: %w: on vCenter the bridge must be one, so that containers on all hosts are "+
			"on one network",
			nameOf(n), errdef.ErrInvalid), "make a port group on a distributed switch that all hosts are on, for this VCH alone")
		return false
	}
	return c.checkPortgroup(ctx, checkBridgeName, pg)
}

func (c *checker) checkPublic(ctx context.Context, check string, n object.NetworkReference) bool {
	if err := c.others.Bridge(n); err != nil {
		c.fail(check, fmt.Errorf("%s: %w", nameOf(n), err), "give another network")
		return false
	}
	if pg, ok := n.(*object.DistributedVirtualPortgroup); ok {
		return c.checkPortgroup(ctx, check, pg)
	}
	var m mo.Network
	if err := property.DefaultCollector(c.Session.Client()).RetrieveOne(ctx, n.Reference(), []string{"host"}, &m); err != nil {
		c.fail(check, vsphere.Classify(err), "check the account's privileges on the network")
		return false
	}
	if missing := c.without(m.Host); len(missing) > 0 {
		c.wrong(check, "make a network of that name on them, or give a distributed port group",
			"%s is a standard network and not on %s", nameOf(n), list(missing))
		return c.Force
	}
	c.ok(check, "%s, a standard network on all hosts", nameOf(n))
	return true
}

// checkPortgroup refuses uplinks and port groups that not all hosts have.
func (c *checker) checkPortgroup(ctx context.Context, check string, pg *object.DistributedVirtualPortgroup) bool {
	var m mo.DistributedVirtualPortgroup
	pc := property.DefaultCollector(c.Session.Client())
	if err := pc.RetrieveOne(ctx, pg.Reference(), []string{"config", "host", "tag"}, &m); err != nil {
		c.fail(check, vsphere.Classify(err), "check the account's privileges on the port group")
		return false
	}
	if isUplink(m) {
		c.fail(check, fmt.Errorf("%s is the uplink port group of its switch: %w", m.Config.Name, errdef.ErrInvalid), "give a port group for VMs")
		return false
	}
	hosts := m.Host
	if s := m.Config.DistributedVirtualSwitch; s != nil {
		var sw mo.DistributedVirtualSwitch
		if err := pc.RetrieveOne(ctx, *s, []string{"summary.hostMember"}, &sw); err == nil {
			hosts = append(hosts, sw.Summary.HostMember...)
		}
	}
	if missing := c.without(hosts); len(missing) > 0 {
		c.wrong(check, "add them to the distributed switch of "+m.Config.Name, "%s is not on the hosts %s", m.Config.Name, list(missing))
		return c.Force
	}
	c.ok(check, "%s, a distributed port group on all hosts", m.Config.Name)
	return true
}

func isUplink(m mo.DistributedVirtualPortgroup) bool {
	return (m.Config.Uplink != nil && *m.Config.Uplink) ||
		slices.ContainsFunc(m.Tag, func(t types.Tag) bool { return t.Key == "SYSTEM/DVS.UPLINKPG" })
}

// without lists the hosts of the compute resource that are not in have.
func (c *checker) without(have []types.ManagedObjectReference) []string {
	var missing []string
	if c.compute == nil {
		return nil
	}
	for _, h := range c.compute.hosts {
		if !slices.Contains(have, h.ref) {
			missing = append(missing, h.name)
		}
	}
	return missing
}

// findOthers finds the VCHs that are there already.
func (c *checker) findOthers(ctx context.Context) {
	var err error
	if c.others, err = vch.FindNeighbours(ctx, c.Session, c.Spec.Name); err != nil {
		c.fail("other VCHs", err, "check the account's privileges on VMs")
	}
}

// checkConflicts looks for VCHs and others that have the name or the bridge already.
func (c *checker) checkConflicts(ctx context.Context) {
	const check = "name is free"
	name := c.Spec.Name
	if checkName(name) != nil {
		name = "" // that is said already, and nothing can have it
	} else if left, err := vch.FindUnfinished(ctx, name, c.out.Resources); err != nil {
		c.fail(check, err, "check the account's privileges on the datastore")
		return
	} else {
		c.out.Resources.Unfinished = left
	}
	names, bridge, err := vch.Conflicts(ctx, c.Session, name, c.out.Resources)
	if err != nil {
		c.fail(check, err, "check the account's privileges on VMs and datastores")
		return
	}
	if len(bridge) > 0 {
		c.fail(checkBridgeName, fmt.Errorf("%s is the bridge of the VCH %s: %w", c.out.Resources.BridgeName, strings.Join(bridge, ", "), errdef.ErrConflict),
			"make a port group for this VCH alone and name it with --bridge-network")
	}
	if len(names) > 0 {
		c.fail(check, fmt.Errorf("%s: %w", strings.Join(names, ", "), errdef.ErrExists),
			"give another --name; if it is left of a VCH that is no longer wanted, remove it with: vic-machine delete --name "+c.Spec.Name)
		return
	}
	if name == "" {
		return
	}
	if c.out.Resources.Unfinished != nil {
		c.ok(check, "%s; what an interrupted create left of it will be removed", c.Spec.Name)
		return
	}
	c.ok(check, "%s", c.Spec.Name)
}
