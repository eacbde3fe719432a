package network_test

import (
	"net/netip"
	"testing"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/internal/wiretest"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/networktest"
)

func newFake() *network.Fake {
	return network.NewFake(
		network.Network{
			ID: "bridge", Name: "bridge", Driver: "bridge",
			Subnet: netip.MustParsePrefix("172.16.0.0/16"), Gateway: netip.MustParseAddr("172.16.0.1"), Given: true,
		},
		network.Network{
			ID: "small", Name: "small", Driver: "bridge",
			Subnet: netip.MustParsePrefix("10.9.0.0/29"), Gateway: netip.MustParseAddr("10.9.0.1"),
			Labels: map[string]string{"a": "b"},
		},
	)
}

func fixture(fake *network.Fake, driver network.Driver, again func(*testing.T) network.Driver) networktest.Fixture {
	return networktest.Fixture{Driver: driver, Network: "bridge", Small: "small", Restart: again,
		Creates: true, Publishes: true, Given: "bridge"}
}

func TestFakeConforms(t *testing.T) {
	networktest.Suite(t, func(*testing.T) networktest.Fixture {
		fake := newFake()
		return fixture(fake, fake, nil)
	})
}

func TestFakeConformsOverTheWire(t *testing.T) {
	networktest.Suite(t, func(t *testing.T) networktest.Fixture {
		fake := newFake()
		connect := func(t *testing.T) network.Driver {
			return network.NewClient(wiretest.Memory(t, func(r grpc.ServiceRegistrar) {
				network.Register(r, func() (network.Driver, error) { return fake, nil })
			}))
		}
		return fixture(fake, connect(t), connect)
	})
}
