// vic-replicate-oci is the plugin that moves artifacts between the hub and any registry that speaks OCI's distribution
// protocol: another hub, Harbor, distribution, zot, Docker Hub.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/replicate"
	"github.com/openvic/vic/sdk/serve"
)

//go:embed README.md
var readme string

// version is set by the linker.
var version = "0.1.0"

// Config is the plugin's configuration; README.md explains each key.
type Config struct {
	ChunkMiB          int     `toml:"chunk_mib"`
	RequestsPerSecond float64 `toml:"requests_per_second"`
}

func defaults() Config { return Config{ChunkMiB: 16} }

const maxChunkMiB = 1024

func (c Config) validate() error {
	if c.ChunkMiB < 1 || c.ChunkMiB > maxChunkMiB {
		return fmt.Errorf("chunk_mib: %d is not between 1 and %d: %w", c.ChunkMiB, maxChunkMiB, errdef.ErrInvalid)
	}
	if c.RequestsPerSecond < 0 {
		return fmt.Errorf("requests_per_second: %g is less than 0, which is no limit: %w", c.RequestsPerSecond, errdef.ErrInvalid)
	}
	return nil
}

func main() {
	serve.Main(serve.Plugin[Config]{
		Name: "oci", Version: version, Example: example(), Defaults: defaults(),
		Components: []kind.Component{replicate.Plugin().Component("oci", replicate.Capabilities()...)},
		Configure: func(_ context.Context, c Config) (serve.Instance, error) {
			if err := c.validate(); err != nil {
				return serve.Instance{}, err
			}
			return serve.Instance{Drivers: []kind.Driver{replicate.Plugin().Serve(newDriver(int64(c.ChunkMiB)<<20, c.RequestsPerSecond))}}, nil
		},
	})
}

// example is the configuration in the README.
func example() string {
	_, rest, _ := strings.Cut(readme, "```toml\n")
	text, _, _ := strings.Cut(rest, "```")
	return text
}
