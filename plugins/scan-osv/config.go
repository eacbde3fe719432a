package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/plugins/scan-osv/layers"
	"github.com/openvic/vic/plugins/scan-osv/vuln"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
)

// Config is the plugin's configuration; README.md explains each key.
type Config struct {
	Data       string        `toml:"data"`
	Ecosystems []string      `toml:"ecosystems"`
	Mirror     string        `toml:"mirror"`
	MirrorCA   string        `toml:"mirror_ca"`
	Proxy      string        `toml:"proxy"`
	StaleAfter time.Duration `toml:"stale_after"`
	AtOnce     int           `toml:"at_once"`
	ImageBytes int64         `toml:"image_bytes"`
	FileBytes  int64         `toml:"file_bytes"`
	KeepLayers int           `toml:"keep_layers"`
}

func defaults() Config {
	return Config{Mirror: "https://osv-vulnerabilities.storage.googleapis.com",
		Ecosystems: []string{"Debian", "Ubuntu", "Alpine", "Red Hat", "Rocky Linux", "AlmaLinux", "Go", "npm", "PyPI", "Maven", "crates.io"},
		StaleAfter: 72 * time.Hour, AtOnce: 2, ImageBytes: 32 << 30, FileBytes: 1 << 30, KeepLayers: 20_000}
}

func invalid(key, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", key, fmt.Sprintf(format, args...), errdef.ErrInvalid)
}

const (
	maxEntries  = 5_000_000 // of a layer
	maxPackages = 500_000   // of an image
	maxLayers   = 512
)

// open checks the configuration and opens the files. It asks nobody for anything.
func open(c Config) (*driver, error) {
	client, err := c.check()
	if err != nil {
		return nil, err
	}
	tmp := filepath.Join(c.Data, "tmp")
	if err := os.RemoveAll(tmp); err != nil { // what a process that was killed left behind
		return nil, invalid("data", "%v", err)
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, invalid("data", "%v", err)
	}
	d := &driver{config: c, client: client, turns: make(chan struct{}, c.AtOnce),
		limits: layers.Limits{Bytes: c.ImageBytes, Entries: maxEntries, File: c.FileBytes, Packages: maxPackages}}
	if d.extractors, err = layers.NewExtractors(tmp); err != nil {
		return nil, err
	}
	if d.cache, err = layers.OpenCache(filepath.Join(c.Data, "layers.db"), c.KeepLayers); err != nil {
		return nil, err
	}
	if d.db, err = vuln.Open(filepath.Join(c.Data, "osv.db"), tmp); err != nil {
		_ = d.cache.Close()
		return nil, err
	}
	return d, nil
}

// check returns the client of the mirror.
func (c Config) check() (*http.Client, error) {
	switch {
	case !filepath.IsAbs(c.Data):
		return nil, invalid("data", "%q is no absolute path of a folder", c.Data)
	case c.StaleAfter < time.Hour:
		return nil, invalid("stale_after", "%v is less than 1h", c.StaleAfter)
	case c.AtOnce < 1 || c.AtOnce > 64:
		return nil, invalid("at_once", "%d is not between 1 and 64", c.AtOnce)
	case c.ImageBytes < 1<<20:
		return nil, invalid("image_bytes", "%d is less than 1048576", c.ImageBytes)
	case c.FileBytes < 1<<20 || c.FileBytes > c.ImageBytes:
		return nil, invalid("file_bytes", "%d is not between 1048576 and image_bytes", c.FileBytes)
	case c.KeepLayers < 1:
		return nil, invalid("keep_layers", "%d is less than 1", c.KeepLayers)
	}
	for i, e := range c.Ecosystems {
		if !vuln.Known(e) || strings.ContainsAny(e, "/\\") {
			return nil, invalid("ecosystems", "%q is none that this plugin can match", e)
		}
		if slices.Contains(c.Ecosystems[:i], e) {
			return nil, invalid("ecosystems", "%q is there twice", e)
		}
	}
	if c.Mirror != "" {
		if u, err := url.Parse(c.Mirror); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" {
			return nil, invalid("mirror", "%q is not https://HOST/PATH", c.Mirror)
		}
	}
	return c.outbound()
}

func (c Config) outbound() (*http.Client, error) {
	// The mirror and the proxy are the administrator's choice; where the mirror redirects to is not.
	elsewhere, err := outbound.New(nil, nil)
	if err != nil {
		return nil, err
	}
	chosen := []string{authority(c.Mirror), authority(c.Proxy)}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ResponseHeaderTimeout: time.Minute, TLSHandshakeTimeout: time.Minute,
		MaxResponseHeaderBytes: 64 << 10, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if slices.Contains(chosen, address) {
				return (&net.Dialer{Timeout: time.Minute}).DialContext(ctx, network, address)
			}
			return elsewhere.Dial(ctx, network, address)
		}}
	if c.Proxy != "" {
		u, err := url.Parse(c.Proxy)
		if err != nil || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) || u.Host == "" {
			return nil, invalid("proxy", "is not http://HOST:PORT, https:// or socks5://") // it may hold a password
		}
		transport.Proxy = http.ProxyURL(u)
	}
	if c.MirrorCA != "" {
		text, err := os.ReadFile(c.MirrorCA)
		if err != nil {
			return nil, invalid("mirror_ca", "%v", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
			return nil, invalid("mirror_ca", "there is no certificate in %s", c.MirrorCA)
		}
	}
	return &http.Client{Transport: transport, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= 5 || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return fmt.Errorf("the mirror redirects to %s: %w", req.URL.Redacted(), errdef.ErrUnavailable)
		}
		return nil
	}}, nil
}

// authority is the host and the port of a URL, as they are dialled; "" for what is none.
func authority(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
