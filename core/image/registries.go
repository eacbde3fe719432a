package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
	dockerregistry "github.com/docker/docker/registry"
)

// Registries says which registries may be used, and how they are trusted.
type Registries struct {
	Mirrors  []string // URLs that are asked before docker.io
	Insecure []string // registries (host:port or CIDR) that may speak plain HTTP or show any certificate
	CAs      []string // files or directories of PEM certificates that registries may be signed by, beside the system's
	Allow    []string // registries that may be used (host, host:port, *.domain, CIDR); empty: all
	Deny     []string // registries that may not, whatever Allow says
}

// trust is what hosts makes of Registries; it never changes, another takes its place.
type trust struct {
	policy *policy
	roots  *x509.CertPool // nil: the system's
}

func newTrust(r Registries) (*trust, error) {
	p, err := newPolicy(r.Allow, r.Deny)
	if err != nil {
		return nil, err
	}
	roots, err := readCAs(r.CAs)
	return &trust{policy: p, roots: roots}, err
}

func (r Registries) options() dockerregistry.ServiceOptions {
	return dockerregistry.ServiceOptions{Mirrors: r.Mirrors, InsecureRegistries: r.Insecure}
}

// PrepareRegistries reads the files of r and checks all of it; commit puts it into effect. Pulls and
// pushes that are under way end as they began: what they ask for from then on is asked by the new rules,
// over connections of its own.
func (s *Service) PrepareRegistries(r Registries) (commit func(), err error) {
	t, err := newTrust(r)
	if err != nil {
		return nil, err
	}
	replace, err := s.registry.ReplaceConfig(r.options())
	if err != nil {
		return nil, wrongRegistries(err)
	}
	return func() {
		replace()
		s.hosts.use(t)
	}, nil
}

func wrongRegistries(err error) error {
	return fmt.Errorf("registry_mirrors or insecure_registries: %w", err)
}

// RegistryConfig is what docker info shows of the registries.
func (s *Service) RegistryConfig() *registry.ServiceConfig { return s.registry.ServiceConfig() }

// resolver is Docker's, with the authorities of registry_ca, which Docker's knows nothing of.
type resolver struct {
	*dockerregistry.Service
	roots *x509.CertPool
}

// LookupPullEndpoints implements distribution.RegistryResolver.
func (r resolver) LookupPullEndpoints(host string) ([]dockerregistry.APIEndpoint, error) {
	all, err := r.Service.LookupPullEndpoints(host)
	for i, e := range all {
		if r.roots == nil || e.Official || e.TLSConfig == nil || e.TLSConfig.InsecureSkipVerify || e.TLSConfig.RootCAs != nil {
			continue
		}
		c := e.TLSConfig.Clone()
		c.RootCAs = r.roots
		c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
		all[i].TLSConfig = c
	}
	return all, err
}

// check says whether the registry of an image may be used.
func (s *Service) check(ctx context.Context, ref reference.Named) error {
	return s.hosts.trust().policy.check(ctx, reference.Domain(ref))
}
