package simtest

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// vapp has the call that the simulator's vApp lacks.
type vapp struct {
	*simulator.VirtualApp
}

// UpdateConfig changes the limits.
func (a *vapp) UpdateConfig(ctx *simulator.Context, req *types.UpdateConfig) soap.HasFault {
	p := &simulator.ResourcePool{ResourcePool: a.VirtualApp.ResourcePool}
	res := p.UpdateConfig(ctx, req)
	if res.Fault() == nil {
		ctx.Update(a.VirtualApp, []types.PropertyChange{{Name: "config", Val: p.Config}})
	}
	return res
}

// updatable makes calls of UpdateConfig on vApps find one that has it.
func updatable(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if m.Name == "UpdateConfig" && m.This.Type == "VirtualApp" {
		if a, ok := ctx.Map.Get(m.This).(*simulator.VirtualApp); ok {
			ctx.Session.Registry.Put(&vapp{a})
		}
	}
	return nil, nil
}
