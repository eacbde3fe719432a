package image

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/errdefs"

	"github.com/openvic/vic/sdk/errdef"
)

// lookupTimeout bounds the look-up of a name that is compared with ranges of addresses.
const lookupTimeout = 5 * time.Second

// policy says which registries may be used. The zero value allows all.
type policy struct {
	allow, deny []rule
	lookup      func(ctx context.Context, host string) ([]netip.Addr, error)
}

// rule is "host", "host:port", "*.domain" or a range of addresses.
type rule struct {
	text string
	at   place
	sub  bool // all below at.host
	cidr netip.Prefix
}

func newPolicy(allow, deny []string) (*policy, error) {
	p := &policy{lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
	for _, list := range []struct {
		key  string
		in   []string
		into *[]rule
	}{{"allow_registries", allow, &p.allow}, {"deny_registries", deny, &p.deny}} {
		for _, text := range list.in {
			r, err := parseRule(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", list.key, err)
			}
			*list.into = append(*list.into, r)
		}
	}
	return p, nil
}

func parseRule(text string) (rule, error) {
	r := rule{text: text}
	trimmed := strings.TrimSpace(text)
	if cidr, err := netip.ParsePrefix(trimmed); err == nil {
		r.cidr = cidr.Masked()
		return r, nil
	}
	trimmed, r.sub = strings.CutPrefix(trimmed, "*.")
	var err error
	if r.at, err = parsePlace(trimmed); err != nil {
		return r, fmt.Errorf("%q is none of host, host:port, *.domain and a range of addresses like 10.0.0.0/8: %w", text, errdef.ErrInvalid)
	}
	return r, nil
}

// check says whether a registry, "host" or "host:port", may be used. A registry that both lists name
// is denied.
func (p *policy) check(ctx context.Context, registry string) error {
	if p.empty() {
		return nil
	}
	at, err := parsePlace(registry)
	if err != nil {
		return errdefs.InvalidParameter(err)
	}
	if why := p.refuses(at, p.addresses(ctx, at.host)); why != "" {
		return forbidden(registry, why)
	}
	return nil
}

func (p *policy) empty() bool { return p == nil || len(p.allow)+len(p.deny) == 0 }

// refuses says why a place at some addresses may not be used; empty if it may.
func (p *policy) refuses(at place, addrs []netip.Addr) string {
	for _, r := range p.deny {
		if r.matches(at, true) || r.any(addrs) {
			return fmt.Sprintf("it matches %q of deny_registries", r.text)
		}
	}
	if len(p.allow) == 0 || p.names(at) {
		return ""
	}
	for _, r := range p.allow {
		if r.all(addrs) {
			return ""
		}
	}
	return "it matches nothing of allow_registries"
}

// names says whether a rule of the allow list names a place itself, not its addresses.
func (p *policy) names(at place) bool {
	return slices.ContainsFunc(p.allow, func(r rule) bool { return r.matches(at, false) })
}

// ranges says whether there are rules of addresses.
func (p *policy) ranges() bool {
	is := func(r rule) bool { return r.cidr.IsValid() }
	return p != nil && (slices.ContainsFunc(p.deny, is) || slices.ContainsFunc(p.allow, is))
}

// addresses looks a host up if that changes an answer.
func (p *policy) addresses(ctx context.Context, host string) []netip.Addr {
	if !p.ranges() {
		return nil
	}
	return p.resolve(ctx, host)
}

func forbidden(registry, why string) error {
	return errdefs.Forbidden(fmt.Errorf("registry %s is not allowed by this virtual container host: %s", registry, why))
}

// resolve returns the addresses of a host; none if it has none, which then matches no range.
func (p *policy) resolve(ctx context.Context, host string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	all, err := p.lookup(ctx, host)
	if err != nil {
		return nil
	}
	for i := range all {
		all[i] = all[i].Unmap()
	}
	return all
}

// matches compares the names. A place without a port has that of its protocol: https, or http if it is an insecure
// registry, which for a deny list is enough.
func (r rule) matches(at place, deny bool) bool {
	if r.cidr.IsValid() {
		return false
	}
	switch {
	case r.at.port == "", r.at.port == at.port:
	case at.port == "" && (r.at.port == "443" || deny && r.at.port == "80"):
	default:
		return false
	}
	if r.sub {
		return strings.HasSuffix(at.host, "."+r.at.host)
	}
	return r.at.host == at.host
}

func (r rule) any(addrs []netip.Addr) bool {
	for _, a := range addrs {
		if r.cidr.IsValid() && r.cidr.Contains(a) {
			return true
		}
	}
	return false
}

func (r rule) all(addrs []netip.Addr) bool {
	for _, a := range addrs {
		if !r.cidr.IsValid() || !r.cidr.Contains(a) {
			return false
		}
	}
	return len(addrs) > 0
}
