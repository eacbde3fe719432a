package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/openvic/vic/plugins/internal/oidc"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Config is the plugin's configuration; README.md explains each key.
type Config struct {
	Issuer           string        `toml:"issuer"`
	ClientID         string        `toml:"client_id"`
	ClientSecretFile string        `toml:"client_secret_file"`
	CA               string        `toml:"ca"`
	Title            string        `toml:"title"`
	Domain           string        `toml:"domain"`
	Scopes           []string      `toml:"scopes"`
	NameClaim        string        `toml:"name_claim"`
	FullNameClaim    string        `toml:"full_name_claim"`
	EmailClaim       string        `toml:"email_claim"`
	GroupsClaim      string        `toml:"groups_claim"`
	GroupsFilter     string        `toml:"groups_filter"`
	GroupsSeparator  string        `toml:"groups_separator"`
	AdminGroup       string        `toml:"admin_group"`
	UserInfo         bool          `toml:"userinfo"`
	Algorithms       []string      `toml:"algorithms"`
	Skew             time.Duration `toml:"skew"`
	Refresh          time.Duration `toml:"refresh"`
}

func defaults() Config {
	return Config{ClientID: "vic-hub", Title: "Single sign-on", Domain: "oidc", Scopes: []string{"profile", "email", "offline_access"},
		NameClaim: "preferred_username", FullNameClaim: "name", EmailClaim: "email", GroupsClaim: "groups", UserInfo: true,
		Skew: time.Minute, Refresh: 5 * time.Minute}
}

var domainPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$`)

// The most that the provider's clock may be wrong, which is also how long a token is good after its end.
const maxSkew = 5 * time.Minute

// open checks the configuration. It asks the provider for nothing.
func open(c Config) (*driver, error) {
	invalid := func(key, format string, args ...any) error {
		return fmt.Errorf("%s: %s: %w", key, fmt.Sprintf(format, args...), errdef.ErrInvalid)
	}
	switch {
	case !domainPattern.MatchString(c.Domain):
		return nil, invalid("domain", "%q is not lower-case letters, digits, dots and hyphens", c.Domain)
	case c.Title == "" || len(c.Title) > auth.MaxName:
		return nil, invalid("title", "it is empty, or longer than %d bytes", auth.MaxName)
	case c.NameClaim == "":
		return nil, invalid("name_claim", "it is empty: name the claim that tells what people call the user")
	case len(c.GroupsSeparator) > 1:
		return nil, invalid("groups_separator", "%q is longer than one character", c.GroupsSeparator)
	case !plain(c.AdminGroup, auth.MaxName):
		return nil, invalid("admin_group", "it is longer than %d bytes, or no text", auth.MaxName)
	case c.Skew < 0 || c.Skew > maxSkew:
		return nil, invalid("skew", "%s is not between 0s and %s", c.Skew, maxSkew)
	case c.Refresh < auth.MinRefresh || c.Refresh > auth.MaxRefresh:
		return nil, invalid("refresh", "%s is not between %s and %s", c.Refresh, auth.MinRefresh, auth.MaxRefresh)
	}
	d := &driver{config: c}
	if c.GroupsFilter != "" {
		var err error
		if d.filter, err = regexp.Compile(`^(?:` + c.GroupsFilter + `)$`); err != nil {
			return nil, invalid("groups_filter", "%v", err)
		}
	}
	o := oidc.Options{Issuer: c.Issuer, ClientID: c.ClientID, Scopes: c.Scopes, Algorithms: c.Algorithms, Skew: c.Skew}
	if c.ClientSecretFile != "" {
		text, err := readSecret(c.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("client_secret_file: %w", err)
		}
		o.ClientSecret = text
	}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		if o.Roots = x509.NewCertPool(); !o.Roots.AppendCertsFromPEM(text) {
			return nil, invalid("ca", "%s holds no certificate in PEM", c.CA)
		}
	}
	var err error
	d.client, err = oidc.New(o)
	return d, err
}

// readSecret reads a file for the owner alone.
func readSecret(path string) (secret.Text, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others: chmod 600 it: %w", path, errdef.ErrInvalid)
	}
	text, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(text))) == 0 {
		err = fmt.Errorf("%s is empty: %w", path, errdef.ErrInvalid)
	}
	return secret.Text(strings.TrimSpace(string(text))), err
}
