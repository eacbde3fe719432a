package networktest

import (
	"context"
	"net/netip"
	"reflect"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/network"
)

// create makes a network and removes it when the test ends.
func (s *suite) create(t *testing.T, req network.CreateRequest) network.Network {
	t.Helper()
	if req.ID == "" {
		req.ID = newID()
	}
	if req.Name == "" {
		req.Name = "n" + req.ID[:8]
	}
	n, err := s.Driver.Create(s.ctx(t), req)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
		defer cancel()
		if err := s.Driver.Remove(ctx, n.ID); err != nil {
			t.Errorf("Remove after the test: %v", err)
		}
	})
	return n
}

func (s *suite) creates(t *testing.T) {
	t.Helper()
	if !s.Creates {
		t.Skip("the driver makes no networks")
	}
}

func networkLife(t *testing.T, s *suite) {
	s.creates(t)
	subnet := netip.MustParsePrefix("192.168.77.0/24")
	n := s.create(t, network.CreateRequest{Subnet: subnet, Gateway: netip.MustParseAddr("192.168.77.9"),
		IPRange: netip.MustParsePrefix("192.168.77.128/25"), Internal: true, Labels: map[string]string{"a": "b"}})
	if n.Subnet != subnet || n.Gateway.String() != "192.168.77.9" || !n.Internal || n.Labels["a"] != "b" ||
		n.Created.IsZero() || n.Given || n.Driver != network.DriverBridge {
		t.Errorf("made %+v", n)
	}
	got, err := s.Driver.Get(s.ctx(t), n.ID)
	if err != nil || !reflect.DeepEqual(got, n) {
		t.Errorf("Get: %+v, %v", got, err)
	}
	req := network.JoinRequest{Network: n.ID, Container: newID(), Names: []string{"web"}}
	e, err := s.Driver.Join(s.ctx(t), req)
	if err != nil || !subnet.Contains(e.Addresses[0].Addr()) {
		t.Fatalf("Join: %+v, %v", e, err)
	}
	want(t, "Remove with a member", s.Driver.Remove(s.ctx(t), n.ID), errdef.ErrConflict)
	want(t, "Leave", s.Driver.Leave(s.ctx(t), network.LeaveRequest{Network: n.ID, Container: req.Container}), nil)
	want(t, "Remove", s.Driver.Remove(s.ctx(t), n.ID), nil)
	want(t, "Remove again", s.Driver.Remove(s.ctx(t), n.ID), nil)
	_, err = s.Driver.Get(s.ctx(t), n.ID)
	want(t, "Get after Remove", err, errdef.ErrNotFound)
}

func createTwice(t *testing.T, s *suite) {
	s.creates(t)
	req := network.CreateRequest{ID: newID(), Name: "twice"}
	first, second := s.create(t, req), s.create(t, req)
	if !reflect.DeepEqual(first, second) {
		t.Errorf("first %+v, second %+v", first, second)
	}
	req.Name = "other"
	_, err := s.Driver.Create(s.ctx(t), req)
	want(t, "Create with the ID of another", err, errdef.ErrExists)
}

func subnets(t *testing.T, s *suite) {
	s.creates(t)
	given, err := s.Driver.Get(s.ctx(t), s.Network)
	if err != nil {
		t.Fatal(err)
	}
	a, b := s.create(t, network.CreateRequest{}), s.create(t, network.CreateRequest{})
	if a.Subnet.Overlaps(b.Subnet) || a.Subnet.Overlaps(given.Subnet) || !a.Subnet.Contains(a.Gateway) {
		t.Errorf("%s, %s and %s", given.Subnet, a.Subnet, b.Subnet)
	}
	for _, taken := range []netip.Prefix{a.Subnet, given.Subnet} {
		_, err := s.Driver.Create(s.ctx(t), network.CreateRequest{ID: newID(), Name: "x", Subnet: taken})
		want(t, "Create with the subnet of another", err, errdef.ErrConflict)
	}
	_, err = s.Driver.Create(s.ctx(t), network.CreateRequest{ID: newID(), Name: "x", Subnet: netip.MustParsePrefix("192.168.78.0/24"), Gateway: a.Gateway})
	want(t, "Create with a gateway outside", err, errdef.ErrInvalid)
	_, err = s.Driver.Create(s.ctx(t), network.CreateRequest{ID: newID(), Name: "x", Driver: "carrier-pigeon"})
	want(t, "Create with a driver that is not there", err, errdef.ErrUnsupported)
}

func createdSurvive(t *testing.T, s *suite) {
	s.creates(t)
	if s.Restart == nil {
		t.Skip("the fixture cannot restart")
	}
	n, err := s.Driver.Create(s.ctx(t), network.CreateRequest{ID: newID(), Name: "survivor", Labels: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	s.Driver = s.Restart(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
		defer cancel()
		want(t, "Remove after the test", s.Driver.Remove(ctx, n.ID), nil)
	})
	got, err := s.Driver.Get(s.ctx(t), n.ID)
	if err != nil || got.Name != n.Name || got.Subnet != n.Subnet || got.Labels["a"] != "b" || !got.Created.Equal(n.Created) {
		t.Errorf("after a restart: %+v, %v; made %+v", got, err, n)
	}
}

func ipv6(t *testing.T, s *suite) {
	s.creates(t)
	subnet := netip.MustParsePrefix("fd00:77::/64")
	n := s.create(t, network.CreateRequest{IPv6: true, Subnet6: subnet})
	e := s.join(t, network.JoinRequest{Network: n.ID, Container: newID()})
	if len(e.Addresses) != 2 || !e.Addresses[0].Addr().Is4() || !subnet.Contains(e.Addresses[1].Addr()) ||
		e.Gateway6 != n.Gateway6 || !subnet.Contains(n.Gateway6) {
		t.Errorf("endpoint %+v of %+v", e, n)
	}
}

func given(t *testing.T, s *suite) {
	if s.Given == "" {
		t.Skip("the fixture has no such network")
	}
	n, err := s.Driver.Get(s.ctx(t), s.Given)
	if err != nil || !n.Given {
		t.Errorf("%+v, %v", n, err)
	}
	want(t, "Remove", s.Driver.Remove(s.ctx(t), s.Given), errdef.ErrDenied)
}

func publish(t *testing.T, s *suite) {
	if !s.Publishes {
		t.Skip("the driver publishes no ports")
	}
	a := network.JoinRequest{Network: s.Network, Container: newID()}
	b := network.JoinRequest{Network: s.Network, Container: newID()}
	s.join(t, a)
	s.join(t, b)
	pub := func(r network.JoinRequest, host uint16) ([]network.Port, error) {
		return s.Driver.Publish(s.ctx(t), network.PublishRequest{Network: r.Network, Container: r.Container,
			Ports: []network.Port{{Protocol: "tcp", HostPort: host, ContainerPort: 80}}})
	}
	chosen, err := pub(a, 0)
	if err != nil || len(chosen) != 1 || chosen[0].HostPort == 0 || chosen[0].ContainerPort != 80 {
		t.Fatalf("Publish: %v, %v", chosen, err)
	}
	again, err := pub(a, chosen[0].HostPort)
	if err != nil || again[0] != chosen[0] {
		t.Errorf("Publish again: %v, %v", again, err)
	}
	_, err = pub(b, chosen[0].HostPort)
	want(t, "Publish of a port that is taken", err, errdef.ErrConflict)
	other, err := pub(b, 0)
	if err != nil || other[0].HostPort == chosen[0].HostPort {
		t.Errorf("Publish: %v, %v; taken is %v", other, err, chosen)
	}
	want(t, "Unpublish", s.Driver.Unpublish(s.ctx(t), network.UnpublishRequest{Container: a.Container}), nil)
	want(t, "Unpublish again", s.Driver.Unpublish(s.ctx(t), network.UnpublishRequest{Container: a.Container}), nil)
	if _, err = pub(b, chosen[0].HostPort); err != nil {
		t.Errorf("Publish of a port that was freed: %v", err)
	}
}

func publishCheck(t *testing.T, s *suite) {
	if !s.Publishes {
		t.Skip("the driver publishes no ports")
	}
	req := network.JoinRequest{Network: s.Network, Container: newID()}
	s.join(t, req)
	p := network.PublishRequest{Network: req.Network, Container: req.Container, Ports: []network.Port{{Protocol: "udp", ContainerPort: 53}}}
	taken, err := s.Driver.Publish(s.ctx(t), p)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	check := network.PublishRequest{Network: req.Network, Container: newID(), CheckOnly: true, Ports: taken}
	_, err = s.Driver.Publish(s.ctx(t), check)
	want(t, "check of a port that is taken", err, errdef.ErrConflict)
	want(t, "Unpublish", s.Driver.Unpublish(s.ctx(t), network.UnpublishRequest{Container: req.Container}), nil)
	for range 2 {
		_, err = s.Driver.Publish(s.ctx(t), check)
		want(t, "check of a port that is free", err, nil)
	}
}
