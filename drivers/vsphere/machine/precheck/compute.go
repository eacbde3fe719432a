package precheck

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/license"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

const checkComputeName = "compute resource"

// checkCompute finds the pool that --compute-resource names: of a cluster, a host, or a pool itself.
func (c *checker) checkCompute(ctx context.Context) {
	pool, err := c.findPool(ctx)
	if err != nil {
		c.fail(checkComputeName, err, "give --compute-resource a cluster, a host or a resource pool")
		return
	}
	owner, err := pool.Owner(ctx)
	if err != nil {
		c.fail(checkComputeName, vsphere.Classify(err), "check the account's privileges on the compute resource")
		return
	}
	if c.compute, err = c.describe(ctx, owner.Reference()); err != nil {
		c.fail(checkComputeName, err, "check the account's privileges on the compute resource")
		return
	}
	if len(c.compute.hosts) == 0 {
		c.fail(checkComputeName, fmt.Errorf("%s has no host that is connected and not in maintenance: %w", c.compute.name, errdef.ErrUnavailable),
			"reconnect a host or take it out of maintenance, or give another --compute-resource")
		return
	}
	if c.compute.cluster {
		c.out.Resources.Cluster = owner.Reference().Value
	}
	c.out.Resources.Pool = pool
	c.ok(checkComputeName, "%s, %d hosts", pool.InventoryPath, len(c.compute.hosts))
}

func (c *checker) findPool(ctx context.Context) (*object.ResourcePool, error) {
	name := c.ComputeResource
	pattern := name
	if pattern == "" {
		pattern = "*"
	}
	found, err := c.finder.ComputeResourceList(ctx, pattern)
	if err != nil && !isNotFound(err) {
		return nil, vsphere.Classify(err)
	}
	if len(found) == 1 {
		pool, err := found[0].ResourcePool(ctx)
		if err != nil {
			return nil, vsphere.Classify(err)
		}
		pool.InventoryPath = path.Join(found[0].InventoryPath, "Resources")
		return pool, nil
	}
	if name != "" && len(found) == 0 {
		pools, err := c.poolsNamed(ctx, name)
		if err != nil {
			return nil, err
		}
		if len(pools) == 1 {
			return pools[0], nil
		}
		if len(pools) > 1 {
			return nil, ambiguous(name, pools)
		}
		if err := c.hostInCluster(ctx, name); err != nil {
			return nil, err
		}
	}
	what := fmt.Errorf("--compute-resource %q: %w", name, errdef.ErrNotFound)
	if name == "" {
		what = fmt.Errorf("there are several and --compute-resource names none: %w", errdef.ErrInvalid)
	}
	return nil, advice.Wrap(what, "give --compute-resource one of: %s", list(c.candidates(ctx)))
}

// poolsNamed finds pools by a path (cluster/pool, cluster/Resources/pool, or absolute) or by their
// last name.
func (c *checker) poolsNamed(ctx context.Context, name string) ([]*object.ResourcePool, error) {
	patterns := []string{name}
	if first, rest, ok := strings.Cut(name, "/"); ok && first != "" && !strings.HasPrefix(rest, "Resources") {
		patterns = append(patterns, path.Join(first, "Resources", rest))
	}
	if !strings.Contains(name, "/") {
		patterns = append(patterns, "*/Resources/"+name, "*/Resources/.../"+name)
	}
	for _, p := range patterns {
		pools, err := c.finder.ResourcePoolList(ctx, p)
		if err != nil && !isNotFound(err) {
			return nil, vsphere.Classify(err)
		}
		if len(pools) > 0 {
			return pools, nil
		}
	}
	return nil, nil
}

// hostInCluster is an error for a host whose VMs a cluster places.
func (c *checker) hostInCluster(ctx context.Context, name string) error {
	hosts, err := c.finder.HostSystemList(ctx, name)
	if err != nil || len(hosts) == 0 {
		if hosts, err = c.finder.HostSystemList(ctx, "*/"+name); err != nil || len(hosts) == 0 {
			return nil // not a host either
		}
	}
	cluster := path.Base(path.Dir(hosts[0].InventoryPath))
	return advice.Wrap(fmt.Errorf("--compute-resource %q is a host of the cluster %s: %w", name, cluster, errdef.ErrUnsupported),
		"give --compute-resource %s or one of its pools: DRS chooses the hosts of container VMs", cluster)
}

func ambiguous(name string, pools []*object.ResourcePool) error {
	var paths []string
	for _, p := range pools {
		paths = append(paths, p.InventoryPath)
	}
	return advice.Wrap(fmt.Errorf("--compute-resource %q: %w: there are %d pools of that name", name, errdef.ErrInvalid, len(pools)),
		"give one of: %s", list(paths))
}

// candidates lists what --compute-resource may be.
func (c *checker) candidates(ctx context.Context) []string {
	var out []string
	if all, err := c.finder.ComputeResourceList(ctx, "*"); err == nil {
		for _, r := range all {
			out = append(out, r.Name())
		}
	}
	if pools, err := c.finder.ResourcePoolList(ctx, "*/Resources/*"); err == nil {
		for _, p := range pools {
			out = append(out, p.InventoryPath)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// describe reads the hosts and the DRS state.
func (c *checker) describe(ctx context.Context, ref types.ManagedObjectReference) (*compute, error) {
	pc := property.DefaultCollector(c.Session.Client())
	var r mo.ComputeResource
	if err := pc.RetrieveOne(ctx, ref, []string{"name", "host", "configurationEx"}, &r); err != nil {
		return nil, fmt.Errorf("read the compute resource: %w", vsphere.Classify(err))
	}
	out := &compute{name: r.Name, cluster: ref.Type == "ClusterComputeResource"}
	out.groups = vch.Groups(r.ConfigurationEx)
	if cfg, ok := r.ConfigurationEx.(*types.ClusterConfigInfoEx); ok && cfg.DrsConfig.Enabled != nil {
		out.drs = *cfg.DrsConfig.Enabled
	}
	if len(r.Host) == 0 {
		return out, nil
	}
	var hosts []mo.HostSystem
	if err := pc.Retrieve(ctx, r.Host, []string{"name", "runtime.connectionState", "runtime.inMaintenanceMode"}, &hosts); err != nil {
		return nil, fmt.Errorf("read the hosts of %s: %w", r.Name, vsphere.Classify(err))
	}
	for _, h := range hosts {
		if h.Runtime.ConnectionState == types.HostSystemConnectionStateConnected && !h.Runtime.InMaintenanceMode {
			out.hosts = append(out.hosts, host{h.Self, h.Name})
		}
	}
	return out, nil
}

// checkDRS: a vApp on a cluster needs it.
func (c *checker) checkDRS() {
	switch {
	case c.compute == nil:
		c.skip("DRS", checkComputeName)
	case !c.compute.cluster:
		c.ok("DRS", "not needed: %s is a single host", c.compute.name)
	case !c.compute.drs:
		c.wrong("DRS", "enable DRS in the settings of the cluster "+c.compute.name,
			"DRS is off in the cluster %s: vApps and resource pools need it", c.compute.name)
	default:
		c.ok("DRS", "enabled in the cluster %s", c.compute.name)
	}
}

// checkLicence: distributed switches are a licensed feature of vCenter's hosts; on a single host the
// feature is that programs may change anything, which the free licence does not allow. VIC also needed
// "serialuri"; container VMs here talk over the network instead.
func (c *checker) checkLicence(ctx context.Context) {
	feature, remedy := "dvs", "assign a licence that has vSphere Distributed Switch to the hosts"
	if !c.Session.IsVC() {
		feature, remedy = "vimapi", "assign the host a licence other than the free one, which lets programs read only"
	}
	infos, err := c.licences(ctx)
	if err != nil {
		c.warn("licence", "check that the account may read licences (Global.Licenses), or look at them yourself",
			"could not be read: %v", err)
		return
	}
	for _, i := range infos {
		if license.HasFeature(i, feature) {
			c.ok("licence", "%s has the feature %s", i.Name, feature)
			return
		}
	}
	c.wrong("licence", remedy, "no licence has the feature %s", feature)
}

// licences returns those of the hosts, or if none is assigned to a host, all.
func (c *checker) licences(ctx context.Context) ([]types.LicenseManagerLicenseInfo, error) {
	m := license.NewManager(c.Session.Client())
	var out []types.LicenseManagerLicenseInfo
	if am, err := m.AssignmentManager(ctx); err == nil && c.compute != nil {
		for _, h := range c.compute.hosts {
			assigned, err := am.QueryAssigned(ctx, h.ref.Value)
			if err != nil {
				break
			}
			for _, a := range assigned {
				out = append(out, a.AssignedLicense)
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	all, err := m.List(ctx)
	return all, vsphere.Classify(err)
}

func isNotFound(err error) bool {
	var nf *find.NotFoundError
	return errors.As(err, &nf)
}
