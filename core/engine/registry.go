package engine

import (
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// removedFor is how late news of a VM may come that was removed meanwhile.
const removedFor = time.Minute

// registry is which containers there are, what they are called, and which execs they have. A container is in
// it from the end of its create, or from the first news of its VM, until the VM is no more.
//
// mu guards all of it, and is held for moments only. No other lock is taken under it.
type registry struct {
	mu         sync.Mutex
	containers map[string]*container
	names      map[string]string // name to container ID, reserved while a container is made
	execs      map[string]*exec
	removed    map[string]time.Time // when this engine removed a VM, by container ID
	listed     bool                 // the platform has listed its VMs once
	most       int                  // how many containers there may be; 0: no bound
}

func newRegistry(most int) *registry {
	return &registry{containers: map[string]*container{}, names: map[string]string{}, execs: map[string]*exec{},
		removed: map[string]time.Time{}, most: most}
}

// bound sets how many containers there may be from now on.
func (g *registry) bound(most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = most
}

// all returns the containers in no order.
func (g *registry) all() []*container {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*container, 0, len(g.containers))
	for _, c := range g.containers {
		all = append(all, c)
	}
	return all
}

// get returns the container of an ID, nil if there is none, and whether the platform has listed its VMs.
func (g *registry) get(id string) (c *container, listed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.containers[id], g.listed
}

// lookup finds a container by ID, name or unique beginning of the ID.
func (g *registry) lookup(ref string) (*container, error) {
	ref = strings.TrimPrefix(ref, "/")
	if ref == "" {
		return nil, fail(errdef.ErrInvalid, "the name or ID of a container is missing")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.containers[ref]; c != nil {
		return c, nil
	}
	if c := g.containers[g.names[ref]]; c != nil {
		return c, nil
	}
	var found *container
	for id, c := range g.containers {
		if !strings.HasPrefix(id, ref) {
			continue
		}
		if found != nil {
			return nil, fail(errdef.ErrInvalid, "multiple IDs found with provided prefix: %s", ref)
		}
		found = c
	}
	if found == nil {
		return nil, errNoContainer(ref)
	}
	return found, nil
}

// reserve takes a name for a container that is being made or renamed.
func (g *registry) reserve(name, id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if owner, ok := g.names[name]; ok && owner != id {
		return errNameInUse(name, owner)
	}
	if g.most > 0 && len(g.names) >= g.most && g.containers[id] == nil {
		return fail(errdef.ErrExhausted, "this VCH may hold %d containers, and does: remove one, or ask its administrator for more", g.most)
	}
	g.names[name] = id
	return nil
}

// release gives a name back if it is still this container's.
func (g *registry) release(name, id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.names[name] == id {
		delete(g.names, name)
	}
}

// releaseDropped gives back the names of a container that was dropped while it was given one.
func (g *registry) releaseDropped(c *container) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.containers[c.id] != c {
		maps.DeleteFunc(g.names, func(_, id string) bool { return id == c.id })
	}
}

// add makes a container known whose name is reserved.
func (g *registry) add(c *container) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.containers[c.id] = c
}

// addFound makes a container known whose VM the platform has shown, unless it is being made just now or was
// removed a moment ago; false then. Its name is its short ID if another has the one that it had.
func (g *registry) addFound(c *container) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, old := g.removed[c.id]; old {
		return false
	}
	if owner, taken := g.names[c.def.Name]; taken {
		if owner == c.id {
			return false // Create is at it
		}
		c.def.Name = c.id[:12]
	}
	g.names[c.def.Name], g.containers[c.id] = c.id, c
	return true
}

// drop makes a container unknown; false if it was already.
func (g *registry) drop(c *container) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.containers[c.id] != c {
		return false
	}
	delete(g.containers, c.id)
	maps.DeleteFunc(g.names, func(_, id string) bool { return id == c.id }) // two while it is being renamed
	for id, x := range g.execs {
		if x.container == c {
			delete(g.execs, id)
		}
	}
	return true
}

// noteRemoved remembers for a while that a VM was removed: a message from before its end, which is still under
// way, is not one of a VM that the engine does not know.
func (g *registry) noteRemoved(id string) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.removed, func(_ string, at time.Time) bool { return now.Sub(at) > removedFor })
	g.removed[id] = now
}

// list takes note of a whole list of VMs; it returns the containers that are not in it, and whether it is the
// first.
func (g *registry) list(seen map[string]bool) (missing []string, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.containers {
		if !seen[id] {
			missing = append(missing, id)
		}
	}
	first, g.listed = !g.listed, true
	return missing, first
}

// addExec makes an exec known; false if its container is not any more.
func (g *registry) addExec(x *exec) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.containers[x.container.id] != x.container {
		return false
	}
	g.execs[x.ID] = x
	return true
}

// exec returns the exec of an ID; ErrNotFound.
func (g *registry) exec(id string) (*exec, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if x := g.execs[id]; x != nil {
		return x, nil
	}
	return nil, fail(errdef.ErrNotFound, "No such exec instance: %s", id)
}

// dropExec makes an exec unknown.
func (g *registry) dropExec(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.execs, id)
}
