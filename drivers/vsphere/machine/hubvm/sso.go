package hubvm

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/plugins/auth-vsphere/sso"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/secret"
)

// SSO is a hub at vCenter Single Sign-On.
type SSO struct {
	Domain string `json:"domain"` // the system domain
	User   string `json:"user"`   // the hub's solution user there
}

var (
	userPattern   = regexp.MustCompile(`^vic-hub-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	domainPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,253}[a-z0-9])?$`)
)

// valid says whether this is a solution user that solutionUser named. A record can be written by who may write to the datastore; it
// must not make an administrator change or remove one of vCenter's own.
func (s SSO) valid() bool {
	return userPattern.MatchString(s.User) && domainPattern.MatchString(s.Domain)
}

// The files by which the hub's plugin reaches Single Sign-On.
const (
	fileVSphere = etc + "vsphere.toml"
	fileVCenter = etc + "vcenter-ca.pem"
	fileSSO     = etc + "sso.pem"
)

// solutionUser is the name of a hub's solution user: its own, as several hubs may be on one Single Sign-On.
func solutionUser(id string) string { return "vic-hub-" + id }

// directory is vCenter Single Sign-On, spoken to with the login of a session.
type directory struct {
	client      *sso.Client
	server      string
	authorities []byte // PEM
	admin       string
	password    secret.Text
}

// openDirectory asks the session's vCenter for its authorities, and Single Sign-On nothing yet.
func openDirectory(ctx context.Context, s *session.Session, domain string) (*directory, error) {
	t := s.Target
	d := &directory{server: t.URL.Host, admin: t.User, password: secret.Text(t.Password)}
	if t.Password == "" {
		return nil, fmt.Errorf("vCenter Single Sign-On takes a name and a password, not a session of vCenter's: %w", errdef.ErrUnsupported)
	}
	if !strings.ContainsAny(d.admin, `@\`) {
		d.admin += "@" + domain
	}
	var err error
	if d.authorities, err = t.Authorities(ctx); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(d.authorities)
	d.client, err = sso.New(sso.Options{Server: d.server, Domain: domain, Roots: roots})
	return d, err
}

// files are those of the hub's VM.
func (d *directory) files(s SSO, certificate secret.Text) []guest.File {
	text := fmt.Sprintf("server = %q\nca = %q\ndomain = %q\nsolution_user = %q\ncertificate = %q\nadministrators = [%q]\n",
		d.server, fileVCenter, s.Domain, s.User, fileSSO, s.Domain+"/administrators")
	return []guest.File{
		{Path: fileVSphere, Mode: modePublic, Data: []byte(text)},
		{Path: fileVCenter, Mode: modePublic, Data: d.authorities},
		{Path: fileSSO, Mode: modePrivate, Data: []byte(certificate)},
	}
}

// register makes the hub's solution user, or gives the one that an earlier try left a new certificate.
func (c *creator) register(ctx context.Context) (err error) {
	if c.record.SSO == nil {
		c.log.Printf("users of vCenter do not sign in to this hub")
		return nil
	}
	c.files, c.registered, err = register(ctx, c.Res.Session, *c.record.SSO, c.log)
	return err
}

// register makes a solution user, or gives one that is there a new certificate, and returns the files by which the hub is that user.
// maybe says that the user may be there, also if there is an error.
func register(ctx context.Context, sess *session.Session, s SSO, log *progress.Log) (files []guest.File, maybe bool, err error) {
	d, err := openDirectory(ctx, sess, s.Domain)
	if err != nil {
		return nil, false, err
	}
	defer d.client.Close()
	// From here on a failure is one of Single Sign-On's; before, nothing was made there.
	if _, err := d.client.Registered(ctx, d.admin, d.password, s.User); err != nil {
		return nil, false, err
	}
	text, err := sso.NewCertificate(s.User)
	if err != nil {
		return nil, false, err
	}
	pair, err := sso.ParseCertificate(text)
	if err != nil {
		return nil, false, err
	}
	err = d.client.Register(ctx, d.admin, d.password, s.User, pair)
	if maybe = !errors.Is(err, errdef.ErrDenied); err != nil {
		return nil, maybe, err
	}
	log.Printf("registered the solution user %s@%s", s.User, s.Domain)
	return d.files(s, text), true, nil
}

// unregister removes a hub's solution user; no error if it is gone.
func unregister(ctx context.Context, s *session.Session, at SSO) error {
	d, err := openDirectory(ctx, s, at.Domain)
	if err != nil {
		return err
	}
	defer d.client.Close()
	return d.client.Unregister(ctx, d.admin, d.password, at.User)
}

// unregisterDeleted is unregister for Delete.
func unregisterDeleted(ctx context.Context, s *session.Session, at *SSO) error {
	if at == nil {
		return nil
	}
	return advice.Wrap(unregister(ctx, s, *at),
		"nothing was removed yet. Use an account that administers Single Sign-On, or leave the solution user %s@%s there with --no-sso", at.User, at.Domain)
}

// renewTrust gives the hub the authorities that vCenter has now, and says whether they are others.
func (s *settings) renewTrust(authorities []byte) bool {
	for i, f := range s.guest.Appliance.Files {
		if f.Path == fileVCenter && len(authorities) > 0 && !bytes.Equal(f.Data, authorities) {
			s.guest.Appliance.Files[i].Data = authorities
			return true
		}
	}
	return false
}
