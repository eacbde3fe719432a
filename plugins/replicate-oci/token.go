package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker/auth"

	"github.com/openvic/vic/sdk/errdef"
)

// tokens are what a client shows to its registry. They live as long as the client, which is a call.
type tokens struct {
	mu    sync.Mutex
	basic bool              // the registry takes name and password with each request
	kept  map[string]string // by scope
}

const (
	maxTokens      = 1000
	maxTokenAnswer = 1 << 20 // bytes
	maxScope       = 4 << 10
)

// authorization is the header for a scope; "": none so far. An endpoint with a secret and no name has a bearer token: it is the
// hub itself.
func (c *client) authorization(scope string) string {
	if c.endpoint.Username == "" && c.endpoint.Secret != "" {
		return "Bearer " + string(c.endpoint.Secret)
	}
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	if c.tokens.basic {
		return c.basicAuth()
	}
	return c.tokens.kept[scope]
}

func (c *client) basicAuth() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.endpoint.Username+":"+string(c.endpoint.Secret)))
}

// signIn does what a challenge asks for, and returns the scope to ask with again: what the challenge names may be more than
// what was asked for. errdef.ErrDenied if it cannot.
func (c *client) signIn(ctx context.Context, h http.Header, scope string) (string, error) {
	if c.endpoint.Username != "" || c.endpoint.Secret == "" {
		for _, ch := range auth.ParseAuthHeader(h) { // the best ones first
			switch {
			case ch.Scheme == auth.BearerAuth && ch.Parameters["realm"] != "":
				scope = merged(scope, ch.Parameters["scope"])
				return scope, c.fetch(ctx, ch.Parameters, scope)
			case ch.Scheme == auth.BasicAuth && c.endpoint.Username != "":
				c.tokens.mu.Lock()
				c.tokens.basic = true
				c.tokens.mu.Unlock()
				return scope, nil
			}
		}
	}
	return "", fmt.Errorf("registry %s does not accept the credential: %w", c.base.Host, errdef.ErrDenied)
}

// merged adds the scopes that a registry asks for to those that we ask for.
func merged(ours, theirs string) string {
	for s := range strings.FieldsSeq(theirs) {
		if !strings.Contains(" "+ours+" ", " "+s+" ") && len(ours)+len(s) < maxScope {
			ours = strings.TrimSpace(ours + " " + s)
		}
	}
	return ours
}

// fetch asks the token service that the registry names. The credential goes there, to nowhere that is less safe.
func (c *client) fetch(ctx context.Context, p map[string]string, scope string) error {
	u, err := url.Parse(p["realm"])
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || c.base.Scheme == "https" && !c.endpoint.SkipVerify) {
		return fmt.Errorf("registry %s names a token service that cannot be: %w", c.base.Host, errdef.ErrUnavailable)
	}
	q := u.Query()
	if p["service"] != "" {
		q.Set("service", p["service"])
	}
	for s := range strings.FieldsSeq(scope) {
		q.Add("scope", s)
	}
	u.RawQuery = q.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("registry %s names a token service that cannot be: %w", c.base.Host, errdef.ErrUnavailable)
	}
	if c.endpoint.Username != "" {
		r.Header.Set("Authorization", c.basicAuth())
	}
	sender := *c.http
	sender.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || next.URL.Host != u.Host || next.URL.Scheme != u.Scheme {
			return http.ErrUseLastResponse // the credential is for the service that was named
		}
		return nil
	}
	res, err := sender.Do(r)
	if err != nil {
		return c.failed(ctx, err)
	}
	if res.StatusCode != http.StatusOK {
		if res.StatusCode == http.StatusNotFound || res.StatusCode < http.StatusBadRequest {
			drain(res)
			return fmt.Errorf("the token service of registry %s is not where it says: %w", c.base.Host, errdef.ErrUnavailable)
		}
		return c.refused(res)
	}
	defer res.Body.Close()
	var out struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxTokenAnswer)).Decode(&out); err != nil {
		return fmt.Errorf("the token service of registry %s answers with no token: %w", c.base.Host, errdef.ErrUnavailable)
	}
	if out.Token == "" {
		out.Token = out.AccessToken
	}
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	if len(c.tokens.kept) >= maxTokens || c.tokens.kept == nil {
		c.tokens.kept = map[string]string{}
	}
	c.tokens.kept[scope] = "Bearer " + out.Token
	return nil
}
