package link

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/openvic/vic/sdk/guest/linkv1"
)

// Stats is what a container has used since its VM's boot, unless said otherwise.
type Stats struct {
	Time       time.Time
	CPU        CPUStats
	Memory     MemoryStats
	Interfaces []InterfaceStats
	Devices    []DeviceStats
	Pids       int64 // now
	PidsLimit  int64 // 0: none
}

// CPUStats are processor times in nanoseconds.
type CPUStats struct {
	Total, User, System                uint64 // of the container
	Machine                            uint64 // of all processors of the VM, idle time included
	Online                             int
	Periods, ThrottledPeriods, Stalled uint64 // Stalled: nanoseconds that it was throttled
}

// MemoryStats are bytes.
type MemoryStats struct {
	Usage, Limit, MaxUsage uint64
	Failures               uint64 // times that the limit was hit
	Details                map[string]uint64
}

// InterfaceStats are the counters of one NIC.
type InterfaceStats struct {
	Name                                    string
	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
}

// DeviceStats are the counters of one disk.
type DeviceStats struct {
	Major, Minor                         uint64
	ReadBytes, WriteBytes, Reads, Writes uint64
}

// Stats calls fn with the counters at once and then each interval until the container has ended, fn
// fails, or ctx ends; once if the interval is 0.
func (l *Link) Stats(ctx context.Context, interval time.Duration, fn func(Stats) error) error {
	return l.call(ctx, func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		s, err := l.client.Stats(ctx, &linkv1.StatsRequest{IntervalMs: interval.Milliseconds()})
		if err != nil {
			return err
		}
		for {
			m, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := fn(toStats(m)); err != nil {
				return handlerError{err}
			}
		}
	})
}

func toStats(m *linkv1.StatsResponse) Stats {
	c, mem := m.GetCpu(), m.GetMemory()
	s := Stats{Time: toTime(m.GetTime()), Pids: m.GetPids(), PidsLimit: m.GetPidsLimit(),
		CPU: CPUStats{Total: c.GetTotalNs(), User: c.GetUserNs(), System: c.GetSystemNs(), Machine: c.GetMachineNs(),
			Online: int(c.GetOnline()), Periods: c.GetPeriods(), ThrottledPeriods: c.GetThrottledPeriods(), Stalled: c.GetThrottledNs()},
		Memory: MemoryStats{Usage: mem.GetUsage(), Limit: mem.GetLimit(), MaxUsage: mem.GetMaxUsage(), Failures: mem.GetFailures(),
			Details: mem.GetStats()}}
	for _, i := range m.GetInterfaces() {
		s.Interfaces = append(s.Interfaces, InterfaceStats{Name: i.GetName(), RxBytes: i.GetRxBytes(), RxPackets: i.GetRxPackets(),
			RxErrors: i.GetRxErrors(), RxDropped: i.GetRxDropped(), TxBytes: i.GetTxBytes(), TxPackets: i.GetTxPackets(),
			TxErrors: i.GetTxErrors(), TxDropped: i.GetTxDropped()})
	}
	for _, d := range m.GetDevices() {
		s.Devices = append(s.Devices, DeviceStats{Major: d.GetMajor(), Minor: d.GetMinor(), ReadBytes: d.GetReadBytes(),
			WriteBytes: d.GetWriteBytes(), Reads: d.GetReads(), Writes: d.GetWrites()})
	}
	return s
}

// Process is one process of a container; the numbers are those of its VM.
type Process struct {
	PID, PPID, PGID, SID int64
	UID, GID             uint32
	User, Group          string
	State, TTY           string
	Started              time.Time
	CPU                  time.Duration
	VSize, RSS           uint64 // bytes
	Nice, Priority       int64
	Threads, Processor   int64
	Command              string   // the kernel's name of it
	Args                 []string // empty: a zombie
}

// Processes is all processes of a container at one moment.
type Processes struct {
	Processes []Process
	Time      time.Time // the guest's clock
	Memory    uint64    // bytes of the VM
}

// Processes lists the container's processes.
func (l *Link) Processes(ctx context.Context) (Processes, error) {
	var out Processes
	err := l.call(ctx, func() error {
		r, err := l.client.Processes(ctx, &linkv1.ProcessesRequest{})
		if err != nil {
			return err
		}
		out = Processes{Time: toTime(r.GetTime()), Memory: r.GetMemory()}
		for _, p := range r.GetProcesses() {
			out.Processes = append(out.Processes, toProcess(p))
		}
		return nil
	})
	return out, err
}

func toProcess(p *linkv1.ProcessInfo) Process {
	return Process{PID: p.GetPid(), PPID: p.GetPpid(), PGID: p.GetPgid(), SID: p.GetSid(), UID: p.GetUid(), GID: p.GetGid(),
		User: p.GetUser(), Group: p.GetGroup(), State: p.GetState(), TTY: p.GetTty(), Started: toTime(p.GetStarted()),
		CPU: time.Duration(p.GetCpuNs()), VSize: p.GetVsize(), RSS: p.GetRss(), Nice: p.GetNice(), Priority: p.GetPriority(),
		Threads: p.GetThreads(), Processor: p.GetProcessor(), Command: p.GetCommand(), Args: p.GetArgs()}
}
