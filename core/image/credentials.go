package image

import (
	"context"
	"net/http"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	registrytypes "github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/registry"
)

// credentials are those that a user sent with one pull or push. They travel in its context: Docker's image service would
// ask the registry's token service with a client of its own, which knows neither our authorities nor the policy of what
// may be dialled.
type credentials struct {
	host   string // whose registry they are for
	config registrytypes.AuthConfig

	mu sync.Mutex
	by map[*http.Client]docker.Authorizer // each keeps the tokens that it was given
}

type credentialsKey struct{}

// withCredentials puts them into the context. Without any, requests are anonymous.
func withCredentials(ctx context.Context, auth *registrytypes.AuthConfig, ref reference.Named) context.Context {
	if auth == nil {
		return ctx
	}
	host := registry.ConvertToHostname(auth.ServerAddress)
	if host == "" {
		host = reference.Domain(ref)
	}
	if host == registry.IndexHostname || host == registry.IndexName {
		host = registry.DefaultRegistryHost
	}
	return context.WithValue(ctx, credentialsKey{}, &credentials{host: host, config: *auth, by: map[*http.Client]docker.Authorizer{}})
}

// authorizer makes the one that asks with a client, once.
func (c *credentials) authorizer(client *http.Client) docker.Authorizer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.by[client]; ok {
		return a
	}
	var a docker.Authorizer = bearer{c.host, c.config.RegistryToken}
	if c.config.RegistryToken == "" {
		a = docker.NewDockerAuthorizer(docker.WithAuthClient(client), docker.WithAuthCreds(c.secret))
	}
	c.by[client] = a
	return a
}

// secret is the name and secret for a host: nothing for any other than theirs.
func (c *credentials) secret(host string) (name, secret string, err error) {
	switch {
	case host != c.host:
		return "", "", nil
	case c.config.IdentityToken != "":
		return "", c.config.IdentityToken, nil
	}
	return c.config.Username, c.config.Password, nil
}

// authorizer is one host's: it asks with the credentials of the request's context, or anonymously.
type authorizer struct {
	client    *http.Client
	anonymous docker.Authorizer
}

var _ docker.Authorizer = (*authorizer)(nil)

func newAuthorizer(client *http.Client) *authorizer {
	return &authorizer{client: client, anonymous: docker.NewDockerAuthorizer(docker.WithAuthClient(client))}
}

func (a *authorizer) of(ctx context.Context) docker.Authorizer {
	if c, ok := ctx.Value(credentialsKey{}).(*credentials); ok {
		return c.authorizer(a.client)
	}
	return a.anonymous
}

// Authorize implements docker.Authorizer.
func (a *authorizer) Authorize(ctx context.Context, r *http.Request) error {
	return a.of(ctx).Authorize(ctx, r)
}

// AddResponses implements docker.Authorizer.
func (a *authorizer) AddResponses(ctx context.Context, responses []*http.Response) error {
	return a.of(ctx).AddResponses(ctx, responses)
}

// bearer sends a token that the client has got by itself.
type bearer struct{ host, token string }

// Authorize implements docker.Authorizer.
func (b bearer) Authorize(_ context.Context, r *http.Request) error {
	if r.Host == b.host || r.Host == "" && r.URL.Host == b.host {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return nil
}

// AddResponses implements docker.Authorizer: there is no other token to try.
func (bearer) AddResponses(context.Context, []*http.Response) error {
	return cerrdefs.ErrNotImplemented
}
