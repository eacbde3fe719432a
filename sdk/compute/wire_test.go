package compute

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/openvic/vic/sdk/device"
	computev1 "github.com/openvic/vic/sdk/proto/compute/v1"
)

// over sends a message through its encoding, so that the test sees what the other side sees.
func over[M proto.Message](t *testing.T, in, out M) M {
	t.Helper()
	b, err := proto.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVMsCrossTheWireUnchanged(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC)
	for name, vm := range map[string]VM{
		"zero": {},
		"full": {
			ID: "a", Name: "n", State: StateSuspended, CPUs: 2, MemoryMB: 1 << 40, Metadata: []byte{0, 0xff},
			Exit:      &Exit{Code: -1, OOM: true, Error: "no such file", Started: at, Finished: at.Add(time.Second)},
			Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1%eth0")},
			PoweredOn: at, Locator: "vm-42",
		},
		"exit without times": {ID: "b", State: StateOff, Exit: &Exit{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := vmFromWire(over(t, vmToWire(vm), &computev1.Vm{}))
			if err != nil || !reflect.DeepEqual(got, vm) {
				t.Errorf("got %+v, %v, want %+v", got, err, vm)
			}
		})
	}
}

func TestRequestsCrossTheWireUnchanged(t *testing.T) {
	create := CreateRequest{
		ID: "a", Name: "n", CPUs: 1, MemoryMB: 2, Guest: map[string]string{"config": "{}"}, Metadata: []byte("m"),
		Disks: []device.Disk{{Kind: "vmdk", Locator: "[ds] a.vmdk", ReadOnly: true}, {Kind: "vmdk-delta", Locator: "b"}},
		NICs:  []device.NIC{{Kind: "portgroup", Locator: "dvportgroup-1", MAC: "02:42:ac:10:00:02"}},
	}
	if got := createFromWire(over(t, createToWire(create), &computev1.CreateRequest{})); !reflect.DeepEqual(got, create) {
		t.Errorf("got %+v, want %+v", got, create)
	}
	for name, update := range map[string]UpdateRequest{
		"nothing":         {ID: "a"},
		"empty metadata":  {ID: "a", Metadata: []byte{}},
		"everything":      {ID: "a", Name: "n", Metadata: []byte("m"), CPUs: 1, MemoryMB: 2, Guest: map[string]string{"k": ""}},
		"a key to remove": {ID: "a", Guest: map[string]string{"k": ""}},
		"NICs":            {ID: "a", NICs: &create.NICs},
	} {
		t.Run(name, func(t *testing.T) {
			if got := updateFromWire(over(t, updateToWire(update), &computev1.UpdateRequest{})); !reflect.DeepEqual(got, update) {
				t.Errorf("got %#v, want %#v", got, update)
			}
		})
	}
}

func TestNoNICsAreNotUnchangedNICs(t *testing.T) {
	got := updateFromWire(over(t, updateToWire(UpdateRequest{ID: "a", NICs: &[]device.NIC{}}), &computev1.UpdateRequest{}))
	if got.NICs == nil || len(*got.NICs) != 0 {
		t.Errorf("got %v", got.NICs)
	}
}

func TestEventsCrossTheWireUnchanged(t *testing.T) {
	for _, e := range []Event{
		{Kind: EventSnapshot},
		{Kind: EventSnapshot, VMs: []VM{{ID: "a", State: StateOff}, {ID: "b", State: StateRunning}}},
		{Kind: EventPut, VM: VM{ID: "a", State: StateRunning}},
		{Kind: EventRemove, VM: VM{ID: "a"}},
	} {
		got, err := eventFromWire(over(t, eventToWire(e), &computev1.WatchResponse{}))
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, %v, want %+v", got, err, e)
		}
	}
}

func TestWhatTheWireMayNotCarryIsAnError(t *testing.T) {
	if _, err := vmFromWire(&computev1.Vm{State: 99}); err == nil {
		t.Error("an unknown power state passed")
	}
	if _, err := vmFromWire(&computev1.Vm{Addresses: []string{"localhost"}}); err == nil {
		t.Error("a host name passed for an address")
	}
	if _, err := eventFromWire(&computev1.WatchResponse{}); err == nil {
		t.Error("an event without a kind passed")
	}
}

func TestCapacityCrossesTheWireUnchanged(t *testing.T) {
	for _, c := range []Capacity{{}, {CPUs: 3, CPUMHz: 7200, MemoryMB: 1 << 33}} {
		if got := capacityFromWire(over(t, capacityToWire(c), &computev1.CapacityResponse{})); got != c {
			t.Errorf("got %+v, want %+v", got, c)
		}
	}
}
