package storage

import (
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/handover"
	"github.com/openvic/vic/sdk/kind"
)

// CapVolumes is the capability of a driver that keeps volumes (Volumes).
const CapVolumes = "volumes"

// Plugin is this kind of plugin, as data.
func Plugin() kind.Of[Driver] {
	return kind.Of[Driver]{
		Info: kind.Info{
			Name: "storage", Doc: "keeps image layers, container disks and volumes", Takes: kind.One, Suite: "storagetest",
			Capabilities: []kind.Capability{
				{Word: device.CapMakesDisk, Doc: "hands out disks of this kind", NeedsOf: "compute", Needs: device.CapDisk},
				{Word: CapVolumes, Doc: "keeps volumes"},
			},
			Extensions: []kind.Extension{handover.Extension()},
		},
		Register: Register, Client: NewClient,
	}
}
