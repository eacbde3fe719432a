package compute

import (
	"context"

	computev1 "github.com/openvic/vic/sdk/proto/compute/v1"
)

// Reporter is what a driver also implements if it knows how much its VMs may use. The host then
// refuses to start a VM that there is no room for, with the numbers, before the platform swaps.
type Reporter interface {
	// Capacity tells how much the VMs may use together; ErrUnsupported if that is not known.
	Capacity(ctx context.Context) (Capacity, error)
}

// Capacity is how much the VMs of a driver may use together, whether it is in use or not: what an
// administrator has set as a limit, or else what the platform has. What others than the host's VMs
// use of it under the same limit is taken off. A zero is a number that is not known.
type Capacity struct {
	CPUs     int32 // the processors that do the work
	CPUMHz   int64 // their cycles
	MemoryMB int64
}

func capacityToWire(c Capacity) *computev1.CapacityResponse {
	return &computev1.CapacityResponse{Cpus: c.CPUs, CpuMhz: c.CPUMHz, MemoryMb: c.MemoryMB}
}

func capacityFromWire(c *computev1.CapacityResponse) Capacity {
	return Capacity{CPUs: c.GetCpus(), CPUMHz: c.GetCpuMhz(), MemoryMB: c.GetMemoryMb()}
}
