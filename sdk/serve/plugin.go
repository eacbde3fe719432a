// Package serve turns a driver into a plugin: a program whose main is one call of Main.
//
//	func main() {
//		serve.Main(serve.Plugin[Config]{
//			Name:    "acme",
//			Version: "1.0.0",
//			Components: []kind.Component{
//				compute.Plugin().Component("acme", device.CapDisk+device.KindVMDK, device.CapNIC+device.KindPortgroup),
//			},
//			Example: exampleTOML,
//			Configure: func(ctx context.Context, c Config) (serve.Instance, error) {
//				d, err := acme.New(ctx, c)
//				return serve.Instance{Drivers: []kind.Driver{compute.Plugin().Serve(d)}}, err
//			},
//		})
//	}
//
// This package knows no kind: a program links those that it names in Components.
// Main speaks plugin.v1 with the host, decodes the configuration strictly, ends the process when the
// host is gone, and writes the logs of slog as JSON lines to stderr, where the host picks them up.
// README.md beside this folder leads through a whole plugin.
package serve

import (
	"context"

	"github.com/openvic/vic/sdk/kind"
)

// Plugin describes a program that serves drivers. C is the author's configuration struct with toml
// tags.
type Plugin[C any] struct {
	Name    string
	Version string
	// Components are what it offers, each kind once at most.
	Components []kind.Component
	// Example is a commented TOML text that shows every key.
	Example string
	// Defaults holds the values of keys that the administrator leaves out.
	Defaults C
	// Configure makes the drivers. ctx ends when the plugin stops: what runs as long as the drivers
	// do may use it. errdef.ErrInvalid means that the configuration must be changed; the host does
	// not try again.
	Configure func(ctx context.Context, config C) (Instance, error)
}

// Instance is what Configure makes.
type Instance struct {
	// Drivers holds one driver for each component that the plugin has.
	Drivers []kind.Driver
	// Health, if set, runs until ctx ends and reports each change: nil is healthy. A plugin without
	// it is healthy as long as it lives.
	Health func(ctx context.Context, report func(error))
	// Close, if set, is called when the host stops the plugin.
	Close func(ctx context.Context) error
}
