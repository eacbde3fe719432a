package compute

import (
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/handover"
	"github.com/openvic/vic/sdk/kind"
)

// Plugin is this kind of plugin, as data.
func Plugin() kind.Of[Driver] {
	return kind.Of[Driver]{
		Info: kind.Info{
			Name: "compute", Doc: "runs the container VMs", Takes: kind.One, Suite: "computetest",
			Capabilities: []kind.Capability{
				{Word: device.CapDisk, Doc: "attaches disks of this kind"},
				{Word: device.CapNIC, Doc: "attaches NICs of this kind"},
			},
			Extensions: []kind.Extension{handover.Extension()},
		},
		Register: Register, Client: NewClient,
	}
}
