package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// recoverContainer makes a container of a VM that the engine did not know: after a restart of the
// host. VMs that are being made are left alone.
func (e *Engine) recoverContainer(vm compute.VM) *container {
	var def Definition
	if err := json.Unmarshal(vm.Metadata, &def); err != nil || def.ID != vm.ID {
		e.log.Warn("a VM is no container of this host", "vm", vm.Name, "err", fmt.Sprint(err))
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, old := e.removed[def.ID]; old {
		return nil
	}
	if owner, taken := e.names[def.Name]; taken {
		if owner == def.ID {
			return nil // Create is at it
		}
		def.Name = def.ID[:12]
	}
	c := newContainer(def)
	restoreState(c, vm)
	e.names[def.Name], e.containers[def.ID] = def.ID, c
	if def.AutoRemove && c.state.Status == StatusExited {
		go e.autoRemove(c)
	}
	return c
}

// restoreState reads how a VM that is off ended: from the guest's record or from the engine's own.
func restoreState(c *container, vm compute.VM) {
	if vm.State != compute.StateOff {
		return
	}
	own := c.def.LastRun
	switch x := vm.Exit; {
	case x != nil && !x.Finished.Before(own.Finished):
		c.lastExit = &exitMark{x.Code, x.Finished}
		c.setExit(guest.Exit{Code: x.Code, OOM: x.OOM, Error: x.Error, Started: x.Started, Finished: x.Finished})
	case !own.Finished.IsZero():
		c.setExit(guest.Exit{Code: int32(own.ExitCode), Started: own.Started, Finished: own.Finished})
	case !own.Started.IsZero() || !vm.PoweredOn.IsZero():
		c.setExit(guest.Exit{Code: codeKilled, Started: latest(own.Started, vm.PoweredOn)})
	}
	c.exits = 0
	if own.Finished.Equal(c.state.Finished) {
		c.state.Restarts = own.Restarts
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// adopt takes up a VM that is on and that this engine did not start.
func (e *Engine) adopt(c *container, vm compute.VM, tell bool) {
	r, err := e.newRun(e.ctx, c, true)
	if errors.Is(err, errdef.ErrConflict) || errors.Is(err, ErrNotModified) {
		return // its removal has begun, or it is being started just now
	}
	if err != nil {
		e.log.Error("container cannot be linked", "container", c.id, "err", err)
		return
	}
	c.update(func() {
		r.powered, r.confirmed = time.Now(), true
		c.state.Started = vm.PoweredOn
		c.state.ExitCode, c.state.Error, c.state.Finished = 0, "", time.Time{}
	})
	r.adopted = !tell
	e.observeOn(c, r, vm)
	e.begin(r, link.Hello{Started: vm.PoweredOn})
	go e.follow(r)
	go e.publishFound(r)
}
