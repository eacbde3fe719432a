package dockerapi

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/container"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/errdef"
)

// ContainerStats writes what a container uses, once or each second. The counters are the guest
// kernel's: what vSphere counts for the VM holds the kernel and the tether too, and is 20 s old.
func (b *containers) ContainerStats(ctx context.Context, name string, o *backend.ContainerStatsConfig) error {
	c, err := b.opts.Engine.Get(name)
	if err != nil {
		return wrap(err)
	}
	if o.Stream && o.OneShot {
		return invalid("cannot have stream=true and one-shot=true")
	}
	w := &statsWriter{id: c.ID, name: "/" + c.Name, enc: json.NewEncoder(o.OutStream()), skipFirst: !o.Stream && !o.OneShot}
	if !o.Stream {
		return w.once(ctx, b.opts.Engine, o.OneShot)
	}
	for {
		err := b.opts.Engine.Stats(ctx, c.ID, true, w.write)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errdef.ErrNotFound):
			return nil // removed
		case w.failed != nil:
			return nil // the client has left
		case err != nil && !errors.Is(err, errdef.ErrConflict) && !errors.Is(err, errdef.ErrUnavailable):
			return wrap(err)
		}
		if err := w.empty(); err != nil {
			return nil
		}
		select {
		case <-time.After(engine.StatsInterval):
		case <-ctx.Done():
			return nil
		}
	}
}

// statsWriter makes Docker's JSON of counters.
type statsWriter struct {
	id, name  string
	enc       *json.Encoder
	skipFirst bool // it only serves to compute rates
	before    container.CPUStats
	read      time.Time
	failed    error
}

// errEnough ends a stream of counters.
var errEnough = errors.New("enough")

// once writes one reading: at once, or after a first one from which rates are computed.
func (w *statsWriter) once(ctx context.Context, e *engine.Engine, oneShot bool) error {
	err := e.Stats(ctx, w.id, !oneShot, func(s link.Stats) error {
		first := w.skipFirst
		if err := w.write(s); err != nil {
			return err
		}
		if first {
			return nil
		}
		return errEnough
	})
	switch {
	case errors.Is(err, errEnough):
		return nil
	case err == nil, errors.Is(err, errdef.ErrConflict), errors.Is(err, errdef.ErrNotFound):
		if w.read.IsZero() || w.skipFirst {
			return w.empty()
		}
		return nil
	}
	return wrap(err)
}

// empty writes what stands for a container that does not run.
func (w *statsWriter) empty() error {
	w.before, w.read = container.CPUStats{}, time.Time{}
	return w.enc.Encode(&container.StatsResponse{ID: w.id, Name: w.name})
}

func (w *statsWriter) write(s link.Stats) error {
	r := statsResponse(s)
	r.ID, r.Name, r.PreCPUStats, r.PreRead = w.id, w.name, w.before, w.read
	w.before, w.read = r.CPUStats, r.Read
	if w.skipFirst {
		w.skipFirst = false
		return nil
	}
	w.failed = w.enc.Encode(r)
	return w.failed
}

func statsResponse(s link.Stats) *container.StatsResponse {
	r := &container.StatsResponse{Read: s.Time}
	r.CPUStats = container.CPUStats{SystemUsage: s.CPU.Machine, OnlineCPUs: uint32(s.CPU.Online),
		CPUUsage:       container.CPUUsage{TotalUsage: s.CPU.Total, UsageInKernelmode: s.CPU.System, UsageInUsermode: s.CPU.User},
		ThrottlingData: container.ThrottlingData{Periods: s.CPU.Periods, ThrottledPeriods: s.CPU.ThrottledPeriods, ThrottledTime: s.CPU.Stalled}}
	r.MemoryStats = container.MemoryStats{Usage: s.Memory.Usage, Limit: s.Memory.Limit, MaxUsage: s.Memory.MaxUsage,
		Failcnt: s.Memory.Failures, Stats: s.Memory.Details}
	r.PidsStats = container.PidsStats{Current: uint64(s.Pids), Limit: uint64(s.PidsLimit)}
	r.Networks = map[string]container.NetworkStats{}
	for _, i := range s.Interfaces {
		r.Networks[i.Name] = container.NetworkStats{RxBytes: i.RxBytes, RxPackets: i.RxPackets, RxErrors: i.RxErrors, RxDropped: i.RxDropped,
			TxBytes: i.TxBytes, TxPackets: i.TxPackets, TxErrors: i.TxErrors, TxDropped: i.TxDropped}
	}
	for _, d := range s.Devices {
		add := func(list *[]container.BlkioStatEntry, op string, n uint64) {
			*list = append(*list, container.BlkioStatEntry{Major: d.Major, Minor: d.Minor, Op: op, Value: n})
		}
		add(&r.BlkioStats.IoServiceBytesRecursive, "read", d.ReadBytes)
		add(&r.BlkioStats.IoServiceBytesRecursive, "write", d.WriteBytes)
		add(&r.BlkioStats.IoServicedRecursive, "read", d.Reads)
		add(&r.BlkioStats.IoServicedRecursive, "write", d.Writes)
	}
	return r
}
