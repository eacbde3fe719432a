// Package upstream is a client of other registries: what the hub itself asks them as a proxy cache, and before it saves
// one as an endpoint. It speaks OCI's distribution protocol with Docker's tokens or basic authentication, to addresses
// that package outbound allows, and believes nothing that it can check.
package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
	"github.com/openvic/vic/sdk/secret"
)

// Kinds of registries, in Harbor's words.
const (
	DockerHub = "docker-hub" // images without a folder are in library/
	Registry  = "docker-registry"
	Harbor    = "harbor" // this hub too
	GitHub    = "github-ghcr"
	Quay      = "quay"
)

// Kinds lists them.
func Kinds() []string { return []string{DockerHub, Registry, GitHub, Harbor, Quay} }

// Known says whether a kind is one of them.
func Known(kind string) bool { return slices.Contains(Kinds(), kind) }

// Address is that of all registries of a kind; "" if they have not one.
func Address(kind string) string {
	return map[string]string{DockerHub: "https://" + hubSite, GitHub: "https://ghcr.io", Quay: "https://quay.io"}[kind]
}

// Endpoint is a registry, and who the hub is there.
type Endpoint struct {
	URL  string // https://HOST, or http://HOST
	Kind string
	// Username and Password are for basic authentication, or for the registry's token service; both may be empty.
	Username string
	Password secret.Text
	Insecure bool   // any certificate will do
	CA       string // PEM certificates beside the system's
}

// hubSite and hubHost are what people write for Docker Hub, and where its registry is.
const (
	hubSite = "hub.docker.com"
	hubHost = "registry-1.docker.io"
)

// Bounds of an endpoint's fields.
const (
	maxURL  = 512
	maxText = 4096
	maxCA   = 64 << 10
)

// base checks the fields of an endpoint, and reads its URL; errdef.ErrInvalid.
func (e Endpoint) base() (*url.URL, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf(format+": %w", append(args, errdef.ErrInvalid)...)
	}
	u, err := url.Parse(e.URL)
	if err != nil || len(e.URL) > maxURL || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, bad("url: want https://HOST or https://HOST:PORT")
	}
	if !Known(e.Kind) {
		return nil, bad("type: want one of %s", strings.Join(Kinds(), ", "))
	}
	switch {
	case len(e.Username) > maxText || len(e.Password) > maxText:
		return nil, bad("credential: a name or a secret has at most %d characters", maxText)
	case len(e.CA) > maxCA:
		return nil, bad("ca_certificate: it has more than %d bytes", maxCA)
	case u.Scheme == "http" && e.Password != "" && !e.Insecure:
		return nil, bad("url: over plain HTTP everybody on the way reads the secret: use https, or say insecure")
	}
	if e.Kind == DockerHub && (u.Host == hubSite || u.Host == "docker.io" || u.Host == "index.docker.io") {
		u.Host = hubHost
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// Client asks one registry. It may be used by several goroutines.
type Client struct {
	endpoint Endpoint
	base     *url.URL
	http     *http.Client
	now      func() time.Time

	mu     sync.Mutex // guards what follows
	tokens map[string]token
	away   time.Time // until when nobody asks again
	why    error
}

// Options are for tests.
type Options struct {
	Now func() time.Time // nil: time.Now
}

// New makes a client; errdef.ErrInvalid if the endpoint cannot be.
func New(e Endpoint, p *outbound.Policy, o Options) (*Client, error) {
	u, err := e.base()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.Insecure} //nolint:gosec // the administrator said so of this registry
	if e.CA != "" {
		if c.RootCAs, err = x509.SystemCertPool(); err != nil {
			c.RootCAs = x509.NewCertPool() // a machine without any
		}
		if !c.RootCAs.AppendCertsFromPEM([]byte(e.CA)) {
			return nil, fmt.Errorf("ca_certificate: there is no certificate in PEM in it: %w", errdef.ErrInvalid)
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	x := &Client{endpoint: e, base: u, now: o.Now, tokens: map[string]token{}}
	x.http = &http.Client{Transport: p.Transport(c), CheckRedirect: x.redirect}
	return x, nil
}

// Close ends the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

const maxRedirects = 5

// redirect follows within bounds: content may lie on another server, but credentials do not go there, nor does TLS end.
func (c *Client) redirect(r *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return errors.New("it redirects without an end")
	}
	if r.URL.Scheme != "https" && via[0].URL.Scheme == "https" && !c.endpoint.Insecure {
		return errors.New("it redirects from https to plain http")
	}
	if r.URL.Host != via[0].URL.Host {
		r.Header.Del("Authorization")
	}
	return nil
}

// Ping asks whether the registry answers as one, and knows the hub: errdef.ErrUnavailable, errdef.ErrDenied.
func (c *Client) Ping(ctx context.Context) error {
	res, err := c.do(ctx, http.MethodGet, "/v2/", "", "")
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	return nil
}

// pause is how long a registry that did not answer is not asked whether something has changed.
const pause = 10 * time.Second

// rest is why the registry is not asked at the moment; nil: it may be.
func (c *Client) rest() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Before(c.away) {
		return c.why
	}
	return nil
}

// note remembers whether the registry answered.
func (c *Client) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = time.Time{}
	if errors.Is(err, errdef.ErrUnavailable) {
		c.away, c.why = c.now().Add(pause), err
	}
}

// do sends a request, and signs in if the registry asks for it. An answer that is no success is an error, as a class of
// errdef. The caller closes the body.
func (c *Client) do(ctx context.Context, method, path, accept, scope string) (*http.Response, error) {
	for try := 0; ; try++ {
		r, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, nil)
		if err != nil {
			return nil, fmt.Errorf("upstream: %w", err)
		}
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		if t := c.token(scope); t != "" {
			r.Header.Set("Authorization", t)
		}
		res, err := c.http.Do(r)
		if err != nil {
			return nil, c.failed(ctx, err)
		}
		if res.StatusCode < http.StatusBadRequest {
			return res, nil
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized || try > 0 {
			return nil, refused(c.base.Host, res.StatusCode)
		}
		if at := res.Request; at != nil && !c.own(at.URL) {
			// It redirected to where its content lies. What that server asks for is not for the registry's credentials.
			return nil, fmt.Errorf("registry %s redirects to another server, which wants credentials of its own: %w", c.base.Host, errdef.ErrDenied)
		}
		if err := c.signIn(ctx, res.Header, scope); err != nil {
			return nil, err
		}
	}
}

// own says whether a URL is of the registry itself, and not less safe.
func (c *Client) own(u *url.URL) bool {
	return strings.EqualFold(u.Host, c.base.Host) && (u.Scheme == c.base.Scheme || u.Scheme == "https")
}

// failed is the error of a request that got no answer. A denied address stays one.
func (c *Client) failed(ctx context.Context, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, which may be one that content was redirected to, with a signature
	}
	if errors.Is(err, errdef.ErrDenied) || errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("registry %s: %w", c.base.Host, err)
	}
	return fmt.Errorf("registry %s does not answer: %w: %w", c.base.Host, err, errdef.ErrUnavailable)
}

// refused is the error of a status.
func refused(host string, status int) error {
	class, says := errdef.ErrUnavailable, fmt.Sprintf("answers with status %d", status)
	switch status {
	case http.StatusNotFound:
		class, says = errdef.ErrNotFound, "does not have it"
	case http.StatusUnauthorized, http.StatusForbidden:
		class, says = errdef.ErrDenied, cmp.Or(map[int]string{http.StatusUnauthorized: "does not take the hub's credentials"}[status], "refuses it to the hub")
	case http.StatusTooManyRequests:
		class, says = errdef.ErrUnavailable, "has had too many requests of the hub"
	}
	return fmt.Errorf("registry %s %s: %w", host, says, class)
}
