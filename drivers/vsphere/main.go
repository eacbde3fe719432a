// vic-driver-vsphere is the plugin that runs containers as VMs on vSphere: compute, storage and
// network over one vCenter session. It also knows who may administer the VCH.
package main

import (
	_ "embed"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/platform"
	"github.com/openvic/vic/sdk/serve"
	"github.com/openvic/vic/sdk/storage"
)

//go:embed README.md
var readme string

// version is set by the linker.
var version = "0.1.0"

func main() {
	serve.Main(serve.Plugin[config.Config]{
		Name:    "vsphere",
		Version: version,
		Components: []kind.Component{
			compute.Plugin().Component("vsphere", device.CapDisk+device.KindVMDK, device.CapDisk+device.KindVMDKDelta, device.CapNIC+device.KindPortgroup),
			storage.Plugin().Component("vsphere", device.CapMakesDisk+device.KindVMDKDelta, device.CapMakesDisk+device.KindVMDK, storage.CapVolumes),
			network.Plugin().Component("vsphere", device.CapMakesNIC+device.KindPortgroup),
			auth.Plugin().Component("vsphere", auth.CapPassword),
			platform.Plugin().Component("vsphere"),
		},
		Example:   example(),
		Configure: configure,
	})
}

// example is the configuration in the README.
func example() string {
	_, rest, _ := strings.Cut(readme, "```toml\n")
	text, _, _ := strings.Cut(rest, "```")
	return text
}
