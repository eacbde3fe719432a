// Package pull reads one artifact of an OCI registry, with the credential of a scan and bounds on everything.
package pull

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// The bounds of what a registry answers, in bytes.
const (
	MaxManifest = 4 << 20
	MaxConfig   = 8 << 20
	maxToken    = 1 << 20
	maxSegments = 64 << 10
)

const answerWithin = 60 * time.Second // for the header of an answer

// Repository is one repository of a registry, for one scan. It may be used by several goroutines.
type Repository struct {
	base   *url.URL
	name   string
	client *http.Client

	mu            sync.Mutex
	authorization string
	given         string // the credential, until a token takes its place
}

var repositoryName = regexp.MustCompile(`^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$`)

// Open checks the address. It asks for nothing. Close gives the connections back.
func Open(r scan.Registry, repository string) (*Repository, error) {
	base, err := url.Parse(strings.TrimSuffix(r.URL, "/"))
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("registry: %q is not https://HOST: %w", r.URL, errdef.ErrInvalid)
	}
	if !repositoryName.MatchString(repository) {
		return nil, fmt.Errorf("repository: %q is no name of one: %w", repository, errdef.ErrInvalid)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(r.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(r.CA) {
			return nil, fmt.Errorf("registry: there is no certificate in the CA: %w", errdef.ErrInvalid)
		}
	}
	transport := &http.Transport{TLSClientConfig: config, ResponseHeaderTimeout: answerWithin, TLSHandshakeTimeout: answerWithin,
		DialContext: (&net.Dialer{Timeout: answerWithin}).DialContext, MaxResponseHeaderBytes: 256 << 10, ForceAttemptHTTP2: true}
	repo := &Repository{base: base, name: repository, authorization: string(r.Authorization), given: string(r.Authorization)}
	repo.client = &http.Client{Transport: transport, CheckRedirect: repo.redirect}
	return repo, nil
}

// Close gives the connections back.
func (r *Repository) Close() { r.client.CloseIdleConnections() }

// redirect lets blobs come from elsewhere, without the credential, and over TLS if the registry has it.
func (r *Repository) redirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return fmt.Errorf("the registry redirects %d times: %w", len(via), errdef.ErrUnavailable)
	}
	if r.base.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("the registry redirects to %s without TLS: %w", req.URL.Host, errdef.ErrUnavailable)
	}
	if req.URL.Host != r.base.Host || req.URL.Scheme != r.base.Scheme {
		req.Header.Del("Authorization")
		req.Header.Del("Referer")
	}
	return nil
}

// Manifest reads a manifest of a digest.
func (r *Repository) Manifest(ctx context.Context, d digest.Digest, mediaType string) (ocispec.Manifest, error) {
	var m ocispec.Manifest
	if err := d.Validate(); err != nil {
		return m, fmt.Errorf("digest %q: %v: %w", d, err, errdef.ErrInvalid) //nolint:errorlint // one class
	}
	body, err := r.get(ctx, "/manifests/"+d.String(), mediaType)
	if err != nil {
		return m, err
	}
	defer body.Close()
	return m, decode(body, d, MaxManifest, "manifest", &m)
}

// Config reads the configuration of an image.
func (r *Repository) Config(ctx context.Context, d ocispec.Descriptor) (ocispec.Image, error) {
	var c ocispec.Image
	body, err := r.Blob(ctx, d.Digest)
	if err != nil {
		return c, err
	}
	defer body.Close()
	return c, decode(body, d.Digest, MaxConfig, "configuration", &c)
}

// decode reads JSON of a digest.
func decode(body io.Reader, d digest.Digest, max int64, what string, into any) error {
	data, err := io.ReadAll(io.LimitReader(body, max+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w: %w", what, err, errdef.ErrUnavailable)
	case int64(len(data)) > max:
		return fmt.Errorf("%s: has more than %d bytes: %w", what, max, errdef.ErrExhausted)
	case d.Algorithm().FromBytes(data) != d:
		return fmt.Errorf("%s: is not the content of %s: %w", what, d, errdef.ErrInvalid)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %v: %w", what, err, errdef.ErrInvalid) //nolint:errorlint // one class
	}
	return nil
}

// Blob opens a blob. The caller checks the digest, and closes it.
func (r *Repository) Blob(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %v: %w", d, err, errdef.ErrInvalid) //nolint:errorlint // one class
	}
	return r.get(ctx, "/blobs/"+d.String(), "")
}

// get asks, and once more with a token if the registry wants one.
func (r *Repository) get(ctx context.Context, path, accept string) (io.ReadCloser, error) {
	for try := 0; ; try++ {
		r.mu.Lock()
		authorization := r.authorization
		r.mu.Unlock()
		reading, cancel := context.WithCancelCause(ctx)
		res, err := r.do(reading, r.base.JoinPath("v2", r.name).String()+path, accept, authorization) //nolint:bodyclose // watch or drain does
		if err != nil {
			cancel(nil)
			return nil, err
		}
		if res.StatusCode == http.StatusOK {
			return watch(reading, res.Body, cancel), nil
		}
		drain(res.Body)
		cancel(nil)
		if res.StatusCode != http.StatusUnauthorized || try > 0 {
			return nil, status(res, path)
		}
		if err := r.token(ctx, res.Header.Values("WWW-Authenticate")); err != nil {
			return nil, err
		}
	}
}

func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxSegments)
	_ = body.Close()
}

func (r *Repository) do(ctx context.Context, to, accept, authorization string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return nil, fmt.Errorf("registry: %v: %w", err, errdef.ErrInvalid) //nolint:errorlint // one class
	}
	// A blob is what it is: no transport may compress it on the way.
	req.Header.Set("Accept-Encoding", "identity")
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := r.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("the registry does not answer: %w: %w", err, errdef.ErrUnavailable)
	}
	return res, nil
}

func status(res *http.Response, path string) error {
	class := errdef.ErrUnavailable
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		class = errdef.ErrDenied
	case http.StatusNotFound, http.StatusGone:
		class = errdef.ErrNotFound
	case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusPreconditionFailed:
		class = errdef.ErrInvalid
	}
	return fmt.Errorf("the registry answers %s for %s: %w", res.Status, strings.TrimPrefix(path, "/"), class)
}

var challengePart = regexp.MustCompile(`([a-z]+)="([^"]*)"`)

// token asks the token service that the registry names for a token, with the credential.
func (r *Repository) token(ctx context.Context, challenges []string) error {
	denied := fmt.Errorf("the registry does not accept the credential: %w", errdef.ErrDenied)
	if !strings.HasPrefix(r.given, "Basic ") && r.given != "" {
		return denied // a token, and not a good one
	}
	for _, c := range challenges {
		rest, ok := strings.CutPrefix(c, "Bearer ")
		if !ok || len(c) > maxSegments {
			continue
		}
		parts := map[string]string{}
		for _, m := range challengePart.FindAllStringSubmatch(rest, 32) {
			parts[m[1]] = m[2]
		}
		realm, err := url.Parse(parts["realm"])
		if err != nil || realm.Host == "" || realm.Scheme != "https" && (realm.Scheme != "http" || r.base.Scheme == "https") {
			return fmt.Errorf("the registry names no token service that one can ask: %.200q: %w", parts["realm"], errdef.ErrUnavailable)
		}
		q := realm.Query()
		q.Set("service", parts["service"])
		q.Set("scope", "repository:"+r.name+":pull")
		realm.RawQuery = q.Encode()
		return r.exchange(ctx, realm.String())
	}
	return denied
}

func (r *Repository) exchange(ctx context.Context, realm string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm, nil)
	if err != nil {
		return fmt.Errorf("token service: %v: %w", err, errdef.ErrUnavailable) //nolint:errorlint // one class
	}
	if r.given != "" {
		req.Header.Set("Authorization", r.given)
	}
	client := *r.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the token service does not answer: %w: %w", err, errdef.ErrUnavailable)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return status(res, "a token")
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxToken)).Decode(&answer); err != nil {
		return fmt.Errorf("token service: %v: %w", err, errdef.ErrUnavailable) //nolint:errorlint // one class
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	if answer.Token == "" || strings.ContainsAny(answer.Token, " \r\n") {
		return fmt.Errorf("the token service gives no token: %w", errdef.ErrUnavailable)
	}
	r.mu.Lock()
	r.authorization = "Bearer " + answer.Token
	r.mu.Unlock()
	return nil
}
