package compute

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/handover"
)

// Dial is what a tether does: it returns the guest's end of a connection whose other end Connect
// hands out. It replaces one that nobody has fetched.
func (f *Fake) Dial(id string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, err := f.find(id)
	if err != nil {
		return nil, err
	}
	if v.vm.State != StateRunning {
		return nil, fmt.Errorf("VM %s is %s: %w", id, v.vm.State, errdef.ErrConflict)
	}
	ours, theirs, err := f.pipe()
	if err != nil {
		return nil, err
	}
	if v.link != nil {
		v.link.Close()
	} else {
		close(v.arrived)
	}
	v.link = ours
	return theirs, nil
}

func (f *Fake) pipe() (ours, theirs net.Conn, err error) {
	if f.Sockets {
		return handover.SocketPair()
	}
	ours, theirs = net.Pipe()
	return ours, theirs, nil
}

// Exit ends a VM's run as its guest does: it leaves the record and powers off.
func (f *Fake) Exit(id string, exit Exit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v, ok := f.vms[id]; ok {
		v.vm.Exit = &exit
		f.off(v)
	}
}

// PowerOff is an administrator's hand: the VM goes off without a record.
func (f *Fake) PowerOff(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v, ok := f.vms[id]; ok {
		f.off(v)
	}
}

// Delete is an administrator's hand: the VM is gone.
func (f *Fake) Delete(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.vms[id]; ok {
		f.remove(id)
	}
}

// SetAddresses is what the guest reports.
func (f *Fake) SetAddresses(id string, addresses ...netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v, ok := f.vms[id]; ok {
		v.vm.Addresses = addresses
		f.put(v)
	}
}

// Request returns what a VM was made of, with later changes of Guest.
func (f *Fake) Request(id string) (CreateRequest, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.vms[id]
	if !ok {
		return CreateRequest{}, false
	}
	return copyRequest(v.req), true
}

// off and remove run under mu.
func (f *Fake) off(v *fakeVM) {
	v.hangUp()
	if v.vm.State != StateOff {
		v.vm.State, v.vm.Addresses = StateOff, nil
		f.put(v)
	}
}

func (f *Fake) remove(id string) {
	f.vms[id].hangUp()
	close(f.vms[id].arrived) // wakes a waiting Connect, which then finds no VM
	delete(f.vms, id)
	f.order = slices.DeleteFunc(f.order, func(o string) bool { return o == id })
	f.tell(Event{Kind: EventRemove, VM: VM{ID: id}})
}

func (v *fakeVM) hangUp() {
	if v.link != nil {
		v.link.Close()
		v.link, v.arrived = nil, make(chan struct{})
	}
	if v.used != nil {
		v.used.Close()
		v.used = nil
	}
}

func (f *Fake) put(v *fakeVM) { f.tell(Event{Kind: EventPut, VM: copyVM(v.vm)}) }

// fakeWatcher queues the events of one Watch.
type fakeWatcher struct {
	queue []Event
	wake  chan struct{} // one place: "there is something"
}

func (w *fakeWatcher) add(e Event) {
	w.queue = append(w.queue, e)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (f *Fake) tell(e Event) {
	for w := range f.watchers {
		w.add(e)
	}
}

// Watch reports the snapshot and every change.
func (f *Fake) Watch(ctx context.Context, fn func(Event) error) error {
	w := &fakeWatcher{wake: make(chan struct{}, 1)}
	err := f.enter(ctx, "Watch")
	if err == nil {
		w.add(Event{Kind: EventSnapshot, VMs: f.all()})
		f.watchers[w] = struct{}{}
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	defer func() {
		f.mu.Lock()
		delete(f.watchers, w)
		f.mu.Unlock()
	}()
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		f.mu.Lock()
		events := w.queue
		w.queue = nil
		f.mu.Unlock()
		for _, e := range events {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
}
