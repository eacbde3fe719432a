package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Config is the plugin's configuration; README.md explains each key.
type Config struct {
	Server         string   `toml:"server"`
	CA             string   `toml:"ca"`
	Domain         string   `toml:"domain"`
	Domains        []string `toml:"domains"`
	SolutionUser   string   `toml:"solution_user"`
	Certificate    string   `toml:"certificate"`
	Administrators []string `toml:"administrators"`
	Refresh        string   `toml:"refresh"`
	Browsers       string   `toml:"browsers"`
	OpenID         OpenID   `toml:"openid"`
	SAML           SAML     `toml:"saml"`
}

// OpenID is how browsers sign in.
type OpenID struct {
	ClientID   string `toml:"client_id"`
	SecretFile string `toml:"secret_file"`
	Issuer     string `toml:"issuer"`
	UserClaim  string `toml:"user_claim"`
}

// SAML is how browsers sign in where there is no OpenID Connect.
type SAML struct {
	EntityID string `toml:"entity_id"`
}

// The words of Config.Browsers.
const (
	byAuto   = "auto"
	byOpenID = "openid"
	bySAML   = "saml"
	byNone   = "none"
)

func defaults() Config {
	return Config{Browsers: byAuto,
		Domain: "vsphere.local", SolutionUser: "vic-hub", Certificate: "/etc/vic-hub/sso.pem", Administrators: []string{"vsphere.local/administrators"},
		Refresh: "5m", OpenID: OpenID{UserClaim: "sub"}}
}

var (
	domainPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,253}[a-z0-9])?$`)
	userPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
)

// domains are all whose users sign in, the system domain first.
func (c Config) domains() []string {
	all := []string{c.Domain}
	for _, d := range c.Domains {
		if !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all
}

// check says what is wrong with the keys. errdef.ErrInvalid.
func (c Config) check() (refresh time.Duration, err error) {
	for _, d := range c.domains() {
		if !domainPattern.MatchString(d) {
			return 0, fmt.Errorf("domain: %q is not lower-case letters, digits, dots and hyphens: %w", d, errdef.ErrInvalid)
		}
	}
	if len(c.domains()) > auth.MaxDomains {
		return 0, fmt.Errorf("domains: there are more than %d: %w", auth.MaxDomains, errdef.ErrInvalid)
	}
	if !userPattern.MatchString(c.SolutionUser) {
		return 0, fmt.Errorf("solution_user: %q is not letters, digits, dots, hyphens and underscores: %w", c.SolutionUser, errdef.ErrInvalid)
	}
	for _, a := range c.Administrators {
		if domain, _, ok := auth.SplitID(a); !ok || !slices.Contains(c.domains(), domain) || strings.ToLower(a) != a {
			return 0, fmt.Errorf("administrators: %q is not DOMAIN/GROUP in lower case, with one of the domains: %w", a, errdef.ErrInvalid)
		}
	}
	switch {
	case !slices.Contains([]string{byAuto, byOpenID, bySAML, byNone}, c.Browsers):
		return 0, fmt.Errorf("browsers: %q is not auto, openid, saml or none: %w", c.Browsers, errdef.ErrInvalid)
	case c.Browsers == byOpenID && c.OpenID.ClientID == "":
		return 0, fmt.Errorf("browsers: openid needs openid.client_id: %w", errdef.ErrInvalid)
	case len(c.SAML.EntityID) > maxEntityID || strings.ContainsFunc(c.SAML.EntityID, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return 0, fmt.Errorf("saml.entity_id: %.40q is not a URI of at most %d bytes: %w", c.SAML.EntityID, maxEntityID, errdef.ErrInvalid)
	}
	refresh, err = time.ParseDuration(c.Refresh)
	if err != nil || refresh < auth.MinRefresh || refresh > auth.MaxRefresh {
		return 0, fmt.Errorf("refresh: %q is not between %v and %v: %w", c.Refresh, auth.MinRefresh, auth.MaxRefresh, errdef.ErrInvalid)
	}
	return refresh, nil
}

// roots reads the authorities; nil for the system's.
func (c Config) roots() (*x509.CertPool, error) {
	if c.CA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("ca: %w: %w", err, errdef.ErrInvalid)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca: %s has no certificate: %w", c.CA, errdef.ErrInvalid)
	}
	return pool, nil
}

// maxEntityID is SAML's, in bytes.
const maxEntityID = 1024

// maxSecretFile bounds a file with a secret, in bytes.
const maxSecretFile = 64 << 10

// readSecret reads a file that only its owner may read.
func readSecret(key, path string) (secret.Text, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w: %w", key, err, errdef.ErrInvalid)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s: others than its owner may read %s: chmod 600 it: %w", key, path, errdef.ErrInvalid)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return secret.Text(text), nil
}
