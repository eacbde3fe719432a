package hub

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fake is a hub that takes one token and knows one VCH.
func fake(t *testing.T) (*httptest.Server, []byte) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, secret, _ := r.BasicAuth()
		fail := func(status int, message string) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"errors":[{"code":"X","message":%q}]}`, message)
		}
		switch {
		case name == "robot$weak":
			fail(403, "no permission\nhost:manage")
		case name != "robot$vch" || secret != "a:b":
			fail(401, "name or password is wrong")
		case r.URL.Path == "/api/v2.0/vchs/check" || r.URL.Path == "/api/v2.0/vchs" && r.Method == "POST":
			var q Registration
			if err := json.NewDecoder(r.Body).Decode(&q); err != nil || len(q.Projects) != 1 || q.Projects[0] != "shop" {
				fail(400, "projects: there is no project")
				return
			}
			fmt.Fprintf(w, `{"id":7,"certificate_request":"PEM","hub_only":%t}`, q.Name == "strict")
		case r.URL.Path == "/api/v2.0/vchs/7" && r.Method == "PUT":
			fail(503, "the database does not answer")
		case r.URL.Path == "/api/v2.0/vchs/7":
			w.WriteHeader(200)
		default:
			fail(404, "vch not found")
		}
	}))
	t.Cleanup(s.Close)
	return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func TestAVCHIsRegisteredAndRemoved(t *testing.T) {
	s, ca := fake(t)
	c, err := New(Access{URL: s.URL + "/", CA: ca, Token: "robot$vch:a:b"})
	must(t, err)
	r := Registration{UID: "u", Name: "v", Projects: []string{"shop"}}
	if only, err := c.Check(t.Context(), r); err != nil || only {
		t.Errorf("%v, %v", only, err)
	}
	strict := Registration{UID: "u", Name: "strict", Projects: []string{"shop"}}
	if only, err := c.Check(t.Context(), strict); err != nil || !only {
		t.Errorf("a project that demands the hub: %v, %v", only, err)
	}
	if got := "https://" + c.Registry(); got != s.URL {
		t.Errorf("images come from %q", got)
	}
	got, err := c.Register(t.Context(), r)
	must(t, err)
	if got.ID != 7 || got.Request != "PEM" {
		t.Errorf("%+v", got)
	}
	must(t, c.Remove(t.Context(), 7))
	must(t, c.Remove(t.Context(), 8)) // gone already
}

// TestWhatIsWrongIsSaid looks at class, text and remedy of each failure.
func TestWhatIsWrongIsSaid(t *testing.T) {
	s, ca := fake(t)
	gone := httptest.NewTLSServer(http.NotFoundHandler())
	gone.Close()
	other := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	moved := httptest.NewTLSServer(http.RedirectHandler(s.URL, http.StatusFound))
	t.Cleanup(moved.Close)
	good := Registration{UID: "u", Name: "v", Projects: []string{"shop"}}
	for name, x := range map[string]struct {
		Access
		registration Registration
		class        error
		text, remedy string
	}{
		"another authority": {Access{URL: s.URL, CA: nil, Token: "robot$vch:a:b"}, good, errdef.ErrUnavailable, "cannot be reached", "--hub-ca"},
		"nobody there":      {Access{URL: gone.URL, CA: ca, Token: "robot$vch:a:b"}, good, errdef.ErrUnavailable, "cannot be reached", "--hub"},
		"another name":      {Access{URL: strings.Replace(s.URL, "127.0.0.1", "localhost", 1), CA: ca, Token: "robot$vch:a:b"}, good, errdef.ErrUnavailable, "localhost", "[tls] names"},
		"a wrong secret":    {Access{URL: s.URL, CA: ca, Token: "robot$vch:b"}, good, errdef.ErrDenied, "does not let robot$vch in", "--hub-token"},
		"too little":        {Access{URL: s.URL, CA: ca, Token: "robot$weak:b"}, good, errdef.ErrDenied, "no permission host:manage", "host:manage"},
		"no such project":   {Access{URL: s.URL, CA: ca, Token: "robot$vch:a:b"}, Registration{UID: "u", Name: "v"}, errdef.ErrInvalid, "there is no project", "--hub-project"},
		"no hub":            {Access{URL: other.URL, CA: ca, Token: "robot$vch:a:b"}, good, errdef.ErrUnavailable, "is no hub", "--hub"},
		"a redirect":        {Access{URL: moved.URL, CA: ca, Token: "robot$vch:a:b"}, good, errdef.ErrUnavailable, "is no hub", "--hub"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(x.Access)
			must(t, err)
			_, err = c.Check(t.Context(), x.registration)
			if !errors.Is(err, x.class) || !strings.Contains(err.Error(), x.text) || !strings.Contains(advice.Of(err), x.remedy) {
				t.Errorf("%v (%s)", err, advice.Of(err))
			}
			if strings.Contains(fmt.Sprint(err), "a:b") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
	c, err := New(Access{URL: s.URL, CA: ca, Token: "robot$vch:a:b"})
	must(t, err)
	if err := c.Connect(t.Context(), 7, Connection{}); !errors.Is(err, errdef.ErrUnavailable) || !strings.Contains(err.Error(), "database") {
		t.Errorf("%v", err)
	}
	for _, bad := range []Access{{URL: "http://hub", Token: "a:b"}, {URL: "https://hub/x", Token: "a:b"}, {URL: "https://u@hub", Token: "a:b"}, {URL: "hub", Token: "a:b"},
		{URL: "https://hub", Token: "a"}, {URL: "https://hub", Token: ":b"}, {URL: "https://hub"}} {
		if _, err := New(bad); !errors.Is(err, errdef.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
