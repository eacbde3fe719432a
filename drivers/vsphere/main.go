// vic-driver-vsphere is the plugin that runs containers as VMs on vSphere: compute, storage and
// network over one vCenter session.
package main

import (
	_ "embed"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/serve"
)

//go:embed README.md
var readme string

// version is set by the linker.
var version = "0.1.0"

func main() {
	serve.Main(serve.Plugin[config.Config]{
		Name:    "vsphere",
		Version: version,
		Components: []serve.Component{
			{Kind: serve.KindCompute, Name: "vsphere", Capabilities: []string{
				serve.CapDisk + device.KindVMDK, serve.CapDisk + device.KindVMDKDelta, serve.CapNIC + device.KindPortgroup}},
			{Kind: serve.KindStorage, Name: "vsphere", Capabilities: []string{serve.CapMakesDisk + device.KindVMDKDelta,
				serve.CapMakesDisk + device.KindVMDK, serve.CapVolumes}},
			{Kind: serve.KindNetwork, Name: "vsphere", Capabilities: []string{serve.CapMakesNIC + device.KindPortgroup}},
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
