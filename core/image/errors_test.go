package image

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/docker/docker/errdefs"
)

func TestErrorsOfRegistriesSayWhatToDo(t *testing.T) {
	ref, _ := reference.ParseNormalizedNamed("busybox")
	wrap := func(err error) error {
		return fmt.Errorf("failed to do request: %w", &url.Error{Op: "Head", URL: "https://mirror.test:5000/v2/x", Err: err})
	}
	for name, tc := range map[string]struct {
		err  error
		want []string
	}{
		"no such name": {wrap(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "mirror.test"}}),
			[]string{"registry mirror.test:5000:", "no such host", "DNS servers"}},
		"refused":     {wrap(&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}), []string{"connection refused", "check that it runs"}},
		"certificate": {wrap(x509.UnknownAuthorityError{}), []string{"not trusted", "insecure_registries"}},
		"plain HTTP":  {wrap(errors.New("http: server gave HTTP response to HTTPS client")), []string{"plain HTTP", "insecure_registries"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain(ref, tc.err)
			if !errdefs.IsUnavailable(got) {
				t.Errorf("class of %v", got)
			}
			for _, w := range tc.want {
				if !strings.Contains(got.Error(), w) {
					t.Errorf("%q lacks %q", got, w)
				}
			}
		})
	}
	other := errors.New("other")
	if got := explain(ref, other); got != other || explain(ref, nil) != nil {
		t.Errorf("other errors must stay: %v", got)
	}
}

// As in Docker, loopback counts as insecure: a certificate of an unknown CA is accepted.
func TestInsecureRegistryMayShowAnyCertificate(t *testing.T) {
	r, f := newTestRegistry(t), newFakeLayers()
	img := r.push("app", "1", true, gz(files(10, "a")))
	tls := httptest.NewTLSServer(http.HandlerFunc(r.ServeHTTP))
	defer tls.Close()
	s := open(t, t.TempDir(), f)
	pull(t, s, strings.TrimPrefix(tls.URL, "https://")+"/app:1")
	f.want(t, img.chains...)
}
