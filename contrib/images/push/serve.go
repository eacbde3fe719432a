package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the storage that Serve uses
	"github.com/sirupsen/logrus"
)

// Serve runs a registry with its storage in root on a free loopback port until the returned
// function is called. The lab serves the same folder.
func Serve(ctx context.Context, root string) (base string, stop func() error, err error) {
	logrus.SetOutput(io.Discard) // what the registry logs of each request
	config := &configuration.Configuration{
		Version: "0.1",
		Storage: configuration.Storage{
			"filesystem": configuration.Parameters{"rootdirectory": root},
			"cache":      configuration.Parameters{"blobdescriptor": "inmemory"},
		},
	}
	config.Catalog.MaxEntries = 1000
	app := handlers.NewApp(ctx, config)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("push: %w", err)
	}
	server := &http.Server{Handler: app}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	stop = func() error {
		closeErr := server.Close()
		if err := <-done; err != nil && !errors.Is(err, http.ErrServerClosed) {
			return errors.Join(err, closeErr)
		}
		return closeErr
	}
	return "http://" + listener.Addr().String(), stop, nil
}
