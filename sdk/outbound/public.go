package outbound

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// special are networks that are not public beside those that package netip knows, or that hide an address in another one.
var special = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"240.0.0.0/4", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, s := range texts {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func public(a netip.Addr) bool {
	for _, n := range special {
		if n.Contains(a) {
			return false
		}
	}
	return a.IsGlobalUnicast() && !a.IsPrivate()
}

// PublicOnly is a policy that denies private addresses too, unless they are allowed by name: for what others than the hub's
// administrators may name.
func (p *Policy) PublicOnly() *Policy { return &Policy{allow: p.allow, deny: p.deny, public: true} }

// CheckURL looks at what can be seen of a URL before a connection: errdef.ErrInvalid if it is not http or https with a host,
// or has a user; errdef.ErrDenied if the host is an address that is not allowed.
func (p *Policy) CheckURL(text string) error {
	const longest = 2048
	u, err := url.Parse(text)
	switch {
	case len(text) > longest:
		return fmt.Errorf("a URL has at most %d characters: %w", longest, errdef.ErrInvalid)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return fmt.Errorf("%.200q is not http://HOST or https://HOST with a path: %w", text, errdef.ErrInvalid)
	case u.User != nil:
		return fmt.Errorf("the URL holds a name or password; give an authorization header instead: %w", errdef.ErrInvalid)
	}
	return p.checkHost(u)
}

// checkHost looks at a host that is an address, or a name of this machine's; errdef.ErrDenied.
func (p *Policy) checkHost(u *url.URL) error {
	host := strings.TrimSuffix(u.Hostname(), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		return p.Check(a)
	}
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return p.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return nil
}

// maxRedirect is how many redirects a Client follows.
const maxRedirect = 3

// Options of a Client.
type Options struct {
	// Timeout is how long a request may take with its answer; 0: 30 s.
	Timeout time.Duration
	// Insecure takes any certificate.
	Insecure bool
}

// Client makes a client for single requests to addresses that users named. It uses no proxy, for which the address would be
// the proxy's, keeps no connection, and follows the redirects that keep method and body (307 and 308), to the same or a safer
// scheme, three times; credentials do not go to another host.
func (p *Policy) Client(o Options) *http.Client {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	t := p.Transport(&tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure}) //nolint:gosec // who set the target wants it
	t.Proxy, t.DisableKeepAlives = nil, true
	return &http.Client{Timeout: o.Timeout, CheckRedirect: p.redirect, Transport: t}
}

// redirect decides about the next request.
func (p *Policy) redirect(next *http.Request, via []*http.Request) error {
	last := via[len(via)-1]
	switch {
	case len(via) > maxRedirect:
		return fmt.Errorf("it redirects more than %d times", maxRedirect)
	case next.Method != last.Method: // 301, 302 and 303 make a GET of it
		return http.ErrUseLastResponse
	case last.URL.Scheme == "https" && next.URL.Scheme != "https":
		return errors.New("it redirects from https to http")
	}
	if next.URL.Host != via[0].URL.Host {
		next.Header.Del("Authorization")
	}
	return p.CheckURL(next.URL.String())
}
