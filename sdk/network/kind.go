package network

import (
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/kind"
)

// Plugin is this kind of plugin, as data.
func Plugin() kind.Of[Driver] {
	return kind.Of[Driver]{
		Info: kind.Info{
			Name: "network", Doc: "connects the VMs", Takes: kind.One, Suite: "networktest",
			Capabilities: []kind.Capability{
				{Word: device.CapMakesNIC, Doc: "hands out NICs of this kind", NeedsOf: "compute", Needs: device.CapNIC},
			},
		},
		Register: Register, Client: NewClient,
	}
}
