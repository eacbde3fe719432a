package dockerapi

import (
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/daemon/links"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/guest"
)

// replaceLabel is what docker compose gives a container that it makes in the place of another, which
// it stops before it starts this one.
const replaceLabel = "com.docker.compose.replace"

// networksOf reads --network, --link, --add-host and -p. The networks are names here: what they are, the
// engine finds out.
func (b *containers) networksOf(cfg *container.Config, hc *container.HostConfig, nc *network.NetworkingConfig, req *engine.CreateRequest) error {
	ports, err := portRequests(hc, cfg)
	if err != nil {
		return err
	}
	req.Ports, req.Replaces = ports, cfg.Labels[replaceLabel] != ""
	switch mode := hc.NetworkMode; {
	case mode.IsHost():
		return unsupported("option --network host (a container is a VM with a network of its own; publish ports with -p, or put it on a container network)")
	case mode.IsContainer():
		return unsupported("option --network container:... (two VMs cannot share one network stack)")
	case mode.IsNone():
		req.NoNetwork = true
		return noOthers(nc)
	}
	for _, e := range endpointsOf(hc, nc) {
		w, err := networkRequest(e.name, e.settings)
		if err != nil {
			return err
		}
		req.Networks = append(req.Networks, w)
	}
	return b.legacyLinks(hc, req)
}

func networkName(name string) string {
	if name == network.NetworkDefault || name == "" {
		return network.NetworkBridge
	}
	return name
}

// noOthers refuses networks beside none.
func noOthers(nc *network.NetworkingConfig) error {
	if nc == nil {
		return nil
	}
	for name := range nc.EndpointsConfig {
		if name != network.NetworkNone {
			return invalid("container cannot be connected to multiple networks with one of the networks in private (none) mode")
		}
	}
	return nil
}

type endpoint struct {
	name     string
	settings *network.EndpointSettings
}

// endpointsOf lists the networks of a request: the one of --network first, then the others by name.
func endpointsOf(hc *container.HostConfig, nc *network.NetworkingConfig) []endpoint {
	first := networkName(string(hc.NetworkMode))
	all := map[string]*network.EndpointSettings{first: nil}
	if nc != nil {
		for name, e := range nc.EndpointsConfig {
			if e != nil || all[networkName(name)] == nil {
				all[networkName(name)] = e
			}
		}
	}
	out := []endpoint{{first, all[first]}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != first {
			out = append(out, endpoint{name, all[name]})
		}
	}
	for i := range out {
		if out[i].settings == nil {
			out[i].settings = &network.EndpointSettings{}
		}
	}
	return out
}

// networkRequest reads --ip, --ip6, --mac-address, --network-alias and --link of one network.
func networkRequest(name string, ep *network.EndpointSettings) (engine.NetworkRequest, error) {
	r := engine.NetworkRequest{Name: name, MAC: ep.MacAddress, Aliases: ep.Aliases, Priority: ep.GwPriority}
	if len(ep.DriverOpts) > 0 {
		return r, unsupported("option --network driver-opt")
	}
	for _, l := range ep.Links {
		target, alias, err := parseLink(l)
		if err != nil {
			return r, err
		}
		if r.Links == nil {
			r.Links = map[string]string{}
		}
		r.Links[alias] = target
	}
	if ep.IPAMConfig == nil {
		return r, nil
	}
	if len(ep.IPAMConfig.LinkLocalIPs) > 0 {
		return r, unsupported("option --link-local-ip")
	}
	var err error
	if r.Address, err = optional(netip.ParseAddr, ep.IPAMConfig.IPv4Address); err != nil || r.Address.Is6() {
		return r, invalid("invalid IPv4 address: %s", ep.IPAMConfig.IPv4Address)
	}
	if r.Address6, err = optional(netip.ParseAddr, ep.IPAMConfig.IPv6Address); err != nil || r.Address6.Is4() {
		return r, invalid("invalid IPv6 address: %s", ep.IPAMConfig.IPv6Address)
	}
	return r, nil
}

// parseLink reads "name:alias"; without an alias the name is it.
func parseLink(s string) (target, alias string, err error) {
	target, alias, two := strings.Cut(s, ":")
	if !two {
		alias = target
	}
	// Links of containers that were inspected come as "/target:/container/alias".
	target, alias = trimSlash(target), path.Base(alias)
	if target == "" || alias == "" || alias == "." || alias == "/" {
		return "", "", invalid("invalid link: %q", s)
	}
	return target, alias, nil
}

// legacyLinks reads --link: on a network of a user's it is a name in DNS, on the default one it is a
// line in /etc/hosts and variables in the environment.
func (b *containers) legacyLinks(hc *container.HostConfig, req *engine.CreateRequest) error {
	for _, l := range hc.Links {
		target, alias, err := parseLink(l)
		if err != nil {
			return err
		}
		if first := &req.Networks[0]; first.Name != network.NetworkBridge {
			first.Links = maps.Clone(first.Links)
			if first.Links == nil {
				first.Links = map[string]string{}
			}
			first.Links[alias] = target
			continue
		}
		c, err := b.opts.Engine.Get(target)
		if err != nil {
			return invalid("could not get container for %s: %v", target, err)
		}
		addr, ok := defaultAddress(&c)
		if !ok {
			return invalid("cannot link to %s: it is not on the network %s", target, network.NetworkBridge)
		}
		d := b.definition(&c)
		names := []string{alias, d.Config.Hostname, c.Name}
		if d.Config.Hostname == "" {
			names[1] = c.ID[:12]
		}
		req.Hosts = append(req.Hosts, guest.Host{Address: addr, Names: slices.Compact(names)})
		env := links.EnvVars("", addr.String(), "/"+req.Name+"/"+alias, d.Config.Env, d.Config.ExposedPorts)
		req.Process.Env = setEnv(env, req.Process.Env)
	}
	return nil
}

// defaultAddress is a container's address on the default network.
func defaultAddress(c *engine.Container) (netip.Addr, bool) {
	for _, a := range c.Networks {
		if p, ok := a.IPv4(); ok && a.Default {
			return p.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// checkLinks refuses the start of a container that is linked to one that does not run.
func (b *containers) checkLinks(name string) error {
	c, err := b.opts.Engine.Get(name)
	if err != nil {
		return wrap(err)
	}
	hc := b.definition(&c).HostConfig
	if networkName(string(hc.NetworkMode)) != network.NetworkBridge {
		return nil
	}
	for _, l := range hc.Links {
		target, alias, err := parseLink(l)
		if err != nil {
			return err
		}
		t, err := b.opts.Engine.Get(target)
		if err != nil || !t.State.Running() {
			return invalid("Cannot link to a non running container: /%s AS /%s/%s", target, c.Name, alias)
		}
	}
	return nil
}
