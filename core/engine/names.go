package engine

// makeName makes a name up that nobody has; the short ID after some tries.
func (e *Engine) makeName(id string) (string, error) {
	for attempt := range 8 {
		name := e.opts.Names(attempt)
		if e.registry.reserve(name, id) == nil {
			return name, nil
		}
	}
	return id[:12], e.registry.reserve(id[:12], id)
}
