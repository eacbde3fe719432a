package network

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/networktest"
)

// memory is a Store that a new driver finds again.
type memory map[string][]byte

func (m memory) List(context.Context, string) ([]string, error) {
	return slices.Collect(maps.Keys(m)), nil
}
func (m memory) Get(_ context.Context, name string) ([]byte, error) { return m[name], nil }
func (m memory) Put(_ context.Context, name string, b []byte) error { m[name] = b; return nil }
func (m memory) Remove(_ context.Context, name string) error        { delete(m, name); return nil }

// system records what the kernel would be told.
type system struct {
	mu       sync.Mutex
	rules    Rules
	gateways []netip.Prefix
	busy     map[uint16]bool
	fail     error
}

func (*system) Addresses(iface string) []netip.Prefix {
	public := []netip.Prefix{netip.MustParsePrefix("192.0.2.5/24")}
	if iface == "public" {
		return public
	}
	return append(public, netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("198.51.100.5/24"))
}

func (s *system) SetGateways(_ string, want, _ []netip.Prefix) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gateways = want
	return s.fail
}

func (s *system) Apply(r Rules) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = r
	return nil
}

func (s *system) PortFree(p network.Port) bool   { return !s.busy[p.HostPort] }
func (s *system) ForgetFlows(network.Port) error { return nil }

// rig is a driver over a simulated vCenter that can be made again.
type rig struct {
	*Driver
	v    *vctest.VCenter
	sys  *system
	make func() *Driver
}

func newRig(t *testing.T, v *vctest.VCenter) *rig {
	t.Helper()
	r := &rig{v: v, sys: &system{busy: map[uint16]bool{}}}
	store, dir := memory{}, t.TempDir()
	v.Config.SetDefaults()
	r.make = func() *Driver {
		d, err := New(context.Background(), Options{Inventory: v.Inv, Config: v.Config, Store: store, System: r.sys, Dir: dir, Log: v.Log})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	r.Driver = r.make()
	return r
}

func TestConformance(t *testing.T) {
	networktest.Suite(t, func(t *testing.T) networktest.Fixture {
		v := vctest.New(t)
		v.Config.Network.Bridge.Subnet = netip.MustParsePrefix("10.9.8.0/28")
		v.Config.Network.Bridge.Gateway = netip.MustParseAddr("10.9.8.1")
		r := newRig(t, v)
		id := r.bridge.ID
		return networktest.Fixture{
			Driver: r.Driver, Network: id, Small: id, Creates: true, Publishes: true, Given: id,
			Restart: func(*testing.T) network.Driver { return r.make() },
		}
	})
}

func guestConfig(t *testing.T, mac, addr string) map[string]string {
	t.Helper()
	b, err := json.Marshal(guest.Config{Networks: []guest.Network{{Name: "bridge", MAC: mac, Addresses: []netip.Prefix{netip.MustParsePrefix(addr)}}}})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{guest.Prefix + guest.KeyConfig: string(b)}
}

func TestLeasesAreFoundInTheVMsAndEndWithThem(t *testing.T) {
	v := vctest.New(t)
	id, mac := vctest.ID(), "00:50:56:00:00:07"
	var d *Driver
	t.Run("while the VM is there", func(t *testing.T) {
		v.Container(t, id, v.Base, guestConfig(t, mac, "172.16.0.9/16"))
		d = newRig(t, v).Driver
		go d.Run(t.Context())
		e, err := d.Join(t.Context(), network.JoinRequest{Network: d.bridge.ID, Container: id})
		if err != nil || e.Addresses[0].String() != "172.16.0.9/16" || e.NIC.MAC != mac || e.Gateway.String() != "172.16.0.1" || e.DNS[0] != e.Gateway {
			t.Errorf("%+v, %v", e, err)
		}
		_, err = d.Join(t.Context(), network.JoinRequest{Network: d.bridge.ID, Container: "other", Address: netip.MustParseAddr("172.16.0.9")})
		if !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("the address was given twice: %v", err)
		}
	})
	d2 := newRig(t, v).Driver
	if _, err := d2.Join(t.Context(), network.JoinRequest{Network: d2.bridge.ID, Container: "other", Address: netip.MustParseAddr("172.16.0.9")}); err != nil {
		t.Errorf("after the VM has gone: %v", err)
	}
}

func TestLeaseOfADeletedVMIsFree(t *testing.T) {
	v := vctest.New(t)
	d := newRig(t, v).Driver
	events := v.Inv.Subscribe()
	defer events.Close()
	until := func(kind inventory.Kind, id string) {
		t.Helper()
		for {
			e, err := events.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if d.follow(e); e.Kind == kind && e.Machine.ID() == id {
				return
			}
		}
	}
	id := vctest.ID()
	t.Run("with the VM", func(t *testing.T) {
		v.Container(t, id, v.Base, guestConfig(t, "00:50:56:00:00:07", "172.16.0.9/16"))
		until(inventory.Put, id)
		if _, ok := d.bridge.pool.leases[id]; !ok {
			t.Error("the lease of the VM is not known")
		}
	})
	until(inventory.Remove, id)
	if l, ok := d.bridge.pool.leases[id]; ok {
		t.Errorf("the lease %+v outlives its VM", l)
	}
}

func TestAddressesRotate(t *testing.T) {
	p := newPool(netip.MustParsePrefix("10.0.0.0/29"), netip.MustParseAddr("10.0.0.1"))
	give := func(c string) string {
		l, err := p.give(c, netip.Addr{}, netip.Addr{}, "")
		if err != nil {
			return err.Error()
		}
		return l.addr.String()
	}
	for _, want := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.4"} {
		if got := give(want); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	p.release("10.0.0.2")
	for _, want := range []string{"10.0.0.5", "10.0.0.6", "10.0.0.2"} {
		if got := give(want); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if _, err := p.give("one more", netip.Addr{}, netip.Addr{}, ""); !errors.Is(err, errdef.ErrExhausted) {
		t.Errorf("full: %v", err)
	}
	for _, bad := range []string{"10.0.0.0", "10.0.0.1", "10.0.0.7", "10.0.1.2"} {
		if _, err := p.give("x", netip.MustParseAddr(bad), netip.Addr{}, ""); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestNetworkIDIsStable(t *testing.T) {
	a := networkID("vch1", "dvportgroup-1")
	if len(a) != 64 || a != networkID("vch1", "dvportgroup-1") || a == networkID("vch2", "dvportgroup-1") {
		t.Error(a)
	}
}
