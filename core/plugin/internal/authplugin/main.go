// authplugin is a plugin of the kind auth with people in memory, for tests.
package main

import (
	"context"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/secret"
	"github.com/openvic/vic/sdk/serve"
)

// config names the domain and its users, with their passwords.
type config struct {
	Domain string                 `toml:"domain"`
	Users  map[string]secret.Text `toml:"users"`
}

func main() {
	serve.Main(serve.Plugin[config]{
		Name: "authplugin", Version: "1.0.0", Example: "domain = \"example.org\"\n", Defaults: config{Domain: "example.org"},
		Components: []kind.Component{auth.Plugin().Component("people", auth.Capabilities()...)},
		Configure:  configure,
	})
}

func configure(ctx context.Context, c config) (serve.Instance, error) {
	f := auth.NewFake(c.Domain)
	for name, password := range c.Users {
		user := auth.Principal{ID: auth.ID(c.Domain, name), Kind: auth.User, Name: name}
		if err := f.Save(ctx, auth.SaveRequest{Principal: user, Password: password}); err != nil {
			return serve.Instance{}, err
		}
	}
	return serve.Instance{Drivers: []kind.Driver{auth.Plugin().Serve(f)}}, nil
}
