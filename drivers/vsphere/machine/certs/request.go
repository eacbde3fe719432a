package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

// SignRequest makes a client's certificate of a request (PEM) whose key is the client's alone. The name in the request counts,
// nothing else of it. errdef.ErrInvalid if the authority's key is not at hand, or the request cannot be read.
func SignRequest(ca Pair, request []byte, now time.Time) ([]byte, error) {
	pair, err := tls.X509KeyPair(ca.Cert, ca.Key)
	if err != nil {
		return nil, advice.Wrap(fmt.Errorf("the authority of the docker clients cannot sign: %w: %w", errdef.ErrInvalid, err),
			"put %s, which create made, beside %s", CAKeyFile, CAFile)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	block, _ := pem.Decode(request)
	if !ok || block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, fmt.Errorf("the certificate request is none: %w", errdef.ErrInvalid)
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = req.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("the certificate request: %w: %w", errdef.ErrInvalid, err)
	}
	tmpl, err := template(req.Subject.CommonName, nil, now, leafLife)
	if err != nil {
		return nil, err
	}
	tmpl.KeyUsage, tmpl.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if tmpl.NotAfter.After(pair.Leaf.NotAfter) {
		tmpl.NotAfter = pair.Leaf.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, pair.Leaf, req.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("make the certificate %q: %w", tmpl.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// ServerName is a name or address that a server's certificate is for; errdef.ErrInvalid if it has none.
func ServerName(cert []byte) (string, error) {
	c, err := parse(cert)
	switch {
	case err != nil:
		return "", fmt.Errorf("the server's certificate: %w: %w", errdef.ErrInvalid, err)
	case len(c.DNSNames) > 0:
		return c.DNSNames[0], nil
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String(), nil
	}
	return "", fmt.Errorf("the server's certificate is for no name: %w", errdef.ErrInvalid)
}
