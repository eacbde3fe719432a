package hub

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/core/hub/acme"
	"github.com/openvic/vic/core/listen"
	"github.com/openvic/vic/core/tlsfiles"
)

func (h *Hub) openListener(context.Context) (err error) {
	files := tlsfiles.Files{Cert: h.cfg.TLS.Cert, Key: h.cfg.TLS.Key}
	if files.Cert == "" {
		if files, err = ownCertificate(filepath.Join(h.cfg.Data, "tls"), h.cfg.TLS.Names, time.Now()); err != nil {
			return err
		}
	}
	if h.tls, err = tlsfiles.Open(files); err != nil {
		return err
	}
	network, addr, _ := strings.Cut(h.cfg.Listen, "://")
	l, err := net.Listen(network, addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	limits := listen.Limits{Total: h.cfg.Limits.Connections, Each: h.cfg.Limits.PerAddress}
	h.listener = tls.NewListener(listen.Limit(l, limits, h.refused()), h.tlsConfig())
	return nil
}

// tlsConfig shows each client the certificate for the name that it asks for: one of an ACME authority's, or the one in the files.
func (h *Hub) tlsConfig() *tls.Config {
	c := h.tls.Config()
	if len(h.cfg.TLS.ACME.Names) == 0 {
		return c
	}
	files := c.GetConfigForClient
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.acme.Serves(hello.ServerName) { // openACME comes before anything is served
			return h.acme.Config(), nil
		}
		if files == nil {
			return nil, nil
		}
		return files(hello)
	}
	return c
}

func (h *Hub) openACME(context.Context) (err error) {
	o := acme.Options{Names: h.cfg.TLS.ACME.Names, Directory: h.cfg.TLS.ACME.Directory, Email: h.cfg.TLS.ACME.Email, DB: h.db, Sealer: h.sealer}
	if f := h.cfg.TLS.ACME.CA; f != "" {
		if o.CA, err = os.ReadFile(f); err != nil {
			return fmt.Errorf("tls.acme.ca: %w", err)
		}
	}
	h.acme, err = acme.New(o)
	return err
}

// refused tells the log of connections that are refused: a line a minute, since there may be many.
func (h *Hub) refused() func(string) {
	var mu sync.Mutex
	var last time.Time
	n := 0
	return func(source string) {
		mu.Lock()
		defer mu.Unlock()
		if n++; time.Since(last) >= time.Minute {
			h.log.Warn("connections are refused: see [limits] of hub.toml", "source", source, "refused", n)
			last, n = time.Now(), 0
		}
	}
}
