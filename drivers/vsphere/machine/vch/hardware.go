package vch

import (
	"context"
	"path"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/hardware"
)

// vmSpec is the endpoint VM: disk 0 is the state disk.
func (p *Plan) vmSpec(ctx context.Context) (types.VirtualMachineConfigSpec, error) {
	record, err := p.Record.finished().json()
	if err != nil {
		return types.VirtualMachineConfigSpec{}, err
	}
	return hardware.VM{
		Name: p.Spec.Name, Annotation: "Endpoint of a virtual container host; made by vic-machine, remove with vic-machine delete.",
		CPUs: p.Spec.EndpointCPU, MemoryMB: p.Spec.EndpointMemoryMB, VMX: p.path(p.Spec.Name, p.Spec.Name+".vmx"),
		ISO: p.path(p.Record.ApplianceISO), Disk: p.path(p.Spec.Name + "-state.vmdk"), DiskGB: p.Spec.StateGB,
		Console: p.path(p.Spec.Name, config.ConsoleLog), Networks: p.networks(),
		Extra: []types.BaseOptionValue{&types.OptionValue{Key: RecordKey, Value: record}},
	}.Spec(ctx)
}

// networks are those of the NICs, in their order.
func (p *Plan) networks() []object.NetworkReference {
	var out []object.NetworkReference
	for _, n := range p.Record.NICs {
		out = append(out, p.Res.network(n))
	}
	return out
}

// nicMACs reads the addresses that vSphere gave to the NICs, by the names of their interfaces.
func (p *Plan) nicMACs(ctx context.Context, vm *object.VirtualMachine) (map[string]string, error) {
	all, err := hardware.MACs(ctx, vm, p.networks())
	if err != nil {
		return nil, err
	}
	macs := map[string]string{}
	for i, n := range p.Record.NICs {
		macs[n.Interface] = all[i]
	}
	return macs, nil
}

// homeOf is the folder of a VM, relative to its datastore, and the datastore's name.
func homeOf(vmPath string) (datastore, dir string) {
	var p object.DatastorePath
	if !p.FromString(vmPath) {
		return "", ""
	}
	return p.Datastore, path.Dir(p.Path)
}
