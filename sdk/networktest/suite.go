// Package networktest is the conformance suite for network drivers: what network.Driver promises, as
// tests. A driver's author calls Suite with a factory.
package networktest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

// Fixture is a driver and one of its networks.
type Fixture struct {
	Driver network.Driver
	// Network is the ID of a network with IPAM, at least three addresses of which are free.
	Network string
	// Restart, if set, makes the driver anew, as after a crash, with the containers still there.
	Restart func(t *testing.T) network.Driver
	// Small, if set, is the ID of a network with fewer than 20 free addresses.
	Small string
	// Creates: the driver makes networks. Publishes: it publishes ports. Given, if set, is the ID of
	// a network that the administrator gave.
	Creates, Publishes bool
	Given              string
	// Timeout of one call; 0 means 10 s.
	Timeout time.Duration
}

// Factory makes a fixture for one test; what it makes ends with t.
type Factory func(t *testing.T) Fixture

// Suite runs all cases.
func Suite(t *testing.T, factory Factory) {
	cases := []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"a network that is not there is ErrNotFound", unknown},
		{"List and Get agree", list},
		{"Join gives a NIC and an address of the subnet", join},
		{"Join again returns the same", joinTwice},
		{"no address is given twice", joinMany},
		{"a wanted address is given, and refused when taken or outside", wanted},
		{"Leave frees the address", leave},
		{"a network without free addresses is ErrExhausted", exhausted},
		{"leases survive a restart", restart},
		{"the life of a network that was made", networkLife},
		{"Create again returns the same network", createTwice},
		{"subnets do not overlap", subnets},
		{"networks that were made survive a restart", createdSurvive},
		{"a network with IPv6 gives addresses of both kinds", ipv6},
		{"a network that the administrator gave stays", given},
		{"ports are published once, and chosen where they may be", publish},
		{"CheckOnly binds nothing", publishCheck},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := factory(t)
			if f.Timeout == 0 {
				f.Timeout = 10 * time.Second
			}
			c.run(t, &suite{Fixture: f})
		})
	}
}

type suite struct{ Fixture }

func newID() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func (s *suite) ctx(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	t.Cleanup(cancel)
	return ctx
}

// join joins and leaves when the test ends.
func (s *suite) join(t *testing.T, req network.JoinRequest) network.Endpoint {
	t.Helper()
	s.leaveLater(t, req)
	e, err := s.Driver.Join(s.ctx(t), req)
	if err != nil {
		t.Fatalf("Join: %v", err)
	}
	return e
}

func (s *suite) leaveLater(t *testing.T, req network.JoinRequest) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
		defer cancel()
		leave := network.LeaveRequest{Network: req.Network, Container: req.Container}
		if err := s.Driver.Leave(ctx, leave); err != nil {
			t.Errorf("Leave after the test: %v", err)
		}
	})
}

func want(t *testing.T, call string, err, class error) {
	t.Helper()
	if class == nil && err != nil || class != nil && !errors.Is(err, class) {
		t.Errorf("%s: got %v, want %v", call, err, class)
	}
}

func unknown(t *testing.T, s *suite) {
	_, err := s.Driver.Get(s.ctx(t), "no-such-network")
	want(t, "Get", err, errdef.ErrNotFound)
	_, err = s.Driver.Join(s.ctx(t), network.JoinRequest{Network: "no-such-network", Container: newID()})
	want(t, "Join", err, errdef.ErrNotFound)
	want(t, "Leave", s.Driver.Leave(s.ctx(t), network.LeaveRequest{Network: s.Network, Container: newID()}), nil)
}

func list(t *testing.T, s *suite) {
	all, err := s.Driver.List(s.ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, n := range all {
		got, err := s.Driver.Get(s.ctx(t), n.ID)
		if err != nil || !reflect.DeepEqual(got, n) {
			t.Errorf("Get(%s): %+v, %v; List says %+v", n.ID, got, err, n)
		}
		found = found || n.ID == s.Network
		dhcp := n.Driver == network.DriverExternal && !n.Subnet.IsValid()
		if (!dhcp && (!n.Subnet.IsValid() || !n.Subnet.Contains(n.Gateway))) || n.Name == "" || n.Driver == "" {
			t.Errorf("network %+v lacks something", n)
		}
	}
	if !found {
		t.Errorf("List does not show %s", s.Network)
	}
}

func join(t *testing.T, s *suite) {
	n, err := s.Driver.Get(s.ctx(t), s.Network)
	if err != nil {
		t.Fatal(err)
	}
	req := network.JoinRequest{Network: s.Network, Container: newID()}
	e := s.join(t, req)
	if e.Network != req.Network || e.Container != req.Container || e.NIC.Kind == "" || e.NIC.Locator == "" || e.NIC.MAC == "" {
		t.Errorf("endpoint %+v lacks something", e)
	}
	if len(e.Addresses) == 0 || !n.Subnet.Contains(e.Addresses[0].Addr()) || e.Addresses[0].Bits() != n.Subnet.Bits() ||
		e.Addresses[0].Addr() == n.Gateway {
		t.Errorf("addresses %v in subnet %s with gateway %s", e.Addresses, n.Subnet, n.Gateway)
	}
}

func joinTwice(t *testing.T, s *suite) {
	req := network.JoinRequest{Network: s.Network, Container: newID()}
	first, second := s.join(t, req), s.join(t, req)
	if !reflect.DeepEqual(first, second) {
		t.Errorf("first %+v, second %+v", first, second)
	}
}

func joinMany(t *testing.T, s *suite) {
	const n = 3
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen := map[netip.Addr]bool{}
	macs := map[string]bool{}
	for range n {
		req := network.JoinRequest{Network: s.Network, Container: newID()}
		s.leaveLater(t, req)
		ctx := s.ctx(t)
		wg.Go(func() {
			e, err := s.Driver.Join(ctx, req)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("Join: %v", err)
				return
			}
			seen[e.Addresses[0].Addr()], macs[e.NIC.MAC] = true, true
		})
	}
	wg.Wait()
	if len(seen) != n || len(macs) != n {
		t.Errorf("%d endpoints got the addresses %v and MACs %v", n, seen, macs)
	}
}

func wanted(t *testing.T, s *suite) {
	probe := s.join(t, network.JoinRequest{Network: s.Network, Container: newID()})
	addr := probe.Addresses[0].Addr()
	_, err := s.Driver.Join(s.ctx(t), network.JoinRequest{Network: s.Network, Container: newID(), Address: addr})
	want(t, "Join with an address that is taken", err, errdef.ErrConflict)
	outside := netip.MustParseAddr("203.0.113.77")
	_, err = s.Driver.Join(s.ctx(t), network.JoinRequest{Network: s.Network, Container: newID(), Address: outside})
	want(t, "Join with an address outside", err, errdef.ErrInvalid)
	want(t, "Leave", s.Driver.Leave(s.ctx(t), network.LeaveRequest{Network: s.Network, Container: probe.Container}), nil)
	mine := s.join(t, network.JoinRequest{Network: s.Network, Container: newID(), Address: addr, MAC: "02:42:00:00:00:99"})
	if mine.Addresses[0].Addr() != addr || mine.NIC.MAC != "02:42:00:00:00:99" {
		t.Errorf("wanted %s, got %+v", addr, mine)
	}
}

func leave(t *testing.T, s *suite) {
	req := network.JoinRequest{Network: s.Network, Container: newID()}
	e := s.join(t, req)
	l := network.LeaveRequest{Network: req.Network, Container: req.Container}
	want(t, "Leave", s.Driver.Leave(s.ctx(t), l), nil)
	want(t, "Leave again", s.Driver.Leave(s.ctx(t), l), nil)
	s.join(t, network.JoinRequest{Network: s.Network, Container: newID(), Address: e.Addresses[0].Addr()})
}

func exhausted(t *testing.T, s *suite) {
	if s.Small == "" {
		t.Skip("the fixture has no small network")
	}
	for range 20 {
		req := network.JoinRequest{Network: s.Small, Container: newID()}
		s.leaveLater(t, req)
		if _, err := s.Driver.Join(s.ctx(t), req); err != nil {
			want(t, "Join", err, errdef.ErrExhausted)
			return
		}
	}
	t.Error("20 endpoints fit on the small network")
}

func restart(t *testing.T, s *suite) {
	if s.Restart == nil {
		t.Skip("the fixture cannot restart")
	}
	req := network.JoinRequest{Network: s.Network, Container: newID()}
	e, err := s.Driver.Join(s.ctx(t), req)
	if err != nil {
		t.Fatalf("Join: %v", err)
	}
	s.Driver = s.Restart(t)
	s.leaveLater(t, req)
	other := s.join(t, network.JoinRequest{Network: s.Network, Container: newID()})
	if e.Addresses[0] == other.Addresses[0] {
		t.Errorf("address %s was given twice", e.Addresses[0])
	}
}
