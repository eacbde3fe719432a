// Package client speaks the administrator's API of vicd.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/admin"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/errdef"
)

// Client is one vicd.
type Client struct {
	http  *http.Client
	base  string
	where string // for messages
}

// Socket speaks over a unix socket.
func Socket(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{
		http: &http.Client{Transport: &http.Transport{DialContext: dial}},
		base: "http://vicd", where: "unix://" + path,
	}
}

// Files in a certificate path, as vic-machine writes them.
const (
	CertFile = "admin-cert.pem"
	KeyFile  = "admin-key.pem"
	CAFile   = "ca.pem"
)

// TLS speaks to "tcp://host:port" with the certificate in a directory.
func TLS(host, certPath string) (*Client, error) {
	addr, ok := strings.CutPrefix(host, "tcp://")
	if !ok {
		return nil, fmt.Errorf("--host %q is not tcp://host:port: %w", host, errdef.ErrInvalid)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(certPath, CertFile), filepath.Join(certPath, KeyFile))
	if err != nil {
		return nil, fmt.Errorf("--cert-path: the administrator's certificate: %w", err)
	}
	pem, err := os.ReadFile(filepath.Join(certPath, CAFile))
	if err != nil {
		return nil, fmt.Errorf("--cert-path: the server's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--cert-path: %s holds no certificate: %w", filepath.Join(certPath, CAFile), errdef.ErrInvalid)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool, MinVersion: tls.VersionTLS12}
	return &Client{
		http: &http.Client{Transport: &http.Transport{TLSClientConfig: config}},
		base: "https://" + addr, where: host,
	}, nil
}

// Version asks who answers.
func (c *Client) Version(ctx context.Context) (v admin.Version, err error) {
	return v, c.call(ctx, http.MethodGet, "/v1/version", &v)
}

// Plugins lists all plugins.
func (c *Client) Plugins(ctx context.Context) (all []plugin.Status, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/plugins", &all)
}

// Plugin returns one plugin.
func (c *Client) Plugin(ctx context.Context, name string) (st plugin.Status, err error) {
	return st, c.call(ctx, http.MethodGet, "/v1/plugins/"+url.PathEscape(name), &st)
}

// Restart restarts a plugin and returns when it is up.
func (c *Client) Restart(ctx context.Context, name string) (st plugin.Status, err error) {
	return st, c.call(ctx, http.MethodPost, "/v1/plugins/"+url.PathEscape(name)+"/restart", &st)
}

// Volumes lists all volumes.
func (c *Client) Volumes(ctx context.Context) (all []admin.Volume, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/volumes", &all)
}

// GrowVolume makes a volume larger, to a capacity such as "20GB".
func (c *Client) GrowVolume(ctx context.Context, name, capacity string) (v admin.Volume, err error) {
	return v, c.call(ctx, http.MethodPost, "/v1/volumes/"+url.PathEscape(name)+"/grow?capacity="+url.QueryEscape(capacity), &v)
}

// Logs copies the last lines of the daemon's log to w.
func (c *Client) Logs(ctx context.Context, lines int, w io.Writer) error {
	body, err := c.do(ctx, http.MethodGet, "/v1/logs?lines="+strconv.Itoa(lines), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

// Exec runs a command in the endpoint VM and returns its exit code.
func (c *Client) Exec(ctx context.Context, req admin.ExecRequest, stdout, stderr io.Writer) (int, error) {
	b, err := json.Marshal(req)
	if err != nil {
		return 0, err
	}
	body, err := c.do(ctx, http.MethodPost, "/v1/exec", bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var f admin.ExecFrame
		if err := dec.Decode(&f); err != nil {
			return 0, fmt.Errorf("the stream broke before the command's end: %w", err)
		}
		_, oerr := stdout.Write(f.Stdout)
		_, eerr := stderr.Write(f.Stderr)
		if err := errors.Join(oerr, eerr); err != nil {
			return 0, err
		}
		if f.Exit != nil {
			if f.Error != "" {
				return *f.Exit, errors.New(f.Error)
			}
			return *f.Exit, nil
		}
	}
}

func (c *Client) call(ctx context.Context, method, path string, v any) error {
	body, err := c.do(ctx, method, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(v)
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var e admin.Error
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&e); err != nil || e.Message == "" {
		e.Message = "HTTP status " + resp.Status
	}
	return nil, errors.New(e.Message)
}

func (c *Client) unreachable(err error) error {
	var uerr *url.Error
	if errors.As(err, &uerr) {
		err = uerr.Err
	}
	hint := "is vicd running there?"
	if strings.HasPrefix(c.where, "unix://") {
		hint = "inside the endpoint VM vicd serves it; from outside use --host tcp://ADDRESS:2378 --cert-path DIR"
	}
	return fmt.Errorf("vicd does not answer on %s: %w; %s: %w", c.where, err, hint, errdef.ErrUnavailable)
}
