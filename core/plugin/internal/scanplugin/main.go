// scanplugin is a plugin of the kind scan with images and weaknesses in memory, for tests.
package main

import (
	"context"

	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/serve"
)

type config struct{}

func main() {
	serve.Main(serve.Plugin[config]{
		Name: "scanplugin", Version: "1.0.0", Example: "# nothing is needed\n",
		Components: []kind.Component{scan.Plugin().Component("fake", scan.Capabilities()...)},
		Configure: func(context.Context, config) (serve.Instance, error) {
			return serve.Instance{Drivers: []kind.Driver{scan.Plugin().Serve(scan.NewFake())}}, nil
		},
	})
}
