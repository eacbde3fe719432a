package image

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/errdefs"

	"github.com/openvic/vic/sdk/errdef"
)

// classed is an error with exactly this text that errors.Is finds its class in.
type classed struct {
	class error
	text  string
}

func (c *classed) Error() string { return c.text }
func (c *classed) Unwrap() error { return c.class }

// classify gives what Docker's service returns one of our classes, and keeps its text: people know it.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case cerrdefs.IsNotFound(err), errdefs.IsNotFound(err):
		return &classed{errdef.ErrNotFound, err.Error()}
	case cerrdefs.IsInvalidArgument(err), errdefs.IsInvalidParameter(err):
		return &classed{errdef.ErrInvalid, err.Error()}
	}
	return err
}

// explain says which registry could not be reached and what to look at; other errors stay.
func explain(ref reference.Named, err error) error {
	return explainHost(reference.Domain(ref), err)
}

func explainHost(host string, err error) error {
	if err == nil {
		return nil
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		if u, perr := url.Parse(ue.URL); perr == nil && u.Host != "" {
			host = u.Host // a mirror, perhaps, or the server of tokens
		}
	}
	cause, advice := err, advise(err)
	if advice == "" {
		return err
	}
	if ue != nil {
		cause = ue.Err
	}
	return errdefs.Unavailable(fmt.Errorf("registry %s: %w (%s)", host, cause, advice))
}

// advise says what to look at when a registry cannot be talked to; empty for all other errors.
func advise(err error) string {
	var (
		dns     *net.DNSError
		op      *net.OpError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		expired x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &dns):
		return "its name cannot be resolved: check the name and the DNS servers of the VCH's public network"
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &expired):
		return "its certificate is not trusted: name the file of its CA in registry_ca, or list the registry in insecure_registries"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "it speaks plain HTTP: list it in insecure_registries if that is intended"
	case errors.As(err, &op):
		return "it does not answer: check that it runs, its port, and that the VCH's public network reaches it"
	case isTimeout(err):
		return "it does not answer in time: check that it runs and that the VCH's public network reaches it"
	}
	return ""
}

func isTimeout(err error) bool {
	var ue *url.Error
	return errors.As(err, &ue) && ue.Timeout()
}
