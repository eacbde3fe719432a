// Package registry serves an OCI registry on the lab's network: distribution v3 with its files in a
// folder. It speaks plain HTTP and listens on loopback only; guests reach it through the public
// network.
package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	// The storage driver registers itself.
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

// Serve listens on addr and serves the registry in the folder root until ctx ends. It returns the
// address that it listens on.
func Serve(ctx context.Context, addr, root string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("registry: %w", err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	srv := &http.Server{Handler: handlers.NewApp(ctx, config(root))}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	go func() { _ = srv.Serve(l) }() // ends with Close
	return l.Addr().String(), nil
}

func config(root string) *configuration.Configuration {
	c := &configuration.Configuration{Version: "0.1"}
	c.Storage = configuration.Storage{
		"filesystem":  {"rootdirectory": root},
		"delete":      {"enabled": true},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}
	c.Catalog.MaxEntries = 1000
	c.Log.Level = "error"
	c.Log.AccessLog.Disabled = true
	c.HTTP.Secret = "vic-lab" // uploads only; there is one server
	return c
}
