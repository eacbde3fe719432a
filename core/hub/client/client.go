// Package client is the hub's API for programs in Go: one method for each thing that "vic hub" does. Its types are those of
// docs/hub-openapi.json, and a test compares each call with that document.
//
//	c, err := client.New(client.Options{URL: "https://hub.example.com:8443", CA: pem, User: "robot$ci", Password: secret})
//	for p, err := range c.Projects(ctx, "") { ... }
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
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

const prefix = "/api/v2.0"

// Options say which hub, and as whom.
type Options struct {
	URL string // https://HOST or https://HOST:PORT
	// CA is the authority of the hub's certificate (PEM); empty: those that the machine trusts.
	CA []byte
	// User and Password sign in with each request; User may be a robot. Both empty: as nobody.
	User, Password string
	Agent          string // what the program calls itself
}

// Client speaks to one hub. It may be used by several goroutines.
type Client struct {
	base *url.URL
	http *http.Client
	o    Options
	seen func(any) // in tests: is told what an answer was read into
}

// New makes a client; nothing is asked yet. errdef.ErrInvalid.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("the hub %q is not https://HOST or https://HOST:PORT: %w", o.URL, errdef.ErrInvalid)
	}
	u.Path = ""
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(o.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, fmt.Errorf("the hub's authority holds no certificate: %w", errdef.ErrInvalid)
		}
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = config
	t.ResponseHeaderTimeout = 2 * time.Minute                                             // the hub answers sooner, also when something of it does not
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a password goes to no other place
	return &Client{base: u, http: &http.Client{Transport: t, CheckRedirect: stay}, o: o}, nil
}

// Error is what the hub answered instead of doing it.
type Error struct {
	Status  int
	Code    string // Harbor's word: NOT_FOUND, FORBIDDEN
	Message string
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("the hub answers %d %s: %s", e.Status, e.Code, e.Message)
}

// Is makes classes of statuses.
func (e *Error) Is(target error) bool {
	class := map[int]error{http.StatusBadRequest: errdef.ErrInvalid, http.StatusUnauthorized: errdef.ErrDenied, http.StatusForbidden: errdef.ErrDenied,
		http.StatusNotFound: errdef.ErrNotFound, http.StatusConflict: errdef.ErrConflict, http.StatusPreconditionFailed: errdef.ErrConflict,
		http.StatusServiceUnavailable: errdef.ErrUnavailable}[e.Status]
	return class != nil && class == target
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// call sends a request with in as JSON, unless it is nil, and reads the answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) (http.Header, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	header, text, err := c.Raw(ctx, method, path, query, body)
	if err != nil || out == nil {
		return header, err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("%s %s: the hub's answer cannot be read: %w", method, path, err)
	}
	if c.seen != nil {
		c.seen(out)
	}
	return header, nil
}

// Raw sends a request of any route, whose path is below /api/v2.0 and escaped, and returns the answer's body; *Error.
func (c *Client) Raw(ctx context.Context, method, path string, query url.Values, body io.Reader) (http.Header, []byte, error) {
	at, err := url.Parse(c.base.String() + prefix + path)
	if err != nil {
		return nil, nil, fmt.Errorf("path %q: %w", path, errdef.ErrInvalid)
	}
	if query != nil {
		at.RawQuery = query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %q: %w", method, path, errdef.ErrInvalid)
	}
	r.Header.Set("User-Agent", c.o.Agent)
	r.Header.Set("X-Is-Resource-Name", "true") // a project is named by its name, also one of digits
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.o.User != "" {
		r.SetBasicAuth(c.o.User, c.o.Password)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, nil, c.explain(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, c.explain(err)
	}
	if len(text) > maxAnswer {
		return nil, nil, fmt.Errorf("%s %s: the answer has more than %d bytes", method, path, maxAnswer)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, nil, failure(res.StatusCode, text)
	}
	return res.Header, text, nil
}

func failure(status int, text []byte) *Error {
	var b struct {
		Errors []struct{ Code, Message string } `json:"errors"`
	}
	e := &Error{Status: status, Code: http.StatusText(status), Message: "it is no hub, or something stands before it"}
	if json.Unmarshal(text, &b) == nil && len(b.Errors) > 0 {
		e.Code, e.Message = b.Errors[0].Code, b.Errors[0].Message
	}
	return e
}

// explain says what to do about a hub that cannot be reached or trusted.
func (c *Client) explain(err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is signed by an authority that is not trusted here: give the hub's ca.pem: %w", c.base.Host, errdef.ErrDenied)
	case errors.As(err, &host):
		return fmt.Errorf("the certificate of %s has other names (%s): use one of them, or add the name to [tls] names of hub.toml: %w", c.base.Host,
			strings.Join(host.Certificate.DNSNames, ", "), errdef.ErrDenied)
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("the hub %s does not answer: %w: %w", c.base.Host, err, errdef.ErrUnavailable)
}

// pageSize is the most that the hub gives at once.
const pageSize = 100

// pages reads a list page by page, as far as somebody reads on.
func pages[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		q := url.Values{"page_size": {strconv.Itoa(pageSize)}}
		for k, v := range query {
			q[k] = v
		}
		for page := 1; ; page++ {
			q.Set("page", strconv.Itoa(page))
			var list []T
			header, err := c.call(ctx, http.MethodGet, path, q, nil, &list)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, v := range list {
				if !yield(v, nil) {
					return
				}
			}
			total, err := strconv.Atoi(header.Get("X-Total-Count"))
			if err != nil || page*pageSize >= total || len(list) == 0 {
				return
			}
		}
	}
}

// made is the last part of the path of what was made: its number.
func made(h http.Header) (int64, error) {
	at := h.Get("Location")
	n, err := strconv.ParseInt(at[strings.LastIndexByte(at, '/')+1:], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the hub made it, but does not say where: Location %q", at)
	}
	return n, nil
}
