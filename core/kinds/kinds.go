// Package kinds is the table of the kinds of plugin that a host knows, one line each. The plugin host,
// the configuration and the administrators' commands treat all kinds alike and know them through this
// table alone: a new kind is a folder of the SDK, its protocol, and a line here.
package kinds

import (
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/platform"
	"github.com/openvic/vic/sdk/replicate"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/storage"
)

// All lists the kinds. The order is that in which people are shown them.
func All() []kind.Info {
	return []kind.Info{
		compute.Plugin().Info,
		storage.Plugin().Info,
		network.Plugin().Info,
		auth.Plugin().Info,
		scan.Plugin().Info,
		replicate.Plugin().Info,
		platform.Plugin().Info,
	}
}

// Find finds a kind by its name.
func Find(name string) (kind.Info, bool) {
	for _, k := range All() {
		if k.Name == name {
			return k, true
		}
	}
	return kind.Info{}, false
}

// Roles lists the names of the kinds that roles are named after.
func Roles() []string {
	var names []string
	for _, k := range All() {
		if k.Takes != kind.Beside {
			names = append(names, k.Name)
		}
	}
	return names
}

// Engine lists the names of the kinds that the engine works with: a host that runs containers has a
// plugin for each.
func Engine() [3]string {
	return [3]string{compute.Plugin().Name, storage.Plugin().Name, network.Plugin().Name}
}
