package engine

import (
	"context"
	"time"

	"github.com/openvic/vic/sdk/compute"
)

const (
	// staleFor is how long after a power-on a message that the VM is off may be an old one.
	staleFor  = 2 * time.Second
	recheckIn = 250 * time.Millisecond
)

// Run keeps the engine in step with the platform until its context ends. All news of the platform come
// through its goroutine, one after the other: two of them never meet, but each meets whatever users and links
// bring at that time. A break is followed by a whole list, in which what was missed is seen.
func (e *Engine) Run() {
	const least, most = 50 * time.Millisecond, 5 * time.Second
	for delay := least; ; delay = min(2*delay, most) {
		watching := time.Now()
		err := e.opts.Compute.Watch(e.ctx, func(ev compute.Event) error {
			e.observe(ev)
			return e.ctx.Err()
		})
		if e.ctx.Err() != nil {
			return
		}
		if time.Since(watching) > most {
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

// observeAll takes a whole list of VMs. The first one makes the engine ready.
func (e *Engine) observeAll(vms []compute.VM) {
	seen := make(map[string]bool, len(vms))
	for _, vm := range vms {
		seen[vm.ID] = true
		e.observeVM(vm)
	}
	missing, first := e.registry.list(seen)
	for _, id := range missing {
		go e.confirmGone(id)
	}
	if first {
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

// observeGone handles a VM that is no more: by us, or by an administrator. A removal that is under way sees to
// the rest itself.
func (e *Engine) observeGone(id string) {
	c, _ := e.registry.get(id)
	if c == nil {
		return
	}
	var ours bool
	var r *run
	c.update(func() {
		r = c.run
		ours = !c.moveRemoval(removalBegins)
		c.stayOff()
	})
	if ours {
		return
	}
	if r != nil {
		e.vmOff(r, nil)
	}
	networks := c.networkIDs()
	e.drop(c)
	go func() {
		ctx, cancel := e.background(undoTimeout)
		defer cancel()
		e.giveBack(ctx, id, networks...)
	}()
}

// observeVM takes what the platform shows of one VM: of a container that is known, of one that came before this
// engine, or of none.
func (e *Engine) observeVM(vm compute.VM) {
	c, listed := e.registry.get(vm.ID)
	if c == nil {
		if c = e.recoverContainer(vm); c == nil {
			return
		}
		listed = false // found as it is: no event
	}
	c.mu.Lock()
	c.locator, c.addresses = vm.Locator, vm.Addresses
	r, going, offAt := c.run, c.going(), c.offAt
	c.mu.Unlock()
	switch {
	case vm.State == compute.StateOff && r != nil:
		e.observeOff(c, r, vm)
	case going:
	case vm.State != compute.StateOff && r == nil && time.Since(offAt) < staleFor:
		go e.confirmOn(c)
	case vm.State != compute.StateOff && r == nil:
		e.adopt(c, vm, listed)
	case vm.State != compute.StateOff:
		e.observeOn(c, r, vm)
	}
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
	free := !c.life.hasRun() && !c.going()
	c.mu.Unlock()
	if free {
		e.adopt(c, vm, true)
	}
}

// observeOn notes that a VM is on or suspended.
func (e *Engine) observeOn(c *container, r *run, vm compute.VM) {
	var word string
	c.update(func() {
		r.sighting = sightingSeenOn
		if r.off() {
			return
		}
		before := c.state.Status
		c.suspended = vm.State == compute.StateSuspended
		c.showStatus()
		switch after := c.state.Status; {
		case before == after || c.life.starting(): // processRuns tells of it
		case after == StatusPaused:
			word = "pause"
		case before == StatusPaused:
			word = "unpause"
		}
	})
	if word != "" {
		e.emit(c, word)
	}
}

// observeOff handles a VM that is off. Right after a start the message may be an old one, so that is asked
// again.
func (e *Engine) observeOff(c *container, r *run, vm compute.VM) {
	c.mu.Lock()
	sure := r.sighting == sightingSeenOn
	if x := vm.Exit; x != nil && !r.powered.IsZero() {
		last := c.lastExit
		sure = sure || last == nil || r.ended() || last.code != x.Code || !last.finished.Equal(x.Finished)
	}
	asked := r.sighting == sightingDoubt
	if !sure {
		r.sighting = sightingDoubt
	}
	c.mu.Unlock()
	switch {
	case sure:
		e.vmOff(r, vm.Exit)
	case !asked:
		go e.recheck(r)
	}
}

// recheck asks until it is sure whether the VM of a run is on: until it is seen on, or is off later after the
// power-on than a message can be old. There is one for each run at most (sightingDoubt).
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
		done, powered := r.sighting == sightingSeenOn || r.off(), r.powered
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
			r.c.update(func() { r.sighting = sightingSeenOn })
			return
		}
	}
}
