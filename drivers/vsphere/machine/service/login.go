package service

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
)

// The headers of a request beside Authorization. VIC's service had the first.
const (
	headerTicket     = "X-VMWARE-TICKET" // a clone ticket, instead of user and password
	headerThumbprint = "X-Thumbprint"
)

// target reads which vSphere is meant, and as whom.
func (c *call) target() (session.Target, error) {
	name := c.r.PathValue("target")
	if strings.ContainsAny(name, "/\\@?#") || name == "" || strings.Contains(name, "://") {
		return session.Target{}, advice.Wrap(invalid("target %q: not a host", name), "give it as host or host:port; a datacenter has its own place in the path")
	}
	if err := c.allowed(name); err != nil {
		return session.Target{}, err
	}
	t, err := session.ParseTarget(name)
	if err != nil {
		return t, err
	}
	t.Datacenter = c.r.PathValue("datacenter")
	thumbprint := c.r.URL.Query().Get("thumbprint")
	if thumbprint == "" {
		thumbprint = c.r.Header.Get(headerThumbprint)
	}
	if err = t.SetThumbprint(thumbprint); err != nil {
		return t, err
	}
	return t, readAccount(c.r, &t)
}

// readAccount reads the account of a request.
func readAccount(r *http.Request, t *session.Target) error {
	if t.Ticket = r.Header.Get(headerTicket); t.Ticket != "" {
		return nil
	}
	var ok bool
	if t.User, t.Password, ok = r.BasicAuth(); !ok || t.User == "" {
		return advice.Wrap(problemError{Problem{Type: "credentials", Status: http.StatusUnauthorized, Detail: "no vSphere account is given"}},
			"give user and password by HTTP basic authentication, or a clone ticket in "+headerTicket)
	}
	return nil
}

// connect logs in, unless too many logins of that address have failed.
func (s *Service) connect(ctx context.Context, r *http.Request, t session.Target) (*session.Session, error) {
	try, err := s.try(r, accountOf(t))
	if err != nil {
		return nil, err
	}
	defer try.Done()
	sess, err := session.Connect(ctx, t)
	switch {
	case err == nil:
		try.Succeeded()
	case errors.Is(err, session.ErrCredentials):
		s.cfg.Log.Warn("login failed", "from", host(r), "target", t.URL.Host, "user", t.User)
	default:
		try.TakeBack() // nobody has looked at the password
	}
	return sess, err
}

// accountOf names what a login is counted for: a user of a vSphere, or its clone tickets.
func accountOf(t session.Target) string {
	if t.Ticket != "" {
		return "a ticket at " + t.URL.Host
	}
	return t.User + " at " + t.URL.Host
}

// hostOf is the address as tasks show it.
func hostOf(u url.URL) string {
	if h, p, err := net.SplitHostPort(u.Host); err == nil && p == "443" {
		return h
	}
	return u.Host
}
