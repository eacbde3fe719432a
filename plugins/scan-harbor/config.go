package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// Config is the plugin's configuration; README.md explains each key.
type Config struct {
	URL            string        `toml:"url"`
	CA             string        `toml:"ca"`
	SkipVerify     bool          `toml:"skip_verify"`
	PlainHTTP      bool          `toml:"plain_http"`
	Auth           string        `toml:"auth"`
	CredentialFile string        `toml:"credential_file"`
	RegistryURL    string        `toml:"registry_url"`
	Timeout        time.Duration `toml:"timeout"`
	StaleAfter     time.Duration `toml:"stale_after"`
}

func defaults() Config {
	return Config{Auth: "none", Timeout: 30 * time.Minute, StaleAfter: 72 * time.Hour}
}

func invalid(key, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", key, fmt.Sprintf(format, args...), errdef.ErrInvalid)
}

const (
	answerWithin  = time.Minute // for the header of an answer
	maxCredential = 16 << 10    // bytes
)

// open checks the configuration. It asks the scanner for nothing.
func open(c Config) (*driver, error) {
	base, err := address("url", c.URL)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(base.Hostname()); base.Scheme == "http" && !c.PlainHTTP && (ip == nil || !ip.IsLoopback()) && base.Hostname() != "localhost" {
		return nil, invalid("url", "%s sends credentials in the clear: use https://, or set plain_http if the network to the scanner is your own", c.URL)
	}
	if c.RegistryURL != "" {
		if _, err := address("registry_url", c.RegistryURL); err != nil {
			return nil, err
		}
	}
	if c.Timeout < time.Minute || c.Timeout > 24*time.Hour {
		return nil, invalid("timeout", "%v is not between 1m and 24h", c.Timeout)
	}
	if c.StaleAfter < time.Hour {
		return nil, invalid("stale_after", "%v is less than 1h", c.StaleAfter)
	}
	header, value, err := c.credential()
	if err != nil {
		return nil, err
	}
	config, err := c.tls()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: config, ResponseHeaderTimeout: answerWithin, TLSHandshakeTimeout: answerWithin,
		DialContext: (&net.Dialer{Timeout: answerWithin}).DialContext, MaxResponseHeaderBytes: 256 << 10}
	// 302 means "not yet" here, and never "go there".
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &driver{config: c, adapter: &adapter{base: base.JoinPath("api", "v1"), client: client, header: header, value: value}}, nil
}

func address(key, text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, invalid(key, "%q is not https://HOST", text)
	}
	return u, nil
}

func (c Config) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.SkipVerify {
		slog.Warn("whoever answers at the scanner's address gets credentials: skip_verify is set")
		config.InsecureSkipVerify = true //nolint:gosec // the administrator says so, and is told
	}
	if c.CA == "" {
		return config, nil
	}
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, invalid("ca", "%v", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, invalid("ca", "there is no certificate in %s", c.CA)
	}
	return config, nil
}

// credential is the header that the scanner wants.
func (c Config) credential() (header string, value secret.Text, err error) {
	if c.Auth == "none" {
		return "", "", nil
	}
	form := map[string]func(string) (string, string){
		"basic": func(s string) (string, string) {
			return "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(s))
		},
		"bearer":  func(s string) (string, string) { return "Authorization", "Bearer " + s },
		"api-key": func(s string) (string, string) { return "X-ScannerAdapter-API-Key", s },
	}[c.Auth]
	if form == nil {
		return "", "", invalid("auth", "%q is not none, basic, bearer or api-key", c.Auth)
	}
	st, err := os.Stat(c.CredentialFile)
	if err != nil {
		return "", "", invalid("credential_file", "%v", err)
	}
	if st.Mode().Perm()&0o077 != 0 || st.Size() > maxCredential {
		return "", "", invalid("credential_file", "%s must have the mode 0600 and at most %d bytes", c.CredentialFile, maxCredential)
	}
	text, err := os.ReadFile(c.CredentialFile)
	if err != nil {
		return "", "", invalid("credential_file", "%v", err)
	}
	credential := strings.TrimSpace(string(text))
	if credential == "" || strings.ContainsAny(credential, "\r\n") || c.Auth == "basic" && !strings.Contains(credential, ":") {
		return "", "", invalid("credential_file", "%s must have one line: the key or token, or USER:PASSWORD for basic", c.CredentialFile)
	}
	header, plain := form(credential)
	return header, secret.Text(plain), nil
}
