package sso

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"time"

	"github.com/vmware/govmomi/ssoadmin"
	"github.com/vmware/govmomi/ssoadmin/types"
	"github.com/vmware/govmomi/sts"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// certificateLife is that of a solution user's certificate. Whoever registers again gets a new one.
const certificateLife = 10 * 365 * 24 * time.Hour

func newJar() http.CookieJar {
	jar, _ := cookiejar.New(nil) // never fails
	return jar
}

// NewCertificate makes a key and a certificate for a solution user: certificate and key in PEM, in one text. vCenter takes
// RSA keys alone.
func NewCertificate(name string) (secret.Text, error) {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return "", err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return "", err
	}
	tpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"vSphere Integrated Containers"}},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(certificateLife), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return secret.Text(append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)), nil
}

// ParseCertificate reads what NewCertificate made. errdef.ErrInvalid.
func ParseCertificate(text secret.Text) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		return nil, fmt.Errorf("certificate and key of the solution user: %w: %w", err, errdef.ErrInvalid)
	}
	if _, ok := pair.PrivateKey.(*rsa.PrivateKey); !ok {
		return nil, fmt.Errorf("the key of the solution user is not an RSA key: %w", errdef.ErrInvalid)
	}
	return &pair, nil
}

// asAdministrator does f in a session of the administration that an administrator's name and password begin.
func (c *Client) asAdministrator(ctx context.Context, user string, password secret.Text, what string, f func(*ssoadmin.Client) error) error {
	a, err := c.beginAs(ctx, sts.TokenRequest{Userinfo: url.UserPassword(user, string(password))})
	if fault, is := faultOf(err); is && isFailedAuthentication(fault) {
		return fmt.Errorf("vCenter Single Sign-On refuses %s: %s: %w", user, printable(fault.String), errdef.ErrDenied)
	}
	if err == nil {
		err = f(a)
		defer func() { _ = a.Logout(context.WithoutCancel(ctx)) }()
	}
	if fault, is := faultOf(err); is && kindOf(fault) == "NoPermission" {
		return fmt.Errorf("%s may not administer vCenter Single Sign-On: give the name of a member of Administrators: %w", user, errdef.ErrDenied)
	}
	if err != nil {
		return unavailable(ctx, what, err)
	}
	return nil
}

// Registered says whether there is a solution user of the name, and changes nothing. Errors as of Register.
func (c *Client) Registered(ctx context.Context, admin string, password secret.Text, name string) (is bool, err error) {
	err = c.asAdministrator(ctx, admin, password, "look for the solution user "+name, func(a *ssoadmin.Client) error {
		old, err := a.FindSolutionUser(ctx, name)
		is = old != nil
		return err
	})
	return is, err
}

// Register makes a solution user that may read users and groups, or gives the one that is there the certificate. An
// administrator's name and password are used for this alone, and kept nowhere. errdef.ErrDenied: they are wrong, or not an
// administrator's.
func (c *Client) Register(ctx context.Context, admin string, password secret.Text, name string, cert *tls.Certificate) error {
	details := types.AdminSolutionDetails{Certificate: base64.StdEncoding.EncodeToString(cert.Certificate[0]), Description: "vSphere Integrated Containers hub"}
	return c.asAdministrator(ctx, admin, password, "register the solution user "+name, func(a *ssoadmin.Client) error {
		old, err := a.FindSolutionUser(ctx, name)
		switch {
		case err != nil:
			return err
		case old == nil:
			err = a.CreateSolutionUser(ctx, name, details)
		default:
			err = a.UpdateSolutionUser(ctx, name, details)
		}
		if err != nil {
			return err
		}
		_, err = a.SetRole(ctx, types.PrincipalId{Name: name, Domain: c.o.Domain}, types.RoleRegularUser)
		return err
	})
}

// Unregister removes a solution user; no error if it is gone. Errors as of Register.
func (c *Client) Unregister(ctx context.Context, admin string, password secret.Text, name string) error {
	return c.asAdministrator(ctx, admin, password, "remove the solution user "+name, func(a *ssoadmin.Client) error {
		old, err := a.FindSolutionUser(ctx, name)
		if err != nil || old == nil {
			return err
		}
		return a.DeletePrincipal(ctx, name)
	})
}
