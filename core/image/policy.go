package image

import (
	"context"
	"fmt"
	"net"
	"net/netip"
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
	host string // without a port; "*.domain" as it is
	port string // empty: any
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
	r := rule{text: text, host: strings.ToLower(strings.TrimSpace(text))}
	if cidr, err := netip.ParsePrefix(r.host); err == nil {
		r.cidr = cidr.Masked()
		return r, nil
	}
	if host, port, err := net.SplitHostPort(r.host); err == nil {
		r.host, r.port = host, port
	}
	bad := strings.ContainsAny(text, "/ ") || strings.Contains(strings.TrimPrefix(r.host, "*."), "*")
	if r.host == "" || bad {
		return r, fmt.Errorf("%q is none of host, host:port, *.domain and a range of addresses like 10.0.0.0/8: %w", text, errdef.ErrInvalid)
	}
	return r, nil
}

// check says whether a registry, "host" or "host:port", may be used. A registry that both lists name
// is denied.
func (p *policy) check(ctx context.Context, registry string) error {
	if p == nil || len(p.allow)+len(p.deny) == 0 {
		return nil
	}
	host, port := strings.ToLower(registry), ""
	if h, q, err := net.SplitHostPort(host); err == nil {
		host, port = h, q
	}
	var addrs []netip.Addr
	for _, r := range append(p.deny[:len(p.deny):len(p.deny)], p.allow...) {
		if r.cidr.IsValid() {
			addrs = p.resolve(ctx, host)
			break
		}
	}
	for _, r := range p.deny {
		if r.matches(host, port) || r.any(addrs) {
			return forbidden(registry, fmt.Sprintf("it matches %q of deny_registries", r.text))
		}
	}
	if len(p.allow) == 0 {
		return nil
	}
	for _, r := range p.allow {
		if r.matches(host, port) || r.all(addrs) {
			return nil
		}
	}
	return forbidden(registry, "it matches nothing of allow_registries")
}

func forbidden(registry, why string) error {
	return errdefs.Forbidden(fmt.Errorf("registry %s is not allowed by this virtual container host: %s", registry, why))
}

// resolve returns the addresses of a host; none if it has none, which then matches no range.
func (p *policy) resolve(ctx context.Context, host string) []netip.Addr {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
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

func (r rule) matches(host, port string) bool {
	if r.cidr.IsValid() || r.port != "" && r.port != port {
		return false
	}
	if domain, ok := strings.CutPrefix(r.host, "*"); ok {
		return strings.HasSuffix(host, domain) && len(host) > len(domain)
	}
	return r.host == host
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
