package vch

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Options are those with which create makes such a VCH again: what was given, and what has been
// changed since, by configure or in vSphere. Passwords are not among them.
func Options(ctx context.Context, s *session.Session, q Query) (map[string][]string, error) {
	e, err := findEndpoint(ctx, s, q)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, notFound(ctx, s, q)
	}
	if len(e.Record.NICs) == 0 {
		return nil, fmt.Errorf("VCH %s was made by version %s, which did not record its options: %w", e.Record.Name, e.Record.Version, errdef.ErrUnsupported)
	}
	options := maps.Clone(e.Record.Options)
	if options == nil {
		options = map[string][]string{}
	}
	if allow, ok := options["whitelist-registry"]; ok { // its name before
		options["allow-registry"] = allow
		delete(options, "whitelist-registry")
	}
	options["name"] = []string{e.Record.Name}
	return options, live(ctx, s, e, options)
}

// live replaces what vSphere itself knows: somebody may have changed it there.
func live(ctx context.Context, s *session.Session, e *endpoint, options map[string][]string) error {
	set := func(name, value string) {
		if value == "" || value == "0" {
			delete(options, name)
			return
		}
		options[name] = []string{value}
	}
	ref, ok := e.Record.poolRef()
	if !ok {
		return nil
	}
	memory, cpu, err := allocations(ctx, s, ref)
	if err != nil {
		return err
	}
	for _, a := range []struct {
		name string
		Allocation
	}{{"memory", memory}, {"cpu", cpu}} {
		set(a.name, strconv.FormatInt(a.Limit, 10))
		set(a.name+"-reservation", strconv.FormatInt(a.Reservation, 10))
		set(a.name+"-shares", a.Shares)
	}
	var m mo.VirtualMachine
	if err := property.DefaultCollector(s.Client()).RetrieveOne(ctx, e.VM.Self, []string{"config.hardware.numCPU", "config.hardware.memoryMB"}, &m); err != nil {
		return fmt.Errorf("read the endpoint VM: %w", vsphere.Classify(err))
	}
	if m.Config != nil {
		set("endpoint-cpu", strconv.Itoa(int(m.Config.Hardware.NumCPU)))
		set("endpoint-memory", strconv.Itoa(int(m.Config.Hardware.MemoryMB)))
	}
	return nil
}

// allocations reads the limits of a pool.
func allocations(ctx context.Context, s *session.Session, ref types.ManagedObjectReference) (memory, cpu Allocation, err error) {
	var p mo.ResourcePool
	if err := property.DefaultCollector(s.Client()).RetrieveOne(ctx, ref, []string{"config"}, &p); err != nil {
		return memory, cpu, fmt.Errorf("read the limits of %s: %w", ref.Value, vsphere.Classify(err))
	}
	return allocationOf(p.Config.MemoryAllocation), allocationOf(p.Config.CpuAllocation), nil
}

func allocationOf(r types.ResourceAllocationInfo) Allocation {
	a := Allocation{Shares: sharesWord(r.Shares)}
	if r.Limit != nil && *r.Limit > 0 {
		a.Limit = *r.Limit
	}
	if r.Reservation != nil {
		a.Reservation = *r.Reservation
	}
	return a
}
