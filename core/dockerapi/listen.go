package dockerapi

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/docker/go-connections/tlsconfig"

	"github.com/openvic/vic/sdk/errdef"
)

// TLS names the files of a listener's certificate; all empty means no TLS, an empty CA no
// verification of clients.
type TLS struct{ CA, Cert, Key string }

// Listen opens a listener for each address: "tcp://host:port" (with TLS if t has a certificate) or
// "unix:///path".
func Listen(addresses []string, t TLS) ([]net.Listener, error) {
	var all []net.Listener
	for _, a := range addresses {
		l, err := listen(a, t)
		if err != nil {
			for _, open := range all {
				_ = open.Close()
			}
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func listen(address string, t TLS) (net.Listener, error) {
	proto, addr, ok := strings.Cut(address, "://")
	switch {
	case ok && proto == "unix":
		return listenUnix(addr)
	case ok && proto == "tcp":
		l, err := net.Listen("tcp", addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("docker.listen: %s is in use by another program: %w", address, errdef.ErrConflict)
		}
		if err != nil {
			return nil, fmt.Errorf("docker.listen: %s: %w", address, err)
		}
		return withTLS(l, t)
	}
	return nil, fmt.Errorf("docker.listen: %q is neither tcp://host:port nor unix:///path: %w", address, errdef.ErrInvalid)
}

func listenUnix(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("docker.listen: unix://%s is in use by another program: %w", path, errdef.ErrConflict)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("docker.listen: unix://%s: %w", path, err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("docker.listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("docker.listen: %w", err)
	}
	return l, nil
}

func withTLS(l net.Listener, t TLS) (net.Listener, error) {
	if t.Cert == "" && t.Key == "" {
		return l, nil
	}
	o := tlsconfig.Options{CertFile: t.Cert, KeyFile: t.Key, ExclusiveRootPools: true, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		o.CAFile, o.ClientAuth = t.CA, tls.RequireAndVerifyClientCert
	}
	cfg, err := tlsconfig.Server(o)
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("docker.tls_cert, tls_key or tls_ca: %w", err)
	}
	// Attach and exec take the connection over, which HTTP/2 does not allow.
	cfg.NextProtos = []string{"http/1.1"}
	return tls.NewListener(l, cfg), nil
}
