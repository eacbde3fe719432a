package access

import (
	"context"
	"net"
	"net/http"
	"net/netip"
)

// Method is how a caller has shown who they are.
type Method string

// The ways to be known.
const (
	ByCertificate Method = "certificate" // of an authority that the listener verifies
	BySocket      Method = "socket"      // the unix socket, which is for root alone
	BySession     Method = "session"     // a cookie of Sessions
	ByPassword    Method = "password"    // with this one request
	ByToken       Method = "token"       // a bearer token of the hub or a robot's secret
	Anonymous     Method = "anonymous"
)

// Caller is who makes a request.
type Caller struct {
	// Name is the person's or program's: the certificate's common name, "root" for the socket, the user of a session.
	Name   string `json:"name,omitempty"`
	Method Method `json:"method"`
	// Address is where the request comes from, without the port; "" for the socket.
	Address string `json:"address,omitempty"`
	// Session is the ID of the session, not its secret.
	Session string `json:"session,omitempty"`
}

// Known says that the caller has shown who they are.
func (c Caller) Known() bool { return c.Method != Anonymous && c.Method != "" }

// Certified returns the caller as the connection itself knows them: by the certificate that the TLS server has verified,
// or by the unix socket. All others are anonymous; what proxies say of others is not believed.
func Certified(r *http.Request) Caller {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && a.Network() == "unix" {
		return Caller{Name: "root", Method: BySocket}
	}
	from := Address(r)
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return Caller{Method: Anonymous, Address: from}
	}
	return Caller{Name: r.TLS.PeerCertificates[0].Subject.CommonName, Method: ByCertificate, Address: from}
}

// Address is where a request comes from, without the port.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// source is what Limiter counts an address as: an IPv6 address as its /64, of which one host may use all.
func source(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

type callerKey struct{}

// With returns a context that carries the caller.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns the caller that With has put into the context; anonymous if nobody has.
func From(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok {
		return c
	}
	return Caller{Method: Anonymous}
}
