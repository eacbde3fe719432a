// Package acme gets the hub's certificate from an authority that speaks ACME, such as Let's Encrypt, and renews it while the hub
// serves: connections stay, new ones see the new certificate.
//
// The authority proves by TLS-ALPN-01 that the names are the hub's: it connects to port 443 of each. Account, keys and
// certificates are sealed in the database, so that all nodes of a hub answer for one another and share what one has got.
package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Schema is the table.
func Schema() store.Schema {
	return store.Schema{Name: "acme", Steps: []string{`CREATE TABLE acme (name @ascii PRIMARY KEY, sealed @bytes NOT NULL)`}}
}

// Options say which certificate is wanted.
type Options struct {
	Names []string // host names
	// Directory is the authority's address; empty: Let's Encrypt.
	Directory string
	Email     string // whom the authority writes to; may be empty
	// CA is PEM: who signed the certificate of the authority's own server; nil: the authorities that the system trusts.
	CA     []byte
	DB     *store.Store
	Sealer *seal.Sealer
}

// Manager gets certificates. It may be used by several goroutines.
type Manager struct {
	names   []string
	manager *autocert.Manager
}

// requestTime bounds one request to the authority.
const requestTime = 30 * time.Second

// New makes a Manager; nothing is asked of the authority before a client comes. errdef.ErrInvalid.
func New(o Options) (*Manager, error) {
	client := &acme.Client{DirectoryURL: o.Directory, UserAgent: "vic-hub"}
	if o.Directory == "" {
		client.DirectoryURL = autocert.DefaultACMEDirectory
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if len(o.CA) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(o.CA) {
			return nil, fmt.Errorf("tls.acme.ca holds no certificate: %w", errdef.ErrInvalid)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	client.HTTPClient = &http.Client{Transport: transport, Timeout: requestTime}
	m := &Manager{}
	for _, n := range o.Names {
		m.names = append(m.names, strings.ToLower(n))
	}
	m.manager = &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: cache{o.DB, o.Sealer}, HostPolicy: autocert.HostWhitelist(m.names...), Client: client,
		Email: o.Email}
	return m, nil
}

// Serves says whether a client that names this server is shown a certificate of the authority's.
func (m *Manager) Serves(name string) bool {
	return slices.Contains(m.names, strings.ToLower(strings.TrimSuffix(name, ".")))
}

// Config is for connections to names that the Manager serves, and for the authority's own.
func (m *Manager) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: m.manager.GetCertificate, NextProtos: []string{"h2", "http/1.1", acme.ALPNProto}}
}

// cache keeps what autocert knows in the database.
type cache struct {
	db     *store.Store
	sealer *seal.Sealer
}

var _ autocert.Cache = cache{}

func sealedName(name string) string { return "ACME " + name }

// Get implements autocert.Cache.
func (c cache) Get(ctx context.Context, name string) ([]byte, error) {
	var sealed []byte
	err := c.db.QueryRow(ctx, `SELECT sealed FROM acme WHERE name = $1`, name).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, autocert.ErrCacheMiss
	}
	if err != nil {
		return nil, err
	}
	return c.sealer.Open(sealedName(name), sealed)
}

// Put implements autocert.Cache.
func (c cache) Put(ctx context.Context, name string, data []byte) error {
	sealed := c.sealer.Seal(sealedName(name), data)
	return c.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO acme (name, sealed) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed`, name, sealed)
		return err
	})
}

// Delete implements autocert.Cache.
func (c cache) Delete(ctx context.Context, name string) error {
	return c.db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM acme WHERE name = $1`, name)
		return err
	})
}
