// Package event carries what happens to containers, networks and volumes from the parts that know to
// the parts that tell (the Docker API's event stream). It is neutral of any API.
package event

import (
	"slices"
	"sync"
	"time"
)

// Type is the kind of thing an event is about.
type Type string

// The types of Event.
const (
	Container Type = "container"
	Network   Type = "network"
	Volume    Type = "volume"
)

// Event is one thing that happened.
type Event struct {
	Time       time.Time
	Type       Type
	Action     string // Docker's words: "create", "start", "die", ...
	ID         string
	Attributes map[string]string
}

// Hub hands every published event to every subscriber, in order. The zero value is ready to use.
type Hub struct {
	mu   sync.Mutex
	next int
	subs []subscriber
}

type subscriber struct {
	id int
	fn func(Event)
}

// Publish calls all subscribers. It sets the time of an event that has none.
func (h *Hub) Publish(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subs {
		s.fn(e)
	}
}

// Subscribe has fn called for every event from now on, until the returned function is called. fn
// must be quick and must not publish.
func (h *Hub) Subscribe(fn func(Event)) (cancel func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	id := h.next
	h.subs = append(h.subs, subscriber{id: id, fn: fn})
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.subs = slices.DeleteFunc(h.subs, func(s subscriber) bool { return s.id == id })
	}
}
