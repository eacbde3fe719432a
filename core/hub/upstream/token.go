package upstream

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker/auth"

	"github.com/openvic/vic/sdk/errdef"
)

// token is the value of a header Authorization, and until when it counts.
type token struct {
	value string
	until time.Time // zero: for ever
}

const (
	maxTokenAnswer = 1 << 20 // bytes
	maxTokens      = 1000    // kept at a time
	leastLife      = time.Minute
	mostLife       = time.Hour
)

// token is the one for a scope that still counts; "" if there is none.
func (c *Client) token(scope string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.tokens[scope]
	if !ok || !t.until.IsZero() && !c.now().Before(t.until) {
		return ""
	}
	return t.value
}

func (c *Client) keep(scope string, t token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tokens) >= maxTokens {
		clear(c.tokens)
	}
	c.tokens[scope] = t
}

// signIn does what a challenge asks for; errdef.ErrDenied if the hub cannot.
func (c *Client) signIn(ctx context.Context, h http.Header, scope string) error {
	for _, ch := range auth.ParseAuthHeader(h) { // the best ones first
		switch {
		case ch.Scheme == auth.BearerAuth && ch.Parameters["realm"] != "":
			return c.fetchToken(ctx, ch.Parameters, scope)
		case ch.Scheme == auth.BasicAuth && c.endpoint.Username != "":
			c.keep(scope, token{value: "Basic " + base64.StdEncoding.EncodeToString([]byte(c.endpoint.Username+":"+string(c.endpoint.Password)))})
			return nil
		}
	}
	return refused(c.base.Host, http.StatusUnauthorized)
}

// fetchToken asks the token service that the registry names.
func (c *Client) fetchToken(ctx context.Context, p map[string]string, scope string) error {
	u, err := url.Parse(p["realm"])
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || c.base.Scheme == "https" && !c.endpoint.Insecure) {
		return fmt.Errorf("registry %s names a token service that cannot be: %w", c.base.Host, errdef.ErrUnavailable)
	}
	q := u.Query()
	if p["service"] != "" {
		q.Set("service", p["service"])
	}
	if scope != "" {
		q.Set("scope", scope)
	}
	if c.endpoint.Username != "" {
		q.Set("account", c.endpoint.Username)
	}
	u.RawQuery = q.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("registry %s names a token service that cannot be: %w", c.base.Host, errdef.ErrUnavailable)
	}
	if c.endpoint.Username != "" {
		r.SetBasicAuth(c.endpoint.Username, string(c.endpoint.Password))
	}
	res, err := c.http.Do(r)
	if err != nil {
		return c.failed(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		if res.StatusCode == http.StatusNotFound {
			return fmt.Errorf("the token service of registry %s is not where it says: %w", c.base.Host, errdef.ErrUnavailable)
		}
		return refused(u.Host, res.StatusCode)
	}
	var out struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxTokenAnswer)).Decode(&out); err != nil {
		return fmt.Errorf("the token service of registry %s answers with no token: %w", c.base.Host, errdef.ErrUnavailable)
	}
	if out.Token == "" {
		out.Token = out.AccessToken
	}
	// The specification says a minute if the answer does not; a token that is given up too early costs a request.
	life := min(max(time.Duration(min(out.ExpiresIn, int64(mostLife/time.Second)))*time.Second, leastLife), mostLife)
	c.keep(scope, token{"Bearer " + out.Token, c.now().Add(life * 9 / 10)})
	return nil
}
