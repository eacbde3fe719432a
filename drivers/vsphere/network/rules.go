package network

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const tableName = "vic"

// ctStatusDNAT is IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h.
const ctStatusDNAT = 1 << 5

// ruleBuilder collects the rules of one table.
type ruleBuilder struct {
	c     *nftables.Conn
	table *nftables.Table
}

func (b *ruleBuilder) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority) *nftables.Chain {
	return b.c.AddChain(&nftables.Chain{Name: name, Table: b.table, Type: kind, Hooknum: hook, Priority: prio})
}

func (b *ruleBuilder) add(chain *nftables.Chain, parts ...[]expr.Any) {
	b.c.AddRule(&nftables.Rule{Table: b.table, Chain: chain, Exprs: join(parts...)})
}

// applyRules replaces the table in one transaction: there is no moment without rules.
func applyRules(c *nftables.Conn, r Rules) error {
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: tableName}
	c.AddTable(t) // so that there is one to delete
	c.DelTable(t)
	b := &ruleBuilder{c: c, table: c.AddTable(t)}
	b.prerouting(r)
	b.postrouting(r)
	b.forward(r)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("set the nftables rules of table %s: %w", tableName, err)
	}
	return nil
}

// prerouting sends what comes to a published port to its container. Ports are published on the uplink, and
// for containers; on the management and client networks there is the endpoint VM alone.
func (b *ruleBuilder) prerouting(r Rules) {
	ch := b.chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	b.add(ch, notInFrom(r.Bridge), notInFrom(r.Uplink), []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}})
	for _, proto := range []string{"udp", "tcp"} { // DNS at the gateways is not for publishing
		b.add(ch, inFrom(r.Bridge), toPort(proto, 53), []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}})
	}
	for _, p := range r.Ports {
		to := toLocal()
		if p.HostIP.IsValid() && !p.HostIP.IsUnspecified() {
			to = toSubnet(netip.PrefixFrom(p.HostIP, p.HostIP.BitLen()))
		}
		b.add(ch, isIPv4(), to, toPort(p.Protocol, p.HostPort), dnat(p.Target, p.ContainerPort))
	}
}

// postrouting lets containers out under the endpoint VM's address. A container that reaches another
// one, or itself, through a published port has its address replaced too, so that the answer comes
// back this way.
func (b *ruleBuilder) postrouting(r Rules) {
	ch := b.chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	for _, s := range r.Subnets {
		b.add(ch, fromSubnet(s.Prefix), outOf(r.Bridge), translated(), masquerade())
		if !s.Internal {
			b.add(ch, fromSubnet(s.Prefix), outOf(r.Uplink), masquerade())
		}
	}
}

// forward keeps networks apart. Containers get out through the uplink alone, so that the endpoint VM is no
// way into the management and client networks. New connections to containers come through published ports.
func (b *ruleBuilder) forward(r Rules) {
	ch := b.chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	b.add(ch, established(), verdict(expr.VerdictAccept))
	b.add(ch, translated(), verdict(expr.VerdictAccept))
	b.add(ch, inFrom(r.Bridge), outOf(r.Bridge), verdict(expr.VerdictDrop))
	for _, s := range r.Subnets {
		if s.Internal {
			b.add(ch, fromSubnet(s.Prefix), verdict(expr.VerdictDrop))
		}
	}
	b.add(ch, inFrom(r.Bridge), outOf(r.Uplink), verdict(expr.VerdictAccept))
	b.add(ch, inFrom(r.Bridge), verdict(expr.VerdictDrop))
	b.add(ch, outOf(r.Bridge), verdict(expr.VerdictDrop))
}

func join(parts ...[]expr.Any) []expr.Any {
	var out []expr.Any
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func isIPv4() []expr.Any { return ofProtocol(expr.MetaKeyNFPROTO, unix.NFPROTO_IPV4) }

func ofProtocol(key expr.MetaKey, proto byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}}}
}

// Where source and destination lie in the headers.
const (
	sourceIPv4, destinationIPv4 = 12, 16
	sourceIPv6, destinationIPv6 = 8, 24
)

func fromSubnet(p netip.Prefix) []expr.Any { return inSubnet(p, sourceIPv4, sourceIPv6) }
func toSubnet(p netip.Prefix) []expr.Any   { return inSubnet(p, destinationIPv4, destinationIPv6) }

// inSubnet matches packets with an address at an offset in a subnet.
func inSubnet(p netip.Prefix, offset4, offset6 uint32) []expr.Any {
	offset, family := offset4, byte(unix.NFPROTO_IPV4)
	if p.Addr().Is6() {
		offset, family = offset6, unix.NFPROTO_IPV6
	}
	net := p.Masked().Addr().AsSlice()
	size := uint32(len(net))
	mask := make([]byte, size)
	for bit := range p.Bits() {
		mask[bit/8] |= 1 << (7 - bit%8)
	}
	return append(ofProtocol(expr.MetaKeyNFPROTO, family),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: net},
	)
}

// toLocal matches packets to any address of this machine.
func toLocal() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// toPort matches packets to a port.
func toPort(protocol string, port uint16) []expr.Any {
	number := byte(unix.IPPROTO_TCP)
	if protocol == "udp" {
		number = unix.IPPROTO_UDP
	}
	return append(ofProtocol(expr.MetaKeyL4PROTO, number),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	)
}

func dnat(to netip.Addr, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Counter{},
		&expr.Immediate{Register: 1, Data: to.AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}
}

func masquerade() []expr.Any { return []expr.Any{&expr.Counter{}, &expr.Masq{}} }

func outOf(iface string) []expr.Any  { return byInterface(expr.MetaKeyOIFNAME, expr.CmpOpEq, iface) }
func inFrom(iface string) []expr.Any { return byInterface(expr.MetaKeyIIFNAME, expr.CmpOpEq, iface) }
func notInFrom(iface string) []expr.Any {
	return byInterface(expr.MetaKeyIIFNAME, expr.CmpOpNeq, iface)
}

// byInterface matches by name, so that the interface may come later.
func byInterface(key expr.MetaKey, op expr.CmpOp, iface string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name[:unix.IFNAMSIZ-1], iface)
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: name},
	}
}

// established matches answers.
func established() []expr.Any {
	return byConntrack(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

// translated matches packets of connections that came through a published port.
func translated() []expr.Any { return byConntrack(expr.CtKeySTATUS, ctStatusDNAT) }

func byConntrack(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Register: 1, Key: key},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: binaryutil.NativeEndian.PutUint32(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)},
	}
}

func verdict(k expr.VerdictKind) []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: k}}
}
