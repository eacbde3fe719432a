package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/network"
)

// configureTimeout bounds what a running guest takes to bring its networks up.
const configureTimeout = time.Minute

// findNetworks returns the networks that a container asks for; none is the default one, unless it
// wants none.
func (e *Engine) findNetworks(ctx context.Context, req CreateRequest) ([]network.Network, []NetworkRequest, error) {
	wanted := req.Networks
	if req.NoNetwork {
		return nil, nil, nil
	}
	if len(wanted) == 0 {
		wanted = []NetworkRequest{{}}
	}
	all, err := e.opts.Network.List(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("networks: %w", err)
	}
	var found []network.Network
	for _, w := range wanted {
		n, err := pickNetwork(all, e.networkName(w.Name))
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(found, func(o network.Network) bool { return o.ID == n.ID }) {
			return nil, nil, fail(errdef.ErrInvalid, "network %s is specified multiple times", n.Name)
		}
		found = append(found, n)
	}
	return found, wanted, nil
}

func (e *Engine) networkName(name string) string {
	if name == "" || name == "default" {
		return e.opts.BridgeNetwork
	}
	return name
}

// pickNetwork finds a network by ID, name or unique beginning of the ID, in this order.
func pickNetwork(all []network.Network, ref string) (network.Network, error) {
	for _, match := range []func(network.Network) bool{
		func(n network.Network) bool { return n.ID == ref },
		func(n network.Network) bool { return n.Name == ref },
		func(n network.Network) bool { return ref != "" && strings.HasPrefix(n.ID, ref) },
	} {
		i := slices.IndexFunc(all, match)
		if i < 0 {
			continue
		}
		if slices.ContainsFunc(all[i+1:], match) {
			return network.Network{}, fail(errdef.ErrInvalid, "network %s is ambiguous (2 matches found based on ID prefix)", ref)
		}
		return all[i], nil
	}
	return network.Network{}, fail(errdef.ErrNotFound, "network %s not found", ref)
}

func (e *Engine) findNetwork(ctx context.Context, ref string) (network.Network, error) {
	all, err := e.opts.Network.List(ctx)
	if err != nil {
		return network.Network{}, fmt.Errorf("networks: %w", err)
	}
	return pickNetwork(all, e.networkName(ref))
}

// attachment is the record of a place that is about to be taken.
func (e *Engine) attachment(n network.Network, w NetworkRequest) Attachment {
	return Attachment{NetworkID: n.ID, Name: n.Name, Driver: n.Driver, Default: n.Given && n.Name == e.opts.BridgeNetwork, Wanted: w}
}

// join takes the place of an attachment, or asks for it again, and completes the record.
func (e *Engine) join(ctx context.Context, d *Definition, a *Attachment) (network.Endpoint, error) {
	req := network.JoinRequest{Network: a.NetworkID, Container: d.ID, Address: a.Wanted.Address, Address6: a.Wanted.Address6,
		MAC: a.Wanted.MAC, Names: d.DNSNames(a), Links: a.Wanted.Links}
	if len(req.Names) > 0 { // the network's server asks them, for it alone knows the names
		req.DNS = d.DNS.Servers
	}
	ep, err := e.opts.Network.Join(ctx, req)
	if err != nil {
		return ep, fmt.Errorf("network %s: %w", a.Name, err)
	}
	a.MAC, a.Addresses, a.Gateway, a.Gateway6, a.DNS, a.DHCP = ep.NIC.MAC, ep.Addresses, ep.Gateway, ep.Gateway6, ep.DNS, ep.DHCP
	return ep, nil
}

// joinAll takes all places of a definition side by side.
func (e *Engine) joinAll(ctx context.Context, d *Definition) ([]network.Endpoint, error) {
	eps := make([]network.Endpoint, len(d.Networks))
	g, gctx := errgroup.WithContext(ctx)
	for i := range d.Networks {
		g.Go(func() (err error) {
			eps[i], err = e.join(gctx, d, &d.Networks[i])
			return err
		})
	}
	return eps, g.Wait()
}

// rejoinAll is joinAll for a container that has places already. A place on a network that was removed
// while the container was off becomes an endpoint that is none (see placed), so that what else the
// container is on can still be changed.
func (e *Engine) rejoinAll(ctx context.Context, d *Definition) ([]network.Endpoint, error) {
	eps := make([]network.Endpoint, len(d.Networks))
	g, gctx := errgroup.WithContext(ctx)
	for i := range d.Networks {
		g.Go(func() (err error) {
			a := &d.Networks[i]
			if eps[i], err = e.join(gctx, d, a); isNotFound(err) {
				*a = Attachment{NetworkID: a.NetworkID, Name: a.Name, Driver: a.Driver, Default: a.Default, Wanted: a.Wanted}
				eps[i], err = network.Endpoint{}, nil
			}
			return err
		})
	}
	return eps, g.Wait()
}

func nicsOf(eps []network.Endpoint) []device.NIC {
	nics := make([]device.NIC, 0, len(eps))
	for _, ep := range eps {
		if placed(ep) {
			nics = append(nics, ep.NIC)
		}
	}
	return nics
}

// placed says whether an endpoint is one: every place has a MAC address of its own.
func placed(ep network.Endpoint) bool { return ep.NIC.MAC != "" }

// gatewayOf is the index of the attachment that has the default route, or -1: the one of the highest
// priority, the first by name among those of one priority, as with Docker.
func gatewayOf(list []Attachment) int {
	best := -1
	for i, a := range list {
		if !a.Gateway.IsValid() && !a.DHCP {
			continue
		}
		if best < 0 || a.Wanted.Priority > list[best].Wanted.Priority ||
			(a.Wanted.Priority == list[best].Wanted.Priority && a.Name < list[best].Name) {
			best = i
		}
	}
	return best
}

// guestNetwork is what the tether is told of a container's networks.
func guestNetwork(d *Definition, eps []network.Endpoint) guest.NetworkConfig {
	n := guest.NetworkConfig{Hosts: slices.Clone(d.Hosts), DNS: d.DNS}
	gateway := gatewayOf(d.Networks)
	for i, ep := range eps {
		if !placed(ep) {
			continue
		}
		a := &d.Networks[i]
		g := guest.Network{ID: a.NetworkID, Name: a.Name, MAC: ep.NIC.MAC, DHCP: ep.DHCP, NoGateway: ep.DHCP && i != gateway,
			Addresses: ep.Addresses, Names: d.DNSNames(a), Links: a.Wanted.Links, Firewall: firewallOf(d, ep)}
		if len(g.Names) > 0 {
			g.Upstream = d.DNS.Servers
		}
		if i == gateway {
			g.Gateway, g.Gateway6 = ep.Gateway, ep.Gateway6
		}
		for _, r := range ep.Routes {
			g.Routes = append(g.Routes, guest.Route{Destination: r.Destination, Via: r.Via})
		}
		n.Networks = append(n.Networks, g)
		for _, p := range ep.Addresses {
			n.Hosts = append(n.Hosts, guest.Host{Address: p.Addr(), Names: d.hostNames()})
		}
	}
	resolver(d, eps, gateway, &n.DNS)
	return n
}

// resolver fills in what the user has left open: the servers of a network with names if there is
// one, for they know the names of all, else those of the network with the default route.
func resolver(d *Definition, eps []network.Endpoint, gateway int, dns *guest.DNS) {
	from := gateway
	for i := range eps {
		if !placed(eps[i]) || len(d.DNSNames(&d.Networks[i])) == 0 {
			continue
		}
		from = i
		if len(dns.Options) == 0 {
			dns.Options = []string{"ndots:0"}
		}
		dns.Servers = slices.Clone(eps[i].DNS)
		break
	}
	if from < 0 {
		from = slices.IndexFunc(eps, placed)
	}
	if from < 0 {
		return
	}
	if len(dns.Servers) == 0 {
		dns.Servers = eps[from].DNS
	}
	if len(dns.Search) == 0 {
		dns.Search = eps[from].Search
	}
}

func (d *Definition) hostNames() []string {
	host := d.Hostname
	if host == "" {
		host = d.ID[:12]
	}
	if d.Domainname != "" {
		return []string{host + "." + d.Domainname, host}
	}
	return []string{host}
}

func firewallOf(d *Definition, ep network.Endpoint) *guest.Firewall {
	if ep.Firewall == "" && len(ep.Foreign) == 0 {
		return nil
	}
	f := &guest.Firewall{Policy: ep.Firewall, Peers: ep.Peers, Foreign: ep.Foreign}
	if ep.Firewall == guest.FirewallPublished {
		for _, p := range d.Ports {
			f.Ports = append(f.Ports, guest.Port{Protocol: p.Protocol, Port: p.ContainerPort})
		}
	}
	return f
}

// applyNetworks gives the container's VM the NICs, the guest its configuration, and the metadata the
// definition d, whose places are taken.
func (e *Engine) applyNetworks(ctx context.Context, c *container, d Definition, eps []network.Endpoint) error {
	config := guestNetwork(&d, eps)
	text, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("container %s: %w", c.id, err)
	}
	nics := nicsOf(eps)
	err = c.call(func() error {
		metadata, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("container %s: %w", c.id, err)
		}
		return e.opts.Compute.Update(ctx, compute.UpdateRequest{ID: c.id, NICs: &nics, Metadata: metadata,
			Guest: map[string]string{guest.KeyNetwork: string(text)}})
	})
	if err != nil {
		return fmt.Errorf("container VM %s: %w", c.id, err)
	}
	c.update(func() { c.def.Networks = d.Networks })
	r, err := c.activeRun()
	if err != nil {
		return nil // the guest reads it when it boots
	}
	ctx, cancel := context.WithTimeout(ctx, configureTimeout)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	if err := r.link.Configure(ctx, config); err != nil && r.ctx.Err() == nil {
		return fmt.Errorf("networks of container %s: %w", c.id, err)
	}
	return nil
}

// renameOnNetworks has the networks know a container by its new name.
func (e *Engine) renameOnNetworks(ctx context.Context, c *container) {
	d := c.definition()
	d.Networks = slices.Clone(d.Networks)
	if !slices.ContainsFunc(d.Networks, func(a Attachment) bool { return len(d.DNSNames(&a)) > 0 }) {
		return
	}
	eps, err := e.rejoinAll(ctx, &d)
	if err == nil {
		err = e.applyNetworks(ctx, c, d, eps)
	}
	if err != nil {
		e.log.Warn("a container is known on its networks by its old name", "container", c.id, "err", err)
	}
}
