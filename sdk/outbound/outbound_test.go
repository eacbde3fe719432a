package outbound

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
)

func TestWhichAddressesMayBeConnectedTo(t *testing.T) {
	p, err := New([]string{"127.0.0.2", "10.1.0.0/16"}, []string{"10.0.0.0/8", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for addr, good := range map[string]bool{"192.0.2.1": true, "192.168.1.1": true, "127.0.0.1": false, "127.0.0.2": true, "10.1.2.3": true, "10.2.0.1": false,
		"169.254.169.254": false, "::1": false, "::ffff:127.0.0.1": false, "fe80::1%eth0": false, "2001:db8::1": false, "2001:db9::1": true, "0.0.0.0": false,
		"::": false, "224.0.0.1": false} {
		err := p.Check(netip.MustParseAddr(addr))
		if (err == nil) != good || err != nil && !errors.Is(err, errdef.ErrDenied) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, bad := range []string{"", "example.com", "10.0.0.0/99", "10.0.0"} {
		if _, err := New(nil, []string{bad}); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The decision is about the address of the connection, not about a name, and holds for redirects.
func TestTheDialledAddressCounts(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://127.0.0.3:1/", http.StatusFound)
		}
	}))
	defer s.Close()
	get := func(allow []string, path string) error {
		p, err := New(allow, nil)
		if err != nil {
			t.Fatal(err)
		}
		tr := p.Transport(nil)
		tr.Proxy = nil
		defer tr.CloseIdleConnections()
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: tr}).Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	if err := get(nil, "/"); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("without leave: %v", err)
	}
	if err := get([]string{"127.0.0.1"}, "/"); err != nil {
		t.Errorf("with leave: %v", err)
	}
	if err := get([]string{"127.0.0.1"}, "/away"); !errors.Is(err, errdef.ErrDenied) {
		t.Errorf("a redirect elsewhere: %v", err)
	}
}

// A proxy connects to what it is told: an address that is denied is not told to it.
func TestAProxyIsNotToldOfDeniedAddresses(t *testing.T) {
	p, err := New(nil, []string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	proxied := p.Transport(nil).Proxy
	for url, want := range map[string]error{"http://169.254.169.254/latest": errdef.ErrDenied, "https://10.1.2.3:8443/": errdef.ErrDenied,
		"https://[fe80::1]/": errdef.ErrDenied, "https://localhost/": errdef.ErrDenied, "https://192.0.2.1/": nil, "https://registry.example/": nil} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := proxied(r); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
	}
}

func TestAPolicyTravelsWithARequest(t *testing.T) {
	p, err := New([]string{"127.0.0.1", "10.1.0.0/16"}, []string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	options := map[string]string{"other": "stays"}
	if err := p.Options(options, 100); err != nil {
		t.Fatal(err)
	}
	got, err := FromOptions(options)
	if err != nil || options["other"] != "stays" {
		t.Fatalf("%v %v", options, err)
	}
	for address, ok := range map[string]bool{"127.0.0.1": true, "127.0.0.2": false, "10.1.2.3": true, "10.2.0.1": false, "8.8.8.8": true} {
		if err := got.Check(netip.MustParseAddr(address)); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := p.Options(options, 10); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("a list that is too long: %v", err)
	}
	if _, err := FromOptions(map[string]string{OptionAllow: "everything"}); !errors.Is(err, errdef.ErrInvalid) {
		t.Errorf("what is no address: %v", err)
	}
	if p, err := FromOptions(nil); err != nil || p.Check(netip.MustParseAddr("127.0.0.1")) == nil {
		t.Errorf("without options the machine's own addresses are allowed: %v", err)
	}
}
