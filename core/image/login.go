package image

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	registrytypes "github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/errdefs"

	"github.com/openvic/vic/sdk/errdef"
)

// readCAs returns the system's authorities with those of files and directories; nil for none.
func readCAs(names []string) (*x509.CertPool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without any
	}
	for _, name := range names {
		found := 0
		err := filepath.WalkDir(name, func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(file)
			if err == nil && pool.AppendCertsFromPEM(b) {
				found++
			}
			return err
		})
		if err == nil && found == 0 {
			err = fmt.Errorf("no certificate in it: %w", errdef.ErrInvalid)
		}
		if err != nil {
			return nil, fmt.Errorf("registry_ca: %s: %w", name, err)
		}
	}
	return pool, nil
}

// registryOf is the host of what docker login sends: a URL for Docker Hub, else mostly a host.
func registryOf(address string) string {
	host := address
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host = u.Host
	}
	host, _, _ = strings.Cut(host, "/")
	if host == "" || host == "index.docker.io" || host == hubServer {
		return hubName
	}
	return host
}

// login checks credentials with the authorities of registry_ca and within the policy, which Docker's own way knows
// nothing of.
func (h *hosts) login(ctx context.Context, host string, auth *registrytypes.AuthConfig) (string, error) {
	if host == hubName {
		host = hubServer
	}
	server := h.host("https", host, apiPath, false)
	authorizer := docker.NewDockerAuthorizer(docker.WithAuthClient(server.Client), docker.WithAuthCreds(func(string) (string, string, error) {
		if auth.IdentityToken != "" {
			return "", auth.IdentityToken, nil
		}
		return auth.Username, auth.Password, nil
	}))
	ask := func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+apiPath+"/", nil)
		if err != nil {
			return nil, err
		}
		if err := authorizer.Authorize(ctx, req); err != nil {
			return nil, err
		}
		resp, err := server.Client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		return resp, err
	}
	resp, err := ask() //nolint:bodyclose // ask closes it
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		if err = authorizer.AddResponses(ctx, []*http.Response{resp}); err == nil {
			resp, err = ask() //nolint:bodyclose // as above
		}
	}
	var status remoteerrors.ErrUnexpectedStatus // of the token service
	if errors.Is(err, docker.ErrInvalidAuthorization) || err == nil && resp.StatusCode == http.StatusUnauthorized ||
		errors.As(err, &status) && status.StatusCode == http.StatusUnauthorized {
		return "", errdefs.Unauthorized(fmt.Errorf("login attempt to https://%s/v2/ failed with status: 401 Unauthorized", host))
	}
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", errdefs.Unavailable(fmt.Errorf("login attempt to https://%s/v2/ failed with status: %s", host, resp.Status))
	}
	return "Login Succeeded", nil
}
