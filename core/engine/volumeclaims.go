package engine

import (
	"context"
	"slices"
	"sync"

	"github.com/openvic/vic/sdk/errdef"
)

// endPatience is how long a VM may take to go off after its process has ended.
const endPatience = 2*offPatience + drainPatience

// volumeClaims are the volumes that running containers have for themselves: a volume on a datastore is a disk
// of one VM at a time. A start takes the claims before there is a run, and the run's end gives them up; a
// container that is found running gets those that are free.
//
// mu guards both fields, and is held for moments only; no other lock is taken under it.
type volumeClaims struct {
	mu       sync.Mutex
	holders  map[string]*container // by the volume's name
	released chan struct{}         // closed and replaced when a container gives its claims up
}

func newVolumeClaims() *volumeClaims {
	return &volumeClaims{holders: map[string]*container{}, released: make(chan struct{})}
}

// holder returns the container that has a volume for itself; nil: none.
func (v *volumeClaims) holder(name string) *container {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.holders[name]
}

// try takes volumes for a container, all or none; it returns who has one of them, and which.
func (v *volumeClaims) try(c *container, names []string) (*container, string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range names {
		if other := v.holders[n]; other != nil && other != c {
			return other, n
		}
	}
	for _, n := range names {
		v.holders[n] = c
	}
	return nil, ""
}

// release gives up all claims of a container.
func (v *volumeClaims) release(c *container) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for n, holder := range v.holders {
		if holder == c {
			delete(v.holders, n)
		}
	}
	close(v.released)
	v.released = make(chan struct{})
}

// take is try that waits for a holder whose process has ended, but not yet its VM. ErrConflict if one runs.
func (v *volumeClaims) take(ctx context.Context, c *container, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	for {
		other, name := v.try(c, names)
		if other == nil {
			return nil
		}
		if !v.awaitRelease(ctx, other, name) {
			return fail(errdef.ErrConflict, "volume %q is in use by container %s; a volume on a datastore is for one running container at a time: "+
				"stop that one, or use a volume store on NFS", name, other.title())
		}
	}
}

// awaitRelease waits for a container whose process has ended to give a volume up; false if the process
// runs, or if ctx ends first.
func (v *volumeClaims) awaitRelease(ctx context.Context, holder *container, name string) bool {
	for {
		v.mu.Lock()
		free, released := v.holders[name] != holder, v.released
		v.mu.Unlock()
		if free {
			return true
		}
		holder.mu.Lock()
		active, changed := holder.life.active(), holder.changed
		holder.mu.Unlock()
		if active {
			return false
		}
		select {
		case <-released:
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// exclusive are the volumes of a container that only one running container can have.
func (c *container) exclusive() []string {
	return volumeNames(slices.DeleteFunc(slices.Clone(c.definition().Mounts), MountPoint.Shared))
}
