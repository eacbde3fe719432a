package compute

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Fake is a driver in memory for tests: its VMs have a state and run nothing. A test plays the guest
// with OnStart, Dial and Exit, and the administrator with PowerOff and Delete.
type Fake struct {
	// OnStart, if set, is called in a goroutine of its own when a VM is powered on: the guest boots.
	OnStart func(req CreateRequest)
	// OnStop, if set, is called in a goroutine of its own when the guest is asked to shut down.
	// Without it the VM goes off.
	OnStop func(id string)
	// DiskKinds and NICKinds can be attached; set by NewFake.
	DiskKinds []string
	NICKinds  []string
	// Room is what Capacity tells; without it the driver does not know.
	Room Capacity
	// Sockets makes the tethers' connections sockets that can be handed over; else they are memory.
	Sockets bool

	mu       sync.Mutex
	vms      map[string]*fakeVM
	order    []string
	watchers map[*fakeWatcher]struct{}
	failures map[string]error
}

var (
	_ Driver   = (*Fake)(nil)
	_ Reporter = (*Fake)(nil)
)

type fakeVM struct {
	req     CreateRequest
	vm      VM
	link    net.Conn      // the host's end of the tether's waiting connection
	used    net.Conn      // the one that was handed out
	arrived chan struct{} // closed when link is set
}

// NewFake makes a driver without VMs.
func NewFake() *Fake {
	return &Fake{
		DiskKinds: []string{device.KindVMDK, device.KindVMDKDelta},
		NICKinds:  []string{device.KindPortgroup},
		vms:       map[string]*fakeVM{}, watchers: map[*fakeWatcher]struct{}{}, failures: map[string]error{},
	}
}

// Fail makes the next call of a method ("Create") fail.
func (f *Fake) Fail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[method] = err
}

// enter locks and returns the failure that a test asked for. The caller unlocks.
func (f *Fake) enter(ctx context.Context, method string) error {
	f.mu.Lock()
	if err := f.failures[method]; err != nil {
		delete(f.failures, method)
		return err
	}
	return ctx.Err()
}

// Capacity implements Reporter.
func (f *Fake) Capacity(ctx context.Context) (Capacity, error) {
	err := f.enter(ctx, "Capacity")
	defer f.mu.Unlock()
	if err == nil && f.Room == (Capacity{}) {
		err = fmt.Errorf("capacity: %w", errdef.ErrUnsupported)
	}
	return f.Room, err
}

func (f *Fake) find(id string) (*fakeVM, error) {
	v, ok := f.vms[id]
	if !ok {
		return nil, fmt.Errorf("VM %s: %w", id, errdef.ErrNotFound)
	}
	return v, nil
}

// Create makes a VM.
func (f *Fake) Create(ctx context.Context, req CreateRequest) (VM, error) {
	err := f.enter(ctx, "Create")
	defer f.mu.Unlock()
	if err != nil {
		return VM{}, err
	}
	if v, ok := f.vms[req.ID]; ok {
		return copyVM(v.vm), nil
	}
	if err := f.check(req); err != nil {
		return VM{}, err
	}
	v := &fakeVM{req: req, arrived: make(chan struct{}), vm: VM{
		ID: req.ID, Name: req.Name, State: StateOff, CPUs: req.CPUs, MemoryMB: req.MemoryMB,
		Metadata: slices.Clone(req.Metadata), Locator: fmt.Sprintf("fake-%d", len(f.order)+1),
	}}
	v.req.Guest = maps.Clone(req.Guest)
	f.vms[req.ID] = v
	f.order = append(f.order, req.ID)
	f.put(v)
	return copyVM(v.vm), nil
}

func (f *Fake) check(req CreateRequest) error {
	if req.ID == "" {
		return fmt.Errorf("a VM without ID: %w", errdef.ErrInvalid)
	}
	if len(req.Disks) > guest.MaxDisks {
		return fmt.Errorf("%d disks, at most %d: %w", len(req.Disks), guest.MaxDisks, errdef.ErrInvalid)
	}
	for _, d := range req.Disks {
		if !slices.Contains(f.DiskKinds, d.Kind) {
			return fmt.Errorf("disk of kind %q: %w", d.Kind, errdef.ErrInvalid)
		}
	}
	return f.checkNICs(req.NICs)
}

func (f *Fake) checkNICs(nics []device.NIC) error {
	for _, n := range nics {
		if !slices.Contains(f.NICKinds, n.Kind) {
			return fmt.Errorf("NIC of kind %q: %w", n.Kind, errdef.ErrInvalid)
		}
	}
	return nil
}

// Start powers a VM on.
func (f *Fake) Start(ctx context.Context, id string) error {
	err := f.enter(ctx, "Start")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	v, err := f.find(id)
	if err != nil || v.vm.State == StateRunning {
		return err
	}
	v.vm.State, v.vm.Exit, v.vm.PoweredOn = StateRunning, nil, time.Now().UTC()
	f.put(v)
	if f.OnStart != nil {
		go f.OnStart(copyRequest(v.req))
	}
	return nil
}

// Stop asks the guest to shut down.
func (f *Fake) Stop(ctx context.Context, id string) error {
	err := f.enter(ctx, "Stop")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	v, err := f.find(id)
	if err != nil {
		return err
	}
	if v.vm.State != StateRunning {
		return fmt.Errorf("VM %s is %s: %w", id, v.vm.State, errdef.ErrConflict)
	}
	if f.OnStop != nil {
		go f.OnStop(id)
		return nil
	}
	f.off(v)
	return nil
}

// Kill powers a VM off.
func (f *Fake) Kill(ctx context.Context, id string) error {
	err := f.enter(ctx, "Kill")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	v, err := f.find(id)
	if err == nil {
		f.off(v)
	}
	return err
}

// Remove destroys a VM that is off.
func (f *Fake) Remove(ctx context.Context, id string) error {
	err := f.enter(ctx, "Remove")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	v, ok := f.vms[id]
	if !ok {
		return nil
	}
	if v.vm.State != StateOff {
		return fmt.Errorf("VM %s is %s: %w", id, v.vm.State, errdef.ErrConflict)
	}
	f.remove(id)
	return nil
}

// Get returns one VM.
func (f *Fake) Get(ctx context.Context, id string) (VM, error) {
	err := f.enter(ctx, "Get")
	defer f.mu.Unlock()
	if err != nil {
		return VM{}, err
	}
	v, err := f.find(id)
	if err != nil {
		return VM{}, err
	}
	return copyVM(v.vm), nil
}

// List returns all VMs in the order in which they were made.
func (f *Fake) List(ctx context.Context) ([]VM, error) {
	err := f.enter(ctx, "List")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return f.all(), nil
}

func (f *Fake) all() []VM {
	var vms []VM
	for _, id := range f.order {
		vms = append(vms, copyVM(f.vms[id].vm))
	}
	return vms
}

// Update changes the fields that are set.
func (f *Fake) Update(ctx context.Context, req UpdateRequest) error {
	err := f.enter(ctx, "Update")
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	v, err := f.find(req.ID)
	if err != nil {
		return err
	}
	if req.NICs != nil {
		if err := f.checkNICs(*req.NICs); err != nil {
			return err
		}
	}
	if req.Name != "" {
		v.vm.Name = req.Name
	}
	if req.Metadata != nil {
		v.vm.Metadata = slices.Clone(req.Metadata)
	}
	if req.CPUs != 0 {
		v.vm.CPUs = req.CPUs
	}
	if req.MemoryMB != 0 {
		v.vm.MemoryMB = req.MemoryMB
	}
	for k, value := range req.Guest {
		v.setGuest(k, value)
	}
	if req.NICs != nil {
		v.req.NICs = slices.Clone(*req.NICs)
	}
	f.put(v)
	return nil
}

func (v *fakeVM) setGuest(key, value string) {
	if value == "" {
		delete(v.req.Guest, key)
		return
	}
	if v.req.Guest == nil {
		v.req.Guest = map[string]string{}
	}
	v.req.Guest[key] = value
}

// Connect waits for Dial and returns the other end of its connection.
func (f *Fake) Connect(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	for {
		err := f.enter(ctx, "Connect")
		v, ferr := f.find(id)
		if err == nil {
			err = ferr
		}
		if err != nil {
			f.mu.Unlock()
			return nil, err
		}
		if v.link != nil {
			if v.used != nil {
				v.used.Close()
			}
			conn := v.link
			v.used, v.link, v.arrived = conn, nil, make(chan struct{})
			f.mu.Unlock()
			return conn, nil
		}
		arrived := v.arrived
		f.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func copyVM(v VM) VM {
	v.Metadata = slices.Clone(v.Metadata)
	v.Addresses = slices.Clone(v.Addresses)
	if v.Exit != nil {
		e := *v.Exit
		v.Exit = &e
	}
	return v
}

func copyRequest(r CreateRequest) CreateRequest {
	r.Guest = maps.Clone(r.Guest)
	r.Metadata = slices.Clone(r.Metadata)
	r.NICs = slices.Clone(r.NICs)
	return r
}
