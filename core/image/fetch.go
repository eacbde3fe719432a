package image

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/docker/docker/errdefs"

	"github.com/openvic/vic/sdk/errdef"
)

// Fetch opens the file that a URL of http or https names, for docker import; without a protocol it is http. A user of the
// Docker API says where to, and the endpoint VM stands in networks that the user does not: nothing is fetched from the
// endpoint itself, nor from a network that it is attached to, whatever a name means or a redirect says. What the lists of
// registries say of a host holds too. ErrDenied and ErrInvalid say why not; the caller closes what is returned.
func (b Backend) Fetch(ctx context.Context, raw string) (io.ReadCloser, error) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errdefs.InvalidParameter(err)
	}
	client, err := b.s.hosts.outside(u)
	if err != nil {
		return nil, errdefs.InvalidParameter(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errdefs.InvalidParameter(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		_ = resp.Body.Close()
		return nil, errdefs.InvalidParameter(fmt.Errorf("%s answers: %s: %w", u.Redacted(), resp.Status, errdef.ErrInvalid))
	}
	d := &downloads{slots: make(chan struct{}, 1), idle: responseTimeout}
	d.slots <- struct{}{} // which the body gives back
	return d.watch(ctx, resp.Body), nil
}

// outside is a client for one file from outside.
func (h *hosts) outside(u *url.URL) (*http.Client, error) {
	if _, err := placeOf(u); err != nil {
		return nil, err
	}
	t := h.trust()
	g := h.guard(t, u.Host, false)
	g.outside = true
	next := &http.Transport{Proxy: g.proxy, DialContext: g.dialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: responseTimeout,
		DisableKeepAlives: true, DisableCompression: true}
	if t.roots != nil {
		next.TLSClientConfig = &tls.Config{RootCAs: t.roots, MinVersion: tls.VersionTLS12}
	}
	g.next = next
	return &http.Client{Transport: g}, nil
}
