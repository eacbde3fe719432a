// vic-auth-ldap is the plugin that signs people in with the names and passwords of an LDAP directory.
package main

import (
	"context"
	_ "embed"
	"strings"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/serve"
)

//go:embed README.md
var readme string

// version is set by the linker.
var version = "0.1.0"

func main() {
	serve.Main(serve.Plugin[Config]{
		Name: "ldap", Version: version, Example: example(), Defaults: defaults(),
		Components: []kind.Component{auth.Plugin().Component("ldap", capabilities()...)},
		Configure: func(_ context.Context, c Config) (serve.Instance, error) {
			d, err := open(c)
			if err != nil {
				return serve.Instance{}, err
			}
			return serve.Instance{Drivers: []kind.Driver{auth.Plugin().Serve(d)}}, nil
		},
	})
}

func capabilities() []string { return []string{auth.CapPassword, auth.CapLookup, auth.CapSearch} }

// example is the configuration in the README.
func example() string {
	_, rest, _ := strings.Cut(readme, "```toml\n")
	text, _, _ := strings.Cut(rest, "```")
	return text
}
