package dockerapi

import (
	"fmt"
	"math"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/parsers"
	"github.com/docker/go-units"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/guest"
)

// minMemory is Docker's.
const minMemory = 6 << 20

// checkResources refuses sizes that make no sense, in Docker's words.
func checkResources(r *container.Resources, update bool) error {
	switch {
	case r.Memory != 0 && r.Memory < minMemory:
		return invalid("Minimum memory limit allowed is 6MB")
	case r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap < r.Memory:
		return invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
	case r.Memory == 0 && r.MemorySwap > 0 && !update:
		return invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
	case r.MemoryReservation > 0 && r.MemoryReservation < minMemory:
		return invalid("Minimum memory reservation allowed is 6MB")
	case r.NanoCPUs > 0 && r.CPUPeriod > 0:
		return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set")
	case r.NanoCPUs > 0 && r.CPUQuota > 0:
		return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
	case r.NanoCPUs < 0:
		return invalid("NanoCPUs must not be negative")
	case r.CPUPeriod != 0 && (r.CPUPeriod < 1000 || r.CPUPeriod > 1000000):
		return invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	case r.CPUQuota > 0 && r.CPUQuota < 1000:
		return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
	}
	if _, err := parsers.ParseUintList(r.CpusetCpus); err != nil {
		return invalid("Invalid value %s for cpuset cpus: %v", r.CpusetCpus, err)
	}
	return nil
}

// resourceWarnings says what is not applied, in Docker's words for a kernel that cannot.
func resourceWarnings(r *container.Resources) []string {
	var w []string
	add := func(cond bool, text string) {
		if cond {
			w = append(w, text)
		}
	}
	add(r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap != r.Memory,
		"Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.")
	add(r.MemorySwappiness != nil && *r.MemorySwappiness >= 0,
		"Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.")
	add(r.MemoryReservation > 0, "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.")
	add(r.OomKillDisable != nil && *r.OomKillDisable, "Your kernel does not support OomKillDisable. OomKillDisable discarded.")
	add(r.CPUShares > 0, "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.")
	return w
}

// sizeWarning tells of a VM that is larger than what was asked for.
func sizeWarning(asked int64, c *engine.Container) []string {
	if asked <= 0 || c.MemoryMB<<20 == asked {
		return nil
	}
	return []string{fmt.Sprintf("The container's VM has %d MB of memory, "+
		"the next size above the limit that was asked for; the container may use its limit.", c.MemoryMB)}
}

// cpus is how many processors were asked for; 0: nothing was said. A set of processors means as
// many as are in it: a VM's are its own, whatever their numbers.
func cpus(r *container.Resources) float64 {
	if set, err := parsers.ParseUintList(r.CpusetCpus); err == nil && len(set) > 0 {
		return float64(len(set))
	}
	return float64(nanoCPUs(r)) / 1e9
}

// nanoCPUs is the share of processor time that was asked for in 1e-9 processors.
func nanoCPUs(r *container.Resources) int64 {
	if r.NanoCPUs > 0 || r.CPUQuota <= 0 {
		return r.NanoCPUs
	}
	period := r.CPUPeriod
	if period == 0 {
		period = 100000
	}
	return int64(math.Round(float64(r.CPUQuota) / float64(period) * 1e9))
}

// limits are what holds within the VM; what its size says already is left out.
func limits(r *container.Resources) guest.Limits {
	l := guest.Limits{Memory: max(r.Memory, 0)}
	if n := nanoCPUs(r); n%1e9 != 0 || r.CpusetCpus != "" {
		l.NanoCPUs = n
	}
	if r.PidsLimit != nil {
		l.Pids = max(*r.PidsLimit, 0)
	}
	return l
}

// policy reads --restart.
func policy(p container.RestartPolicy) guest.Restart {
	return guest.Restart{Policy: guest.PolicyName(p.Name), Max: p.MaximumRetryCount}
}

// rlimits reads --ulimit; the numbers are Linux's.
func rlimits(limits []*units.Ulimit) ([]guest.Rlimit, error) {
	numbers := map[string]int{"cpu": 0, "fsize": 1, "data": 2, "stack": 3, "core": 4, "rss": 5, "nproc": 6, "nofile": 7, "memlock": 8,
		"locks": 10, "sigpending": 11, "msgqueue": 12, "nice": 13, "rtprio": 14, "rttime": 15}
	var all []guest.Rlimit
	for _, l := range limits {
		n, ok := numbers[l.Name]
		if !ok {
			return nil, invalid("invalid ulimit type: %s", l.Name)
		}
		all = append(all, guest.Rlimit{Resource: n, Soft: rlimit(l.Soft), Hard: rlimit(l.Hard)})
	}
	return all, nil
}

// rlimit turns -1 into the kernel's "unlimited".
func rlimit(n int64) uint64 {
	if n < 0 {
		return math.MaxUint64
	}
	return uint64(n)
}
