package certs

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

// Kind is whose certificates are meant.
type Kind struct {
	CAFile, KeyFile string
}

// DockerClients have certificates of the VCH's CA.
func DockerClients() Kind { return Kind{CAFile, CAKeyFile} }

// Administrators sign the certificates of the vic command.
func Administrators() Kind { return Kind{AdminCAFile, AdminCAKeyFile} }

// signer loads an authority with its key.
func (o Options) signer(k Kind, now time.Time) (*authority, error) {
	m := &maker{o: o, now: now, set: &Set{dir: o.Dir, files: o.Files}}
	ca, err := m.loadCA(k.CAFile, k.KeyFile)
	switch {
	case err != nil:
	case ca == nil:
		err = fmt.Errorf("%s is not there: %w", k.CAFile, errdef.ErrInvalid)
	case ca.signer == nil:
		err = fmt.Errorf("%s is not there: %w: there is nothing to sign with", k.KeyFile, errdef.ErrInvalid)
	default:
		return ca, nil
	}
	return nil, advice.Wrap(fmt.Errorf("certificates in %s: %w", o.Dir, err),
		"give the folder with --cert-path that create wrote, which holds %s and %s", k.CAFile, k.KeyFile)
}

// RenewServer makes a new server certificate for the same names as the old one, or for o.Names, signed
// by the authority in o.Dir. The old one stays good until it expires. The caller writes the files.
func RenewServer(o Options, old []byte, now time.Time) (*Set, error) {
	cert, err := parse(old)
	if err != nil {
		return nil, fmt.Errorf("the endpoint's certificate: %w: %w", errdef.ErrInvalid, err)
	}
	names := o.Names
	if len(names) == 0 {
		names = slices.Clone(cert.DNSNames)
		for _, ip := range cert.IPAddresses {
			names = append(names, ip.String())
		}
	}
	ca, err := o.signer(DockerClients(), now)
	if err != nil {
		return nil, err
	}
	if cert.CheckSignatureFrom(ca.cert) != nil {
		return nil, advice.Wrap(fmt.Errorf("the endpoint's certificate was not signed by %s in %s: %w", CAFile, o.Dir, errdef.ErrInvalid),
			"give the folder that create wrote with --cert-path, or a certificate of your own with --tls-server-cert and --tls-server-key")
	}
	return o.reissue(ca, &leaf{cert: ServerCertFile, key: ServerKeyFile, name: cert.Subject.CommonName, names: names,
		usage: x509.ExtKeyUsageServerAuth}, cert.Subject.Organization, now)
}

// RenewClient makes a new client certificate in o.Dir in place of the one there.
func RenewClient(o Options, k Kind, now time.Time) (*Set, error) {
	certFile, keyFile := ClientCertFile, ClientKeyFile
	if k.CAFile == AdminCAFile {
		certFile, keyFile = AdminCertFile, AdminKeyFile
	}
	b, err := o.read(certFile)
	if err != nil {
		return nil, fmt.Errorf("certificates in %s: %w: %w", o.Dir, errdef.ErrInvalid, err)
	}
	cert, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", certFile, errdef.ErrInvalid, err)
	}
	ca, err := o.signer(k, now)
	if err != nil {
		return nil, err
	}
	return o.reissue(ca, &leaf{cert: certFile, key: keyFile, name: cert.Subject.CommonName, usage: x509.ExtKeyUsageClientAuth}, cert.Subject.Organization, now)
}

func (o Options) reissue(ca *authority, l *leaf, orgs []string, now time.Time) (*Set, error) {
	pair, err := ca.issue(l, orgs, o.KeySize, now)
	if err != nil {
		return nil, err
	}
	m := &maker{set: &Set{dir: o.Dir, files: o.Files}}
	m.write(l.cert, pair.Cert, 0o644)
	m.write(l.key, pair.Key, 0o600)
	if l.cert == ServerCertFile {
		m.set.Server = pair
	}
	return m.set, nil
}

// AddClient makes a certificate for another client in the folder dir, which has the names in it that
// the docker CLI, or the vic command, looks for.
func AddClient(o Options, k Kind, name, dir string, now time.Time) (*Set, error) {
	ca, err := o.signer(k, now)
	if err != nil {
		return nil, err
	}
	l := &leaf{cert: ClientCertFile, key: ClientKeyFile, name: name, usage: x509.ExtKeyUsageClientAuth}
	if k.CAFile == AdminCAFile {
		l.cert, l.key = AdminCertFile, AdminKeyFile
	}
	for _, f := range []string{l.cert, l.key} {
		if o.Files.exists(dir, f) {
			return nil, advice.Wrap(fmt.Errorf("%s: %w", filepath.Join(dir, f), errdef.ErrExists), "give another --out folder, or another name")
		}
	}
	server, err := o.read(CAFile) // clients verify the endpoint by it, whoever they are
	if err != nil {
		return nil, fmt.Errorf("certificates in %s: %w: %w", o.Dir, errdef.ErrInvalid, err)
	}
	out := o
	out.Dir = dir
	set, err := out.reissue(ca, l, o.Organizations, now)
	if err != nil {
		return nil, err
	}
	set.newFiles = append(set.newFiles, file{name: CAFile, data: server, mode: 0o644})
	return set, nil
}

// crlLife is how long a revocation list says that it is good; the endpoint goes by what it was given
// last, however old.
const crlLife = 10 * 365 * 24 * time.Hour

// Revoke adds certificates to a revocation list, which may be empty, and returns the new list.
func Revoke(o Options, k Kind, list []byte, serials []*big.Int, now time.Time) ([]byte, error) {
	ca, err := o.signer(k, now)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-skew).UTC(), NextUpdate: now.Add(crlLife).UTC()}
	if block, _ := pem.Decode(list); block != nil {
		old, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the endpoint's revocation list: %w: %w", errdef.ErrInvalid, err)
		}
		if old.CheckSignatureFrom(ca.cert) != nil {
			return nil, fmt.Errorf("the endpoint's revocation list was not signed by %s in %s: %w", k.CAFile, o.Dir, errdef.ErrInvalid)
		}
		tmpl.RevokedCertificateEntries = old.RevokedCertificateEntries
		if old.Number != nil {
			tmpl.Number = new(big.Int).Add(old.Number, big.NewInt(1))
		}
	}
	for _, s := range serials {
		have := func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(s) == 0 }
		if !slices.ContainsFunc(tmpl.RevokedCertificateEntries, have) {
			tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: now.UTC()})
		}
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, ca.cert, ca.signer)
	if err != nil {
		return nil, fmt.Errorf("make the revocation list: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), nil
}

// Revoked lists the serial numbers in a revocation list.
func Revoked(list []byte) []string {
	block, _ := pem.Decode(list)
	if block == nil {
		return nil
	}
	crl, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range crl.RevokedCertificateEntries {
		out = append(out, Serial(e.SerialNumber))
	}
	return out
}

// Serial writes a serial number as show does and ParseSerial reads it: hexadecimal.
func Serial(n *big.Int) string { return fmt.Sprintf("%x", n) }

// ParseSerial reads hexadecimal digits, with or without colons.
func ParseSerial(s string) (*big.Int, error) {
	n, ok := new(big.Int).SetString(strings.ReplaceAll(s, ":", ""), 16)
	if !ok || n.Sign() <= 0 {
		return nil, fmt.Errorf("serial number %q: not hexadecimal: %w", s, errdef.ErrInvalid)
	}
	return n, nil
}

// SerialOf reads the serial number of a certificate in a PEM file, and checks that an authority in
// o.Dir has signed it.
func SerialOf(o Options, k Kind, name string) (*big.Int, error) {
	b, err := o.Files.read(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errdef.ErrInvalid, err)
	}
	c, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, errdef.ErrInvalid, err)
	}
	if c.IsCA || len(c.ExtKeyUsage) > 0 && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return nil, advice.Wrap(fmt.Errorf("%s is no client's certificate: %w", name, errdef.ErrInvalid), "name a client's; a server's is replaced by renew")
	}
	ca, err := o.signer(k, time.Now())
	if err != nil {
		return nil, err
	}
	if c.CheckSignatureFrom(ca.cert) != nil {
		return nil, advice.Wrap(fmt.Errorf("%s was not signed by %s in %s: %w", name, k.CAFile, o.Dir, errdef.ErrInvalid),
			"for an administrator's certificate add --admin")
	}
	return c.SerialNumber, nil
}

// SuppliedServer checks the administrator's own certificate for renew.
func SuppliedServer(o Options, now time.Time) (Pair, error) {
	return (&maker{o: o, now: now, set: &Set{dir: o.Dir, files: o.Files}}).suppliedServer()
}

// ReadRevocationList reads a PEM file.
func (fs Files) ReadRevocationList(name string) ([]byte, error) {
	b, err := fs.read(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errdef.ErrInvalid, err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s: %w: it holds no PEM", name, errdef.ErrInvalid)
	}
	if _, err := x509.ParseRevocationList(block.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, errdef.ErrInvalid, err)
	}
	return b, nil
}
