package engine

import (
	"context"
	"slices"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// claimed returns the running container that has a volume for itself.
func (v *volumes) claimed(name string) *container {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.claims[name]
}

// tryClaim takes the volumes that only one VM can have; it returns who has one of them, and which.
func (v *volumes) tryClaim(c *container, names []string) (*container, string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range names {
		if other := v.claims[n]; other != nil && other != c {
			return other, n
		}
	}
	for _, n := range names {
		v.claims[n] = c
	}
	return nil, ""
}

func (v *volumes) unclaim(c *container) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for n, holder := range v.claims {
		if holder == c {
			delete(v.claims, n)
		}
	}
}

// exclusive are the volumes of a container that only one running container can have.
func (c *container) exclusive() []string {
	return volumeNames(slices.DeleteFunc(slices.Clone(c.definition().Mounts), MountPoint.Shared))
}

// endPatience is how long a VM may take to go off after its process has ended.
const endPatience = 2*offPatience + drainPatience

// claim takes a container's volumes for its next run. One whose holder has ended, but not yet its VM,
// is waited for.
func (e *Engine) claim(ctx context.Context, c *container) error {
	names := c.exclusive()
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	for {
		other, name := e.volumes.tryClaim(c, names)
		if other == nil {
			return nil
		}
		if !e.awaitUnclaim(ctx, other) {
			return fail(errdef.ErrConflict, "volume %q is in use by container %s; a volume on a datastore is for one running container at a time: "+
				"stop that one, or use a volume store on NFS", name, other.title())
		}
	}
}

// awaitUnclaim waits for the VM of a holder of volumes whose process has ended; false if it has not,
// or if the VM does not go off in time.
func (e *Engine) awaitUnclaim(ctx context.Context, holder *container) bool {
	holder.mu.Lock()
	r := holder.run
	ending := !holder.life.active()
	holder.mu.Unlock()
	if !ending || holder.await(ctx, func() bool { return r == nil || r.off() }) != nil {
		return false
	}
	// Between its power off and the end of its claim lie microseconds.
	select {
	case <-time.After(time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}
