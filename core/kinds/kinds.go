// Package kinds is the table of the kinds of plugin that a host knows, one line each. The plugin host,
// the configuration and the administrators' commands treat all kinds alike and know them through this
// table alone: a new kind is a folder of the SDK, its protocol, and a line here.
package kinds

import (
	"strings"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/storage"
)

// All lists the kinds. The order is that in which people are shown them.
func All() []kind.Info {
	return []kind.Info{
		compute.Kind().Info,
		storage.Kind().Info,
		network.Kind().Info,
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

// Roles lists the names of the kinds that roles are named after, for messages.
func Roles() string {
	var names []string
	for _, k := range All() {
		if k.Takes != kind.Beside {
			names = append(names, k.Name)
		}
	}
	return strings.Join(names, ", ")
}
