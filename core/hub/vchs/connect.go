package vchs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"strconv"

	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// newRequest makes a key (PKCS #8) and the PEM text of a certificate request.
func newRequest(name string) (key []byte, request string, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "vic-hub of " + shortened(name)}}, k)
	if err != nil {
		return nil, "", fmt.Errorf("certificate request: %w", err)
	}
	if key, err = x509.MarshalPKCS8PrivateKey(k); err != nil {
		return nil, "", err
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// shortened makes a name short enough for a certificate's common name, of which there are 64 characters.
func shortened(name string) string {
	const most = 40
	r := []rune(name)
	return string(r[:min(len(r), most)])
}

// Connection is how the hub reaches a VCH.
type Connection struct {
	Address string // host:port of the Docker API
	// ServerName is the name in the API's certificate; empty: the host of Address.
	ServerName string
	// ServerCA is PEM: who signed the API's certificate, or that certificate itself.
	ServerCA string
	// Certificate is PEM: made of the VCH's request, with its chain; empty for a VCH that asks clients for none.
	Certificate string
}

// check reads the certificates; errdef.ErrInvalid says which cannot be used.
func (c *Connection) check(key crypto.Signer) error {
	host, port, err := net.SplitHostPort(c.Address)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || len(host) > MaxName || perr != nil || n == 0 {
		return fmt.Errorf("address: %.100q is not host:port: %w", c.Address, errdef.ErrInvalid)
	}
	if c.ServerName == "" {
		c.ServerName = host
	}
	if len(c.ServerName) > MaxName {
		return fmt.Errorf("server_name: it is longer than %d characters: %w", MaxName, errdef.ErrInvalid)
	}
	if len(c.ServerCA) > maxPEM || !x509.NewCertPool().AppendCertsFromPEM([]byte(c.ServerCA)) {
		return fmt.Errorf("server_ca: it is no certificate in PEM of at most %d bytes: %w", maxPEM, errdef.ErrInvalid)
	}
	if c.Certificate == "" {
		return nil
	}
	block, _ := pem.Decode([]byte(c.Certificate))
	if len(c.Certificate) > maxPEM || block == nil {
		return fmt.Errorf("certificate: it is no certificate in PEM of at most %d bytes: %w", maxPEM, errdef.ErrInvalid)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("certificate: %w: %w", errdef.ErrInvalid, err)
	}
	own, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || !own.Equal(cert.PublicKey) {
		return fmt.Errorf("certificate: it was not made of the request of this VCH: ask for the request again: %w", errdef.ErrInvalid)
	}
	return nil
}

// Connect sets how the hub reaches a VCH; the same again changes nothing. errdef.ErrNotFound, errdef.ErrInvalid.
func (v *VCHs) Connect(ctx context.Context, id int64, c Connection) error {
	x, err := v.Get(ctx, id)
	if err != nil {
		return err
	}
	key, err := v.key(x)
	if err != nil {
		return err
	}
	if err := c.check(key); err != nil {
		return err
	}
	return v.db.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE vch SET address = $1, server_name = $2, server_ca = $3, certificate = $4 WHERE id = $5`,
			c.Address, c.ServerName, c.ServerCA, c.Certificate, id)
		if err == nil && n == 0 {
			err = fmt.Errorf("vch %d not found: %w", id, errdef.ErrNotFound)
		}
		return err
	})
}

// key opens the hub's key for a VCH.
func (v *VCHs) key(x VCH) (crypto.Signer, error) {
	der, err := v.sealer.Open(keyName(x.UID), x.sealed)
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("key for the VCH %s: %w", x.UID, err)
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key for the VCH %s is a %T: %w", x.UID, k, errdef.ErrInternal)
	}
	return signer, nil
}

// TLS is what a client of the VCH's Docker API needs; errdef.ErrConflict before Connect.
func (v *VCHs) TLS(x VCH) (*tls.Config, error) {
	if !x.Connected() {
		return nil, fmt.Errorf("the VCH %s is registered, but vic-machine has not said yet where it serves: %w", x.Name, errdef.ErrConflict)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: x.ServerName, RootCAs: x509.NewCertPool()}
	c.RootCAs.AppendCertsFromPEM([]byte(x.ServerCA))
	if x.Certificate == "" {
		return c, nil
	}
	key, err := v.key(x)
	if err != nil {
		return nil, err
	}
	pair := tls.Certificate{PrivateKey: key}
	for rest := []byte(x.Certificate); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		pair.Certificate = append(pair.Certificate, block.Bytes)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}
