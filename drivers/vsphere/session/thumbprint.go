package session

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/vim25/soap"

	"github.com/openvic/vic/sdk/errdef"
)

// NormalThumbprint brings a thumbprint to the form that vSphere writes: upper case, colons, no prefix.
// SHA-1 and SHA-256 are told apart by their length. Empty stays empty; ErrInvalid for what is neither.
func NormalThumbprint(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	hex := strings.ToUpper(strings.TrimSpace(s))
	for _, p := range []string{"SHA-256", "SHA-1", "SHA256", "SHA1"} {
		hex = strings.TrimPrefix(hex, p)
	}
	hex = strings.NewReplacer(":", "", " ", "", "=", "").Replace(hex)
	if (len(hex) != 40 && len(hex) != 64) || strings.Trim(hex, "0123456789ABCDEF") != "" {
		return "", fmt.Errorf("thumbprint %.100q: %w: want 20 (SHA-1) or 32 (SHA-256) bytes in hexadecimal", s, errdef.ErrInvalid)
	}
	var b strings.Builder
	for i := 0; i < len(hex); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(hex[i : i+2])
	}
	return b.String(), nil
}

// Matches says that a certificate has the thumbprint, which is a normal one.
func Matches(thumbprint string, c *x509.Certificate) bool {
	return thumbprint == soap.ThumbprintSHA1(c) || thumbprint == soap.ThumbprintSHA256(c)
}

// pinned accepts exactly the certificate with this thumbprint; nil for none. soap.Client.SetThumbprint
// would do too, but dials twice for every connection.
func pinned(thumbprint string) (*tls.Config, error) {
	thumbprint, err := NormalThumbprint(thumbprint)
	if thumbprint == "" || err != nil {
		return nil, err
	}
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
		VerifyConnection: func(cs tls.ConnectionState) error {
			if Matches(thumbprint, cs.PeerCertificates[0]) {
				return nil
			}
			return fmt.Errorf("the server's certificate has the thumbprint %s, not %s: %w",
				soap.ThumbprintSHA1(cs.PeerCertificates[0]), thumbprint, errdef.ErrDenied)
		},
	}, nil
}
