package appliance

import (
	"maps"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/guest"
)

// The states of an appliance.
const (
	stateStarting = "starting"
	stateReady    = "ready"
	stateFailed   = "failed"
)

// board collects the states of the services, and publishes each change. Reports come from each service's
// goroutine, from that of its notify socket and from the one that follows the configuration.
type board struct {
	// mu guards what follows, and is held over publish: what the host is told is in order. So a host that does
	// not answer holds up reports, and with them the restart of services.
	mu       sync.Mutex
	services map[string]string
	message  string
	revision string
	debug    *guest.DebugStatus
	failed   bool
	publish  func(guest.Status)
}

func newBoard(services []guest.Service, publish func(guest.Status)) *board {
	b := &board{services: map[string]string{}, publish: publish}
	for _, s := range services {
		b.services[s.Name] = stateStarting
	}
	return b
}

// service takes a report; an empty state or status leaves what was.
func (b *board) service(name, state, status string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if state != "" {
		b.services[name] = state
	}
	if status != "" {
		b.message = name + ": " + status
	}
	b.publish(b.status())
}

// fail reports what keeps the appliance from working.
func (b *board) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed, b.message = true, err.Error()
	b.publish(b.status())
}

// revise says which configuration the services have been told of.
func (b *board) revise(revision string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revision = revision
	b.publish(b.status())
}

// debugs says how the service of a guest.Debug is; it has no say in whether the appliance is ready.
func (b *board) debugs(s guest.DebugStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.debug = &s
	b.publish(b.status())
}

// status is ready when every service has said so.
func (b *board) status() guest.Status {
	s := guest.Status{State: stateReady, Message: b.message, Services: maps.Clone(b.services), Revision: b.revision, Debug: b.debug, Time: time.Now().UTC()}
	for _, state := range b.services {
		if state != "ready" {
			s.State = stateStarting
		}
	}
	if b.failed {
		s.State = stateFailed
	}
	return s
}
