package compute

import (
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/devicewire"
	"github.com/openvic/vic/sdk/internal/wire"
	computev1 "github.com/openvic/vic/sdk/proto/compute/v1"
)

func createToWire(r CreateRequest) *computev1.CreateRequest {
	return &computev1.CreateRequest{
		Id: r.ID, Name: r.Name, Cpus: r.CPUs, MemoryMb: r.MemoryMB,
		Disks: wire.Map(r.Disks, devicewire.FromDisk),
		Nics:  wire.Map(r.NICs, devicewire.FromNIC),
		Guest: r.Guest, Metadata: r.Metadata,
	}
}

func createFromWire(r *computev1.CreateRequest) CreateRequest {
	return CreateRequest{
		ID: r.GetId(), Name: r.GetName(), CPUs: r.GetCpus(), MemoryMB: r.GetMemoryMb(),
		Disks: wire.Map(r.GetDisks(), devicewire.ToDisk),
		NICs:  wire.Map(r.GetNics(), devicewire.ToNIC),
		Guest: r.GetGuest(), Metadata: r.GetMetadata(),
	}
}

func updateToWire(r UpdateRequest) *computev1.UpdateRequest {
	out := &computev1.UpdateRequest{
		Id: r.ID, Name: r.Name, Cpus: r.CPUs, MemoryMb: r.MemoryMB,
		Guest: r.Guest, Metadata: r.Metadata,
	}
	if r.NICs != nil {
		out.Nics = &computev1.NicList{Nics: wire.Map(*r.NICs, devicewire.FromNIC)}
	}
	return out
}

func updateFromWire(r *computev1.UpdateRequest) UpdateRequest {
	out := UpdateRequest{
		ID: r.GetId(), Name: r.GetName(), CPUs: r.GetCpus(), MemoryMB: r.GetMemoryMb(),
		Guest: r.GetGuest(), Metadata: r.GetMetadata(),
	}
	if r.GetNics() != nil {
		nics := wire.Map(r.GetNics().GetNics(), devicewire.ToNIC)
		out.NICs = &nics
	}
	return out
}

func vmToWire(v VM) *computev1.Vm {
	return &computev1.Vm{
		Id: v.ID, Name: v.Name, State: stateToWire(v.State), Cpus: v.CPUs, MemoryMb: v.MemoryMB,
		Metadata: v.Metadata, Exit: exitToWire(v.Exit),
		Addresses: wire.Map(v.Addresses, wire.FromAddr),
		PoweredOn: wire.FromTime(v.PoweredOn), Locator: v.Locator,
	}
}

func vmFromWire(v *computev1.Vm) (VM, error) {
	addresses, err := wire.MapErr(v.GetAddresses(), wire.ToAddr)
	if err != nil {
		return VM{}, fmt.Errorf("VM %s: %w", v.GetId(), err)
	}
	state, err := stateFromWire(v.GetState())
	if err != nil {
		return VM{}, fmt.Errorf("VM %s: %w", v.GetId(), err)
	}
	return VM{
		ID: v.GetId(), Name: v.GetName(), State: state, CPUs: v.GetCpus(), MemoryMB: v.GetMemoryMb(),
		Metadata: v.GetMetadata(), Exit: exitFromWire(v.GetExit()), Addresses: addresses,
		PoweredOn: wire.ToTime(v.GetPoweredOn()), Locator: v.GetLocator(),
	}, nil
}

func exitToWire(e *Exit) *computev1.Exit {
	if e == nil {
		return nil
	}
	return &computev1.Exit{
		Code: e.Code, Oom: e.OOM, Error: e.Error,
		Started: wire.FromTime(e.Started), Finished: wire.FromTime(e.Finished),
	}
}

func exitFromWire(e *computev1.Exit) *Exit {
	if e == nil {
		return nil
	}
	return &Exit{
		Code: e.GetCode(), OOM: e.GetOom(), Error: e.GetError(),
		Started: wire.ToTime(e.GetStarted()), Finished: wire.ToTime(e.GetFinished()),
	}
}

func stateToWire(s State) computev1.PowerState {
	switch s {
	case StateOff:
		return computev1.PowerState_POWER_STATE_OFF
	case StateRunning:
		return computev1.PowerState_POWER_STATE_RUNNING
	case StateSuspended:
		return computev1.PowerState_POWER_STATE_SUSPENDED
	}
	return computev1.PowerState_POWER_STATE_UNSPECIFIED
}

// stateFromWire lets an absent state pass: the VM of a remove event has nothing but its ID.
func stateFromWire(s computev1.PowerState) (State, error) {
	switch s {
	case computev1.PowerState_POWER_STATE_UNSPECIFIED:
		return "", nil
	case computev1.PowerState_POWER_STATE_OFF:
		return StateOff, nil
	case computev1.PowerState_POWER_STATE_RUNNING:
		return StateRunning, nil
	case computev1.PowerState_POWER_STATE_SUSPENDED:
		return StateSuspended, nil
	}
	return "", fmt.Errorf("power state %d: %w", s, errdef.ErrInvalid)
}

func eventToWire(e Event) *computev1.WatchResponse {
	switch e.Kind {
	case EventSnapshot:
		return &computev1.WatchResponse{Kind: computev1.WatchResponse_KIND_SNAPSHOT, Vms: wire.Map(e.VMs, vmToWire)}
	case EventPut:
		return &computev1.WatchResponse{Kind: computev1.WatchResponse_KIND_PUT, Vm: vmToWire(e.VM)}
	case EventRemove:
		return &computev1.WatchResponse{Kind: computev1.WatchResponse_KIND_REMOVE, Vm: vmToWire(e.VM)}
	}
	return &computev1.WatchResponse{}
}

func eventFromWire(e *computev1.WatchResponse) (Event, error) {
	switch e.GetKind() {
	case computev1.WatchResponse_KIND_SNAPSHOT:
		vms, err := wire.MapErr(e.GetVms(), vmFromWire)
		return Event{Kind: EventSnapshot, VMs: vms}, err
	case computev1.WatchResponse_KIND_PUT:
		vm, err := vmFromWire(e.GetVm())
		return Event{Kind: EventPut, VM: vm}, err
	case computev1.WatchResponse_KIND_REMOVE:
		vm, err := vmFromWire(e.GetVm())
		return Event{Kind: EventRemove, VM: vm}, err
	}
	return Event{}, fmt.Errorf("event kind %d: %w", e.GetKind(), errdef.ErrInvalid)
}
