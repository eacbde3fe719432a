package rpci

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/vmware/vmw-guestinfo/message"
	"github.com/vmware/vmw-guestinfo/rpcout"
)

// tcloProtocol is the channel on which the host talks to the guest.
const tcloProtocol uint32 = 0x4f4c4354

// pollInterval is how often the host's channel is looked at: the backdoor knows no events.
const pollInterval = 500 * time.Millisecond

// Backdoor is the transport over VMware's I/O port. It must not be used on another hypervisor.
type Backdoor struct {
	mu      sync.Mutex
	halt    chan struct{}
	resumed chan struct{}
}

var _ Transport = (*Backdoor)(nil)

// NewBackdoor watches the host's channel until ctx ends.
func NewBackdoor(ctx context.Context) *Backdoor {
	b := &Backdoor{halt: make(chan struct{}), resumed: make(chan struct{}, 1)}
	go b.watch(ctx)
	return b
}

// Halt implements Transport.
func (b *Backdoor) Halt() <-chan struct{} { return b.halt }

// Resumed implements Transport.
func (b *Backdoor) Resumed() <-chan struct{} { return b.resumed }

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is waiting
	}
}

// Call implements Transport.
func (b *Backdoor) Call(_ context.Context, command string) (string, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	answer, ok, err := rpcout.SendOneRaw([]byte(command))
	if err != nil {
		return "", false, fmt.Errorf("RPCI backdoor: %w: %w", errdef.ErrUnavailable, err)
	}
	return string(answer), ok, nil
}

// watch answers the host as VMware Tools do, so that it shows them as running and lets its user
// shut the guest down.
func (b *Backdoor) watch(ctx context.Context) {
	b.mu.Lock()
	ch, err := message.NewChannel(tcloProtocol)
	b.mu.Unlock()
	if err != nil {
		return
	}
	defer ch.Close()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	reply := ""
	for {
		b.mu.Lock()
		request, err := exchange(ch, reply)
		b.mu.Unlock()
		if err != nil {
			return
		}
		if reply = b.answer(ctx, request); reply != "" {
			continue // the host may have more
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func exchange(ch *message.Channel, reply string) (string, error) {
	if err := ch.Send([]byte(reply)); err != nil {
		return "", err
	}
	request, err := ch.Receive()
	return string(request), err
}

func (b *Backdoor) answer(ctx context.Context, request string) string {
	name, _, _ := strings.Cut(request, " ")
	switch name {
	case "":
		return ""
	case "reset":
		return "OK ATR toolbox"
	case "ping":
		return "OK "
	case "Capabilities_Register":
		for _, c := range []string{"tools.capability.statechange 1", "tools.capability.softpowerop_retry 1", "tools.set.version 2147483647"} {
			_, _, _ = b.Call(ctx, c)
		}
		return "OK "
	case resumeRequest:
		notify(b.resumed)
		return "OK "
	case haltRequest:
		_, _, _ = b.Call(ctx, "tools.os.statechange.status 1 1")
		select {
		case <-b.halt:
		default:
			close(b.halt)
		}
		return "OK "
	}
	return "ERROR Unknown command"
}
