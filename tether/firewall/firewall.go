// Package firewall enforces in the guest what guest.Firewall asks for, with nftables. Networks that
// share a layer 2 are kept apart here as well as at their gateway, and a container network lets
// through what the administrator trusts it with.
package firewall

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

const tableName = "vic"

// hostLink is the host's end of the link on the bridge.
var hostLink = netip.MustParsePrefix("fe80::1/128")

var linkLocal = netip.MustParsePrefix("fe80::/10")

// Interface is a NIC and what holds for it.
type Interface struct {
	Name     string
	Firewall guest.Firewall
	// Own are the subnets of its addresses; with policy peers they stand in for Peers that are not
	// given, as with DHCP.
	Own []netip.Prefix
}

// Needed says whether anything has to be enforced. A container on the default bridge alone does
// without, and without the time that the kernel takes to load nftables.
func Needed(f *guest.Firewall) bool {
	return f != nil && (len(f.Foreign) > 0 || (f.Policy != "" && f.Policy != guest.FirewallOpen))
}

// Modules are the kernel modules that the rules for these interfaces need.
func Modules(list []Interface) []string {
	modules := []string{"nf_tables"}
	for _, i := range list {
		if p := i.Firewall.Policy; p == guest.FirewallOutbound || p == guest.FirewallPublished {
			return append(modules, "nft_ct")
		}
	}
	return modules
}

// Apply replaces the rules in one transaction. Without interfaces there are none.
func Apply(list []Interface) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: tableName}
	c.AddTable(t) // so that there is one to delete
	c.DelTable(t)
	if len(list) > 0 {
		b := &builder{c: c, table: c.AddTable(t)}
		b.in = b.chain("input", nftables.ChainHookInput)
		b.out = b.chain("output", nftables.ChainHookOutput)
		for _, i := range list {
			if err := b.add(i); err != nil {
				return err
			}
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("set the nftables rules of table %s: %w", tableName, err)
	}
	return nil
}

type builder struct {
	c       *nftables.Conn
	table   *nftables.Table
	in, out *nftables.Chain
}

func (b *builder) chain(name string, hook *nftables.ChainHook) *nftables.Chain {
	return b.c.AddChain(&nftables.Chain{Name: name, Table: b.table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter})
}

// rule adds one for what comes in or goes out through an interface.
func (b *builder) rule(chain *nftables.Chain, iface string, v expr.VerdictKind, parts ...[]expr.Any) {
	key := expr.MetaKeyIIFNAME
	if chain == b.out {
		key = expr.MetaKeyOIFNAME
	}
	exprs := byInterface(key, iface)
	for _, p := range parts {
		exprs = append(exprs, p...)
	}
	b.c.AddRule(&nftables.Rule{Table: b.table, Chain: chain, Exprs: append(exprs, &expr.Counter{}, &expr.Verdict{Kind: v})})
}

func (b *builder) accept(chain *nftables.Chain, i Interface, parts ...[]expr.Any) {
	b.rule(chain, i.Name, expr.VerdictAccept, parts...)
}

func (b *builder) drop(chain *nftables.Chain, i Interface, parts ...[]expr.Any) {
	b.rule(chain, i.Name, expr.VerdictDrop, parts...)
}

func (b *builder) add(i Interface) error {
	if i.Firewall.Policy == "" {
		b.isolate(i)
		return nil
	}
	switch i.Firewall.Policy {
	case guest.FirewallOpen:
	case guest.FirewallClosed:
		b.drop(b.in, i)
		b.drop(b.out, i)
	case guest.FirewallOutbound, guest.FirewallPublished:
		b.outbound(i)
	case guest.FirewallPeers:
		b.peers(i)
	default:
		return fmt.Errorf("firewall policy %q: %w", i.Firewall.Policy, errdef.ErrInvalid)
	}
	return nil
}

// isolate shuts out the other networks on the same layer 2. IPv6 link-local addresses need no
// network to reach one another, so that only the host's is let through, both ways.
func (b *builder) isolate(i Interface) {
	f := i.Firewall
	b.accept(b.in, i, from(hostLink))
	b.accept(b.out, i, to(hostLink))
	if slices.ContainsFunc(f.Peers, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		b.accept(b.in, i, neighbourDiscovery())
		b.accept(b.out, i, neighbourDiscovery())
	}
	b.drop(b.in, i, from(linkLocal))
	b.drop(b.out, i, to(linkLocal))
	for _, p := range f.Peers {
		b.accept(b.in, i, from(p))
	}
	for _, p := range f.Foreign {
		b.drop(b.in, i, from(p))
	}
}

func (b *builder) outbound(i Interface) {
	b.accept(b.in, i, established())
	b.accept(b.in, i, neighbourDiscovery())
	if i.Firewall.Policy == guest.FirewallPublished {
		for _, p := range i.Firewall.Ports {
			b.accept(b.in, i, toPort(p))
		}
	}
	b.drop(b.in, i)
}

func (b *builder) peers(i Interface) {
	peers := i.Firewall.Peers
	if len(peers) == 0 {
		peers = i.Own
	}
	for _, p := range peers {
		b.accept(b.in, i, from(p))
		b.accept(b.out, i, to(p))
	}
	b.accept(b.in, i, neighbourDiscovery())
	b.accept(b.out, i, neighbourDiscovery())
	b.drop(b.in, i)
	b.drop(b.out, i)
}
