// Package outbound decides where the hub itself connects to because somebody named an address: registries, webhooks. The
// decision falls where the connection is dialled, on the address that the name has at that moment, so it holds for
// redirects and for what a server names (a token service) too. Plugins that dial for the hub get its rule with the
// request (Policy.Options, FromOptions).
package outbound

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// Policy says which addresses may be connected to. It never changes.
type Policy struct {
	allow, deny []netip.Prefix
	public      bool // see PublicOnly
}

// local are addresses that only the hub's own machine and its cloud answer at: what listens there trusts who asks. They
// are denied unless they are allowed by name.
var local = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fd00:ec2::254/128"),
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("::/128"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("ff00::/8"), netip.MustParsePrefix("255.255.255.255/32"),
}

// New reads ranges of addresses, "10.0.0.0/8", or single addresses. What allow names is allowed, whatever else would deny
// it; then deny counts; then all but the machine's own and link-local addresses are allowed. errdef.ErrInvalid.
func New(allow, deny []string) (*Policy, error) {
	p := &Policy{}
	for _, list := range []struct {
		name string
		in   []string
		to   *[]netip.Prefix
	}{{"allow", allow, &p.allow}, {"deny", deny, &p.deny}} {
		for _, text := range list.in {
			prefix, err := Parse(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", list.name, err)
			}
			*list.to = append(*list.to, prefix)
		}
	}
	return p, nil
}

// Parse reads one range or address; errdef.ErrInvalid.
func Parse(text string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Masked(), nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.Prefix{}, fmt.Errorf("%q is no address and no range of addresses like 10.0.0.0/8: %w", text, errdef.ErrInvalid)
}

// Check says whether an address may be connected to; errdef.ErrDenied.
func (p *Policy) Check(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	within := func(list []netip.Prefix) bool {
		for _, x := range list {
			if x.Contains(a) {
				return true
			}
		}
		return false
	}
	switch {
	case within(p.allow):
		return nil
	case within(p.deny):
		return fmt.Errorf("the hub must not connect to %s: [outbound] deny names it: %w", a, errdef.ErrDenied)
	case p.public && !public(a):
		return fmt.Errorf("the hub must not connect to %s, which is not a public address: [outbound] allow could name it: %w", a, errdef.ErrDenied)
	case within(local):
		return fmt.Errorf("the hub must not connect to %s, an address of its own machine or link: [outbound] allow could name it: %w", a, errdef.ErrDenied)
	}
	return nil
}

const (
	dialPatience   = 10 * time.Second
	headerPatience = time.Minute
	keepIdle       = 30 * time.Second
	idlePerHost    = 8
	maxHeader      = 64 << 10 // bytes
)

// Dial connects to an address that the policy allows.
func (p *Policy) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialPatience, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return p.Check(at.Addr())
	}}
	return d.DialContext(ctx, network, address)
}

// proxy is the one of the environment for a request. The proxy is then what is connected to, and it looks names up; an
// address that is written in the URL is looked at here.
func (p *Policy) proxy(r *http.Request) (*url.URL, error) {
	if err := p.checkHost(r.URL); err != nil {
		return nil, err
	}
	return http.ProxyFromEnvironment(r)
}

// Transport makes one that connects by the policy; through the proxy of the environment, if there is one. c is nil for the
// system's authorities.
func (p *Policy) Transport(c *tls.Config) *http.Transport {
	return &http.Transport{Proxy: p.proxy, DialContext: p.Dial, TLSClientConfig: c, TLSHandshakeTimeout: dialPatience,
		ResponseHeaderTimeout: headerPatience, ForceAttemptHTTP2: true, IdleConnTimeout: keepIdle, MaxIdleConnsPerHost: idlePerHost,
		MaxResponseHeaderBytes: maxHeader}
}
