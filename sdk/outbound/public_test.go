package outbound

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
)

func TestPublicAddresses(t *testing.T) {
	allowed, err := New([]string{"10.1.0.0/16", "fd00:1::1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][2]bool{ // without, and with the networks above
		"8.8.8.8": {true, true}, "2606:4700::1111": {true, true}, "10.1.2.3": {false, true}, "10.2.2.3": {false, false}, "127.0.0.1": {}, "127.1.2.3": {},
		"0.0.0.0": {}, "169.254.169.254": {}, "192.168.1.1": {}, "172.16.0.1": {}, "100.64.0.1": {}, "224.0.0.1": {}, "255.255.255.255": {}, "::1": {}, "::": {},
		"fe80::1": {}, "fd00:1::1": {false, true}, "fd00:1::2": {}, "::ffff:127.0.0.1": {}, "::ffff:10.1.0.1": {false, true}, "64:ff9b::7f00:1": {}, "2002:7f00:1::": {},
		"::7f00:1": {}, "ff02::1": {}, "198.18.0.1": {}, "fe80::1%eth0": {},
	} {
		a := netip.MustParseAddr(text)
		for i, p := range []*Policy{(&Policy{}).PublicOnly(), allowed.PublicOnly()} {
			if err := p.Check(a); (err == nil) != want[i] || err != nil && !errors.Is(err, errdef.ErrDenied) {
				t.Errorf("%s by policy %d: %v, want allowed %v", text, i, err, want[i])
			}
		}
	}
}

func TestURLs(t *testing.T) {
	for text, want := range map[string]error{
		"https://hooks.example.com/a?b=c": nil, "http://8.8.8.8:8080/": nil, "ftp://example.com": errdef.ErrInvalid, "https://": errdef.ErrInvalid, "x": errdef.ErrInvalid,
		"https://u:p@example.com": errdef.ErrInvalid, "http://127.0.0.1/": errdef.ErrDenied, "http://[::1]:80/": errdef.ErrDenied, "http://localhost.:1": errdef.ErrDenied,
		"http://x.LocalHost": errdef.ErrDenied, "http:8.8.8.8": errdef.ErrInvalid, "https://x/" + strings.Repeat("y", 2048): errdef.ErrInvalid,
		"http://[fe80::1%25eth0]/": errdef.ErrDenied,
	} {
		if err := (&Policy{}).PublicOnly().CheckURL(text); !errors.Is(err, want) {
			t.Errorf("%.60s: %v, want %v", text, err, want)
		}
	}
}

func loopback(t *testing.T) *Policy {
	t.Helper()
	p, err := New([]string{"127.0.0.1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.PublicOnly()
}

func post(t *testing.T, c *http.Client, url string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "secret")
	res, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return res.StatusCode, nil
}

// What a name resolves to is looked at, not only what is written: here a numeric host that the resolver takes and netip does
// not.
func TestConnectionsAreRefused(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was reached") }))
	defer s.Close()
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		if _, err := post(t, (&Policy{}).PublicOnly().Client(Options{}), "http://"+host+port); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestRedirects(t *testing.T) {
	type seen struct{ method, body, authorization string }
	var got []seen
	mux := http.NewServeMux()
	other := httptest.NewServer(mux)
	defer other.Close()
	first := httptest.NewServer(mux)
	defer first.Close()
	to := func(code int, url string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, code) }
	}
	mux.HandleFunc("/end", func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, seen{r.Method, string(b), r.Header.Get("Authorization")})
	})
	mux.HandleFunc("/same", to(307, first.URL+"/end"))
	mux.HandleFunc("/other", to(308, other.URL+"/end"))
	mux.HandleFunc("/found", to(302, first.URL+"/end"))
	mux.HandleFunc("/loop", to(307, first.URL+"/loop"))
	mux.HandleFunc("/inside", to(307, "http://169.254.169.254/latest/meta-data"))
	mux.HandleFunc("/name", to(307, "http://[::1]:1/"))
	c := loopback(t).Client(Options{})
	for path, want := range map[string]int{"/same": 200, "/other": 200, "/found": 302} {
		if status, err := post(t, c, first.URL+path); err != nil || status != want {
			t.Errorf("%s: %d %v", path, status, err)
		}
	}
	for _, path := range []string{"/inside", "/name"} {
		if _, err := post(t, c, first.URL+path); !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := post(t, c, first.URL+"/loop"); err == nil {
		t.Error("a loop ends well")
	}
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	withSecret := 0
	for _, s := range got {
		if s.method != "POST" || s.body != "body" {
			t.Errorf("%+v", s)
		}
		if s.authorization != "" {
			withSecret++
		}
	}
	if withSecret != 1 {
		t.Errorf("%d of two hosts got the credentials", withSecret)
	}
	secure := httptest.NewTLSServer(mux)
	defer secure.Close()
	mux.HandleFunc("/down", to(307, first.URL+"/end"))
	if _, err := post(t, loopback(t).Client(Options{Insecure: true}), secure.URL+"/down"); err == nil || !strings.Contains(err.Error(), "https to http") {
		t.Error(err)
	}
	if _, err := post(t, loopback(t).Client(Options{}), secure.URL+"/end"); err == nil {
		t.Error("an unknown certificate is taken")
	}
}
