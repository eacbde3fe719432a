package engine

import (
	"maps"

	"github.com/openvic/vic/sdk/errdef"
)

// reserve takes a name for a container that is being made or renamed.
func (e *Engine) reserve(name, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if owner, ok := e.names[name]; ok && owner != id {
		return errNameInUse(name, owner)
	}
	if most := e.limits.MaxContainers; most > 0 && len(e.names) >= most && e.containers[id] == nil {
		return fail(errdef.ErrExhausted, "this VCH may hold %d containers, and does: remove one, or ask its administrator for more", most)
	}
	e.names[name] = id
	return nil
}

// release gives a name back if it is still this container's.
func (e *Engine) release(name, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.names[name] == id {
		delete(e.names, name)
	}
}

// releaseGone gives back the names of a container that went while it was given one.
func (e *Engine) releaseGone(c *container) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.containers[c.id] != c {
		maps.DeleteFunc(e.names, func(_, id string) bool { return id == c.id })
	}
}

func (e *Engine) makeName(id string) (string, error) {
	for attempt := range 8 {
		name := e.opts.Names(attempt)
		if e.reserve(name, id) == nil {
			return name, nil
		}
	}
	return id[:12], e.reserve(id[:12], id)
}
