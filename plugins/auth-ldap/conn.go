package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

// The bounds of one call to the directory.
const (
	atOnce         = 16 // connections
	requestTimeout = 10 * time.Second
	maxAnswer      = 2 << 20 // bytes of all answers on one connection
	maxEntries     = 1000    // of one search
)

// limited is a connection that ends when too much came: the library holds an answer whole, and nests as deep as it does.
type limited struct {
	net.Conn
	left int
}

// Read implements io.Reader. One goroutine, the library's, reads.
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the directory's answers are longer than %d bytes", maxAnswer)
	}
	n, err := l.Conn.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// with runs f with an encrypted connection that is bound as the plugin's own account. It ends with ctx.
func (d *driver) with(ctx context.Context, f func(*ldap.Conn) error) error {
	return d.connected(ctx, func(c *ldap.Conn) error {
		if d.config.BindDN != "" {
			if err := c.Bind(d.config.BindDN, string(d.password)); err != nil {
				if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
					return fault("it refuses the plugin's own account: check bind_dn and bind_password_file")
				}
				return err
			}
		}
		return f(c)
	})
}

// connected runs f with an encrypted connection. Errors of the directory that f returns become errdef.ErrUnavailable; those of
// the driver's own classes stay what they are.
func (d *driver) connected(ctx context.Context, f func(*ldap.Conn) error) error {
	select {
	case d.turns <- struct{}{}:
		defer func() { <-d.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c, err := d.dial(ctx)
	if err == nil {
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		err = f(c)
		stop()
		_ = c.Close()
	}
	switch {
	case err == nil, classed(err):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fault("%s", printable(err.Error()))
}

// classed says whether an error has been told apart already.
func classed(err error) bool {
	for _, class := range []error{errdef.ErrDenied, errdef.ErrConflict, errdef.ErrNotFound, errdef.ErrExhausted, errdef.ErrUnavailable} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}

func fault(format string, args ...any) error {
	return fmt.Errorf("directory: %s: %w", fmt.Sprintf(format, args...), errdef.ErrUnavailable)
}

// dial connects and encrypts. Nothing is sent before the server has shown its certificate but the wish for TLS.
func (d *driver) dial(ctx context.Context) (*ldap.Conn, error) {
	dialer := net.Dialer{Timeout: requestTimeout}
	raw, err := dialer.DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(time.Now().Add(2 * requestTimeout)) // of all that is done on it
	conn := net.Conn(&limited{raw, maxAnswer})
	if !d.startTLS {
		secure := tls.Client(conn, d.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		conn = secure
	}
	c := ldap.NewConn(conn, !d.startTLS)
	c.SetTimeout(requestTimeout)
	c.Start()
	if d.startTLS {
		stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
		err := c.StartTLS(d.tls)
		stop()
		if err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
	}
	return c, nil
}

// Active Directory tells in a text why a bind failed. These stand for a password that is right and must be changed first.
var activeDirectoryExpired = []string{", data 532,", ", data 773,"}

// bind tries a password. errdef.ErrDenied: it is wrong, or its user is disabled or locked; errdef.ErrConflict: it is right and
// must be changed first.
func (d *driver) bind(ctx context.Context, dn string, password secret.Text) error {
	return d.connected(ctx, func(c *ldap.Conn) error {
		res, err := c.SimpleBind(ldap.NewSimpleBindRequest(dn, string(password), []ldap.Control{ldap.NewControlBeheraPasswordPolicy()}))
		if res != nil {
			policy, _ := ldap.FindControl(res.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy)
			if policy != nil && (policy.Error == ldap.BeheraPasswordExpired || policy.Error == ldap.BeheraChangeAfterReset) {
				return errExpired
			}
		}
		if err == nil {
			return nil
		}
		for _, text := range activeDirectoryExpired {
			if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) && strings.Contains(err.Error(), text) {
				return errExpired
			}
		}
		if ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
			ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultConstraintViolation) {
			return errWrong
		}
		return err
	})
}

var (
	errWrong   = fmt.Errorf("name or password is wrong: %w", errdef.ErrDenied)
	errExpired = fmt.Errorf("the password has expired and must be changed first: %w", errdef.ErrConflict)
)

// search asks for the entries below a base, or for the base itself. More than maxEntries are cut off.
func (d *driver) search(c *ldap.Conn, base string, scope int, filter string, attributes ...string) ([]*ldap.Entry, error) {
	res, err := c.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, maxEntries, int(requestTimeout/time.Second), false, filter, attributes, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) && res != nil:
		return res.Entries[:min(len(res.Entries), maxEntries)], nil
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return res.Entries[:min(len(res.Entries), maxEntries)], nil
}

// printable makes a server's text fit for a log: short, and no control characters.
func printable(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}
