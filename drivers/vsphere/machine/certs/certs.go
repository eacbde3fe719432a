// Package certs makes and reuses the certificates of a virtual container host:
//
//   - a CA (ca.pem), the Docker API's server certificate and a client certificate for the docker
//     CLI, under the names that the CLI looks for;
//   - an administrators' CA with a client certificate for the vic CLI;
//   - the link CA, by which the endpoint and the container VMs know one another. Its key never
//     touches a disk of this machine.
//
// Nothing is written before Set.Write: Prepare can run as a check.
package certs

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

// The files in the certificate folder. The docker CLI looks for the first three.
const (
	CAFile         = "ca.pem"
	ClientCertFile = "cert.pem"
	ClientKeyFile  = "key.pem"
	CAKeyFile      = "ca-key.pem"
	ServerCertFile = "server-cert.pem"
	ServerKeyFile  = "server-key.pem"
	AdminCAFile    = "admin-ca.pem"
	AdminCAKeyFile = "admin-ca-key.pem"
	AdminCertFile  = "admin-cert.pem"
	AdminKeyFile   = "admin-key.pem"
)

// DefaultKeySize makes ECDSA P-256 keys. VIC made RSA keys of 2048 bits; signing with those takes an
// emulated endpoint a tenth of a second for each connection, with P-256 it takes a few milliseconds.
const DefaultKeySize = 256

// Options say what is wanted.
type Options struct {
	Dir           string   // where certificates are looked for and written
	Name          string   // of the VCH
	Names         []string // DNS names and IP addresses of the endpoint
	Organizations []string
	KeySize       int  // 256, 384 or 521: ECDSA; 2048 and more: RSA
	NoTLS         bool // only the link CA
	NoVerify      bool // clients need no certificate of their own
	ServerOnly    bool // a server's certificate and its authority, for what is no VCH
	Force         bool // replace what is there and cannot be used
	// ServerCert and ServerKey are files of the administrator's own certificate; ClientCAs the
	// authorities of the clients' certificates, instead of one that is made.
	ServerCert, ServerKey string
	ClientCAs             []string
	// Files hold all these files, and get those that are written; nil: they are on disk.
	Files Files
}

// Pair is a certificate and its key, PEM.
type Pair struct{ Cert, Key []byte }

// Set is all that a VCH needs. With NoTLS only Link is set, with NoVerify Client is not.
type Set struct {
	CA, Server, Client Pair
	AdminCA, Admin     Pair
	Link               Pair
	// ClientCA holds the authorities of the clients' certificates: CA's, or the administrator's own.
	// SuppliedServer: Server is the administrator's own and not signed by CA.
	ClientCA       []byte
	SuppliedServer bool
	Reused         []string // files that were there and are used
	Warnings       []string // what will soon need attention
	dir            string
	files          Files
	newFiles       []file
}

// The lives of what is made. VIC's one year came as a surprise to its users.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 3 * 365 * 24 * time.Hour
	skew     = 24 * time.Hour // certificates are good from a day ago: clocks differ
	soon     = 30 * 24 * time.Hour
)

// Prepare loads what Dir holds and makes the rest, in memory. An error says which file is wrong.
func Prepare(o Options, now time.Time) (*Set, error) {
	if o.KeySize == 0 {
		o.KeySize = DefaultKeySize
	}
	if !o.NoTLS && !o.NoVerify && o.ServerCert == "" && len(o.Names) == 0 && !o.exists(ServerCertFile) {
		return nil, advice.Wrap(fmt.Errorf("no name for the server certificate: %w", errdef.ErrInvalid),
			"give --tls-cname the DNS name or static address that clients will use (may be repeated), "+
				"or --no-tlsverify to let anyone connect, or --no-tls for no encryption at all")
	}
	m := &maker{o: o, now: now, set: &Set{dir: o.Dir, files: o.Files}}
	if err := m.all(); err != nil {
		return nil, err
	}
	return m.set, nil
}

type maker struct {
	o   Options
	now time.Time
	set *Set
}

func (m *maker) all() error {
	link, err := newCA("VCH "+m.o.Name+" link CA", m.o.Organizations, DefaultKeySize, m.now)
	if err != nil {
		return err
	}
	m.set.Link = link.Pair
	if m.o.NoTLS {
		return nil
	}
	server := leaf{cert: ServerCertFile, key: ServerKeyFile, name: m.serverName(), names: m.o.Names, usage: x509.ExtKeyUsageServerAuth}
	if len(server.names) == 0 && !m.o.exists(ServerCertFile) {
		server.names = []string{m.o.Name}
	}
	client := leaf{cert: ClientCertFile, key: ClientKeyFile, name: "docker client of " + m.o.Name, usage: x509.ExtKeyUsageClientAuth}
	admin := leaf{cert: AdminCertFile, key: AdminKeyFile, name: "administrator of " + m.o.Name, usage: x509.ExtKeyUsageClientAuth}
	var leaves []*leaf
	if m.o.ServerCert == "" {
		leaves = append(leaves, &server)
	} else if server.pair, err = m.suppliedServer(); err != nil {
		return err
	}
	if !m.o.NoVerify && !m.o.ServerOnly && len(m.o.ClientCAs) == 0 {
		leaves = append(leaves, &client)
	}
	if len(leaves) > 0 {
		if m.set.CA, err = m.family("VCH "+m.o.Name+" CA", CAFile, CAKeyFile, leaves); err != nil {
			return err
		}
	}
	if m.o.ServerOnly {
		m.set.Server = server.pair
		return nil
	}
	if m.set.ClientCA, err = m.clientCA(); err != nil {
		return err
	}
	if m.set.AdminCA, err = m.family("VCH "+m.o.Name+" administrators CA", AdminCAFile, AdminCAKeyFile, []*leaf{&admin}); err != nil {
		return err
	}
	m.set.Server, m.set.Client, m.set.Admin = server.pair, client.pair, admin.pair
	return nil
}

func (m *maker) serverName() string {
	if len(m.o.Names) > 0 {
		return m.o.Names[0]
	}
	return m.o.Name
}

// leaf is a certificate that is wanted.
type leaf struct {
	cert, key, name string
	names           []string
	usage           x509.ExtKeyUsage
	pair            Pair
}

// family loads or makes a CA and its leaves. With Force a CA that cannot be used is replaced, with
// all that it signed.
func (m *maker) family(name, certFile, keyFile string, leaves []*leaf) (Pair, error) {
	ca, err := m.loadCA(certFile, keyFile)
	if err != nil && !m.o.Force {
		return Pair{}, m.advise(err)
	}
	if ca == nil || err != nil {
		for _, l := range leaves {
			if m.o.exists(l.cert) && !m.o.Force {
				return Pair{}, m.advise(fmt.Errorf("%s: %w: it is there, but not %s which signed it", l.cert, errdef.ErrInvalid, certFile))
			}
		}
		if ca, err = newCA(name, m.o.Organizations, m.o.KeySize, m.now); err != nil {
			return Pair{}, err
		}
		m.write(certFile, ca.Cert, 0o644)
		m.write(keyFile, ca.Key, 0o600)
	}
	for _, l := range leaves {
		if err := m.leaf(ca, certFile, keyFile, l); err != nil {
			return Pair{}, m.advise(err)
		}
	}
	return ca.Pair, nil
}

// leaf loads or issues one certificate.
func (m *maker) leaf(ca *authority, caFile, caKeyFile string, l *leaf) error {
	var err error
	if m.o.exists(l.cert) || m.o.exists(l.key) {
		if l.pair, err = m.loadLeaf(ca, l); err == nil {
			m.set.Reused = append(m.set.Reused, l.cert)
			return nil
		}
		if !m.o.Force {
			return err
		}
	}
	if ca.signer == nil {
		if err == nil {
			err = fmt.Errorf("%s: %w: it is missing and cannot be made: %s is there, but not %s", l.cert, errdef.ErrInvalid, caFile, caKeyFile)
		}
		return err
	}
	if l.pair, err = ca.issue(l, m.o.Organizations, m.o.KeySize, m.now); err != nil {
		return err
	}
	m.write(l.cert, l.pair.Cert, 0o644)
	m.write(l.key, l.pair.Key, 0o600)
	return nil
}

func (m *maker) advise(err error) error {
	return advice.Wrap(fmt.Errorf("certificates in %s: %w", m.o.Dir, err),
		"repair or remove the file, give another folder with --cert-path, or replace what cannot be used with --force")
}

func (m *maker) write(name string, data []byte, mode uint32) {
	m.set.newFiles = append(m.set.newFiles, file{name: name, data: data, mode: mode})
}
