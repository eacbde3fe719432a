package main

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/networktest"
)

func TestStaticConforms(t *testing.T) {
	networktest.Suite(t, func(t *testing.T) networktest.Fixture {
		config := Config{
			Portgroup: "dvportgroup-12", Subnet: netip.MustParsePrefix("10.20.0.0/28"),
			Gateway: netip.MustParseAddr("10.20.0.1"), Leases: filepath.Join(t.TempDir(), "leases.json"),
		}
		make := func(t *testing.T) network.Driver {
			d, err := newDriver(config)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		return networktest.Fixture{Driver: make(t), Network: "static", Small: "static", Restart: make}
	})
}
