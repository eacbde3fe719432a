package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"path"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/docker/docker/registry"
)

const (
	hubName   = "docker.io"
	hubServer = "registry-1.docker.io"
	apiPath   = "/v2"

	dialTimeout     = 15 * time.Second
	responseTimeout = 60 * time.Second
)

// hosts says which servers are asked for the images of a registry, and how.
type hosts struct {
	registry *registry.Service
	slots    chan struct{} // one for each download that may run
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)

	mu         sync.Mutex
	now        *trust
	clients    map[string]*http.Client // by host and scheme: connections are kept between pulls
	transports []*http.Transport
}

// use puts other rules into effect. Connections that are in use stay until their requests have ended.
func (h *hosts) use(t *trust) {
	h.mu.Lock()
	old := h.transports
	h.now, h.clients, h.transports = t, map[string]*http.Client{}, nil
	h.mu.Unlock()
	for _, t := range old {
		t.CloseIdleConnections()
	}
}

func (h *hosts) trust() *trust {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// find is containerd's docker.RegistryHosts: for docker.io the mirrors come first.
func (h *hosts) find(name string) ([]docker.RegistryHost, error) {
	if err := h.trust().policy.check(context.Background(), name); err != nil {
		return nil, err
	}
	server, err := docker.DefaultHost(name)
	if err != nil {
		return nil, err
	}
	own := h.host("https", server, apiPath, false)
	own.Capabilities = docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityPush
	if name != hubName {
		return []docker.RegistryHost{own}, nil
	}
	var all []docker.RegistryHost
	for _, m := range h.registry.ServiceConfig().Mirrors {
		u, err := url.Parse(m)
		if err != nil {
			return nil, err // cannot be: registry.NewService checked it
		}
		mirror := h.host(u.Scheme, u.Host, path.Join("/", u.Path, apiPath), true)
		mirror.Capabilities = docker.HostCapabilityPull | docker.HostCapabilityResolve
		all = append(all, mirror)
	}
	return append(all, own), nil
}

// host is one server, asked with the credentials of the pull or push that asks.
func (h *hosts) host(scheme, server, apiPath string, mirror bool) docker.RegistryHost {
	client := h.client(scheme, server, mirror)
	return docker.RegistryHost{
		Client: client, Host: server, Scheme: scheme, Path: apiPath,
		Authorizer: newAuthorizer(client),
	}
}

// client returns the one that is kept for the server.
func (h *hosts) client(scheme, server string, mirror bool) *http.Client {
	key := scheme + "://" + server
	if mirror {
		key = "mirror " + key
	}
	h.mu.Lock()
	c, ok := h.clients[key]
	now := h.now
	h.mu.Unlock()
	if ok {
		return c
	}
	g := h.guard(now, server, mirror)
	t, rt := h.transport(scheme, server, now.roots, g)
	g.next = rt
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.clients[key]; ok && h.now == now {
		return c // another pull was quicker
	}
	c = &http.Client{Transport: &downloads{next: g, slots: h.slots, idle: responseTimeout}}
	if h.now != now {
		return c // made by rules that are past: for this one use
	}
	h.clients[key] = c
	h.transports = append(h.transports, t)
	return c
}

// guard is that of one server's requests; its next is yet to be set.
func (h *hosts) guard(t *trust, server string, mirror bool) *guard {
	at, err := parsePlace(server)
	if err != nil {
		at = place{host: server} // its first request will say so
	}
	return &guard{policy: t.policy, server: at, mirror: mirror, dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return h.dial(ctx, network, addr)
	}}
}

func (h *hosts) transport(scheme, server string, roots *x509.CertPool, g *guard) (*http.Transport, http.RoundTripper) {
	t := &http.Transport{
		Proxy:                 g.proxy,
		DialContext:           g.dialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: responseTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   cap(h.slots) + 1,
		IdleConnTimeout:       30 * time.Second,
	}
	if roots != nil {
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	// The question may look the name up: it is not asked where the answer changes nothing.
	if scheme != "https" || server == hubServer || !h.registry.IsInsecureRegistry(server) {
		return t, t
	}
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the administrator listed it as insecure
	return t, docker.NewHTTPFallback(t)
}

func (h *hosts) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.transports {
		t.CloseIdleConnections()
	}
}
