package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/outbound"
)

// password is what must not be seen.
const password = "pa55-0f-the-hub"

type transport func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// client asks https://registry.example through t.
func client(t testing.TB, now func() time.Time, rt transport) *Client {
	t.Helper()
	p, err := outbound.New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Endpoint{URL: "https://registry.example", Kind: Registry, Username: "hub", Password: password}, p, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport = rt
	return c
}

func response(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// FuzzChallenge gives a client all kinds of challenges: its password leaves it by https alone, and never within a URL.
func FuzzChallenge(f *testing.F) {
	for _, seed := range []string{`Bearer realm="https://auth.example/token",service="x",scope="repository:a:pull"`, `Bearer realm="http://auth.example/token"`,
		`Basic realm="x"`, `Bearer realm="//auth.example"`, `Bearer realm="https://me:you@auth.example/"`, `Bearer realm="file:///etc/passwd"`, `Bearer realm=`,
		`Bearer`, ``, `Negotiate abc, Bearer realm="https://a/\"b"`, "Bearer realm=\"https://a/%zz\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, challenge string) {
		c := client(t, nil, func(r *http.Request) (*http.Response, error) {
			if r.URL.Scheme != "https" || strings.Contains(r.URL.String(), password) || r.URL.User != nil {
				t.Errorf("%q leads to %s", challenge, r.URL)
			}
			return response(http.StatusOK, `{"token":"x"}`), nil
		})
		err := c.signIn(context.Background(), http.Header{"Www-Authenticate": {challenge}}, "repository:a:pull")
		if err == nil && c.token("repository:a:pull") == "" {
			t.Errorf("%q: neither a token nor an error", challenge)
		}
		if err != nil && !errors.Is(err, errdef.ErrDenied) && !errors.Is(err, errdef.ErrUnavailable) {
			t.Errorf("%q: %v", challenge, err)
		}
	})
}

// A token is used while it counts, for its scope alone, and fetched anew after that.
func TestTokensAreKeptWhileTheyCount(t *testing.T) {
	now := time.Unix(1000, 0)
	fetched := 0
	c := client(t, func() time.Time { return now }, func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "auth.example" {
			fetched++
			return response(http.StatusOK, `{"access_token":"t","expires_in":600}`), nil
		}
		if r.Header.Get("Authorization") != "Bearer t" {
			res := response(http.StatusUnauthorized, "")
			res.Header.Set("WWW-Authenticate", `Bearer realm="https://auth.example/token",service="x"`)
			return res, nil
		}
		return response(http.StatusOK, ""), nil
	})
	for _, step := range []struct {
		after time.Duration
		repo  string
		want  int
	}{{0, "a", 1}, {500 * time.Second, "a", 1}, {0, "b", 2}, {100 * time.Second, "a", 3}} {
		now = now.Add(step.after)
		if _, err := c.Repository(step.repo).Resolve(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		if fetched != step.want {
			t.Errorf("%+v: %d tokens were fetched", step, fetched)
		}
	}
}

// A registry that is away is not asked by each pull, but is again after a while.
func TestARegistryThatIsAwayIsLeftAlone(t *testing.T) {
	now := time.Unix(1000, 0)
	asked, away := 0, true
	c := client(t, func() time.Time { return now }, func(*http.Request) (*http.Response, error) {
		if asked++; away {
			return nil, errors.New("no route to host")
		}
		return response(http.StatusOK, ""), nil
	})
	resolve := func(want error) {
		t.Helper()
		if _, err := c.Repository("a").Resolve(t.Context(), "1"); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	resolve(errdef.ErrUnavailable)
	resolve(errdef.ErrUnavailable)
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
	away, now = false, now.Add(pause)
	resolve(nil)
	resolve(nil)
	if asked != 3 {
		t.Errorf("it was asked %d times", asked)
	}
}

// The server that content lies on is not the registry: it cannot have the registry's credentials by asking for them.
func TestWhereContentLiesGetsNoCredentials(t *testing.T) {
	for _, challenge := range []string{`Bearer realm="https://thief.example/token"`, `Basic realm="x"`} {
		c := client(t, nil, func(r *http.Request) (*http.Response, error) {
			res := response(http.StatusTemporaryRedirect, "")
			switch r.URL.Host {
			case "registry.example":
				res.Header.Set("Location", "https://content.example/blob")
			case "content.example":
				res = response(http.StatusUnauthorized, "")
				res.Header.Set("WWW-Authenticate", challenge)
			default:
				res = response(http.StatusOK, `{"token":"x"}`)
			}
			if _, _, has := r.BasicAuth(); has {
				t.Errorf("%s: %s gets the password", challenge, r.URL)
			}
			res.Request = r
			return res, nil
		})
		if _, err := c.Repository("a").Resolve(t.Context(), "1"); !errors.Is(err, errdef.ErrDenied) || c.token("repository:a:pull") != "" {
			t.Errorf("%s: %v", challenge, err)
		}
	}
}
