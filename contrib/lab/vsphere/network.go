package vsphere

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// labPortgroup refuses to go while VMs are on it.
type labPortgroup struct {
	*simulator.DistributedVirtualPortgroup
	base
}

// DestroyTask removes the port group when no VM uses it.
func (p *labPortgroup) DestroyTask(ctx *simulator.Context, req *types.Destroy_Task) soap.HasFault {
	t := simulator.CreateTask(p.DistributedVirtualPortgroup, "destroy", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if p.lab.onSegment(p.Self.Value) != 0 {
			return nil, &types.ResourceInUse{Type: p.Self.Type, Name: p.Name}
		}
		body, ok := p.DistributedVirtualPortgroup.DestroyTask(ctx, req).(*methods.Destroy_TaskBody)
		if !ok {
			return nil, &types.InvalidState{}
		}
		return await(ctx, body.Res.Returnval)
	}).Run(ctx)
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: t}}
}

// onSegment counts the NICs on a segment.
func (s *Server) onSegment(name string) int {
	n := 0
	for _, vm := range s.vms() {
		s.withVM(vm.Self, func(_ *simulator.Context, vm *simulator.VirtualMachine) {
			for _, d := range vm.Config.Hardware.Device {
				if c, ok := d.(types.BaseVirtualEthernetCard); ok && segment(c.GetVirtualEthernetCard()) == name {
					n++
				}
			}
		})
	}
	return n
}
