package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Config is the plugin's configuration; README.md explains each key.
type Config struct {
	URL                      string        `toml:"url"`
	CA                       string        `toml:"ca"`
	BindDN                   string        `toml:"bind_dn"`
	BindPasswordFile         string        `toml:"bind_password_file"`
	Title                    string        `toml:"title"`
	Domain                   string        `toml:"domain"`
	UserBase                 string        `toml:"user_base"`
	UserFilter               string        `toml:"user_filter"`
	NameAttribute            string        `toml:"name_attribute"`
	FullNameAttribute        string        `toml:"full_name_attribute"`
	EmailAttribute           string        `toml:"email_attribute"`
	DisabledFilter           string        `toml:"disabled_filter"`
	PasswordChangedAttribute string        `toml:"password_changed_attribute"`
	GroupBase                string        `toml:"group_base"`
	GroupFilter              string        `toml:"group_filter"`
	GroupNameAttribute       string        `toml:"group_name_attribute"`
	GroupMemberAttribute     string        `toml:"group_member_attribute"`
	ActiveDirectory          bool          `toml:"active_directory"`
	AdminGroup               string        `toml:"admin_group"`
	Refresh                  time.Duration `toml:"refresh"`
}

func defaults() Config {
	return Config{Title: "LDAP", Domain: "ldap", UserFilter: "(objectClass=person)", NameAttribute: "uid", FullNameAttribute: "cn", EmailAttribute: "mail",
		PasswordChangedAttribute: "pwdChangedTime", GroupFilter: "(objectClass=groupOfNames)", GroupNameAttribute: "cn", GroupMemberAttribute: "member",
		Refresh: 5 * time.Minute}
}

var (
	domainPattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$`)
	attributePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,62}$`)
)

func invalid(key, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", key, fmt.Sprintf(format, args...), errdef.ErrInvalid)
}

// open checks the configuration. It asks the directory for nothing.
func open(c Config) (*driver, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	d := &driver{config: c, turns: make(chan struct{}, atOnce)}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "ldaps" && u.Scheme != "ldap" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, invalid("url", "%q is not ldaps://HOST or ldap://HOST", c.URL)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldaps": "636", "ldap": "389"}[u.Scheme]
	}
	d.address, d.startTLS = net.JoinHostPort(u.Hostname(), port), u.Scheme == "ldap"
	d.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		if d.tls.RootCAs = x509.NewCertPool(); !d.tls.RootCAs.AppendCertsFromPEM(text) {
			return nil, invalid("ca", "%s holds no certificate in PEM", c.CA)
		}
	}
	if c.BindPasswordFile != "" {
		if d.password, err = readSecret(c.BindPasswordFile); err != nil {
			return nil, fmt.Errorf("bind_password_file: %w", err)
		}
	}
	return d, nil
}

func (c Config) check() error {
	for _, a := range []struct {
		key, value string
		optional   bool
	}{
		{"name_attribute", c.NameAttribute, false}, {"full_name_attribute", c.FullNameAttribute, true}, {"email_attribute", c.EmailAttribute, true},
		{"password_changed_attribute", c.PasswordChangedAttribute, true}, {"group_name_attribute", c.GroupNameAttribute, false},
		{"group_member_attribute", c.GroupMemberAttribute, false},
	} {
		if !attributePattern.MatchString(a.value) && (a.value != "" || !a.optional) {
			return invalid(a.key, "%q is no name of an attribute", a.value)
		}
	}
	for key, filter := range map[string]string{"user_filter": c.UserFilter, "group_filter": c.GroupFilter, "disabled_filter": c.DisabledFilter} {
		if _, err := ldap.CompileFilter(filter); err != nil && (filter != "" || key != "disabled_filter") {
			return invalid(key, "%q is no filter: %v", filter, err)
		}
	}
	for key, base := range map[string]string{"user_base": c.UserBase, "group_base": c.GroupBase, "bind_dn": c.BindDN} {
		if _, err := ldap.ParseDN(base); err != nil && key != "bind_dn" || key == "user_base" && base == "" { // Active Directory binds as user@domain too
			return invalid(key, "%q is no distinguished name", base)
		}
	}
	switch {
	case (c.BindDN == "") != (c.BindPasswordFile == ""):
		return invalid("bind_dn", "give it and bind_password_file, or none of the two")
	case !domainPattern.MatchString(c.Domain):
		return invalid("domain", "%q is not lower-case letters, digits, dots and hyphens", c.Domain)
	case c.Title == "" || len(c.Title) > auth.MaxName:
		return invalid("title", "it is empty, or longer than %d bytes", auth.MaxName)
	case !plain(c.AdminGroup):
		return invalid("admin_group", "it is longer than %d bytes, or no text", maxName)
	case c.Refresh < auth.MinRefresh || c.Refresh > auth.MaxRefresh:
		return invalid("refresh", "%s is not between %s and %s", c.Refresh, auth.MinRefresh, auth.MaxRefresh)
	}
	return nil
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
	if err == nil && strings.TrimSpace(string(text)) == "" {
		err = fmt.Errorf("%s is empty: %w", path, errdef.ErrInvalid)
	}
	return secret.Text(strings.TrimSpace(string(text))), err
}
