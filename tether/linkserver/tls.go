package linkserver

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// TLSConfig makes the tether a server that takes the host for a client, and nobody else.
func TLSConfig(id guest.Identity) (*tls.Config, error) {
	pair, err := tls.X509KeyPair([]byte(id.Cert), []byte(id.Key))
	if err != nil {
		return nil, fmt.Errorf("identity: %w: %w", errdef.ErrInvalid, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(id.CA)) {
		return nil, fmt.Errorf("identity: no authority: %w", errdef.ErrInvalid)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
		NextProtos:   []string{"h2"},
		// Small records at first would cost an emulated CPU more than they gain.
		DynamicRecordSizingDisabled: true,
		SessionTicketsDisabled:      true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if cn := s.PeerCertificates[0].Subject.CommonName; cn != guest.HostName {
				return fmt.Errorf("the link is for %s, not %q: %w", guest.HostName, cn, errdef.ErrDenied)
			}
			return nil
		},
	}, nil
}
