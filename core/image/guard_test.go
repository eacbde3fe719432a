package image

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/docker/docker/errdefs"
)

// guarded is a client of one server whose world is a table of names; connections go to to, whatever they dial.
func guarded(t *testing.T, server, allow, deny, to string, names map[string]string) (*http.Client, *[]string) {
	t.Helper()
	p, err := newPolicy(strings.Fields(allow), strings.Fields(deny))
	if err != nil {
		t.Fatal(err)
	}
	p.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		var all []netip.Addr
		for _, a := range strings.Fields(names[host]) {
			all = append(all, netip.MustParseAddr(a))
		}
		return all, nil
	}
	dialled := &[]string{}
	h := &hosts{dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		*dialled = append(*dialled, addr)
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}}
	g := h.guard(&trust{policy: p}, server, false)
	g.next = &http.Transport{DialContext: g.dialContext}
	return &http.Client{Transport: g}, dialled
}

// Wherever a registry sends its client is checked as the registry itself was.
func TestWhereARegistrySendsIsChecked(t *testing.T) {
	var next string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/to" {
			http.Redirect(w, r, next, http.StatusTemporaryRedirect)
		}
	}))
	defer srv.Close()
	to := strings.TrimPrefix(srv.URL, "http://")
	names := map[string]string{"reg.example.com": "192.0.2.1", "cdn.example.net": "198.51.100.7", "inside.example.net": "127.0.0.1",
		"auth.docker.io": "203.0.113.5", "registry-1.docker.io": "192.0.2.9", "both.example.net": "10.1.1.1 198.51.100.8"}
	for _, c := range []struct{ server, allow, deny, next, want string }{
		{"reg.example.com", "", "", "http://cdn.example.net/x", ""},
		{"reg.example.com", "", "", "http://127.0.0.1/x", "no server is at such an address"},
		{"reg.example.com", "", "", "http://169.254.169.254/latest/meta-data", "no server is at such an address"},
		{"reg.example.com", "", "", "http://inside.example.net/x", "no server is at such an address"},
		{"reg.example.com", "", "", "http://user:pw@cdn.example.net/x", "more than a host"},
		{"reg.example.com", "", "cdn.example.net", "http://cdn.example.net/x", "deny_registries"},
		{"reg.example.com", "", "198.51.100.0/24", "http://cdn.example.net/x", "deny_registries"},
		{"reg.example.com", "reg.example.com", "", "http://cdn.example.net/x", "reg.example.com sends there, and it matches nothing of allow_registries"},
		{"reg.example.com", "reg.example.com cdn.example.net", "", "http://cdn.example.net/x", ""},
		{"reg.example.com", "192.0.2.0/24 198.51.100.0/24", "", "http://cdn.example.net/x", ""},
		{"registry-1.docker.io", "docker.io", "", "http://auth.docker.io/token", ""},
		{"registry-1.docker.io", "docker.io", "203.0.113.0/24", "http://auth.docker.io/token", "deny_registries"},
		{"registry-1.docker.io", "docker.io", "", "http://cdn.example.net/x", "allow_registries"},
		{"reg.example.com", "", "10.0.0.0/8", "http://both.example.net/x", "deny_registries"},
	} {
		client, _ := guarded(t, c.server, c.allow, c.deny, to, names)
		next = c.next
		resp, err := client.Get("http://" + c.server + "/to")
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, allow %q, deny %q, to %s: %v, want %q", c.server, c.allow, c.deny, c.next, err, c.want)
		}
	}
}

// A name that means an allowed address at the first question and another one at the next: what was checked is dialled.
func TestTheAddressThatWasCheckedIsDialled(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	client, dialled := guarded(t, "reg.example.com", "192.0.2.0/24", "", strings.TrimPrefix(srv.URL, "http://"), nil)
	asked := 0
	client.Transport.(*guard).policy.lookup = func(context.Context, string) ([]netip.Addr, error) {
		asked++
		if asked == 1 {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	}
	resp, err := client.Get("http://reg.example.com/")
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errdefs.IsForbidden(errors.Unwrap(err)) && (err == nil || !strings.Contains(err.Error(), "not allowed")) || len(*dialled) != 0 {
		t.Errorf("%v, dialled %v", err, *dialled)
	}
}

// What a user has fetched for docker import comes from outside: not from the endpoint, nor from where it stands.
func TestImportFetchesFromOutsideOnly(t *testing.T) {
	var next string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/to":
			http.Redirect(w, r, next, http.StatusFound)
		case "/none":
			http.NotFound(w, r)
		default:
			_, _ = io.WriteString(w, "a file")
		}
	}))
	defer srv.Close()
	was := attached
	attached = func(a netip.Addr) bool { return netip.MustParsePrefix("10.7.0.0/16").Contains(a) }
	defer func() { attached = was }()
	names := map[string]string{"files.example.com": "192.0.2.1", "vcenter.corp": "10.7.0.5", "me.corp": "127.0.0.1", "denied.example.com": "192.0.2.2"}
	s := open(t, t.TempDir(), newFakeLayers(), func(o *Options) { o.Registries.Deny = []string{"denied.example.com"} })
	s.hosts.trust().policy.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		if a := names[host]; a != "" {
			return []netip.Addr{netip.MustParseAddr(a)}, nil
		}
		return nil, errors.New("no such host")
	}
	s.hosts.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(srv.URL, "http://"))
	}
	for _, c := range []struct{ url, next, want string }{
		{"http://files.example.com/a.tar", "", ""},
		{"files.example.com/a.tar", "", ""},
		{"http://files.example.com/to", "http://files.example.com/a.tar", ""},
		{"http://files.example.com/to", "http://vcenter.corp/", "attached to"},
		{"http://files.example.com/to", "http://10.7.0.5/", "attached to"},
		{"http://files.example.com/to", "http://[::1]:2378/", "no server is at such an address"},
		{"http://files.example.com/to", "file:///etc/passwd", "is no registry"},
		{"http://files.example.com/none", "", "404"},
		{"http://vcenter.corp/folder", "", "attached to"},
		{"http://me.corp:2378/", "", "the endpoint's own"},
		{"http://127.0.0.1:2378/", "", "the endpoint's own"},
		{"http://169.254.169.254/", "", "the endpoint's own"},
		{"http://denied.example.com/a.tar", "", "deny_registries"},
		{"ftp://files.example.com/a.tar", "", "only http and https"},
		{"http://files.example.com#.example.net/a.tar", "", ""}, // what follows # is of the URL, and not sent
		{"http://u:p@files.example.com/a.tar", "", "more than a host"},
	} {
		next = c.next
		body, err := s.Backend().Fetch(t.Context(), c.url)
		if err == nil {
			if b, rerr := io.ReadAll(body); rerr != nil || string(b) != "a file" {
				t.Errorf("%s: %q, %v", c.url, b, rerr)
			}
			_ = body.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s to %q: %v, want %q", c.url, c.next, err, c.want)
		}
	}
}

// FuzzPlace: what parsePlace takes for the host, net/url takes for the host too, and the form is one.
func FuzzPlace(f *testing.F) {
	for _, s := range []string{"docker.io", "reg:5000", "[::1]:5000", "[fe80::1%25eth0]", "evil.com#.example.com", "a@b", "A.b.", "x:0443", "10.0.0.1", "[::ffff:10.1.1.1]", "a..b", "-a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlace(s)
		if err != nil {
			return
		}
		if again, err := parsePlace(p.String()); err != nil || again != p {
			t.Fatalf("%q is %+v, and its own form %q is %+v, %v", s, p, p.String(), again, err)
		}
		u, err := url.Parse("https://" + s + "/v2/")
		if err != nil {
			t.Fatalf("%q is a registry, and no part of a URL: %v", s, err)
		}
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		if a, err := netip.ParseAddr(host); err == nil {
			host = a.Unmap().String()
		}
		if host == "index.docker.io" || host == hubServer {
			host = hubName
		}
		if host != p.host || u.Path != "/v2/" || u.User != nil {
			t.Fatalf("%q: %+v, but net/url says %q and %q", s, p, host, u.Path)
		}
	})
}
