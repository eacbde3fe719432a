package network

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/internal/vctest"
	"github.com/openvic/vic/drivers/vsphere/inventory"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
)

func (r *rig) network(t *testing.T, req network.CreateRequest) network.Network {
	t.Helper()
	req.ID = vctest.ID()
	n, err := r.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (r *rig) joined(t *testing.T, req network.JoinRequest) network.Endpoint {
	t.Helper()
	e, err := r.Join(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTheKernelFollowsTheNetworks(t *testing.T) {
	r := newRig(t, vctest.New(t))
	open := r.network(t, network.CreateRequest{Name: "open", IPv6: true})
	closed := r.network(t, network.CreateRequest{Name: "closed", Internal: true, Subnet: netip.MustParsePrefix("192.168.5.0/24")})
	want := []netip.Prefix{netip.MustParsePrefix("172.17.0.1/20"), netip.MustParsePrefix("192.168.5.1/24"), netip.PrefixFrom(open.Gateway6, 64)}
	if !slices.Equal(r.sys.gateways, want) {
		t.Errorf("gateways %v, want %v", r.sys.gateways, want)
	}
	if len(r.sys.rules.Subnets) != 4 || !slices.Contains(r.sys.rules.Subnets, Subnet{closed.Subnet, true}) {
		t.Errorf("rules %+v", r.sys.rules)
	}
	again := r.make()
	if !slices.Equal(r.sys.gateways, want) || len(again.nets) != 3 {
		t.Errorf("after a restart: gateways %v", r.sys.gateways)
	}
	if err := r.Remove(t.Context(), open.ID); err != nil || len(r.sys.gateways) != 1 {
		t.Errorf("%v, gateways %v", err, r.sys.gateways)
	}
}

func TestANetworkThatTheKernelRefusesIsNotThere(t *testing.T) {
	r := newRig(t, vctest.New(t))
	r.sys.fail = errdef.ErrUnavailable
	_, err := r.Create(t.Context(), network.CreateRequest{ID: "x", Name: "x"})
	if !errors.Is(err, errdef.ErrUnavailable) {
		t.Error(err)
	}
	r.sys.fail = nil
	if again := r.make(); len(again.nets) != 1 {
		t.Errorf("%d networks after a failed Create", len(again.nets))
	}
}

func TestEndpointsSayWhatTheGuestEnforces(t *testing.T) {
	r := newRig(t, vctest.New(t))
	n := r.network(t, network.CreateRequest{Name: "n", Internal: true, IPRange: netip.MustParsePrefix("172.17.5.0/24")})
	e := r.joined(t, network.JoinRequest{Network: n.ID, Container: "c"})
	if e.Gateway.IsValid() || e.Addresses[0].String() != "172.17.5.0/20" || e.DNS[0] != n.Gateway {
		t.Errorf("%+v", e)
	}
	if !slices.Equal(e.Peers, []netip.Prefix{n.Subnet}) || !slices.Equal(e.Foreign, []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}) {
		t.Errorf("%+v", e)
	}
	if e := r.joined(t, network.JoinRequest{Network: r.bridge.ID, Container: "c"}); e.Foreign != nil || !e.Gateway.IsValid() {
		t.Errorf("on the default bridge: %+v", e)
	}
}

func TestPoolsRunOut(t *testing.T) {
	v := vctest.New(t)
	v.Config.Network.Pools, v.Config.Network.SubnetBits = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/23")}, 24
	r := newRig(t, v)
	for _, want := range []string{"10.1.0.0/24", "10.1.1.0/24"} {
		if n := r.network(t, network.CreateRequest{Name: "n"}); n.Subnet.String() != want {
			t.Errorf("%s, want %s", n.Subnet, want)
		}
	}
	if _, err := r.Create(t.Context(), network.CreateRequest{ID: "z", Name: "z"}); !errors.Is(err, errdef.ErrExhausted) {
		t.Error(err)
	}
	// The endpoint VM's own subnet is nobody's.
	_, err := r.Create(t.Context(), network.CreateRequest{ID: "z", Name: "z", Subnet: netip.MustParsePrefix("192.0.2.0/25")})
	if !errors.Is(err, errdef.ErrConflict) || reason(err) != network.ReasonSubnetTaken {
		t.Error(err)
	}
}

func TestContainerNetworks(t *testing.T) {
	v := vctest.New(t)
	v.Config.Network.Container = []config.ContainerNetwork{
		{Name: "static", Portgroup: "dvportgroup-7", Subnet: netip.MustParsePrefix("10.5.0.0/24"), Gateway: netip.MustParseAddr("10.5.0.1"),
			IPRanges: []string{"10.5.0.10-10.5.0.11", "10.5.0.32/31"}, DNS: []netip.Addr{netip.MustParseAddr("10.5.0.2")}, Firewall: "outbound"},
		{Name: "dynamic", Portgroup: "dvportgroup-8"},
	}
	r := newRig(t, v)
	all, _ := r.List(t.Context())
	if len(all) != 3 {
		t.Fatalf("%+v", all)
	}
	static, dynamic := all[2], all[1]
	var got []string
	for _, c := range []string{"a", "b", "c", "d"} {
		e := r.joined(t, network.JoinRequest{Network: static.ID, Container: c})
		got = append(got, e.Addresses[0].String())
		if e.NIC.Locator != "dvportgroup-7" || e.Firewall != "outbound" || e.DNS[0].String() != "10.5.0.2" || e.DHCP {
			t.Errorf("%+v", e)
		}
	}
	if s := strings.Join(got, " "); s != "10.5.0.10/24 10.5.0.11/24 10.5.0.32/24 10.5.0.33/24" {
		t.Error(s)
	}
	if _, err := r.Join(t.Context(), network.JoinRequest{Network: static.ID, Container: "e"}); !errors.Is(err, errdef.ErrExhausted) {
		t.Error(err)
	}
	if _, err := r.Join(t.Context(), network.JoinRequest{Network: static.ID, Container: "e",
		Address: netip.MustParseAddr("10.5.0.99")}); !errors.Is(err, errdef.ErrInvalid) {
		t.Error(err)
	}
	if e := r.joined(t, network.JoinRequest{Network: dynamic.ID, Container: "a"}); !e.DHCP || len(e.Addresses) != 0 || e.Firewall != "published" {
		t.Errorf("%+v", e)
	}
	ports, err := r.Publish(t.Context(), network.PublishRequest{Network: static.ID, Container: "a", Ports: []network.Port{{Protocol: "tcp", ContainerPort: 80}}})
	if err != nil || ports[0].HostPort != 80 || len(r.sys.rules.Ports) != 0 {
		t.Errorf("%v, %v, %v", ports, err, r.sys.rules.Ports)
	}
	_, err = r.Publish(t.Context(), network.PublishRequest{Network: static.ID, Container: "b",
		Ports: []network.Port{{Protocol: "tcp", HostPort: 8080, ContainerPort: 80}}})
	if !errors.Is(err, errdef.ErrInvalid) {
		t.Error(err)
	}
	if err := r.Remove(t.Context(), dynamic.ID); !errors.Is(err, errdef.ErrDenied) {
		t.Error(err)
	}
}

func TestPortsAreRefusedWithAReason(t *testing.T) {
	r := newRig(t, vctest.New(t))
	r.joined(t, network.JoinRequest{Network: r.bridge.ID, Container: "a"})
	r.sys.busy[5000] = true
	publish := func(c string, check bool, p network.Port) error {
		_, err := r.Publish(t.Context(), network.PublishRequest{Network: r.bridge.ID, Container: c, CheckOnly: check, Ports: []network.Port{p}})
		return err
	}
	if err := publish("a", false, network.Port{Protocol: "tcp", HostPort: 8080, ContainerPort: 80}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		port   network.Port
		reason string
		text   string
		class  error
	}{
		{network.Port{Protocol: "tcp", HostPort: 8080}, network.ReasonPortTaken, "host port 0.0.0.0:8080/tcp is published by another container", errdef.ErrConflict},
		{network.Port{Protocol: "tcp", HostPort: 8080, HostIP: netip.MustParseAddr("192.0.2.5")}, network.ReasonPortTaken,
			"host port 192.0.2.5:8080/tcp is published by another container", errdef.ErrConflict},
		{network.Port{Protocol: "tcp", HostPort: 5000}, network.ReasonPortBusy, "host port 0.0.0.0:5000/tcp is in use by a program of the host", errdef.ErrConflict},
		// The endpoint's own, whether anybody listens there now or not.
		{network.Port{Protocol: "tcp", HostPort: 22}, network.ReasonPortBusy, "host port 0.0.0.0:22/tcp is in use by a program of the host", errdef.ErrConflict},
		{network.Port{Protocol: "TCP", HostPort: 2376}, network.ReasonPortBusy, "host port 0.0.0.0:2376/tcp is in use by a program of the host", errdef.ErrConflict},
		{network.Port{Protocol: "tcp", HostPort: 2378}, network.ReasonPortBusy, "host port 0.0.0.0:2378/tcp is in use by a program of the host", errdef.ErrConflict},
		{network.Port{Protocol: "tcp", HostPort: 2380}, network.ReasonPortBusy, "host port 0.0.0.0:2380/tcp is in use by a program of the host", errdef.ErrConflict},
		{network.Port{Protocol: "tcp", HostPort: 1, HostIP: netip.MustParseAddr("192.0.2.6")},
			network.ReasonNotHostAddress, "host port 192.0.2.6:1/tcp: the host has no such address, but 192.0.2.5", errdef.ErrInvalid},
		{network.Port{Protocol: "tcp", HostPort: 1, HostIP: netip.MustParseAddr("127.0.0.1")},
			network.ReasonNotHostAddress, "host port 127.0.0.1:1/tcp: the host has no such address, but 192.0.2.5", errdef.ErrInvalid},
		{network.Port{Protocol: "tcp", HostPort: 1, HostIP: netip.MustParseAddr("198.51.100.5")}, // the management network's
			network.ReasonNotHostAddress, "host port 198.51.100.5:1/tcp: the host has no such address, but 192.0.2.5", errdef.ErrInvalid},
	} {
		if err := publish("b", true, c.port); !errors.Is(err, c.class) || reason(err) != c.reason || err.Error() != c.text {
			t.Errorf("%+v: %v", c.port, err)
		}
	}
	if err := publish("b", true, network.Port{Protocol: "udp", HostPort: 8080}); err != nil {
		t.Errorf("the same port of another protocol: %v", err)
	}
}

func TestPublishedPortsSurviveTheDriverAndEndWithTheLease(t *testing.T) {
	r := newRig(t, vctest.New(t))
	e := r.joined(t, network.JoinRequest{Network: r.bridge.ID, Container: "a"})
	ports, err := r.Publish(t.Context(), network.PublishRequest{Network: r.bridge.ID, Container: "a", Ports: []network.Port{{Protocol: "tcp", ContainerPort: 80}}})
	if err != nil {
		t.Fatal(err)
	}
	want := Forward{ports[0], e.Addresses[0].Addr()}
	r.sys.rules = Rules{}
	r.Driver = r.make()
	if !slices.Equal(r.sys.rules.Ports, []Forward{want}) {
		t.Errorf("after a restart: %+v, want %+v", r.sys.rules.Ports, want)
	}
	if err := r.Leave(t.Context(), network.LeaveRequest{Network: r.bridge.ID, Container: "a"}); err != nil || len(r.sys.rules.Ports) != 0 {
		t.Errorf("%v, %+v", err, r.sys.rules.Ports)
	}
}

// A caller that gave up may have asked for the opposite since: its call must not be carried out after that one.
func TestACallThatNobodyWaitsForChangesNothing(t *testing.T) {
	r := newRig(t, vctest.New(t))
	r.joined(t, network.JoinRequest{Network: r.bridge.ID, Container: "a"})
	ask := network.PublishRequest{Network: r.bridge.ID, Container: "a", Ports: []network.Port{{Protocol: "tcp", ContainerPort: 80}}}
	if _, err := r.Publish(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	gone, giveUp := context.WithCancel(t.Context())
	giveUp()
	_, join := r.Join(gone, network.JoinRequest{Network: r.bridge.ID, Container: "b"})
	_, publish := r.Publish(gone, network.PublishRequest{Network: r.bridge.ID, Container: "a"})
	for call, err := range map[string]error{"Join": join, "Publish": publish, "Unpublish": r.Unpublish(gone, network.UnpublishRequest{Container: "a"}),
		"Leave": r.Leave(gone, network.LeaveRequest{Network: r.bridge.ID, Container: "a"})} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", call, err)
		}
	}
	if len(r.sys.rules.Ports) != 1 {
		t.Errorf("published: %+v", r.sys.rules.Ports)
	}
}

func TestTheNewestNetworkConfigurationCounts(t *testing.T) {
	v := vctest.New(t)
	r := newRig(t, v)
	n := r.network(t, network.CreateRequest{Name: "n", IPv6: true})
	id := vctest.ID()
	config := func(c guest.NetworkConfig) string {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	addr, addr6 := netip.MustParsePrefix("172.17.0.9/20"), netip.PrefixFrom(n.Gateway6.Next(), 64)
	keys := guestConfig(t, "00:50:56:00:00:07", "172.16.0.9/16")
	keys[guest.Prefix+guest.KeyNetwork] = config(guest.NetworkConfig{Networks: []guest.Network{{ID: n.ID, Name: "n", MAC: "00:50:56:00:00:08",
		Addresses: []netip.Prefix{addr, addr6}, Names: []string{"web"}, Links: map[string]string{"db": "x"}}}})
	v.Container(t, id, v.Base, keys)
	d := r.make()
	if l := d.bridge.pool.leases[id]; l != nil {
		t.Errorf("the old lease is believed: %+v", l)
	}
	l := d.nets[n.ID].pool.leases[id]
	if l == nil || l.addr != addr.Addr() || l.addr6 != addr6.Addr() || l.names[0] != "web" || l.links["db"] != "x" {
		t.Errorf("%+v", l)
	}
}

// On ESXi every process of a container may write its VM's guestinfo keys.
func TestAGuestCannotTakeAnAddressByItsKeys(t *testing.T) {
	v := vctest.New(t)
	id := vctest.ID()
	keys := guestConfig(t, "00:50:56:00:00:07", "172.16.0.66/16")
	for k, c := range guestConfig(t, "00:50:56:00:00:07", "172.16.0.9/16") {
		keys[inventory.KeyNetwork] = inventory.NetworkOf(map[string]string{strings.TrimPrefix(k, guest.Prefix): c})
	}
	keys[guest.Prefix+guest.KeyNetwork] = keys[guest.Prefix+guest.KeyConfig]
	v.Container(t, id, v.Base, keys)
	d := newRig(t, v).Driver
	if l := d.bridge.pool.leases[id]; l == nil || l.addr.String() != "172.16.0.9" {
		t.Errorf("%+v", l)
	}
}

// reason is the reason of an error, or nothing.
func reason(err error) string {
	var e *errdef.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}
