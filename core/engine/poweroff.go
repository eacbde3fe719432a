package engine

import (
	"context"
	"time"

	"github.com/openvic/vic/core/link"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// A VM goes off in one of four ways, which may meet: closeDown, after its process has ended; kill and the
// removal, which switch it off; and the platform, which shows it off. All of them end in vmOff, the first one
// with the effect that the run is over; the goroutine of the run (follow) is where closeDown waits.

// closeDown lets attached clients take the rest of the output and has the VM go off: by itself, so that it
// writes out its disks, or by the power if it takes longer than offPatience.
func (e *Engine) closeDown(r *run) {
	if !e.drain(r) {
		return
	}
	if r.c.autoRemoved() {
		e.autoRemove(r.c)
		return
	}
	e.outputs.keepRecent(r)
	ctx, cancel := context.WithTimeout(r.ctx, offPatience)
	defer cancel()
	err := r.link.Shutdown(ctx)
	if err != nil && r.ctx.Err() == nil {
		e.log.Debug("shutdown over the link failed", "container", r.c.id, "err", err)
	}
	<-ctx.Done() // the VM is off, or takes too long
	if r.ctx.Err() == nil {
		e.powerOff(r.c, r)
	}
}

// drain waits for the attached clients, as long as one of them takes something each drainPatience, and shuts
// the run to later ones, which read elsewhere; false when the VM went off meanwhile.
func (e *Engine) drain(r *run) bool {
	for {
		before := r.delivered.Load()
		ctx, cancel := context.WithTimeout(r.ctx, drainPatience)
		err := r.c.await(ctx, func() bool {
			r.readersShut = r.readersShut || r.readers == 0 // who comes now reads elsewhere
			return r.readersShut
		})
		cancel()
		if r.ctx.Err() != nil {
			return false
		}
		if err == nil {
			return true
		}
		if r.delivered.Load() == before {
			r.c.update(func() { r.readersShut = true })
			return true
		}
	}
}

// powerOff switches the VM of a run off and ends the run. It tries until it can, or the VM is off.
func (e *Engine) powerOff(c *container, r *run) {
	for wait := offRetry; ; wait = min(2*wait, offRetryMax) {
		ctx, cancel := e.background(time.Minute)
		err := c.call(func() error { return e.opts.Compute.Kill(ctx, c.id) })
		cancel()
		if err == nil {
			e.vmOff(r, nil)
			return
		}
		if r.ctx.Err() != nil {
			return
		}
		c.update(func() {
			if r.offErr == nil {
				e.log.Warn("container VM cannot be powered off; it is tried again", "container", c.id, "err", err)
			}
			r.offErr = err
		})
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// stillOn is the error for what needs the VM of a container off whose process has ended.
func (c *container) stillOn() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := "container " + c.id + " has exited, but its VM is still on"
	if c.run != nil && c.run.offErr != nil {
		text += ": " + c.run.offErr.Error()
	}
	return fail(errdef.ErrUnavailable, "%s", text)
}

// vmOff ends a run whose VM is off; record is what the guest left, if anything. It may be called by several at
// once: whoever comes first notes the end of the process, if follow has not, and whoever comes first notes that
// the VM is off. They may be two, and only the one who has noted the end asks the policy for the next start.
func (e *Engine) vmOff(r *run, record *compute.Exit) {
	exit := guest.Exit{Code: codeKilled, Finished: time.Now().UTC()}
	if record != nil {
		exit = guest.Exit{Code: record.Code, OOM: record.OOM, Error: record.Error, Started: record.Started, Finished: record.Finished}
	}
	if record == nil {
		r.c.mu.Lock()
		if s := r.c.state; !r.off() && r.c.life == lifeRestarting { // nothing has run since the end that was told
			exit = guest.Exit{Code: int32(s.ExitCode), OOM: s.OOM, Started: s.Started, Finished: s.Finished}
		}
		r.c.mu.Unlock()
	}
	if exit.Error == "" {
		e.processRuns(r, link.Hello{Started: exit.Started})
	}
	if !e.processEnded(r, exit) || record != nil { // another has looked after it, or the tether's policy has had its say
		r.leave(onOff, nil)
	} else if e.startAgain(r.c, exit.Code, func(decide func()) {
		if !r.leave(onOff, decide) {
			r.c.update(decide)
		}
	}) {
		return
	}
	if r.c.autoRemoved() {
		go e.autoRemoveRead(r)
	}
}
