package vsphere

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func TestPropertyWait(t *testing.T) {
	r := newRig(t)
	vm := r.create(r.spec("a"))
	r.done(vm.PowerOn(r.ctx))
	got, waits := make(chan string, 10), make(chan struct{})
	begin := sync.OnceFunc(func() { close(waits) })
	go func() {
		err := property.Wait(r.ctx, property.DefaultCollector(r.c.Client), vm.Reference(), []string{"guest.ipAddress", "config.extraConfig"},
			func(ch []types.PropertyChange) bool {
				begin() // it has what was there before
				for _, c := range ch {
					if s, ok := c.Val.(string); ok && s != "" {
						got <- s
					}
					if a, ok := c.Val.(types.ArrayOfOptionValue); ok {
						if v := object.OptionValueList(a.OptionValue).StringMap()["guestinfo.done"]; v != "" {
							got <- v
							return true
						}
					}
				}
				return false
			})
		if err != nil {
			t.Error(err)
		}
		close(got)
	}()
	<-waits
	r.last().spec.Answer("info-set guestinfo.ip 10.1.1.1")
	if s := <-got; s != "10.1.1.1" {
		t.Error(s)
	}
	r.last().spec.Answer("info-set guestinfo.done yes")
	if s := <-got; s != "yes" {
		t.Error(s)
	}
	<-got
}

// watcher follows names and power states of all VMs of a view.
type watcher struct {
	r       *rig
	c       *govmomi.Client
	pc      *property.Collector
	version string
	state   map[types.ManagedObjectReference]types.VirtualMachinePowerState
	pages   int
}

func (r *rig) watch(c *govmomi.Client, pc *property.Collector) *watcher {
	r.t.Helper()
	v, err := view.NewManager(c.Client).CreateContainerView(r.ctx, c.ServiceContent.RootFolder, []string{"VirtualMachine"}, true)
	r.must(err)
	must(pc.CreateFilter(r.ctx, types.CreateFilter{Spec: types.PropertyFilterSpec{
		ObjectSet: []types.ObjectSpec{{Obj: v.Reference(), Skip: types.NewBool(true), SelectSet: []types.BaseSelectionSpec{v.TraversalSpec()}}},
		PropSet:   []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name", "runtime.powerState"}}}}}))
	return &watcher{r: r, c: c, pc: pc, state: map[types.ManagedObjectReference]types.VirtualMachinePowerState{}}
}

// next waits for one answer; false when nothing came within the time.
func (w *watcher) next(limit int32) bool {
	w.r.t.Helper()
	res, err := methods.WaitForUpdatesEx(w.r.ctx, w.c.Client, &types.WaitForUpdatesEx{This: w.pc.Reference(), Version: w.version,
		Options: &types.WaitOptions{MaxWaitSeconds: types.NewInt32(1), MaxObjectUpdates: limit}})
	w.r.must(err)
	set := res.Returnval
	if set == nil {
		return false
	}
	w.version = set.Version
	w.pages++
	for _, f := range set.FilterSet {
		for _, o := range f.ObjectSet {
			if o.Kind == types.ObjectUpdateKindLeave {
				delete(w.state, o.Obj)
				continue
			}
			for _, c := range o.ChangeSet {
				if s, ok := c.Val.(types.VirtualMachinePowerState); ok {
					w.state[o.Obj] = s
				}
			}
		}
	}
	return true
}

func (w *watcher) on() (n int) {
	for _, s := range w.state {
		if s == poweredOn {
			n++
		}
	}
	return n
}

func TestViewUpdates(t *testing.T) {
	r := newRig(t)
	pc, err := property.DefaultCollector(r.c.Client).Create(r.ctx)
	r.must(err)
	w := r.watch(r.c, pc)
	w.next(0)
	var vms []*object.VirtualMachine
	for i := range 12 {
		vms = append(vms, r.create(r.spec(fmt.Sprintf("v%d", i))))
	}
	for len(w.state) < 12 && w.next(5) {
	}
	if len(w.state) != 12 {
		t.Fatalf("%d VMs seen", len(w.state))
	}
	if w.pages < 3 {
		t.Errorf("12 VMs in %d pages of 5", w.pages)
	}
	for _, vm := range vms[:6] {
		r.done(vm.PowerOn(r.ctx))
	}
	for w.on() < 6 && w.next(0) {
	}
	if w.on() != 6 {
		t.Errorf("%d on", w.on())
	}
	r.last().Kill()
	for w.on() == 6 && w.next(0) {
	}
	if w.on() != 5 {
		t.Errorf("%d on after one halted", w.on())
	}
	r.done(vms[11].Destroy(r.ctx))
	for len(w.state) == 12 && w.next(0) {
	}
	if len(w.state) != 11 {
		t.Errorf("%d VMs after a destroy", len(w.state))
	}
}

func TestSessionsDoNotDisturbOneAnother(t *testing.T) {
	r := newRig(t)
	first := r.watch(r.c, property.DefaultCollector(r.c.Client))
	first.next(0)
	r.login() // a second session, whose default collector has the same reference
	second := r.watch(r.c, property.DefaultCollector(r.c.Client))
	second.next(0)
	r.create(r.spec("a"))
	for name, w := range map[string]*watcher{"first": first, "second": second} {
		for len(w.state) == 0 && w.next(0) {
		}
		if len(w.state) != 1 {
			t.Errorf("the %s session sees nothing", name)
		}
	}
}

func TestFilterAddedWhileWaiting(t *testing.T) {
	r := newRig(t)
	pc, err := property.DefaultCollector(r.c.Client).Create(r.ctx)
	r.must(err)
	vm := r.create(r.spec("a"))
	res, err := methods.WaitForUpdatesEx(r.ctx, r.c.Client, &types.WaitForUpdatesEx{This: pc.Reference()})
	r.must(err)
	seen := make(chan *types.UpdateSet, 1)
	ctx, sent := untilSent(r.ctx)
	go func() {
		res, err := methods.WaitForUpdatesEx(ctx, r.c.Client, &types.WaitForUpdatesEx{This: pc.Reference(), Version: res.Returnval.Version})
		if err != nil {
			t.Error(err)
			seen <- nil
			return
		}
		seen <- res.Returnval
	}()
	<-sent
	must(pc.CreateFilter(r.ctx, types.CreateFilter{Spec: types.PropertyFilterSpec{ObjectSet: []types.ObjectSpec{{Obj: vm.Reference()}},
		PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}}}}))
	select {
	case s := <-seen:
		if s == nil || len(s.FilterSet) != 1 || s.FilterSet[0].ObjectSet[0].Kind != types.ObjectUpdateKindEnter {
			t.Errorf("%+v", s)
		}
	case <-time.After(time.Minute):
		t.Fatal("a filter added during a wait was not seen")
	}
}

// A client that logs out, or polls, does not keep the lab from closing.
func TestLogoutAndCloseDoNotHang(t *testing.T) {
	r := newRig(t)
	first := r.c
	r.watch(first, must(property.DefaultCollector(first.Client).Create(r.ctx))).next(0)
	r.login()
	r.must(first.Logout(r.ctx))
	pc := must(property.DefaultCollector(r.c.Client).Create(r.ctx))
	res := must(methods.WaitForUpdatesEx(r.ctx, r.c.Client, &types.WaitForUpdatesEx{This: pc.Reference()}))
	ended := make(chan struct{})
	ctx, sent := untilSent(r.ctx)
	go func() {
		defer close(ended)
		_, _ = methods.WaitForUpdatesEx(ctx, r.c.Client, &types.WaitForUpdatesEx{This: pc.Reference(), Version: res.Returnval.Version})
	}()
	<-sent
	r.Close()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the client still waits")
	}
}

// untilSent is a context for one request, and a channel that is closed when the request has been sent.
func untilSent(ctx context.Context) (context.Context, <-chan struct{}) {
	sent := make(chan struct{})
	done := sync.OnceFunc(func() { close(sent) })
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { done() }}), sent
}

func TestCancelWait(t *testing.T) {
	r := newRig(t)
	pc, err := property.DefaultCollector(r.c.Client).Create(r.ctx)
	r.must(err)
	res, err := methods.WaitForUpdatesEx(r.ctx, r.c.Client, &types.WaitForUpdatesEx{This: pc.Reference()})
	r.must(err)
	done := make(chan error, 1)
	go func() {
		_, err := methods.WaitForUpdatesEx(r.ctx, r.c.Client, &types.WaitForUpdatesEx{This: pc.Reference(), Version: res.Returnval.Version})
		done <- err
	}()
	for end := time.Now().Add(time.Minute); ; { // a cancel that comes before the wait does nothing
		r.must(pc.CancelWaitForUpdates(r.ctx))
		select {
		case err := <-done:
			if err == nil {
				t.Error("no RequestCanceled")
			}
			return
		default:
			if time.Now().After(end) {
				t.Fatal("the wait goes on")
			}
		}
	}
}

func TestEvents(t *testing.T) {
	r := newRig(t)
	vm := r.create(r.spec("a"))
	r.done(vm.PowerOn(r.ctx))
	r.done(vm.Reset(r.ctx))
	r.last().Kill()
	eventually(t, "poweredOff", func() bool { return r.props(vm).Runtime.PowerState == poweredOff })
	res, err := methods.QueryEvents(r.ctx, r.c.Client, &types.QueryEvents{This: *r.c.ServiceContent.EventManager,
		Filter: types.EventFilterSpec{Entity: &types.EventFilterSpecByEntity{Entity: vm.Reference(), Recursion: types.EventFilterSpecRecursionOptionSelf}}})
	r.must(err)
	var kinds []string
	for _, e := range res.Returnval {
		kinds = append(kinds, fmt.Sprintf("%T", e))
	}
	for _, want := range []string{"*types.VmCreatedEvent", "*types.VmPoweredOnEvent", "*types.VmResettingEvent", "*types.VmPoweredOffEvent"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("no %s in %v", want, kinds)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// vmLists records what is told of pools' lists of VMs.
type vmLists struct {
	mu   sync.Mutex
	last map[types.ManagedObjectReference][]types.ManagedObjectReference
}

func (*vmLists) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "LabListener", Value: "vmLists"}
}
func (*vmLists) PutObject(*simulator.Context, mo.Reference)                    {}
func (*vmLists) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}
func (l *vmLists) UpdateObject(_ *simulator.Context, o mo.Reference, changes []types.PropertyChange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range changes {
		if a, ok := c.Val.(*types.ArrayOfManagedObjectReference); ok && c.Name == "vm" {
			l.last[o.Reference()] = a.ManagedObjectReference
		}
	}
}

// TestANewVMIsToldByItsPool: a collector that follows the pool's list may look before the VM is in it.
func TestANewVMIsToldByItsPool(t *testing.T) {
	r := newRig(t)
	l := &vmLists{last: map[types.ManagedObjectReference][]types.ManagedObjectReference{}}
	r.reg.AddHandler(l)
	vm := r.create(r.spec("a"))
	var m mo.VirtualMachine
	r.must(property.DefaultCollector(r.c.Client).RetrieveOne(r.ctx, vm.Reference(), []string{"resourcePool"}, &m))
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.last[*m.ResourcePool], vm.Reference()) {
		t.Errorf("%s is not among what its pool told: %v", vm.Reference(), l.last)
	}
}
