package firewall

import (
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/openvic/vic/sdk/guest"
)

// The ICMPv6 types of neighbour discovery (RFC 4861) and multicast listener discovery lie between
// router solicitation and redirect.
const (
	firstND = 133
	lastND  = 137
)

// Where source and destination lie in the headers.
const (
	sourceIPv4, destinationIPv4 = 12, 16
	sourceIPv6, destinationIPv6 = 8, 24
)

func from(p netip.Prefix) []expr.Any { return within(p, sourceIPv4, sourceIPv6) }
func to(p netip.Prefix) []expr.Any   { return within(p, destinationIPv4, destinationIPv6) }

// within matches packets with an address at an offset in a subnet.
func within(p netip.Prefix, offset4, offset6 uint32) []expr.Any {
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
	return append(equal(expr.MetaKeyNFPROTO, family),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: net},
	)
}

func equal(key expr.MetaKey, value byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{value}}}
}

func byInterface(key expr.MetaKey, iface string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name[:unix.IFNAMSIZ-1], iface)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name}}
}

func neighbourDiscovery() []expr.Any {
	return append(equal(expr.MetaKeyL4PROTO, unix.IPPROTO_ICMPV6),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: []byte{firstND}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: []byte{lastND}},
	)
}

// established matches answers to what the container began.
func established() []expr.Any {
	return []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func toPort(p guest.Port) []expr.Any {
	protocols := map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "sctp": unix.IPPROTO_SCTP}
	return append(equal(expr.MetaKeyL4PROTO, protocols[p.Protocol]),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(p.Port)},
	)
}
