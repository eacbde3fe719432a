// Package hub tells a hub, the registry beside VCHs, of the VCHs that are its projects' resources.
//
// The hub is spoken to over TLS alone, at the address that the administrator gave, and the token goes nowhere else.
package hub

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

// timeout bounds one request; maxAnswer, in bytes, what is read of an answer.
const (
	timeout   = 30 * time.Second
	maxAnswer = 1 << 20
)

// Access is how an administrator reaches a hub.
type Access struct {
	URL   string // https://host[:port]
	CA    []byte // PEM; nil: the authorities that the system trusts
	Token string // "NAME:SECRET" of a robot or a user
	// Name is one that the hub's certificate is for; empty: the one in URL.
	Name string
}

// Client speaks to one hub.
type Client struct {
	base         string
	name, secret string
	http         *http.Client
}

// ParseURL reads the address of a hub and returns it in one form; errdef.ErrInvalid.
func ParseURL(s string) (string, error) {
	u, err := url.Parse(strings.TrimSuffix(s, "/"))
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("%q is no address of a hub: want https://HOST or https://HOST:PORT: %w", s, errdef.ErrInvalid)
	}
	return "https://" + strings.ToLower(u.Host), nil
}

// New makes a client; errdef.ErrInvalid for what cannot be an access. It sends nothing.
func New(a Access) (*Client, error) {
	base, err := ParseURL(a.URL)
	if err != nil {
		return nil, err
	}
	// Names of users may not hold a colon, secrets may.
	name, secret, ok := strings.Cut(a.Token, ":")
	if !ok || name == "" || secret == "" {
		return nil, fmt.Errorf("the hub's token is not NAME:SECRET: %w", errdef.ErrInvalid)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.Name}
	if len(a.CA) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		cfg.RootCAs.AppendCertsFromPEM(a.CA)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: cfg, DisableKeepAlives: true}
	// Who is redirected would send the token elsewhere.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, name: name, secret: secret, http: &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: stay}}, nil
}

// URL is the hub's address.
func (c *Client) URL() string { return c.base }

// Registration is a VCH as the hub is told of it.
type Registration struct {
	UID      string   `json:"uid"`
	Name     string   `json:"name"`
	Projects []string `json:"projects"`
}

// Registered is what the hub answers: its number of the VCH, and the request (PEM) for the hub's certificate there.
type Registered struct {
	ID      int64  `json:"id"`
	Request string `json:"certificate_request"`
	// HubOnly says that one of the projects demands that the VCH takes images of the hub alone.
	HubOnly bool `json:"hub_only"`
}

// Connection is how the hub will reach the VCH.
type Connection struct {
	Address     string `json:"address"` // host:port of the Docker API
	ServerName  string `json:"server_name,omitempty"`
	ServerCA    string `json:"server_ca"`
	Certificate string `json:"certificate,omitempty"`
}

// Registry is the hub as names of images have it: host, or host:port.
func (c *Client) Registry() string { return strings.TrimPrefix(c.base, "https://") }

// Check says whether the VCH could be registered, and whether it would have to take images of the hub alone. It makes nothing.
func (c *Client) Check(ctx context.Context, r Registration) (hubOnly bool, err error) {
	var out struct {
		HubOnly bool `json:"hub_only"`
	}
	err = c.call(ctx, http.MethodPost, "/vchs/check", r, &out)
	return out.HubOnly, err
}

// Register makes the VCH known; the same again changes nothing.
func (c *Client) Register(ctx context.Context, r Registration) (Registered, error) {
	var out Registered
	err := c.call(ctx, http.MethodPost, "/vchs", r, &out)
	if err == nil && (out.ID < 1 || out.Request == "") {
		err = fmt.Errorf("the hub %s answered without a number and a certificate request: %w", c.base, errdef.ErrUnavailable)
	}
	return out, err
}

// Connect tells where the VCH serves.
func (c *Client) Connect(ctx context.Context, id int64, x Connection) error {
	return c.call(ctx, http.MethodPut, fmt.Sprintf("/vchs/%d", id), x, nil)
}

// Remove makes the hub forget the VCH; one that it does not know is no error.
func (c *Client) Remove(ctx context.Context, id int64) error {
	err := c.call(ctx, http.MethodDelete, fmt.Sprintf("/vchs/%d", id), nil, nil)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	return err
}

// maxBundle bounds a log bundle, in bytes.
const maxBundle = 64 << 20

// SupportBundle is the hub's own log bundle, a tar.gz. It is for cloud administrators, and for robots that may read system logs.
func (c *Client) SupportBundle(ctx context.Context) ([]byte, error) {
	return c.ask(ctx, http.MethodGet, "/system/support-bundle", nil, maxBundle)
}

// call sends a request below /api/v2.0 and reads the answer into out, if it is not nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	text, err := c.ask(ctx, method, path, in, maxAnswer)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return advice.Wrap(fmt.Errorf("what answers at %s is no hub: %w", c.base, errdef.ErrUnavailable), "check --hub")
	}
	return nil
}

// ask sends a request below /api/v2.0 and returns at most so many bytes of the answer.
func (c *Client) ask(ctx context.Context, method, path string, in any, most int64) ([]byte, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v2.0"+path, body)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(c.name, c.secret)
	req.Header.Set("User-Agent", "vic-machine")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	if res.StatusCode/100 != 2 {
		return nil, c.refused(res, text)
	}
	return text, nil
}

// unreached is the error of a request that got no answer.
func (c *Client) unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var url *url.Error
	if errors.As(err, &url) { // the address is told once
		err = url.Err
	}
	remedy := "check --hub, and that the hub runs and can be reached from here"
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &authority):
		remedy = "give --hub-ca the file with the hub's authority, tls/ca.pem in the hub's data folder"
	case errors.As(err, &name):
		remedy = "give --hub the name that the hub's certificate is for, or add this one to [tls] names in hub.toml"
	}
	return advice.Wrap(fmt.Errorf("the hub %s cannot be reached: %w: %w", c.base, errdef.ErrUnavailable, err), "%s", remedy)
}

// refused is the error of an answer that is one.
func (c *Client) refused(res *http.Response, text []byte) error {
	var body struct {
		Errors []struct{ Code, Message string } `json:"errors"`
	}
	message := res.Status
	if json.Unmarshal(text, &body) == nil && len(body.Errors) > 0 {
		const most = 500
		message = printable(body.Errors[0].Message, most)
	} else if res.StatusCode == http.StatusNotFound || res.StatusCode/100 == 3 {
		return advice.Wrap(fmt.Errorf("what answers at %s is no hub: %s: %w", c.base, res.Status, errdef.ErrUnavailable), "check --hub")
	}
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return advice.Wrap(fmt.Errorf("the hub %s does not let %s in: %s: %w", c.base, c.name, message, errdef.ErrDenied),
			"give --hub-token NAME:SECRET of a robot or user of the hub; a robot that has expired needs a new secret")
	case http.StatusForbidden:
		return advice.Wrap(fmt.Errorf("the hub %s refuses %s: %s: %w", c.base, c.name, message, errdef.ErrDenied),
			"give the token of a cloud administrator, or of a robot of the whole hub with the permission host:manage")
	case http.StatusBadRequest:
		return advice.Wrap(fmt.Errorf("the hub %s refuses this: %s: %w", c.base, message, errdef.ErrInvalid), "check --hub-project")
	case http.StatusNotFound:
		return fmt.Errorf("the hub %s: %s: %w", c.base, message, errdef.ErrNotFound)
	}
	return advice.Wrap(fmt.Errorf("the hub %s answers %s: %s: %w", c.base, res.Status, message, errdef.ErrUnavailable), "look at the hub's log, and try again")
}

// printable is a text of others on one line, cut to a number of characters.
func printable(s string, most int) string {
	r := []rune(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s))
	return string(r[:min(len(r), most)])
}
