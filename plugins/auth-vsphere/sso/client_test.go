package sso

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// against is a client of a service that answers as a test says.
func against(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	web := httptest.NewTLSServer(answer)
	t.Cleanup(web.Close)
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	c, err := New(Options{Server: strings.TrimPrefix(web.URL, "https://"), Domain: "vsphere.local", Roots: pool, Certificate: testKeys()[1]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func envelope(body string) string {
	return `<?xml version="1.0"?><S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body>` + body + `</S:Body></S:Envelope>`
}

func faultWith(code, text string) string {
	return envelope(`<S:Fault><faultcode xmlns:ns0="http://docs.oasis-open.org/ws-sx/ws-trust/200512">` + code + `</faultcode><faultstring>` + text +
		`</faultstring></S:Fault>`)
}

// What the service answers is never taken for more than it says: only its own refusal of a password denies anybody.
func TestAnswersOfAServiceThatMisbehaves(t *testing.T) {
	say := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}
	}
	const response = `<RequestSecurityTokenResponseCollection xmlns="http://docs.oasis-open.org/ws-sx/ws-trust/200512"><RequestSecurityTokenResponse>` +
		`<RequestedSecurityToken>%s</RequestedSecurityToken></RequestSecurityTokenResponse></RequestSecurityTokenResponseCollection>`
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		class  error
		text   string
	}{
		"a refusal":             {say(500, faultWith("ns0:FailedAuthentication", "Invalid credentials")), errdef.ErrDenied, "Invalid credentials"},
		"an expired password":   {say(500, faultWith("ns0:FailedAuthentication", "Password of the user is expired.")), errdef.ErrConflict, "change it in vCenter"},
		"another fault":         {say(500, faultWith("ns0:RequestFailed", "tired")), errdef.ErrUnavailable, "tired"},
		"a fault that shouts":   {say(500, faultWith("ns0:RequestFailed", strings.Repeat("x\n", 9000))), errdef.ErrUnavailable, "..."},
		"a fault of others":     {say(500, faultWith("FailedAuthentication", "x")), errdef.ErrUnavailable, ""},
		"no fault":              {say(500, "<html>"), errdef.ErrUnavailable, ""},
		"a web page":            {say(200, "<html><body>maintenance</body></html>"), errdef.ErrUnavailable, ""},
		"nothing":               {say(200, ""), errdef.ErrUnavailable, ""},
		"not allowed":           {say(401, "no"), errdef.ErrUnavailable, "401"},
		"an empty response":     {say(200, envelope("")), errdef.ErrUnavailable, ""},
		"no token":              {say(200, envelope(fmt.Sprintf(response, ""))), errdef.ErrUnavailable, ""},
		"a token of somebody's": {say(200, envelope(fmt.Sprintf(response, plain))), errdef.ErrUnavailable, ""},
	} {
		who, err := against(t, c.answer).Password(t.Context(), "dev@vsphere.local", "secret")
		if !errors.Is(err, c.class) || who != "" || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %q, %v, want %v with %q", name, who, err, c.class, c.text)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || len(err.Error()) > 1000) {
			t.Errorf("%s: the error says %q", name, err)
		}
	}
}

func TestAnswersHaveBounds(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		chunk := []byte("<a>" + strings.Repeat(" ", 1<<16))
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	_, err := against(t, endless).Password(t.Context(), "dev@vsphere.local", "secret")
	if !errors.Is(err, errdef.ErrUnavailable) {
		t.Errorf("an answer without an end: %v", err)
	}
	silent := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client hangs up
		<-r.Context().Done()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := against(t, silent).Password(ctx, "dev@vsphere.local", "secret"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	if _, err := against(t, silent).Person(ctx, "dev", "vsphere.local"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
}

// A password follows no redirect.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var reached atomic.Bool
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := against(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) })
		if _, err := c.Password(t.Context(), "dev@vsphere.local", "secret"); !errors.Is(err, errdef.ErrUnavailable) {
			t.Errorf("%d: %v", status, err)
		}
	}
	if reached.Load() {
		t.Error("a redirect was followed")
	}
}
