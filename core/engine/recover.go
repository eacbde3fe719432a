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
	c := newContainer(def)
	restoreState(c, vm)
	if !e.registry.addFound(c) {
		return nil
	}
	if def.AutoRemove && c.life == lifeExited {
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
		c.restoreExit(guest.Exit{Code: x.Code, OOM: x.OOM, Error: x.Error, Started: x.Started, Finished: x.Finished})
	case !own.Finished.IsZero():
		c.restoreExit(guest.Exit{Code: int32(own.ExitCode), Started: own.Started, Finished: own.Finished})
	case !own.Started.IsZero() || !vm.PoweredOn.IsZero():
		c.restoreExit(guest.Exit{Code: codeKilled, Started: latest(own.Started, vm.PoweredOn)})
	}
	c.exits = 0
	if own.Finished.Equal(c.state.Finished) {
		c.state.Restarts = own.Restarts
	}
}

// restoreExit makes a container of whose end there is a record one that has ended: as created, if that
// was its first process and could not be started.
func (c *container) restoreExit(e guest.Exit) {
	if e.Error == "" || !e.Started.IsZero() || !c.def.LastRun.Started.IsZero() {
		c.life = lifeExited
	}
	c.noteExit(e)
	c.showStatus()
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// adopt takes up a VM that is on and that this engine did not start.
func (e *Engine) adopt(c *container, vm compute.VM, tell bool) {
	from := foundRunning
	if tell {
		from = startedBeside
	}
	r, err := e.newRun(e.ctx, c, from)
	if errors.Is(err, errdef.ErrConflict) || errors.Is(err, ErrNotModified) {
		return // its removal has begun, or it is being started just now
	}
	if err != nil {
		e.log.Error("container cannot be linked", "container", c.id, "err", err)
		return
	}
	c.update(func() {
		r.powered, r.sighting = time.Now(), sightingSeenOn
		c.suspended = !tell && vm.State == compute.StateSuspended // no news
		c.showStatus()
		c.state.Started = vm.PoweredOn
		c.state.ExitCode, c.state.Error, c.state.Finished = 0, "", time.Time{}
	})
	e.processRuns(r, link.Hello{Started: vm.PoweredOn})
	e.observeOn(c, r, vm)
	go e.follow(r)
	go e.publishFound(r)
}
