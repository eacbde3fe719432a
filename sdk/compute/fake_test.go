package compute_test

import (
	"io"
	"net/netip"
	"testing"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/computetest"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/internal/wiretest"
)

// fixture lets a test reach the fake behind a driver, which may be the fake itself or a client.
func fixture(fake *compute.Fake, driver compute.Driver) computetest.Fixture {
	return computetest.Fixture{
		Driver: driver,
		Disks: func(*testing.T, string) []device.Disk {
			return []device.Disk{{Kind: device.KindVMDKDelta, Locator: "[ds] base.vmdk"}}
		},
		PowerOff: func(_ *testing.T, id string) { fake.PowerOff(id) },
		Delete:   func(_ *testing.T, id string) { fake.Delete(id) },
		Exit:     func(_ *testing.T, id string, e compute.Exit) { fake.Exit(id, e) },
		Dial: func(t *testing.T, id string) io.ReadWriteCloser {
			c, err := fake.Dial(id)
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		SetAddresses: func(_ *testing.T, id string, a ...netip.Addr) { fake.SetAddresses(id, a...) },
	}
}

func register(d compute.Driver) func(grpc.ServiceRegistrar) {
	return func(r grpc.ServiceRegistrar) {
		compute.Register(r, func() (compute.Driver, error) { return d, nil })
	}
}

func TestFakeConforms(t *testing.T) {
	computetest.Suite(t, func(*testing.T) computetest.Fixture {
		fake := compute.NewFake()
		return fixture(fake, fake)
	})
}

func TestFakeConformsOverTheWire(t *testing.T) {
	computetest.Suite(t, func(t *testing.T) computetest.Fixture {
		fake := compute.NewFake()
		fake.Room = compute.Capacity{CPUs: 4, CPUMHz: 8000, MemoryMB: 4096}
		return fixture(fake, compute.NewClient(wiretest.Memory(t, register(fake))))
	})
}

func TestFakeConformsByHandover(t *testing.T) {
	computetest.Suite(t, func(t *testing.T) computetest.Fixture {
		fake := compute.NewFake()
		fake.Sockets = true
		return fixture(fake, compute.NewClient(wiretest.Handover(t, register(fake))))
	})
}
