// vic-scan-harbor is the plugin that lets any scanner work for the hub that speaks Harbor's scanner API: Trivy's adapter, and
// those of others.
package main

import (
	"context"
	_ "embed"
	"strings"

	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/scan"
	"github.com/openvic/vic/sdk/serve"
)

//go:embed README.md
var readme string

// version is set by the linker.
var version = "0.1.0"

func main() {
	serve.Main(serve.Plugin[Config]{
		Name: "harbor", Version: version, Example: example(), Defaults: defaults(),
		Components: []kind.Component{scan.Plugin().Component("harbor", capabilities()...)},
		Configure: func(_ context.Context, c Config) (serve.Instance, error) {
			d, err := open(c)
			if err != nil {
				return serve.Instance{}, err
			}
			return serve.Instance{Drivers: []kind.Driver{scan.Plugin().Serve(d)}}, nil
		},
	})
}

// capabilities are what scanners of this API may have; Describe says what this one has.
func capabilities() []string { return []string{scan.CapVulnerability, scan.CapSPDX, scan.CapCycloneDX} }

// example is the configuration in the README.
func example() string {
	_, rest, _ := strings.Cut(readme, "```toml\n")
	text, _, _ := strings.Cut(rest, "```")
	return text
}
