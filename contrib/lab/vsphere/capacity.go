package vsphere

import (
	"runtime"
	"syscall"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// hostMHz is the frequency that the lab's processors are said to have.
const hostMHz = 2000

// size gives the hosts what this machine has, in equal parts, and the cluster the sum: the
// simulator's hosts have 4 GB each, whatever there is.
func (s *Server) size() {
	var si syscall.Sysinfo_t
	if err := syscall.Sysinfo(&si); err != nil {
		return
	}
	n := int64(len(hostNames()))
	if s.cfg.ESX {
		n = 1
	}
	memory := int64(si.Totalram) * int64(si.Unit) / n >> 20 << 20 // whole MB
	threads := max(int16(runtime.NumCPU()/int(n)), 1)
	for _, e := range s.reg.All("HostSystem") {
		h, ok := e.(*simulator.HostSystem)
		if !ok {
			continue
		}
		hw := types.HostHardwareInfo{}
		if h.Hardware != nil {
			hw = *h.Hardware // all hosts share the template's
		}
		hw.MemorySize = memory
		hw.CpuInfo.NumCpuCores, hw.CpuInfo.NumCpuThreads, hw.CpuInfo.Hz = threads, threads, hostMHz*1e6
		h.Hardware = &hw
		sum := types.HostHardwareSummary{}
		if h.Summary.Hardware != nil {
			sum = *h.Summary.Hardware
		}
		sum.MemorySize, sum.NumCpuCores, sum.NumCpuThreads, sum.CpuMhz = memory, threads, threads, hostMHz
		h.Summary.Hardware = &sum
	}
	for _, c := range s.computeResources() {
		n := int64(len(c.Host))
		cs := c.Summary.GetComputeResourceSummary()
		cs.NumCpuCores, cs.NumCpuThreads, cs.TotalCpu = threads*int16(n), threads*int16(n), int32(threads)*int32(n)*hostMHz
		cs.TotalMemory = memory * n
		cs.EffectiveCpu, cs.EffectiveMemory = cs.TotalCpu, cs.TotalMemory>>20
	}
}

// bound sets what each pool may use at most, as vSphere computes it: its limit, the limits above it
// and what the hosts have, whichever is least.
func (s *Server) bound(ctx *simulator.Context) {
	for _, c := range s.computeResources() {
		cs := c.Summary.GetComputeResourceSummary()
		s.boundRoot(*c.ResourcePool, int64(cs.TotalCpu), cs.TotalMemory)
		s.boundPool(ctx, *c.ResourcePool, int64(cs.TotalCpu), cs.TotalMemory)
	}
}

// boundRoot gives the cluster's own pool its limits, which are what the hosts have; the simulator's
// are those of the host that it was copied from. It is called before anyone else can look, or to set
// what is set already.
func (s *Server) boundRoot(ref types.ManagedObjectReference, cpu, memory int64) {
	p, ok := s.reg.Get(ref).(*simulator.ResourcePool)
	if !ok {
		return
	}
	if l := p.Config.MemoryAllocation.Limit; l != nil && *l == memory>>20 {
		return
	}
	mb := memory >> 20
	p.Config.CpuAllocation.Limit, p.Config.MemoryAllocation.Limit = &cpu, &mb
}

func (s *Server) boundPool(ctx *simulator.Context, ref types.ManagedObjectReference, cpu, memory int64) {
	obj := s.reg.Get(ref)
	var p *mo.ResourcePool
	switch o := obj.(type) {
	case *simulator.ResourcePool:
		p = &o.ResourcePool
	case *simulator.VirtualApp:
		p = &o.VirtualApp.ResourcePool
	default:
		return
	}
	var below []types.ManagedObjectReference
	ctx.WithLock(obj, func() {
		if l := p.Config.CpuAllocation.Limit; l != nil && *l >= 0 {
			cpu = min(cpu, *l)
		}
		if l := p.Config.MemoryAllocation.Limit; l != nil && *l >= 0 {
			memory = min(memory, *l<<20)
		}
		rt := p.Runtime
		rt.Cpu.MaxUsage, rt.Memory.MaxUsage = cpu, memory
		ctx.Update(obj, []types.PropertyChange{{Name: "runtime", Val: rt}})
		below = append(below, p.ResourcePool...)
	})
	for _, b := range below {
		s.boundPool(ctx, b, cpu, memory)
	}
}

// computeResources are the clusters and the hosts in none.
func (s *Server) computeResources() []*mo.ComputeResource {
	var l []*mo.ComputeResource
	for _, kind := range []string{"ClusterComputeResource", "ComputeResource"} {
		for _, e := range s.reg.All(kind) {
			var c *mo.ComputeResource
			switch o := e.(type) {
			case *simulator.ClusterComputeResource:
				c = &o.ComputeResource
			case *mo.ComputeResource:
				c = o
			}
			if c != nil && c.ResourcePool != nil && c.Summary != nil {
				l = append(l, c)
			}
		}
	}
	return l
}
