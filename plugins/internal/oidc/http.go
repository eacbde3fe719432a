package oidc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The bounds of what a provider may answer. It is trusted to say who people are, and with nothing else.
const (
	maxAnswer      = 1 << 20 // bytes of one body, after decompression
	maxHeaders     = 64 << 10
	requestTimeout = 10 * time.Second // of one request with its answer
)

// errRedirected is told of a provider whose endpoints send the plugin elsewhere: neither a client's secret nor a code may
// follow.
var errRedirected = errors.New("it answered with a redirect, which is not followed: give the address that it redirects to")

// newClient makes the client that all requests to the provider go through. roots nil means the system's authorities.
func newClient(roots *x509.CertPool) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	t.MaxResponseHeaderBytes = maxHeaders
	t.MaxConnsPerHost = 16
	return &http.Client{
		Transport:     bounded{t},
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirected },
	}
}

// bounded lets no answer be longer than maxAnswer, and no request go without TLS.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s is not https", r.URL.Redacted())
	}
	res, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &limited{ReadCloser: res.Body, left: maxAnswer}
	return res, nil
}

// limited is a body that fails when it is too long: what was cut off must not pass for the whole.
type limited struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return n, err
}
