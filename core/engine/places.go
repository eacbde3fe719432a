package engine

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/sdk/network"
)

// configureTimeout bounds what a running guest takes to bring its networks up.
const configureTimeout = time.Minute

// attachment is the record of a place that is about to be taken.
func (ns *Networks) attachment(n network.Network, w NetworkRequest) Attachment {
	return Attachment{NetworkID: n.ID, Name: n.Name, Driver: n.Driver, Default: n.Given && n.Name == ns.byDefault, Wanted: w}
}

// join takes the place of an attachment, or asks for it again, and completes the record.
func (ns *Networks) join(ctx context.Context, d *Definition, a *Attachment) (network.Endpoint, error) {
	req := network.JoinRequest{Network: a.NetworkID, Container: d.ID, Address: a.Wanted.Address, Address6: a.Wanted.Address6,
		MAC: a.Wanted.MAC, Names: d.DNSNames(a), Links: a.Wanted.Links}
	if len(req.Names) > 0 { // the network's server asks them, for it alone knows the names
		req.DNS = d.DNS.Servers
	}
	ep, err := ns.driver.Join(ctx, req)
	if err != nil {
		return ep, fmt.Errorf("network %s: %w", a.Name, err)
	}
	a.MAC, a.Addresses, a.Gateway, a.Gateway6, a.DNS, a.DHCP = ep.NIC.MAC, ep.Addresses, ep.Gateway, ep.Gateway6, ep.DNS, ep.DHCP
	return ep, nil
}

// joinAll takes all places of a definition side by side.
func (ns *Networks) joinAll(ctx context.Context, d *Definition) ([]network.Endpoint, error) {
	eps := make([]network.Endpoint, len(d.Networks))
	g, gctx := errgroup.WithContext(ctx)
	for i := range d.Networks {
		g.Go(func() (err error) {
			eps[i], err = ns.join(gctx, d, &d.Networks[i])
			return err
		})
	}
	return eps, g.Wait()
}

// rejoinAll is joinAll for a container that has places already. A place on a network that was removed
// while the container was off becomes an endpoint that is none (see placed), so that what else the
// container is on can still be changed.
func (ns *Networks) rejoinAll(ctx context.Context, d *Definition) ([]network.Endpoint, error) {
	eps := make([]network.Endpoint, len(d.Networks))
	g, gctx := errgroup.WithContext(ctx)
	for i := range d.Networks {
		g.Go(func() (err error) {
			a := &d.Networks[i]
			if eps[i], err = ns.join(gctx, d, a); isNotFound(err) {
				*a = Attachment{NetworkID: a.NetworkID, Name: a.Name, Driver: a.Driver, Default: a.Default, Wanted: a.Wanted}
				eps[i], err = network.Endpoint{}, nil
			}
			return err
		})
	}
	return eps, g.Wait()
}
