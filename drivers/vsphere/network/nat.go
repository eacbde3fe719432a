package network

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/openvic/vic/drivers/vsphere/config"
)

const (
	tableName   = "vic"
	forwardFile = "/proc/sys/net/ipv4/ip_forward"
)

// SetUpNAT lets containers out through the uplink and nobody in. It may be called again.
func SetUpNAT(b config.Bridge) error {
	if err := os.WriteFile(forwardFile, []byte("1"), 0o644); err != nil {
		return fmt.Errorf("turn on IP forwarding: %w", err)
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	t := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
	c.AddTable(t) // so that there is one to delete: all of this is one transaction
	c.DelTable(t)
	t = c.AddTable(t)
	post := c.AddChain(&nftables.Chain{
		Name: "postrouting", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	forward := c.AddChain(&nftables.Chain{
		Name: "forward", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	for _, r := range []struct {
		chain *nftables.Chain
		exprs []expr.Any
	}{
		{post, join(fromSubnet(b.Subnet), outOf(b.Uplink), []expr.Any{&expr.Counter{}, &expr.Masq{}})},
		{forward, join(established(), verdict(expr.VerdictAccept))},
		{forward, join(inFrom(b.Interface), verdict(expr.VerdictAccept))},
		// New connections to containers come only through published ports.
		{forward, join(outOf(b.Interface), verdict(expr.VerdictDrop))},
	} {
		c.AddRule(&nftables.Rule{Table: t, Chain: r.chain, Exprs: r.exprs})
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("set the nftables rules of table %s: %w", tableName, err)
	}
	return nil
}

func join(parts ...[]expr.Any) []expr.Any {
	var out []expr.Any
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// fromSubnet matches packets whose source is in an IPv4 subnet.
func fromSubnet(p netip.Prefix) []expr.Any {
	var mask [4]byte
	for bit := range p.Bits() {
		mask[bit/8] |= 1 << (7 - bit%8)
	}
	net := p.Masked().Addr().As4()
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask[:], Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: net[:]},
	}
}

func outOf(iface string) []expr.Any { return byInterface(expr.MetaKeyOIFNAME, iface) }
func inFrom(iface string) []expr.Any {
	return byInterface(expr.MetaKeyIIFNAME, iface)
}

// byInterface matches by name, so that the interface may come later.
func byInterface(key expr.MetaKey, iface string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name[:unix.IFNAMSIZ-1], iface)
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
	}
}

// established matches answers.
func established() []expr.Any {
	return []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED),
			Xor:  binaryutil.NativeEndian.PutUint32(0),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)},
	}
}

func verdict(k expr.VerdictKind) []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: k}}
}
