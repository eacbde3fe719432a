package dockerapi

import (
	"context"
	"encoding/json"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/errdefs"

	"github.com/openvic/vic/core/engine"
)

// ContainerPause freezes a container.
func (b *containers) ContainerPause(name string) error {
	return wrap(b.opts.Engine.Pause(context.Background(), name))
}

// ContainerUnpause lets it go on.
func (b *containers) ContainerUnpause(name string) error {
	return wrap(b.opts.Engine.Unpause(context.Background(), name))
}

// ContainerUpdate changes a container's size, limits and restart policy.
func (b *containers) ContainerUpdate(name string, hc *container.HostConfig) (container.UpdateResponse, error) {
	none := container.UpdateResponse{}
	if err := checkResources(&hc.Resources, true); err != nil {
		return none, err
	}
	if err := b.checkCPUs(context.Background(), &hc.Resources); err != nil {
		return none, err
	}
	if err := container.ValidateRestartPolicy(hc.RestartPolicy); err != nil {
		return none, err
	}
	if field := firstSetUpdate(hc); field != "" {
		return none, unsupported(flagOf(field))
	}
	c, err := b.opts.Engine.Get(name)
	if err != nil {
		return none, wrap(err)
	}
	merged := *b.definition(&c).HostConfig
	if err := mergeUpdate(&merged, hc); err != nil {
		return none, errdefs.Conflict(err)
	}
	err = b.opts.Engine.Update(context.Background(), c.ID, b.updateRequest(hc, &merged))
	b.forget(c.ID)
	return container.UpdateResponse{Warnings: resourceWarnings(&hc.Resources)}, wrap(err)
}

func (b *containers) updateRequest(hc, merged *container.HostConfig) engine.UpdateRequest {
	var req engine.UpdateRequest
	r := hc.Resources
	if r.Memory != 0 {
		req.Memory = &r.Memory
	}
	if r.NanoCPUs != 0 || r.CPUQuota != 0 || r.CPUPeriod != 0 || r.CpusetCpus != "" {
		share := limits(&merged.Resources).NanoCPUs
		req.NanoCPUs = &share
		if n := int32(ceil(cpus(&merged.Resources))); n > 0 {
			req.CPUs = &n
		}
	}
	if r.PidsLimit != nil {
		req.Pids = r.PidsLimit
	}
	if hc.RestartPolicy.Name != "" {
		p := policy(hc.RestartPolicy)
		req.Restart = &p
	}
	req.API = func(old json.RawMessage) (json.RawMessage, error) {
		var d definition
		if err := json.Unmarshal(old, &d); err != nil {
			return nil, err
		}
		d.HostConfig = merged
		return json.Marshal(d)
	}
	return req
}

func ceil(f float64) float64 {
	n := float64(int64(f))
	if n < f {
		n++
	}
	return n
}

// firstSetUpdate returns a field that was to be changed and cannot be.
func firstSetUpdate(hc *container.HostConfig) string {
	switch {
	case hc.CPURealtimePeriod != 0:
		return "CPURealtimePeriod"
	case hc.CPURealtimeRuntime != 0:
		return "CPURealtimeRuntime"
	case hc.CpusetMems != "":
		return "CpusetMems"
	case hc.BlkioWeight != 0:
		return "BlkioWeight"
	case hc.KernelMemory != 0:
		return "KernelMemory"
	}
	return ""
}

// mergeUpdate is Docker's: what is not set stays. It has no rule for swap: there is none.
func mergeUpdate(to, from *container.HostConfig) error {
	old, r := &to.Resources, from.Resources
	switch {
	case r.NanoCPUs > 0 && old.CPUPeriod > 0:
		return invalid("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set")
	case r.NanoCPUs > 0 && old.CPUQuota > 0:
		return invalid("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")
	case r.CPUPeriod > 0 && old.NanoCPUs > 0:
		return invalid("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set")
	case r.CPUQuota > 0 && old.NanoCPUs > 0:
		return invalid("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
	case from.RestartPolicy.Name != "" && to.AutoRemove && !from.RestartPolicy.IsNone():
		return invalid("Restart policy cannot be updated because AutoRemove is enabled for the container")
	}
	set := func(to *int64, from int64) {
		if from != 0 {
			*to = from
		}
	}
	set(&old.Memory, r.Memory)
	set(&old.MemorySwap, r.MemorySwap)
	set(&old.MemoryReservation, r.MemoryReservation)
	set(&old.NanoCPUs, r.NanoCPUs)
	set(&old.CPUPeriod, r.CPUPeriod)
	set(&old.CPUQuota, r.CPUQuota)
	set(&old.CPUShares, r.CPUShares)
	old.CpusetCpus = or(r.CpusetCpus, old.CpusetCpus)
	if r.PidsLimit != nil {
		old.PidsLimit = r.PidsLimit
	}
	if from.RestartPolicy.Name != "" {
		to.RestartPolicy = from.RestartPolicy
	}
	return nil
}
