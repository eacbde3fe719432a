package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/errdefs"

	"github.com/openvic/vic/sdk/errdef"
)

// hubServers are where Docker Hub sends its clients: for tokens, and for the content of images. Who allows docker.io
// allows these.
var hubServers = []rule{
	{at: place{host: "auth.docker.io"}},
	{at: place{host: "docker.com"}, sub: true},
	{at: place{host: "r2.cloudflarestorage.com"}, sub: true},
}

// guard keeps what is asked of one server, and of wherever that sends by a redirect or names as its token service, within
// the policy. It sees every request, and every connection that is made.
type guard struct {
	policy *policy
	server place // whom the requests are for
	// mirror says that an administrator has named the server as a mirror: no allow list needs to name it too.
	mirror bool
	// outside says that a user named the server: it must be one of the outside.
	outside bool
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	next    http.RoundTripper

	mu      sync.Mutex
	proxies map[string]bool // addresses that are dialled because they are proxies
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.check(r.Context(), r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	return g.next.RoundTrip(r)
}

func (g *guard) check(ctx context.Context, u *url.URL) error {
	at, err := placeOf(u)
	if err != nil {
		return errdefs.InvalidParameter(err)
	}
	if a, err := netip.ParseAddr(at.host); err == nil {
		if why := g.unfit(a, at.host == g.server.host); why != "" {
			return forbidden(at.String(), why)
		}
	}
	if g.policy.empty() {
		return nil
	}
	why := g.policy.refuses(at, g.policy.addresses(ctx, at.host))
	switch {
	case why == "", g.implied(at) && !g.denied(ctx, at):
		return nil
	case at.host != g.server.host:
		why = fmt.Sprintf("registry %s sends there, and %s", g.server, why)
	}
	return forbidden(at.String(), why)
}

// implied says whether an allow list that does not name a place allows it all the same.
func (g *guard) implied(at place) bool {
	if g.mirror && at.host == g.server.host {
		return true
	}
	return g.policy.names(place{host: hubName}) && slices.ContainsFunc(hubServers, func(r rule) bool { return r.matches(at, false) })
}

func (g *guard) denied(ctx context.Context, at place) bool {
	return (&policy{deny: g.policy.deny}).refuses(at, g.policy.addresses(ctx, at.host)) != ""
}

// proxy notes which proxies are used: they are dialled whatever the policy says.
func (g *guard) proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if u == nil || err != nil {
		return u, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.proxies == nil {
		g.proxies = map[string]bool{}
	}
	g.proxies[net.JoinHostPort(u.Hostname(), port)] = true
	return u, nil
}

func (g *guard) isProxy(addr string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.proxies[addr]
}

// dialContext connects. It dials the addresses that it has checked, so that a name that means another one at the next
// question changes nothing; it need not check when the host is the registry and no rule is about addresses.
func (g *guard) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w: %w", addr, errdef.ErrInvalid, err)
	}
	at := place{strings.ToLower(strings.TrimSuffix(host, ".")), port}
	if at.host == hubServer {
		at.host = hubName
	}
	own := at.host == g.server.host
	if g.isProxy(addr) || own && !g.outside && !g.policy.ranges() {
		return g.dial(ctx, network, addr)
	}
	addrs := g.policy.resolve(ctx, host)
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var errs []error
	for _, a := range addrs {
		if why := g.refusesAddress(at, a, own); why != "" {
			errs = append(errs, forbidden(fmt.Sprintf("%s at %s", host, a), why))
			continue
		}
		c, err := g.dial(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// refusesAddress says why one of a place's addresses may not be dialled; empty if it may.
func (g *guard) refusesAddress(at place, a netip.Addr, own bool) string {
	if why := g.unfit(a, own); why != "" {
		return why
	}
	if g.implied(at) {
		return (&policy{deny: g.policy.deny}).refuses(at, []netip.Addr{a})
	}
	return g.policy.refuses(at, []netip.Addr{a})
}

// unfit says why no server may be at an address, for who asks there; empty if one may.
func (g *guard) unfit(a netip.Addr, own bool) string {
	a = a.Unmap()
	here := a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()
	switch {
	case here && !own:
		return fmt.Sprintf("%s sends there, and no server is at such an address", g.server)
	case g.outside && (here || attached(a)):
		return "the address is the endpoint's own, or in a network that the endpoint is attached to; fetch the file yourself and send it by docker import -"
	}
	return ""
}

// attached says whether an address is this machine's or in one of its networks. It is asked anew each time: DHCP changes
// them. If they cannot be read, all are.
var attached = func(a netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(all, func(n net.Addr) bool {
		p, err := netip.ParsePrefix(n.String())
		return err == nil && p.Masked().Contains(a.WithZone(""))
	})
}
