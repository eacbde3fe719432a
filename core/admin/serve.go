package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/core/listen"
	"github.com/openvic/vic/core/tlsfiles"
	"github.com/openvic/vic/sdk/errdef"
)

// Listeners say where the API is served.
type Listeners struct {
	Socket string // path of the unix socket; empty: none
	Listen string // "tcp://host:port"; empty: none
	// Interfaces are the network interfaces on which Listen is served; none: all.
	Interfaces []string
	// TLS is for Listen; it must verify the administrators' certificates.
	TLS *tlsfiles.Server
}

// Open opens the listeners.
func (l Listeners) Open() ([]net.Listener, error) {
	var all []net.Listener
	if l.Socket != "" {
		s, err := openSocket(l.Socket)
		if err != nil {
			return nil, fmt.Errorf("admin.socket: %w", err)
		}
		all = append(all, s)
	}
	if l.Listen != "" {
		t, err := l.openTLS()
		all = append(all, t...)
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("admin.listen: %w", err)
		}
	}
	return all, nil
}

// openSocket makes a socket for the owner alone. One that nobody serves any more is replaced.
func openSocket(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("%s is served by another process: %w", path, errdef.ErrConflict)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// connections bounds those of one interface: an administrator needs a few.
var connections = listen.Limits{Total: 1024, Each: 256}

// openTLS returns what it could open, also with an error.
func (l Listeners) openTLS() (all []net.Listener, err error) {
	addr, ok := strings.CutPrefix(l.Listen, "tcp://")
	if !ok {
		return nil, fmt.Errorf("%q is not tcp://host:port: %w", l.Listen, errdef.ErrInvalid)
	}
	devices := l.Interfaces
	if len(devices) == 0 {
		devices = []string{""}
	}
	for _, dev := range devices {
		lc := net.ListenConfig{Control: listen.Control(dev)}
		t, err := lc.Listen(context.Background(), "tcp", addr)
		if err != nil {
			return all, err
		}
		all = append(all, l.TLS.Listener(listen.Limit(t, connections, nil)))
	}
	return all, nil
}

// Serve serves handler on all listeners until ctx ends, and closes them.
func Serve(ctx context.Context, handler http.Handler, listeners []net.Listener, log *slog.Logger) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelInfo),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	errs := make([]error, len(listeners))
	var wg sync.WaitGroup
	for i, l := range listeners {
		wg.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				errs[i] = fmt.Errorf("admin API on %s: %w", l.Addr(), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func closeAll(all []net.Listener) {
	for _, l := range all {
		_ = l.Close()
	}
}
