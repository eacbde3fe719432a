// Package serve turns a driver into a plugin: a program whose main is one call of Main.
//
//	func main() {
//		serve.Main(serve.Plugin[Config]{
//			Name:    "acme",
//			Version: "1.0.0",
//			Components: []serve.Component{
//				{Kind: serve.KindCompute, Name: "acme", Capabilities: []string{"disk:vmdk", "nic:portgroup"}},
//			},
//			Example: exampleTOML,
//			Configure: func(ctx context.Context, c Config) (serve.Drivers, error) {
//				d, err := acme.New(ctx, c)
//				return serve.Drivers{Compute: d}, err
//			},
//		})
//	}
//
// Main speaks plugin.v1 with the host, decodes the configuration strictly, ends the process when the
// host is gone, and writes the logs of slog as JSON lines to stderr, where the host picks them up.
// README.md beside this folder leads through a whole plugin.
package serve

import (
	"context"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/platform"
	"github.com/openvic/vic/sdk/storage"
)

// The kinds of component.
const (
	KindCompute = "compute"
	KindStorage = "storage"
	KindNetwork = "network"
)

// Prefixes of capabilities that the host compares: a storage driver that makes "makes-disk:x" needs
// a compute driver that says "disk:x".
const (
	CapDisk      = "disk:"
	CapNIC       = "nic:"
	CapMakesDisk = "makes-disk:"
	CapMakesNIC  = "makes-nic:"
)

// CapVolumes is the capability of a storage driver that keeps volumes (storage.Volumes).
const CapVolumes = "volumes"

// Component is one driver that a plugin offers.
type Component struct {
	Kind         string
	Name         string
	Capabilities []string
}

// Plugin describes a program that serves drivers. C is the author's configuration struct with toml
// tags.
type Plugin[C any] struct {
	Name       string
	Version    string
	Components []Component
	// Example is a commented TOML text that shows every key.
	Example string
	// Defaults holds the values of keys that the administrator leaves out.
	Defaults C
	// Configure makes the drivers. ctx ends when the plugin stops: what runs as long as the drivers
	// do may use it. errdef.ErrInvalid means that the configuration must be changed; the host does
	// not try again.
	Configure func(ctx context.Context, config C) (Drivers, error)
}

// Drivers are what Configure makes: one for each component that the plugin has.
type Drivers struct {
	Compute compute.Driver
	Storage storage.Driver
	Network network.Driver
	// Health, if set, runs until ctx ends and reports each change: nil is healthy. A plugin without
	// it is healthy as long as it lives.
	Health func(ctx context.Context, report func(error))
	// Authenticate, if set, says whether a user of the platform may administer what the plugin works
	// for; errdef.ErrDenied if not, whatever the reason.
	Authenticate func(ctx context.Context, user, password string) error
	// Platform, if set, tells administrators how the platform is, with at most so many events.
	Platform func(ctx context.Context, events int) (platform.Report, error)
	// Close, if set, is called when the host stops the plugin.
	Close func(ctx context.Context) error
}
