package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	vsession "github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Session is a logged-in client: the driver's, with what vic-machine asks people for.
type Session struct {
	*vsphere.Session
	// Target is the one that was asked for; Thumbprint is set if the certificate is trusted by it.
	Target Target
	// UserName is the account as vSphere writes it, whatever way of writing it logged in.
	UserName string
}

// dialTimeout bounds the first contact, so that a wrong address is told within seconds.
const dialTimeout = 20 * time.Second

// Connect logs in. Its errors say what to do: about an unreachable address, a certificate that is
// not trusted, and wrong credentials.
func Connect(ctx context.Context, t Target) (*Session, error) {
	if t.URL.Scheme == "https" {
		if err := t.trust(ctx); err != nil {
			return nil, err
		}
	}
	login := vsphere.ByPassword(t.User, t.Password)
	if t.Ticket != "" {
		login = func(ctx context.Context, m *vsession.Manager) error { return m.CloneSession(ctx, t.Ticket) }
	}
	vs, err := vsphere.Dial(ctx, config.VCenter{URL: t.URL.String(), Thumbprint: t.Thumbprint},
		vsphere.Options{Login: login, UserAgent: "vic-machine", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, advice.Wrap(err, "check that --target is the address of vCenter or an ESXi host and that it runs")
	}
	if err := vs.Login(ctx); err != nil {
		return nil, loginError(t, err)
	}
	s := &Session{Session: vs, Target: t, UserName: t.User}
	if us, err := vsession.NewManager(vs.Client()).UserSession(ctx); err == nil && us != nil && us.UserName != "" {
		s.UserName = us.UserName
	} else if t.Ticket != "" {
		s.Close(ctx)
		return nil, fmt.Errorf("log in to %s: whose the session is cannot be read: %w", t.URL.Host, errors.Join(err, errdef.ErrUnavailable))
	}
	if t.User == "" {
		s.Target.User = s.UserName
	}
	return s, nil
}

// IsVC tells vCenter from ESXi.
func (s *Session) IsVC() bool { return s.Client().IsVC() }

// Close logs out, even if ctx has ended.
func (s *Session) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.Session.Close(ctx) // the session ends by itself too
}

// ErrNoAccess is the refusal of a login whose user and password are right: the account has no
// permission on anything.
var ErrNoAccess = errors.New("the account has no permission on anything there")

// ErrCredentials is the refusal of a login whose user, password or ticket is wrong.
var ErrCredentials = errors.New("wrong user or password")

// CertificateError says that the target's certificate is not one to trust.
type CertificateError struct{ text string }

func (e CertificateError) Error() string { return e.text }

// Unwrap makes it a refusal.
func (e CertificateError) Unwrap() error { return errdef.ErrDenied }

func loginError(t Target, err error) error {
	if t.Ticket != "" && vsphere.Is(err, &types.InvalidLogin{}) {
		return advice.Wrap(fmt.Errorf("log in to %s: the session ticket is not good, or was used: %w: %w", t.URL.Host, ErrCredentials, errdef.ErrDenied),
			"acquire a clone ticket for each request, or give user and password")
	}
	if vsphere.Is(err, &types.InvalidLogin{}) {
		return advice.Wrap(fmt.Errorf("log in to %s as %q: %w: %w", t.URL.Host, t.User, ErrCredentials, errdef.ErrDenied),
			"check --user (with its domain, as in administrator@vsphere.local) and --password")
	}
	if vsphere.Is(err, &types.NoPermission{}) {
		return advice.Wrap(fmt.Errorf("log in to %s as %q: %w: %w", t.URL.Host, t.User, ErrNoAccess, errdef.ErrDenied),
			"give the account a role on the vCenter")
	}
	return advice.Wrap(fmt.Errorf("log in to %s as %q: %w", t.URL.Host, t.User, err), "check --target and --user, then try again")
}

// trust makes sure that the target's certificate is trusted: by the system's authorities, by
// t.Thumbprint, or by force, which sets t.Thumbprint.
func (t *Target) trust(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	verified := t.Thumbprint == ""
	cert, err := t.presented(ctx, verified)
	if err == nil && verified {
		return nil
	}
	if verified && untrusted(err) {
		cert, err = t.presented(ctx, false)
	}
	if err != nil {
		return advice.Wrap(fmt.Errorf("connect to %s: %w: %w", t.address(), errdef.ErrUnavailable, err),
			"check that --target is right, that it runs, and that no firewall is in between")
	}
	sha1 := soap.ThumbprintSHA1(cert)
	switch {
	case vsphere.Matches(t.Thumbprint, cert):
		return nil
	case t.Force:
		t.Thumbprint = sha1
		return nil
	case t.Thumbprint == "":
		return advice.Wrap(CertificateError{fmt.Sprintf("%v: no authority that this machine trusts vouches for the certificate of %s; its thumbprint (SHA-1) is %s",
			errdef.ErrDenied, t.address(), sha1)},
			"compare the thumbprint with the one that vCenter shows; if they are equal, add --thumbprint=%s", sha1)
	}
	return advice.Wrap(CertificateError{fmt.Sprintf("%v: the thumbprint of %s is not %s: it presents a certificate with the thumbprint (SHA-1) %s",
		errdef.ErrDenied, t.address(), t.Thumbprint, sha1)},
		"if the certificate was replaced on purpose, use --thumbprint=%s; otherwise somebody may be in between", sha1)
}

func untrusted(err error) bool {
	return err != nil && (soap.IsCertificateUntrusted(err) || strings.Contains(err.Error(), "x509: "))
}

// Datacenters returns the one that the target names, or all of them.
func (s *Session) Datacenters(ctx context.Context) ([]*object.Datacenter, error) {
	pattern := s.Target.Datacenter
	if pattern == "" {
		pattern = "*"
	}
	f := find.NewFinder(s.Client(), true)
	dcs, err := f.DatacenterList(ctx, pattern)
	if err == nil {
		return dcs, nil
	}
	var nf *find.NotFoundError
	if !errors.As(err, &nf) {
		return nil, fmt.Errorf("list datacenters: %w", err)
	}
	all, err := f.DatacenterList(ctx, "*")
	if err != nil && !errors.As(err, &nf) {
		return nil, fmt.Errorf("list datacenters: %w", err)
	}
	var names []string
	for _, dc := range all {
		names = append(names, dc.InventoryPath)
	}
	return nil, advice.Wrap(fmt.Errorf("datacenter %q: %w", s.Target.Datacenter, errdef.ErrNotFound),
		"give one in --target host/datacenter; there are: %s", strings.Join(names, ", "))
}
