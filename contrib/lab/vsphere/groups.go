package vsphere

import (
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// leaveGroups takes a VM that goes out of the DRS groups of its cluster, as vSphere does.
func (s *Server) leaveGroups(ctx *simulator.Context, vm types.ManagedObjectReference) {
	for _, e := range s.reg.All("ClusterComputeResource") {
		c, ok := e.(*simulator.ClusterComputeResource)
		if !ok {
			continue
		}
		s.reg.WithLock(ctx, c, func() {
			cfg, ok := c.ConfigurationEx.(*types.ClusterConfigInfoEx)
			if !ok {
				return
			}
			for _, g := range cfg.Group {
				if g, ok := g.(*types.ClusterVmGroup); ok {
					g.Vm = slices.DeleteFunc(slices.Clone(g.Vm), func(r types.ManagedObjectReference) bool { return r == vm })
				}
			}
		})
	}
}
