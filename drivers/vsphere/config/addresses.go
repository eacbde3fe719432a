package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// Range are the addresses from First to Last, both among them.
type Range struct{ First, Last netip.Addr }

// Contains says that an address is in the range.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && !a.Less(r.First) && !r.Last.Less(a)
}

// String is the range as ParseRange takes it.
func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

// RangeOf are all addresses of a network.
func RangeOf(p netip.Prefix) Range { return Range{p.Masked().Addr(), LastAddress(p)} }

// LastAddress is the last address of a network; in IPv4 that is the broadcast address.
func LastAddress(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// ParseRange reads "10.0.5.0/25", "10.0.5.10-10.0.5.99", VIC's "10.0.5.10-99" and a single address; ErrInvalid.
func ParseRange(s string) (Range, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return RangeOf(p), nil
	}
	from, to, two := strings.Cut(s, "-")
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	if two && !strings.ContainsAny(to, ".:") {
		to = from[:strings.LastIndex(from, ".")+1] + to
	}
	first, err := netip.ParseAddr(from)
	last := first
	if err == nil && two {
		last, err = netip.ParseAddr(to)
	}
	if err != nil || last.Less(first) || last.BitLen() != first.BitLen() {
		return Range{}, fmt.Errorf("%q is neither a network nor a first and a last address: %w", s, errdef.ErrInvalid)
	}
	return Range{first, last}, nil
}
