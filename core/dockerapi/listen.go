package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/openvic/vic/core/listen"
	"github.com/openvic/vic/core/tlsfiles"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest/cork"
)

// connections bounds those of TCP: each attached client, followed log and idle keep-alive is one. A client that opens more
// is refused, and keeps no other from coming in.
var connections = listen.Limits{Total: 8192, Each: 2048}

// Listen opens a listener for each address: "tcp://host:port" or "unix:///path". Those of tcp speak
// TLS if files is not nil, and take only what comes in on the network interface dev, if that
// is not empty.
func Listen(addresses []string, dev string, files *tlsfiles.Server) ([]net.Listener, error) {
	var all []net.Listener
	for _, a := range addresses {
		l, err := listenOn(a, dev, files)
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

func listenOn(address, dev string, files *tlsfiles.Server) (net.Listener, error) {
	proto, addr, ok := strings.Cut(address, "://")
	switch {
	case ok && proto == "unix":
		return listenUnix(addr)
	case ok && proto == "tcp":
		lc := net.ListenConfig{Control: listen.Control(dev)}
		l, err := lc.Listen(context.Background(), "tcp", addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("docker.listen: %s is in use by another program: %w", address, errdef.ErrConflict)
		}
		if err != nil {
			return nil, fmt.Errorf("docker.listen: %s: %w", address, err)
		}
		l = listen.Limit(l, connections, nil)
		if files == nil {
			return l, nil
		}
		return files.Listener(cork.Listener(l)), nil
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
