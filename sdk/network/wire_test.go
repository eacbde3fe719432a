package network

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/device"
	networkv1 "github.com/openvic/vic/sdk/proto/network/v1"
)

func TestNetworksCrossTheWireUnchanged(t *testing.T) {
	for _, n := range []Network{
		{ID: "bare"},
		{
			ID: "a", Name: "bridge", Driver: "bridge", Subnet: netip.MustParsePrefix("172.16.0.0/16"),
			Gateway: netip.MustParseAddr("172.16.0.1"), IPRange: netip.MustParsePrefix("172.16.5.0/24"),
			Subnet6: netip.MustParsePrefix("fd00::/64"), Gateway6: netip.MustParseAddr("fd00::1"), Given: true, Firewall: "open", Internal: true,
			Created: time.Unix(5, 0).UTC(),
			Labels:  map[string]string{"l": "1"}, Options: map[string]string{"o": "2"},
		},
	} {
		got, err := networkFromWire(networkToWire(n))
		if err != nil || !reflect.DeepEqual(got, n) {
			t.Errorf("got %+v, %v, want %+v", got, err, n)
		}
	}
	if _, err := networkFromWire(&networkv1.Network{Subnet: "172.16.0.0"}); err == nil {
		t.Error("a subnet without a length passed")
	}
}

func TestEndpointsCrossTheWireUnchanged(t *testing.T) {
	for _, e := range []Endpoint{
		{Network: "a", Container: "b"},
		{
			Network: "a", Container: "b", NIC: device.NIC{Kind: "portgroup", Locator: "dvportgroup-1", MAC: "02:42:ac:10:00:02"},
			Addresses: []netip.Prefix{netip.MustParsePrefix("172.16.0.2/16")}, Gateway: netip.MustParseAddr("172.16.0.1"),
			Routes: []Route{{Destination: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("172.16.0.9")}},
			DNS:    []netip.Addr{netip.MustParseAddr("172.16.0.1")}, Search: []string{"example.org"}, DHCP: true,
			Gateway6: netip.MustParseAddr("fd00::1"), Firewall: "peers", Peers: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
			Foreign: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")},
		},
	} {
		got, err := endpointFromWire(endpointToWire(e))
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, %v, want %+v", got, err, e)
		}
	}
	if _, err := endpointFromWire(&networkv1.Endpoint{Dns: []string{"dns.example.org"}}); err == nil {
		t.Error("a name passed for a DNS server's address")
	}
}

func TestJoinRequestsCrossTheWireUnchanged(t *testing.T) {
	for _, r := range []JoinRequest{
		{Network: "a", Container: "b"},
		{Network: "a", Container: "b", Address: netip.MustParseAddr("172.16.0.7"), MAC: "02:42:ac:10:00:07",
			Address6: netip.MustParseAddr("fd00::7"), Names: []string{"web"}, Links: map[string]string{"db": "postgres"},
			DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}},
	} {
		got, err := joinFromWire(joinToWire(r))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %v, want %+v", got, err, r)
		}
	}
}

func TestCreateRequestsCrossTheWireUnchanged(t *testing.T) {
	for _, r := range []CreateRequest{
		{ID: "a", Name: "n"},
		{ID: "a", Name: "n", Driver: "bridge", Subnet: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1"),
			IPRange: netip.MustParsePrefix("10.1.2.0/24"), IPv6: true, Subnet6: netip.MustParsePrefix("fd00::/64"),
			Gateway6: netip.MustParseAddr("fd00::1"), Internal: true, Labels: map[string]string{"a": "b"}, Options: map[string]string{"c": "d"}},
	} {
		got, err := createFromWire(createToWire(r))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %v, want %+v", got, err, r)
		}
	}
	if _, err := createFromWire(&networkv1.CreateRequest{IpRange: "10.0.0.1"}); err == nil {
		t.Error("a range without a length passed")
	}
}

func TestPublishRequestsCrossTheWireUnchanged(t *testing.T) {
	for _, r := range []PublishRequest{
		{Network: "n", Container: "c"},
		{Network: "n", Container: "c", CheckOnly: true, Ports: []Port{{Protocol: "tcp", ContainerPort: 80},
			{Protocol: "udp", HostIP: netip.MustParseAddr("10.0.0.1"), HostPort: 65535, ContainerPort: 53}}},
	} {
		got, err := publishFromWire(publishToWire(r))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %v, want %+v", got, err, r)
		}
	}
	if _, err := portFromWire(&networkv1.Port{HostPort: 65536}); err == nil {
		t.Error("port 65536 passed")
	}
}
