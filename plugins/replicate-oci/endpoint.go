package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
	"github.com/openvic/vic/sdk/replicate"
)

// dockerHub is where Docker Hub's registry is; people write one of the others.
const dockerHub = "registry-1.docker.io"

var dockerHubNames = map[string]bool{"hub.docker.com": true, "docker.io": true, "index.docker.io": true, dockerHub: true}

// client asks one registry during one call of the host's. It may be used by several goroutines.
type client struct {
	endpoint  replicate.Endpoint
	base      *url.URL
	dockerHub bool
	http      *http.Client
	limit     *rate.Limiter // of requests; nil: none
	tokens    tokens
	patience  time.Duration // for a whole answer that is no content
}

// open makes a client; errdef.ErrInvalid if the endpoint cannot be. The caller closes it.
func (d *driver) open(e replicate.Endpoint) (*client, error) {
	u, err := url.Parse(e.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("address: want https://HOST or https://HOST:PORT: %w", errdef.ErrInvalid)
	}
	if u.Scheme == "http" && e.Secret != "" && !e.SkipVerify {
		return nil, fmt.Errorf("address: over plain HTTP everybody on the way reads the secret: use https, or take any certificate: %w", errdef.ErrInvalid)
	}
	rule, err := outbound.FromOptions(e.Options)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.SkipVerify} //nolint:gosec // the administrator said so of this registry
	if len(e.CA) > 0 {
		if conf.RootCAs, err = x509.SystemCertPool(); err != nil {
			conf.RootCAs = x509.NewCertPool() // a machine without any
		}
		if !conf.RootCAs.AppendCertsFromPEM(e.CA) {
			return nil, fmt.Errorf("certificate authority: there is no certificate in PEM in it: %w", errdef.ErrInvalid)
		}
	}
	c := &client{endpoint: e, dockerHub: dockerHubNames[strings.ToLower(u.Host)], limit: d.limiter(u.Host), patience: d.patience}
	if c.dockerHub {
		u.Host = dockerHub
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	c.base = u
	t := rule.Transport(conf)
	t.MaxIdleConnsPerHost = replicate.MaxParallel
	c.http = &http.Client{Transport: t, CheckRedirect: c.redirect}
	return c, nil
}

// close ends the connections.
func (c *client) close() { c.http.CloseIdleConnections() }

// name is a repository's name at the registry.
func (c *client) name(repo string) string {
	if c.dockerHub && !strings.Contains(repo, "/") {
		return "library/" + repo
	}
	return repo
}

const maxRedirects = 5

// redirect follows within bounds: content may lie on another server, but credentials do not go there, nor does TLS end.
func (c *client) redirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("it redirects without an end")
	}
	if r.URL.Scheme != "https" && via[0].URL.Scheme == "https" && !c.endpoint.SkipVerify {
		return errors.New("it redirects from https to plain http")
	}
	if !c.own(r.URL) {
		r.Header.Del("Authorization")
	}
	return nil
}

// own says whether a URL is of the registry itself, and not less safe.
func (c *client) own(u *url.URL) bool {
	return strings.EqualFold(u.Host, c.base.Host) && (u.Scheme == c.base.Scheme || u.Scheme == "https")
}

// limiter is the one of a host, which all calls share; nil: there is no limit.
func (d *driver) limiter(host string) *rate.Limiter {
	if d.perSecond == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.limiters[host]
	if !ok {
		if len(d.limiters) >= maxHosts {
			clear(d.limiters)
		}
		l = rate.NewLimiter(rate.Limit(d.perSecond), max(1, int(d.perSecond)))
		d.limiters[host] = l
	}
	return l
}
