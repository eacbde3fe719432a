// Package session connects vic-machine to a vCenter or an ESXi host, and holds the few calls on
// tasks and datastores that all of its verbs share.
//
// The session itself, the pinning of certificates and the classes of faults are the driver's
// (drivers/vsphere/session). What is here is for a program that people run: where to connect is read from
// what they write, errors say what to do, and a task that was begun is waited for even after an
// interruption, so that what it made can be removed.
package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Target is a vSphere endpoint and how to log in to it.
type Target struct {
	URL        url.URL // without user information
	Datacenter string  // empty: the only one
	User       string
	Password   string
	// Ticket is a clone ticket of another session (SessionManager.AcquireCloneTicket), instead of user and
	// password. It is good once.
	Ticket string
	// Thumbprint is that of the certificate to trust, as vSphere writes it (AA:BB:...); empty: only a
	// certificate that the system's authorities vouch for.
	Thumbprint string
	// Force trusts whatever certificate the target shows.
	Force bool
}

// ParseTarget reads host[:port][/datacenter] or a URL; the URL may carry user and password.
func ParseTarget(s string) (Target, error) {
	bad := func(err error) error {
		return advice.Wrap(fmt.Errorf("target %q: %w: %w", s, errdef.ErrInvalid, err),
			"give --target as host, host:port, host/datacenter or a URL")
	}
	if s == "" {
		return Target{}, advice.Wrap(fmt.Errorf("no target: %w", errdef.ErrInvalid),
			"give --target (or VIC_MACHINE_TARGET) the address of vCenter or of an ESXi host")
	}
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return Target{}, bad(errors.New("not an address"))
	}
	if u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return Target{}, bad(errors.New("no host, or neither http nor https"))
	}
	t := Target{Datacenter: strings.Trim(u.Path, "/")}
	if t.Datacenter == "sdk" {
		t.Datacenter = ""
	}
	if u.User != nil {
		t.User = u.User.Username()
		t.Password, _ = u.User.Password()
	}
	t.URL = url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/sdk"}
	return t, nil
}

// Loopback says that the target's address means another machine to every VM: nothing in a guest
// can reach it there.
func (t Target) Loopback() bool {
	if t.URL.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(t.URL.Hostname())
	return err == nil && ip.IsLoopback()
}

// address is host:port.
func (t Target) address() string {
	port := t.URL.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(t.URL.Hostname(), port)
}

// SetThumbprint takes a thumbprint as people and browsers write it; ErrInvalid for what is none.
func (t *Target) SetThumbprint(s string) (err error) {
	t.Thumbprint, err = vsphere.NormalThumbprint(s)
	return advice.Wrap(err, "run again without --thumbprint to be shown the one that the target presents")
}

// Authorities returns the certificates, in PEM, by which another machine can trust the target as this one does: the root of what
// the system's authorities vouch for; else, of what the target presents under the thumbprint, the authority of its certificate, or if
// it presents none, that certificate alone.
func (t Target) Authorities(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	state, err := t.handshake(ctx, t.Thumbprint == "")
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w: %w", t.address(), errdef.ErrUnavailable, err)
	}
	if t.Thumbprint == "" {
		chain := state.VerifiedChains[0] // there is one, or the handshake had failed
		return encode(chain[len(chain)-1]), nil
	}
	leaf, authorities := state.PeerCertificates[0], x509.NewCertPool()
	if !vsphere.Matches(t.Thumbprint, leaf) {
		return nil, fmt.Errorf("the certificate of %s has another thumbprint than before: %w", t.address(), errdef.ErrDenied)
	}
	var text []byte
	for _, c := range state.PeerCertificates[1:] {
		if c.IsCA {
			authorities.AddCert(c)
			text = append(text, encode(c)...)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: authorities}); err != nil {
		return encode(leaf), nil
	}
	return text, nil
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// handshake connects and says what the server presents.
func (t Target) handshake(ctx context.Context, verify bool) (tls.ConnectionState, error) {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: !verify}}
	conn, err := d.DialContext(ctx, "tcp", t.address())
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	tc, ok := conn.(*tls.Conn)
	if !ok || len(tc.ConnectionState().PeerCertificates) == 0 {
		return tls.ConnectionState{}, errors.New("no certificate was shown")
	}
	return tc.ConnectionState(), nil
}

// presented returns the certificate that the server shows.
func (t Target) presented(ctx context.Context, verify bool) (*x509.Certificate, error) {
	state, err := t.handshake(ctx, verify)
	if err != nil {
		return nil, err
	}
	return state.PeerCertificates[0], nil
}
