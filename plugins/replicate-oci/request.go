package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/replicate"
)

// ask is one request.
type ask struct {
	method string
	url    string // whole, or a path below the registry's address
	header http.Header
	scope  string        // what a token is asked for; "": nothing
	body   func() []byte // of requests that may be sent again; nil: none
	stream io.Reader     // a body that may not; size is its length
	size   int64
	long   bool // the answer is content, which takes its time; the caller sees that it goes on
	// fine are statuses beside those below 300 that are no errors.
	fine []int
}

// do sends a request, and signs in if the registry asks for it. The caller closes the body.
func (c *client) do(ctx context.Context, a ask) (*http.Response, error) {
	at, err := c.resolve(a.url)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		res, err := c.send(ctx, a, at)
		if err != nil {
			return nil, err
		}
		if res.StatusCode < http.StatusMultipleChoices || is(res.StatusCode, a.fine) {
			return res, nil
		}
		if res.StatusCode == http.StatusUnauthorized && try == 0 && a.stream == nil && c.own(res.Request.URL) {
			drain(res)
			scope, err := c.signIn(ctx, res.Header, a.scope)
			if err != nil {
				return nil, err
			}
			a.scope = scope
			continue
		}
		return nil, c.refused(res)
	}
}

func is(status int, list []int) bool {
	for _, s := range list {
		if s == status {
			return true
		}
	}
	return false
}

// resolve makes the whole URL. A location that the registry named may be on another server.
func (c *client) resolve(s string) (*url.URL, error) {
	if strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") {
		s = c.base.Scheme + "://" + c.base.Host + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("registry %s names a location that cannot be: %w", c.base.Host, errdef.ErrUnavailable)
	}
	if u.Scheme == "http" && c.base.Scheme == "https" {
		if !strings.EqualFold(u.Host, c.base.Host) && !c.endpoint.SkipVerify {
			return nil, fmt.Errorf("registry %s names a location without TLS: %w", c.base.Host, errdef.ErrUnavailable)
		}
		u.Scheme = c.base.Scheme // a registry that does not know of the proxy before it
	}
	return u, nil
}

func (c *client) send(ctx context.Context, a ask, at *url.URL) (*http.Response, error) {
	if c.limit != nil {
		if err := c.limit.Wait(ctx); err != nil {
			return nil, err
		}
	}
	cancel := func() {}
	if a.stream == nil && !a.long {
		ctx, cancel = context.WithTimeoutCause(ctx, c.patience,
			fmt.Errorf("it has not given a whole answer within %s: %w", c.patience, errdef.ErrUnavailable))
	}
	res, err := c.sendWithin(ctx, a, at)
	if err != nil {
		cancel()
		return nil, err
	}
	if res.Body == http.NoBody {
		cancel()
	} else {
		res.Body = &answer{res.Body, ctx, cancel}
	}
	return res, nil
}

// answer is the body of one that has its time.
type answer struct {
	io.ReadCloser
	ctx    context.Context
	cancel func()
}

// Read implements io.Reader.
func (b *answer) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if cause := context.Cause(b.ctx); cause != nil && err != nil && !errors.Is(err, io.EOF) {
		err = cause
	}
	return n, err
}

// Close implements io.Closer.
func (b *answer) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

func (c *client) sendWithin(ctx context.Context, a ask, at *url.URL) (*http.Response, error) {
	body, size := a.stream, a.size
	if a.body != nil {
		b := a.body()
		body, size = strings.NewReader(string(b)), int64(len(b))
	}
	r, err := http.NewRequestWithContext(ctx, a.method, at.String(), body)
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w: %w", c.base.Host, err, errdef.ErrInvalid)
	}
	if body != nil {
		r.ContentLength = size
	}
	if body != nil && size == 0 {
		r.Body = http.NoBody
	}
	for k, v := range a.header {
		r.Header[k] = v
	}
	r.Header.Set("User-Agent", "vic-replicate-oci/"+version)
	if c.own(at) && r.Header.Get("Authorization") == "" {
		if v := c.authorization(a.scope); v != "" {
			r.Header.Set("Authorization", v)
		}
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return res, nil
}

// drain lets the connection be used again.
func drain(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)
	_ = res.Body.Close()
}

// failed is the error of a request that got no answer.
func (c *client) failed(ctx context.Context, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, which may be one that content was redirected to, with a signature
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("registry %s: %w", c.base.Host, cause)
	}
	var source *sourceError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &source):
		return source.err
	case errors.Is(err, errdef.ErrDenied): // the rule of where the hub connects to
		return fmt.Errorf("registry %s: %w", c.base.Host, err)
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &name), errors.As(err, &verify):
		return fmt.Errorf("registry %s: the certificate is not trusted: %w: %w", c.base.Host, err, errdef.ErrInvalid)
	case errors.As(err, &record):
		return fmt.Errorf("registry %s does not speak TLS: %w", c.base.Host, errdef.ErrInvalid)
	}
	return fmt.Errorf("registry %s does not answer: %w: %w", c.base.Host, err, errdef.ErrUnavailable)
}

const maxErrorBody = 64 << 10

// says is what a registry tells of an error, cut and on one line.
func says(res *http.Response) string {
	b, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	_ = res.Body.Close()
	var m struct {
		Errors []struct{ Code, Message string }
	}
	if err != nil || json.Unmarshal(b, &m) != nil || len(m.Errors) == 0 {
		return ""
	}
	const most = 300
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, cmp.Or(m.Errors[0].Message, m.Errors[0].Code))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return ": " + text
}

// statusError is the error of an answer, for who wants to know the status.
type statusError struct {
	status int
	err    error
}

// Error implements error.
func (e *statusError) Error() string { return e.err.Error() }

// Unwrap is the error with its class.
func (e *statusError) Unwrap() error { return e.err }

// status is that of an answer that was an error; 0: there was none.
func status(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	return 0
}

// refused is the error of an answer.
func (c *client) refused(res *http.Response) error {
	class, verb := errdef.ErrUnavailable, fmt.Sprintf("answers with status %d", res.StatusCode)
	switch res.StatusCode {
	case http.StatusNotFound:
		class, verb = errdef.ErrNotFound, "does not have it"
	case http.StatusUnauthorized:
		class, verb = errdef.ErrDenied, "does not accept the credential"
	case http.StatusForbidden:
		class, verb = errdef.ErrDenied, "refuses it"
	case http.StatusConflict, http.StatusPreconditionFailed:
		class, verb = errdef.ErrExists, "keeps what it has"
		if m := res.Request.Method; m == http.MethodGet || m == http.MethodHead {
			class, verb = errdef.ErrDenied, "has a rule that does not let it go"
		}
	case http.StatusInsufficientStorage, http.StatusRequestEntityTooLarge:
		class, verb = errdef.ErrExhausted, "has no room for it"
	case http.StatusBadRequest:
		class, verb = errdef.ErrInvalid, "does not take it"
	case http.StatusMethodNotAllowed:
		class, verb = errdef.ErrUnsupported, "does not do that"
	case http.StatusTooManyRequests:
		verb = "has had too many requests"
	}
	err := error(&statusError{res.StatusCode, fmt.Errorf("registry %s %s%s: %w", c.base.Host, verb, says(res), class)})
	if after, ok := retryAfter(res.Header.Get("Retry-After"), time.Now()); ok && errors.Is(class, errdef.ErrUnavailable) {
		err = &replicate.Later{After: after, Err: err}
	}
	return err
}

// retryAfter reads the header: seconds, or a time.
func retryAfter(s string, now time.Time) (time.Duration, bool) {
	d := time.Duration(0)
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(d, time.Second), replicate.MaxLater), true
}

// read reads a whole answer of at most so many bytes.
func (c *client) read(ctx context.Context, res *http.Response, most int64) ([]byte, error) {
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("registry %s answers with more than %d bytes: %w", c.base.Host, most, errdef.ErrInvalid)
	}
	return b, nil
}

// json reads an answer; errdef.ErrUnavailable if it is none.
func (c *client) json(ctx context.Context, a ask, v any) (http.Header, error) {
	res, err := c.do(ctx, a)
	if err != nil {
		return nil, err
	}
	b, err := c.read(ctx, res, maxList)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("registry %s answers with no JSON of that kind: %w", c.base.Host, errdef.ErrUnavailable)
	}
	return res.Header, nil
}
