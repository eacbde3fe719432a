package inventory

import (
	"context"
	"sync"
)

// maxQueue bounds the events that wait for a slow subscriber; then it gets a snapshot instead.
const maxQueue = 4096

// Kind is the kind of an Event.
type Kind int

// The kinds of Event.
const (
	Snapshot Kind = iota // Machines is all there is
	Put                  // Machine is new or has changed
	Remove               // Machine is gone
)

// Event is one change of the cache.
type Event struct {
	Kind     Kind
	Machine  *Machine
	Machines []*Machine
}

// Subscription is a queue of events for one reader: Next must not be called twice at once.
type Subscription struct {
	inv   *Inventory
	mu    sync.Mutex // guards queue; taken after Inventory.mu, never before it
	queue []Event
	wake  chan struct{}
}

// Subscribe returns a queue that begins with a snapshot. Close it.
func (i *Inventory) Subscribe() *Subscription {
	s := &Subscription{inv: i, wake: make(chan struct{}, 1)}
	i.mu.Lock()
	defer i.mu.Unlock()
	s.push(Event{Kind: Snapshot, Machines: i.list()}, nil)
	i.subs[s] = struct{}{}
	return s
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.inv.mu.Lock()
	defer s.inv.mu.Unlock()
	delete(s.inv.subs, s)
}

// Next returns the next event, or the error of ctx.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			e := s.queue[0]
			s.queue = s.queue[1:]
			s.mu.Unlock()
			return e, nil
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return Event{}, ctx.Err()
		case <-s.wake:
		}
	}
}

// push appends an event; all is asked for a snapshot when the queue has grown too long.
func (s *Subscription) push(e Event, all func() []*Machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Kind == Snapshot {
		s.queue = nil
	} else if len(s.queue) >= maxQueue {
		s.queue = nil
		e = Event{Kind: Snapshot, Machines: all()}
	}
	s.queue = append(s.queue, e)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// publish is called with i.mu held.
func (i *Inventory) publish(e Event) {
	for s := range i.subs {
		s.push(e, i.list)
	}
}
