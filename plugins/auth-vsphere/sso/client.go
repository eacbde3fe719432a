// Package sso is vCenter Single Sign-On as the plugin uses it: tokens for passwords, checked; users and groups, found with
// the hub's own solution user; and the registration of that solution user by an administrator, which vic-machine does too.
//
// The service is trusted to say who people are. Each of its answers has a bound in bytes and time, and redirects are not
// followed.
package sso

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/ssoadmin"
	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/openvic/vic/sdk/errdef"
)

const (
	maxAnswer      = 32 << 20         // bytes of one body: a search may find many users
	requestTimeout = 20 * time.Second // of one request with its answer
	// maxFound is the most users, and the most groups, that a search is answered with.
	maxFound = 5000
)

// Options say where the service is, and who the hub is there.
type Options struct {
	// Server is the host that runs the service, with a port if it is not 443.
	Server string
	// Domain is the system domain, "vsphere.local".
	Domain string
	// Roots are the authorities of the server's certificate; nil: the system's.
	Roots *x509.CertPool
	// Certificate is the solution user's, with its RSA key. Nil: only what needs none works.
	Certificate *tls.Certificate
	Now         func() time.Time // nil: time.Now
}

// Client talks to one service. It may be used by several goroutines.
type Client struct {
	o    Options
	base *soap.Client
	sts  *sts.Client
	keys keys

	// turn is held by who begins a session of the administration, and guards the session.
	turn    chan struct{}
	session *ssoadmin.Client
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]{1,255}$`)

// New makes a client. It asks nobody yet: a service that is away does not keep a plugin from starting. errdef.ErrInvalid
// names the option that is wrong.
func New(o Options) (*Client, error) {
	u, err := url.Parse("https://" + o.Server)
	if err != nil || !hostPattern.MatchString(o.Server) || u.Hostname() == "" {
		return nil, fmt.Errorf("server: %q is not a host, or host:port: %w", o.Server, errdef.ErrInvalid)
	}
	if o.Domain == "" || strings.ContainsAny(o.Domain, `/\@`) {
		return nil, fmt.Errorf("domain: %q is not one like vsphere.local: %w", o.Domain, errdef.ErrInvalid)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 8, MaxConnsPerHost: 16, IdleConnTimeout: time.Minute,
	}
	c := &Client{o: o, base: soap.NewClient(u, false), turn: make(chan struct{}, 1)}
	c.base.Transport = bounded{transport}
	s := c.service("/sts/STSService/"+o.Domain, sts.Namespace, "")
	c.sts = &sts.Client{Client: s, RoundTripper: answered{s}}
	c.keys.every = time.Minute
	return c, nil
}

// service is a client of one of the services.
func (c *Client) service(path, namespace, version string) *soap.Client {
	s := c.base.NewServiceClient(path, namespace)
	s.Transport, s.Timeout, s.Version = c.base.Transport, requestTimeout, version
	s.CheckRedirect = func(*http.Request, []*http.Request) error {
		return errors.New("it answered with a redirect, which is not followed")
	}
	return s
}

// answered demands an answer to the request that was made: govmomi takes what is well-formed and holds no fault for one.
type answered struct{ next soap.RoundTripper }

// RoundTrip implements soap.RoundTripper.
func (a answered) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	if err := a.next.RoundTrip(ctx, req, res); err != nil {
		return err
	}
	if r := reflect.Indirect(reflect.ValueOf(res)).FieldByName("Res"); !r.IsValid() || r.IsNil() {
		return errors.New("the answer is none to this request")
	}
	return nil
}

// bounded lets no answer be longer than maxAnswer.
type bounded struct{ next *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(r)
	if err == nil {
		res.Body = &limited{ReadCloser: res.Body, left: maxAnswer}
	}
	return res, err
}

// CloseIdleConnections is for http.Client.
func (b bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }

// limited is a body that fails when it is too long.
type limited struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return n, err
}

// Close lets go of connections.
func (c *Client) Close() { c.base.CloseIdleConnections() }

// faultOf is the SOAP fault in an error, if there is one.
func faultOf(err error) (*soap.Fault, bool) {
	if err == nil || !soap.IsSoapFault(err) {
		return nil, false
	}
	return soap.ToSoapFault(err), true
}

// kindOf is the type of what a fault of the administration carries, without its prefixes.
func kindOf(f *soap.Fault) string {
	if f.VimFault() == nil {
		return ""
	}
	name := fmt.Sprintf("%T", f.VimFault())
	return name[strings.LastIndexByte(name, '.')+1:]
}

// unavailable says that something could not be found out. What ended with its context says so.
func unavailable(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if f, ok := faultOf(err); ok {
		return fmt.Errorf("vCenter Single Sign-On: %s: %s: %w", what, printable(f.String), errdef.ErrUnavailable)
	}
	return fmt.Errorf("vCenter Single Sign-On: %s: %w: %w", what, err, errdef.ErrUnavailable)
}

// printable is a short text of the service's that can stand in a message.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "..."
	}
	return s
}

// do calls f with a session of the administration as the hub's solution user; once more with a new session if that one
// has ended.
func (c *Client) do(ctx context.Context, what string, f func(*ssoadmin.Client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for again := false; ; again = true {
		s, err := c.signedIn(ctx)
		if err != nil {
			return err
		}
		err = f(s)
		fault, is := faultOf(err)
		switch {
		case err == nil:
			return nil
		case is && kindOf(fault) == "NotAuthenticated" && !again:
			c.forget(s)
		case is && kindOf(fault) == "NoPermission":
			return fmt.Errorf("vCenter Single Sign-On: %s: the hub's solution user may not read users and groups: register it again: %w", what, errdef.ErrUnavailable)
		default:
			return unavailable(ctx, what, err)
		}
	}
}

func (c *Client) forget(s *ssoadmin.Client) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.session == s {
		c.session = nil
	}
}

// signedIn returns the session, and begins one if there is none.
func (c *Client) signedIn(ctx context.Context) (*ssoadmin.Client, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.session != nil {
		return c.session, nil
	}
	if c.o.Certificate == nil {
		return nil, fmt.Errorf("the hub has no solution user: register it: %w", errdef.ErrUnavailable)
	}
	s, err := c.beginAs(ctx, sts.TokenRequest{Certificate: c.o.Certificate, Lifetime: tokenLife})
	if f, is := faultOf(err); is && isFailedAuthentication(f) {
		return nil, fmt.Errorf("vCenter Single Sign-On does not know the hub's solution user, or its certificate: register it again (%s): %w",
			printable(f.String), errdef.ErrUnavailable)
	}
	if err != nil {
		return nil, unavailable(ctx, "sign in as the hub's solution user", err)
	}
	c.session = s
	return s, nil
}

// tokenLife is that of tokens that begin sessions of the administration.
const tokenLife = 10 * time.Minute

// beginAs begins a session of the administration with a new token.
func (c *Client) beginAs(ctx context.Context, req sts.TokenRequest) (*ssoadmin.Client, error) {
	signer, err := c.sts.Issue(ctx, req)
	if err != nil {
		return nil, err
	}
	s := c.service("/sso-adminserver/sdk/"+c.o.Domain, ssoadmin.Namespace, ssoadmin.Version)
	s.Jar = newJar()
	admin := &ssoadmin.Client{Client: s, RoundTripper: answered{s}, Domain: c.o.Domain, Limit: maxFound}
	if err := serviceContent(ctx, admin); err != nil {
		return nil, err
	}
	return admin, admin.Login(admin.WithHeader(ctx, soap.Header{Security: signer}))
}

// keys are the certificates that tokens are signed with.
type keys struct {
	mu      sync.Mutex
	trusted []*x509.Certificate
	asked   time.Time
	every   time.Duration // the shortest time between two requests for them
}
