package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/secret"
)

// metadata is what is read of the discovery document.
type metadata struct {
	Issuer      string   `json:"issuer"`
	Authorize   string   `json:"authorization_endpoint"`
	Token       string   `json:"token_endpoint"`
	Keys        string   `json:"jwks_uri"`
	UserInfo    string   `json:"userinfo_endpoint"`
	Logout      string   `json:"end_session_endpoint"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	SaysIssuer  bool     `json:"authorization_response_iss_parameter_supported"`
}

// endpoints are a provider as its discovery document tells it.
type endpoints struct {
	meta metadata
	keys *oidc.RemoteKeySet
}

// rediscover is after how long the document is read again. While that fails the last one counts.
const rediscover = time.Hour

// endpoints reads the discovery document, or returns the one that was read. One caller asks, others wait for it.
func (c *Client) endpoints(ctx context.Context) (*endpoints, error) {
	select {
	case c.discovery <- struct{}{}:
		defer func() { <-c.discovery }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := c.o.Now()
	if c.found != nil && now.Sub(c.at) < rediscover {
		return c.found, nil
	}
	found, err := c.discover(ctx)
	switch {
	case err == nil:
		if c.found != nil && c.found.meta.Keys == found.meta.Keys {
			found.keys = c.found.keys
		}
		c.found, c.at = found, now
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case c.found != nil:
		c.at = now.Add(time.Minute - rediscover) // not with each request
	default:
		return nil, err
	}
	return c.found, nil
}

func (c *Client) discover(ctx context.Context) (*endpoints, error) {
	const path = "/.well-known/openid-configuration"
	var m metadata
	if err := c.getJSON(ctx, strings.TrimSuffix(c.o.Issuer, "/")+path, "", &m); err != nil {
		return nil, err
	}
	if m.Issuer != c.o.Issuer {
		return nil, fault("the discovery document is of the issuer %q, and the configuration names %q: write it letter by letter alike", printable(m.Issuer),
			c.o.Issuer)
	}
	for name, at := range map[string]string{"authorization_endpoint": m.Authorize, "token_endpoint": m.Token, "jwks_uri": m.Keys,
		"userinfo_endpoint": m.UserInfo, "end_session_endpoint": m.Logout} {
		optional := name == "userinfo_endpoint" || name == "end_session_endpoint"
		u, err := url.Parse(at)
		if optional && at == "" || err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && len(at) <= auth.MaxURL/2 {
			continue
		}
		return nil, fault("the discovery document has no address with https as %s", name)
	}
	return &endpoints{meta: m, keys: oidc.NewRemoteKeySet(c.context(context.WithoutCancel(ctx)), m.Keys)}, nil
}

// config is the client for one exchange. The way to show the secret is told from the document: trying both would use up
// a code.
func (e *endpoints) config(o Options, callback string) *oauth2.Config {
	style := oauth2.AuthStyleInHeader
	basic := len(e.meta.AuthMethods) == 0 || slices.Contains(e.meta.AuthMethods, "client_secret_basic")
	if o.ClientSecret == "" || !basic {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{ClientID: o.ClientID, ClientSecret: string(o.ClientSecret), RedirectURL: callback,
		Scopes:   append([]string{oidc.ScopeOpenID}, o.Scopes...),
		Endpoint: oauth2.Endpoint{AuthURL: e.meta.Authorize, TokenURL: e.meta.Token, AuthStyle: style}}
}

// heard is the provider's keys for one token. It remembers that they could not be fetched, which the library's error
// does not tell from a wrong signature.
type heard struct {
	keys *oidc.RemoteKeySet
	away error
}

// VerifySignature implements oidc.KeySet.
func (h *heard) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := h.keys.VerifySignature(ctx, jwt)
	if errors.Unwrap(err) != nil { // a signature that is wrong wraps nothing
		h.away = err
	}
	return payload, err
}

// accept checks an id_token: signature, algorithm, issuer, audience, times, and the nonce unless it is "" (a refresh).
func (c *Client) accept(ctx context.Context, e *endpoints, t *oauth2.Token, raw, nonce string) (Tokens, error) {
	if len(raw) > auth.MaxToken {
		return Tokens{}, fault("its id_token is longer than %d bytes: let it put fewer groups into it", auth.MaxToken)
	}
	now := c.o.Now()
	keys := &heard{keys: e.keys}
	id, err := oidc.NewVerifier(e.meta.Issuer, keys, &oidc.Config{ClientID: c.o.ClientID, SupportedSigningAlgs: c.o.Algorithms,
		Now: func() time.Time { return now.Add(-c.o.Skew) }}).Verify(ctx, raw)
	switch {
	case ctx.Err() != nil:
		return Tokens{}, ctx.Err()
	case keys.away != nil:
		return Tokens{}, fault("its keys cannot be read: %s", cause(keys.away))
	case err != nil:
		return Tokens{}, denied("the provider's token is not accepted: %s", printable(err.Error()))
	}
	out := Tokens{Subject: id.Subject, Access: secret.Text(t.AccessToken), Refresh: secret.Text(t.RefreshToken), Expires: later(t.Expiry, id.Expiry)}
	if err := id.Claims(&out.Claims); err != nil {
		return Tokens{}, denied("the claims of the provider's token cannot be read")
	}
	azp, _ := out.Claims["azp"].(string)
	switch {
	case id.Subject == "":
		return Tokens{}, denied("the provider's token names nobody")
	case nonce != "" && id.Nonce != nonce:
		return Tokens{}, denied("the provider's token is of another sign-in")
	case id.IssuedAt.After(now.Add(c.o.Skew)):
		return Tokens{}, denied("the provider's token is of %s, which is still to come: compare the clocks", id.IssuedAt.UTC().Format(time.RFC3339))
	case (len(id.Audience) > 1 || azp != "") && azp != c.o.ClientID:
		return Tokens{}, denied("the provider's token was made for %q", printable(azp))
	case id.AccessTokenHash != "" && id.VerifyAccessToken(t.AccessToken) != nil:
		return Tokens{}, denied("the provider's two tokens do not belong together")
	}
	return out, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// userInfo asks the endpoint.
func (c *Client) userInfo(ctx context.Context, e *endpoints, access secret.Text) (map[string]any, error) {
	if e.meta.UserInfo == "" {
		return nil, fault("it has no userinfo")
	}
	claims := map[string]any{}
	if err := c.getJSON(ctx, e.meta.UserInfo, access, &claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// getJSON reads one answer. With an access token, its refusal is errdef.ErrDenied.
func (c *Client) getJSON(ctx context.Context, at string, access secret.Text, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return fault("its address cannot be read")
	}
	req.Header.Set("Accept", "application/json")
	if access != "" {
		req.Header.Set("Authorization", "Bearer "+string(access))
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, req.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return c.unreachable(ctx, req.URL, err)
	case access != "" && (res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden):
		return denied("the provider does not take the sign-in any more")
	case res.StatusCode != http.StatusOK:
		return fault("%s answers with status %d", req.URL.Path, res.StatusCode)
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind == "application/jwt" {
		return fault("%s answers with a signed token: set it to JSON there", req.URL.Path)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fault("%s answers with what is no JSON object of the protocol", req.URL.Path)
	}
	return nil
}

func (c *Client) unreachable(ctx context.Context, at *url.URL, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fault("%s: %s", at.Host+at.Path, cause(err))
}
