// vic-auth-vsphere is the plugin that knows the users and groups of vCenter Single Sign-On: passwords at its security token
// service, browsers at its OpenID provider or by SAML, users and groups through its administration.
//
// Run by hand with "register" or "unregister" it makes or removes the hub's solution user; with "metadata" it prints what an
// administrator imports into a vCenter that signs browsers in by SAML.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
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
	if len(os.Args) > 1 && (os.Args[1] == "register" || os.Args[1] == "unregister") {
		if err := registration(context.Background(), os.Stdout, os.Args[1:], os.Getenv); err != nil {
			fmt.Fprintln(os.Stderr, "vic-auth-vsphere:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "metadata" {
		if err := metadata(os.Stdout, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "vic-auth-vsphere:", err)
			os.Exit(1)
		}
		return
	}
	serve.Main(serve.Plugin[Config]{
		Name: "vsphere", Version: version, Example: example(), Defaults: defaults(),
		Components: []kind.Component{auth.Plugin().Component("vsphere", capabilities()...)},
		Configure: func(_ context.Context, c Config) (serve.Instance, error) {
			d, err := open(c, nil)
			if err != nil {
				return serve.Instance{}, err
			}
			return serve.Instance{Drivers: []kind.Driver{auth.Plugin().Serve(d)}, Close: d.close}, nil
		},
	})
}

func capabilities() []string {
	return []string{auth.CapPassword, auth.CapRedirect, auth.CapLookup, auth.CapSearch}
}

// example is the configuration in the README.
func example() string {
	_, rest, _ := strings.Cut(readme, "```toml\n")
	text, _, _ := strings.Cut(rest, "```")
	return text
}
