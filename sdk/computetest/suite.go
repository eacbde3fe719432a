// Package computetest is the conformance suite for compute drivers: what compute.Driver promises,
// as tests. A driver's author calls Suite with a factory; the same cases run in process, over the
// wire, against a fake or a platform.
package computetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
)

// Fixture is a driver and what its platform needs. Fields that are nil leave their cases out.
type Fixture struct {
	Driver compute.Driver
	// Disks and NICs make a VM that can be created and started.
	Disks func(t *testing.T, id string) []device.Disk
	NICs  func(t *testing.T, id string) []device.NIC
	// MACs are the addresses of the NICs that a VM has.
	MACs func(t *testing.T, id string) []string
	// Guestless says that the VMs run no operating system. NICs of running VMs are then not removed:
	// PCI hot-unplug needs a guest that lets go.
	Guestless bool
	// Guest is the guest's configuration.
	Guest func(t *testing.T, id string) map[string]string
	// MemoryMB of the VMs; 0 means 128.
	MemoryMB int64
	// Timeout of one call; 0 means 10 s.
	Timeout time.Duration
	// PowerOff and Delete change the platform behind the driver's back.
	PowerOff func(t *testing.T, id string)
	Delete   func(t *testing.T, id string)
	// Exit makes the guest end by itself with a record.
	Exit func(t *testing.T, id string, exit compute.Exit)
	// Dial is the guest's end of Connect; it must echo nothing by itself.
	Dial func(t *testing.T, id string) io.ReadWriteCloser
	// SetAddresses makes the guest report addresses.
	SetAddresses func(t *testing.T, id string, addresses ...netip.Addr)
}

// Factory makes a fixture for one test; what it makes ends with t.
type Factory func(t *testing.T) Fixture

// Suite runs all cases.
func Suite(t *testing.T, factory Factory) {
	cases := []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"a VM that is not there is ErrNotFound", unknownVM},
		{"Create keeps all that it was given", createKeeps},
		{"Create again returns the same VM", createTwice},
		{"a disk that cannot be attached is ErrInvalid and leaves nothing", createInvalid},
		{"the power life of a VM", powerLife},
		{"Remove refuses a running VM and forgives a missing one", remove},
		{"Update changes what is set and no more", update},
		{"NICs come and go, also while the VM runs", updateNICs},
		{"Watch reports a snapshot and then every change", watch},
		{"Watch returns the callback's error", watchError},
		{"Watch ends with its context", watchContext},
		{"what others change is seen", outside},
		{"an exit record is kept until the next start", exitRecord},
		{"addresses are reported", addresses},
		{"Capacity tells numbers or that it does not know", capacity},
		{"Connect carries bytes both ways", connect},
		{"Connect waits for the guest, and no longer than its context", connectWaits},
		{"a second Connect closes the first", connectReplaces},
		{"Connect carries a megabyte unharmed", connectBulk},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := factory(t)
			if f.Timeout == 0 {
				f.Timeout = 10 * time.Second
			}
			if f.MemoryMB == 0 {
				f.MemoryMB = 128
			}
			c.run(t, &suite{Fixture: f})
		})
	}
}

type suite struct{ Fixture }

// NewID returns a random container ID.
func NewID() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func (s *suite) ctx(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	t.Cleanup(cancel)
	return ctx
}

func (s *suite) request(t *testing.T) compute.CreateRequest {
	id := NewID()
	req := compute.CreateRequest{
		ID: id, Name: "conformance-" + id[:8], CPUs: 1, MemoryMB: s.MemoryMB,
		Metadata: []byte("{\"a\":\"\\u0000\",\"b\":1}\n\x00\xff"),
	}
	if s.Disks != nil {
		req.Disks = s.Disks(t, id)
	}
	if s.NICs != nil {
		req.NICs = s.NICs(t, id)
	}
	if s.Guest != nil {
		req.Guest = s.Guest(t, id)
	}
	return req
}

// create makes a VM that is removed when the test ends.
func (s *suite) create(t *testing.T) compute.VM {
	t.Helper()
	req := s.request(t)
	vm, err := s.Driver.Create(s.ctx(t), req)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	s.cleanup(t, req.ID)
	return vm
}

func (s *suite) cleanup(t *testing.T, id string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
		defer cancel()
		_ = s.Driver.Kill(ctx, id)
		if err := s.Driver.Remove(ctx, id); err != nil {
			t.Errorf("Remove after the test: %v", err)
		}
	})
}

func (s *suite) started(t *testing.T) compute.VM {
	t.Helper()
	vm := s.create(t)
	if err := s.Driver.Start(s.ctx(t), vm.ID); err != nil {
		t.Fatalf("Start: %v", err)
	}
	return vm
}

// eventually asks until ok or the timeout.
func (s *suite) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(s.Timeout)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, s.Timeout)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *suite) get(t *testing.T, id string) compute.VM {
	t.Helper()
	vm, err := s.Driver.Get(s.ctx(t), id)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return vm
}

func want(t *testing.T, call string, err, class error) {
	t.Helper()
	if class == nil && err != nil || class != nil && !errors.Is(err, class) {
		t.Errorf("%s: got %v, want %v", call, err, class)
	}
}

func unknownVM(t *testing.T, s *suite) {
	id, d, ctx := NewID(), s.Driver, s.ctx(t)
	_, err := d.Get(ctx, id)
	want(t, "Get", err, errdef.ErrNotFound)
	want(t, "Start", d.Start(ctx, id), errdef.ErrNotFound)
	want(t, "Stop", d.Stop(ctx, id), errdef.ErrNotFound)
	want(t, "Kill", d.Kill(ctx, id), errdef.ErrNotFound)
	want(t, "Update", d.Update(ctx, compute.UpdateRequest{ID: id, Name: "x"}), errdef.ErrNotFound)
	_, err = d.Connect(ctx, id)
	want(t, "Connect", err, errdef.ErrNotFound)
}

func createKeeps(t *testing.T, s *suite) {
	req := s.request(t)
	vm, err := s.Driver.Create(s.ctx(t), req)
	if err != nil {
		t.Fatal(err)
	}
	s.cleanup(t, req.ID)
	got := s.get(t, req.ID)
	listed, err := s.Driver.List(s.ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	found := compute.VM{}
	for _, v := range listed {
		if v.ID == req.ID {
			found = v
		}
	}
	for what, v := range map[string]compute.VM{"Create": vm, "Get": got, "List": found} {
		if v.ID != req.ID || v.State != compute.StateOff || v.CPUs != req.CPUs || v.MemoryMB != req.MemoryMB ||
			v.Name == "" || v.Exit != nil || !bytes.Equal(v.Metadata, req.Metadata) {
			t.Errorf("%s returned %+v for %+v", what, v, req)
		}
	}
}

func createTwice(t *testing.T, s *suite) {
	req := s.request(t)
	first, err := s.Driver.Create(s.ctx(t), req)
	if err != nil {
		t.Fatal(err)
	}
	s.cleanup(t, req.ID)
	second, err := s.Driver.Create(s.ctx(t), req)
	if err != nil || second.ID != first.ID || second.Locator != first.Locator {
		t.Errorf("second Create: %+v, %v; first %+v", second, err, first)
	}
	vms, err := s.Driver.List(s.ctx(t))
	n := 0
	for _, v := range vms {
		if v.ID == req.ID {
			n++
		}
	}
	if err != nil || n != 1 {
		t.Errorf("List shows the VM %d times: %v", n, err)
	}
}

func createInvalid(t *testing.T, s *suite) {
	req := s.request(t)
	req.Disks = []device.Disk{{Kind: "punched-cards", Locator: "drawer 3"}}
	_, err := s.Driver.Create(s.ctx(t), req)
	want(t, "Create", err, errdef.ErrInvalid)
	_, err = s.Driver.Get(s.ctx(t), req.ID)
	want(t, "Get", err, errdef.ErrNotFound)
}

func powerLife(t *testing.T, s *suite) {
	vm, d := s.create(t), s.Driver
	want(t, "Kill of a VM that is off", d.Kill(s.ctx(t), vm.ID), nil)
	before := time.Now().Add(-time.Minute)
	want(t, "Start", d.Start(s.ctx(t), vm.ID), nil)
	want(t, "Start again", d.Start(s.ctx(t), vm.ID), nil)
	got := s.get(t, vm.ID)
	if got.State != compute.StateRunning || got.PoweredOn.Before(before) {
		t.Errorf("after Start: %+v", got)
	}
	want(t, "Kill", d.Kill(s.ctx(t), vm.ID), nil)
	if got := s.get(t, vm.ID); got.State != compute.StateOff {
		t.Errorf("after Kill: %s", got.State)
	}
	want(t, "Start after Kill", d.Start(s.ctx(t), vm.ID), nil)
	if err := d.Stop(s.ctx(t), vm.ID); err != nil && !errors.Is(err, errdef.ErrUnsupported) {
		t.Errorf("Stop: %v", err)
	}
}

func remove(t *testing.T, s *suite) {
	vm, d := s.started(t), s.Driver
	want(t, "Remove of a running VM", d.Remove(s.ctx(t), vm.ID), errdef.ErrConflict)
	want(t, "Kill", d.Kill(s.ctx(t), vm.ID), nil)
	want(t, "Remove", d.Remove(s.ctx(t), vm.ID), nil)
	want(t, "Remove again", d.Remove(s.ctx(t), vm.ID), nil)
	_, err := d.Get(s.ctx(t), vm.ID)
	want(t, "Get", err, errdef.ErrNotFound)
}

func update(t *testing.T, s *suite) {
	vm, d := s.create(t), s.Driver
	want(t, "Update", d.Update(s.ctx(t), compute.UpdateRequest{ID: vm.ID, Metadata: []byte("new")}), nil)
	got := s.get(t, vm.ID)
	if string(got.Metadata) != "new" || got.Name != vm.Name || got.MemoryMB != vm.MemoryMB {
		t.Errorf("after Update of the metadata: %+v, was %+v", got, vm)
	}
	want(t, "Update", d.Update(s.ctx(t), compute.UpdateRequest{ID: vm.ID, Guest: map[string]string{"probe": "1"}}), nil)
	if got := s.get(t, vm.ID); string(got.Metadata) != "new" {
		t.Errorf("Update of guest keys changed the metadata to %q", got.Metadata)
	}
	want(t, "Update", d.Update(s.ctx(t), compute.UpdateRequest{ID: vm.ID, MemoryMB: s.MemoryMB * 2}), nil)
	if got := s.get(t, vm.ID); got.MemoryMB != s.MemoryMB*2 || got.CPUs != vm.CPUs {
		t.Errorf("after Update of the memory: %+v", got)
	}
}

func updateNICs(t *testing.T, s *suite) {
	if s.NICs == nil {
		t.Skip("the fixture has no NICs")
	}
	vm, d := s.create(t), s.Driver
	nics := s.NICs(t, vm.ID)
	for i := range nics {
		nics[i].MAC = fmt.Sprintf("00:50:56:01:00:%02x", i)
	}
	another := nics[0]
	another.MAC = "00:50:56:01:01:00"
	for _, running := range []bool{false, true} {
		if running {
			want(t, "Start", d.Start(s.ctx(t), vm.ID), nil)
		}
		lists := [][]device.NIC{nics, append(slices.Clone(nics), another), {another}, {}, nics}
		if running && s.Guestless {
			lists = lists[:2]
		}
		for _, list := range lists {
			err := d.Update(s.ctx(t), compute.UpdateRequest{ID: vm.ID, NICs: &list})
			want(t, fmt.Sprintf("Update to %d NICs (running %v)", len(list), running), err, nil)
			if s.MACs == nil {
				continue
			}
			has := s.MACs(t, vm.ID)
			for _, n := range list {
				if !slices.Contains(has, n.MAC) {
					t.Errorf("NIC %s is not there (running %v): %v", n.MAC, running, has)
				}
			}
			if len(has) > len(list)+1 { // one may be the link's own
				t.Errorf("the VM has %v, wanted %v (running %v)", has, list, running)
			}
		}
	}
	bad := []device.NIC{{Kind: "tin-can", Locator: "string", MAC: another.MAC}}
	want(t, "Update", d.Update(s.ctx(t), compute.UpdateRequest{ID: vm.ID, NICs: &bad}), errdef.ErrInvalid)
}
