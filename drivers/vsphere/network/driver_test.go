package network

import (
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/networktest"
)

func TestConformance(t *testing.T) {
	networktest.Suite(t, func(t *testing.T) networktest.Fixture {
		v := vctest.New(t)
		v.Config.Network.Bridge.Subnet = netip.MustParsePrefix("10.9.8.0/28")
		v.Config.Network.Bridge.Gateway = netip.MustParseAddr("10.9.8.1")
		file := filepath.Join(t.TempDir(), "leases.json")
		d := New(v.Inv, v.Config, file, v.Log)
		return networktest.Fixture{
			Driver: d, Network: d.net.ID, Small: d.net.ID,
			Restart: func(*testing.T) network.Driver { return New(v.Inv, v.Config, file, v.Log) },
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
		d = New(v.Inv, v.Config, "", v.Log)
		go d.Run(t.Context())
		e, err := d.Join(t.Context(), network.JoinRequest{Network: d.net.ID, Container: id})
		if err != nil || e.Addresses[0].String() != "172.16.0.9/16" || e.NIC.MAC != mac || e.Gateway.String() != "172.16.0.1" || e.DNS[0] != e.Gateway {
			t.Errorf("%+v, %v", e, err)
		}
		_, err = d.Join(t.Context(), network.JoinRequest{Network: d.net.ID, Container: "other", Address: netip.MustParseAddr("172.16.0.9")})
		if !errors.Is(err, errdef.ErrConflict) {
			t.Errorf("the address was given twice: %v", err)
		}
	})
	d2 := New(v.Inv, v.Config, "", v.Log)
	if _, err := d2.Join(t.Context(), network.JoinRequest{Network: d.net.ID, Container: "other", Address: netip.MustParseAddr("172.16.0.9")}); err != nil {
		t.Errorf("after the VM has gone: %v", err)
	}
}

func TestLeaseOfADeletedVMIsFree(t *testing.T) {
	v := vctest.New(t)
	d := New(v.Inv, v.Config, "", v.Log)
	go d.Run(t.Context())
	id := vctest.ID()
	t.Run("with the VM", func(t *testing.T) {
		v.Container(t, id, v.Base, guestConfig(t, "00:50:56:00:00:07", "172.16.0.9/16"))
		wait(t, func() bool { _, ok := lookup(d, id); return ok })
	})
	wait(t, func() bool { _, ok := lookup(d, id); return !ok })
}

func lookup(d *Driver, id string) (lease, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.pool.leases[id]
	return l, ok
}

func wait(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 5 s")
		}
	}
}

func TestAddressesRotate(t *testing.T) {
	p := newPool(netip.MustParsePrefix("10.0.0.0/29"), netip.MustParseAddr("10.0.0.1"))
	give := func(c string) string {
		l, err := p.give(c, netip.Addr{}, "")
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
	if _, err := p.give("one more", netip.Addr{}, ""); !errors.Is(err, errdef.ErrExhausted) {
		t.Errorf("full: %v", err)
	}
	for _, bad := range []string{"10.0.0.0", "10.0.0.1", "10.0.0.7", "10.0.1.2"} {
		if _, err := p.give("x", netip.MustParseAddr(bad), ""); !errors.Is(err, errdef.ErrInvalid) {
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
