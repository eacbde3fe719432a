package image

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// place is a server of images in its one form: rules are compared with it, and what is dialled is checked as one.
type place struct {
	host string // in lower case, without a dot at its end; an address without brackets, as netip writes it
	port string // as a number without zeros before it; empty: that of the protocol
}

// hostName is what a host's name may be made of. Anything else, such as '#', '@', '?', '%' or '/', one parser of URLs
// takes for the end of the host and another does not.
var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$`)

// parsePlace reads "host" or "host:port", an address in version 6 in brackets. The names of Docker Hub's servers are all
// hubName.
func parsePlace(text string) (place, error) {
	bad := func(why string) (place, error) {
		return place{}, fmt.Errorf("%.200q is no registry: %s; write host or host:port: %w", text, why, errdef.ErrInvalid)
	}
	p := place{host: strings.ToLower(text)}
	if i := strings.LastIndexByte(p.host, ':'); i >= 0 && !strings.Contains(p.host[i:], "]") {
		n, err := strconv.ParseUint(p.host[i+1:], 10, 16)
		if err != nil || n == 0 {
			return bad("its port is none")
		}
		p.host, p.port = p.host[:i], strconv.FormatUint(n, 10)
	}
	if inner, ok := strings.CutPrefix(p.host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		if err != nil || !closed || !a.Is6() || a.Zone() != "" {
			return bad("what is in the brackets is no address")
		}
		p.host = a.Unmap().String()
		return p, nil
	}
	p.host = strings.TrimSuffix(p.host, ".")
	if len(p.host) > 253 || !hostName.MatchString(p.host) || strings.Contains(p.host, "..") {
		return bad("its host is none")
	}
	switch p.host {
	case "index.docker.io", hubServer:
		p.host = hubName
	}
	return p, nil
}

// placeOf is the place that a request goes to, with its port.
func placeOf(u *url.URL) (place, error) {
	if u.User != nil || u.Opaque != "" {
		return place{}, fmt.Errorf("%.200q has more than a host and a path: %w", u.Redacted(), errdef.ErrInvalid)
	}
	p, err := parsePlace(u.Host)
	switch {
	case err != nil || p.port != "":
	case u.Scheme == "https":
		p.port = "443"
	case u.Scheme == "http":
		p.port = "80"
	default:
		err = fmt.Errorf("protocol %.40q: only http and https are spoken: %w", u.Scheme, errdef.ErrInvalid)
	}
	return p, err
}

// String is the place as rules and messages name it.
func (p place) String() string {
	switch {
	case p.port != "":
		return net.JoinHostPort(p.host, p.port)
	case strings.Contains(p.host, ":"):
		return "[" + p.host + "]"
	}
	return p.host
}
