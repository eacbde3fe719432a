package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

const (
	// staleFor is how long after a power-on a message that the VM is off may be an old one.
	staleFor  = 2 * time.Second
	recheckIn = 250 * time.Millisecond
)

// Run keeps the engine in step with the platform until its context ends.
func (e *Engine) Run() {
	const least, most = 50 * time.Millisecond, 5 * time.Second
	for delay := least; ; delay = min(2*delay, most) {
		begun := time.Now()
		err := e.opts.Compute.Watch(e.ctx, func(ev compute.Event) error {
			e.observe(ev)
			return e.ctx.Err()
		})
		if e.ctx.Err() != nil {
			return
		}
		if time.Since(begun) > most {
			delay = least
		}
		e.log.Warn("watch of the container VMs broke off", "err", err)
		select {
		case <-time.After(delay):
		case <-e.ctx.Done():
			return
		}
	}
}

// observe takes one message of Watch. It does not block: what needs a call is done beside it.
func (e *Engine) observe(ev compute.Event) {
	switch ev.Kind {
	case compute.EventSnapshot:
		e.observeAll(ev.VMs)
	case compute.EventPut:
		e.observeVM(ev.VM)
	case compute.EventRemove:
		e.observeGone(ev.VM.ID)
	}
}

func (e *Engine) observeAll(vms []compute.VM) {
	seen := make(map[string]bool, len(vms))
	for _, vm := range vms {
		seen[vm.ID] = true
		e.observeVM(vm)
	}
	e.mu.Lock()
	var missing []string
	for id := range e.containers {
		if !seen[id] {
			missing = append(missing, id)
		}
	}
	recovered := e.recovered
	e.recovered = true
	e.mu.Unlock()
	for _, id := range missing {
		go e.confirmGone(id)
	}
	if !recovered {
		e.startWanted()
		close(e.ready)
		e.log.Info("containers recovered", "count", len(vms))
	}
}

// confirmGone asks before it believes: a container made a moment ago is not in an older list.
func (e *Engine) confirmGone(id string) {
	ctx, cancel := e.background(time.Minute)
	defer cancel()
	if _, err := e.opts.Compute.Get(ctx, id); isNotFound(err) {
		e.observeGone(id)
	}
}

// observeGone handles a VM that is no more: by us, or by an administrator.
func (e *Engine) observeGone(id string) {
	e.mu.Lock()
	c := e.containers[id]
	e.mu.Unlock()
	if c == nil {
		return
	}
	c.mu.Lock()
	ours, r := c.removing, c.run
	c.removing = true
	c.stayOff()
	c.mu.Unlock()
	if ours {
		return
	}
	if r != nil {
		e.vmOff(r, nil)
	}
	networks := c.networkIDs()
	e.gone(c)
	go func() {
		ctx, cancel := e.background(undoTimeout)
		defer cancel()
		e.giveBack(ctx, id, networks...)
	}()
}

func (e *Engine) observeVM(vm compute.VM) {
	e.mu.Lock()
	c, recovered := e.containers[vm.ID], e.recovered
	e.mu.Unlock()
	if c == nil {
		if c = e.recoverContainer(vm); c == nil {
			return
		}
		recovered = false // found as it is: no event
	}
	c.mu.Lock()
	c.locator, c.addresses = vm.Locator, vm.Addresses
	r, removing, offAt := c.run, c.removing, c.offAt
	c.mu.Unlock()
	switch {
	case vm.State == compute.StateOff && r != nil:
		e.observeOff(c, r, vm)
	case removing:
	case vm.State != compute.StateOff && r == nil && time.Since(offAt) < staleFor:
		go e.confirmOn(c)
	case vm.State != compute.StateOff && r == nil:
		e.adopt(c, vm, recovered)
	case vm.State != compute.StateOff:
		e.observeOn(c, r, vm)
	}
}

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

// confirmOn asks whether a VM that the engine has just seen off is on again, or whether the message
// was an old one.
func (e *Engine) confirmOn(c *container) {
	ctx, cancel := e.background(time.Minute)
	defer cancel()
	select {
	case <-time.After(staleFor / 2):
	case <-ctx.Done():
		return
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return
	}
	defer unlock()
	vm, err := e.opts.Compute.Get(ctx, c.id)
	if err != nil || vm.State == compute.StateOff {
		return
	}
	c.mu.Lock()
	free := c.run == nil && !c.removing
	c.mu.Unlock()
	if free {
		e.adopt(c, vm, true)
	}
}

// observeOn notes that a VM is on or suspended.
func (e *Engine) observeOn(c *container, r *run, vm compute.VM) {
	var word string
	c.update(func() {
		r.confirmed = true
		switch {
		case r.over:
		case vm.State == compute.StateSuspended && c.state.Status != StatusPaused:
			c.state.Status, word = StatusPaused, "pause"
		case vm.State == compute.StateRunning && c.state.Status == StatusPaused && !r.paused:
			c.state.Status, word = StatusRunning, "unpause"
		}
	})
	if word != "" {
		e.emit(c, word)
	}
}

// observeOff handles a VM that is off. Right after a start the message may be an old one, so that
// is asked again.
func (e *Engine) observeOff(c *container, r *run, vm compute.VM) {
	c.mu.Lock()
	sure := r.confirmed
	if x := vm.Exit; x != nil && !r.powered.IsZero() {
		last := c.lastExit
		sure = sure || last == nil || r.over || last.code != x.Code || !last.finished.Equal(x.Finished)
	}
	asked := r.rechecking
	r.rechecking = r.rechecking || !sure
	c.mu.Unlock()
	switch {
	case sure:
		e.vmOff(r, vm.Exit)
	case !asked:
		go e.recheck(r)
	}
}

func (e *Engine) recheck(r *run) {
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	for {
		select {
		case <-time.After(recheckIn):
		case <-ctx.Done():
			return
		}
		r.c.mu.Lock()
		done, powered := r.confirmed || r.gone, r.powered
		r.c.mu.Unlock()
		if done {
			return
		}
		if powered.IsZero() || time.Since(powered) < staleFor {
			continue
		}
		vm, err := e.opts.Compute.Get(ctx, r.c.id)
		switch {
		case err != nil:
		case vm.State == compute.StateOff:
			e.vmOff(r, vm.Exit)
			return
		default:
			r.c.update(func() { r.confirmed = true })
			return
		}
	}
}
