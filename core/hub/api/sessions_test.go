package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/browser"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/sdk/auth"
)

// tab is a browser that has signed in, or not.
type tab struct {
	r      *rig
	cookie string
}

// api sends a request with the tab's cookie, and keeps the one of the answer.
func (b *tab) api(method, path, body string, want int, v any) http.Header {
	b.r.t.Helper()
	req, err := http.NewRequestWithContext(b.r.t.Context(), method, b.r.url+Prefix+path, strings.NewReader(body))
	must(b.r.t, err)
	req.Header.Set("Sec-Fetch-Mode", "cors")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if b.cookie != "" {
		req.AddCookie(&http.Cookie{Name: browser.Cookie, Value: b.cookie})
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	must(b.r.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(b.r.t, err)
	checkAnswer(b.r.t, req, res, text)
	if res.StatusCode != want {
		b.r.t.Errorf("%s %s: %d %s, want %d", method, path, res.StatusCode, text, want)
	}
	for _, c := range res.Cookies() {
		if c.Name == browser.Cookie {
			b.cookie = c.Value
		}
	}
	if v != nil {
		must(b.r.t, json.Unmarshal(text, v))
	}
	return res.Header
}

func (r *rig) signIn(user string) *tab {
	r.t.Helper()
	b := &tab{r: r}
	b.api("POST", "/sign-in", fmt.Sprintf(`{"username":%q,"password":%q,"domain":"d"}`, user, password), 200, nil)
	return b
}

func TestSessionsOfBrowsers(t *testing.T) {
	each(t, func(r *rig) {
		var ways []wayForm
		(&tab{r: r}).api("GET", "/sign-in/sources", "", 200, &ways)
		if len(ways) != 1 || ways[0].Name != "fake" || !ways[0].Password || ways[0].Redirect != "/c/oidc/login?source=fake" || ways[0].Domains[0] != "d" {
			r.t.Errorf("%+v", ways)
		}
		one := &tab{r: r}
		one.api("GET", "/users/current", "", 401, nil)
		if h := one.api("POST", "/sign-in", `{"username":"developer","password":"wrong"}`, 401, nil); one.cookie != "" || h.Get("WWW-Authenticate") != "" {
			r.t.Errorf("a wrong password: the cookie is %q, the browser is asked %q", one.cookie, h.Get("WWW-Authenticate"))
		}
		one.api("POST", "/sign-in", `{"username":"developer"}`, 400, nil)
		one, two, other := r.signIn("developer"), r.signIn("developer"), r.signIn("cloud-admin")
		var u user
		one.api("GET", "/users/current", "", 200, &u)
		if u.Name != "developer" || u.OIDC == nil || u.OIDC.Created != "" {
			r.t.Errorf("%+v", u)
		}
		one.api("PUT", "/projects/private", `{"public":true}`, 403, nil) // the role's limits hold
		var list []sessionForm
		one.api("GET", "/users/current/sessions", "", 200, &list)
		if len(list) != 2 || list[0].Current == list[1].Current || list[0].Address != "127.0.0.1" {
			r.t.Fatalf("%+v", list)
		}
		for _, s := range list {
			if s.ID == one.cookie || strings.Contains(one.cookie, s.ID) {
				r.t.Error("the ID tells the secret")
			}
			if !s.Current {
				other.api("DELETE", "/users/current/sessions/"+s.ID, "", 404, nil) // another's
				one.api("DELETE", "/users/current/sessions/"+s.ID, "", 200, nil)
				one.api("DELETE", "/users/current/sessions/"+s.ID, "", 404, nil)
			}
		}
		two.api("GET", "/users/current", "", 401, nil)
		two = r.signIn("developer")
		one.api("DELETE", "/users/current/sessions?others=maybe", "", 400, nil)
		one.api("DELETE", "/users/current/sessions?others=true", "", 200, nil)
		two.api("GET", "/users/current", "", 401, nil)
		one.api("GET", "/users/current", "", 200, nil)
		at := fmt.Sprintf("/users/%d/sessions", u.ID)
		one.api("GET", at, "", 403, nil)
		other.api("GET", at, "", 200, &list)
		if len(list) != 1 {
			r.t.Errorf("%+v", list)
		}
		other.api("DELETE", at, "", 200, nil)
		one.api("GET", "/users/current", "", 401, nil)
		one = r.signIn("developer")
		old := *one
		var out signOutForm
		one.api("POST", "/sign-out", "", 200, &out)
		if one.cookie != "" {
			r.t.Error("the cookie stays")
		}
		old.api("GET", "/users/current", "", 401, nil)
		old.api("POST", "/sign-out", "", 200, nil) // the same again
		old.api("GET", "/projects", "", 200, nil)  // what anybody may
		one = r.signIn("developer")
		one.api("DELETE", "/users/current/sessions", "", 200, nil)
		one.api("GET", "/users/current", "", 401, nil)
	})
}

// What is done by a session is in the log as that.
func TestWhatASessionChangesIsInTheLog(t *testing.T) {
	r := newRig(t, "sqlite:"+t.TempDir()+"/hub.db")
	r.signIn("devops-admin").api("PUT", "/projects/private", `{"public":true}`, 200, nil)
	var name, kind string
	must(t, r.db.QueryRow(t.Context(), `SELECT caller, caller_kind FROM audit_line WHERE operation = 'update'`).Scan(&name, &kind))
	if name != "devops-admin" || kind != "session" {
		t.Errorf("%s by %s", name, kind)
	}
}

// A session goes on with the groups of now, and ends with the password.
func TestASessionHasWhatTheUserHas(t *testing.T) {
	r := newRig(t, "sqlite:"+t.TempDir()+"/hub.db")
	b := r.signIn("none")
	b.api("GET", "/projects/private", "", 404, nil)
	private, _, err := r.Project(t.Context(), "private")
	must(t, err)
	_, err = r.people.AddMember(t.Context(), private, auth.Principal{ID: "d/testers", Kind: auth.Group}, role.Viewer)
	must(t, err)
	none := auth.Principal{ID: "d/none", Kind: auth.User, Name: "none"}
	_, err = r.people.Seen(t.Context(), "fake", auth.Identity{Principal: none, Groups: []string{"d/testers"}}, nil)
	must(t, err)
	var seen []project
	b.api("GET", "/projects?name=p", "", 200, &seen)
	if len(seen) != 2 {
		t.Errorf("with the new group: %+v", seen)
	}
	_, err = r.people.Seen(t.Context(), "fake", auth.Identity{Principal: none}, nil)
	must(t, err)
	b.api("GET", "/projects", "", 200, &seen)
	if len(seen) != 1 {
		t.Errorf("without it: %+v", seen)
	}
	var u user
	b.api("GET", "/users/current", "", 200, &u)
	b.api("PUT", fmt.Sprintf("/users/%d/password", u.ID), `{"old_password":"right","new_password":"better"}`, 200, nil)
	b.api("GET", "/users/current", "", 401, nil)
}

func TestCLISecrets(t *testing.T) {
	r := newRig(t, "sqlite:"+t.TempDir()+"/hub.db")
	var u user
	r.api("developer", "GET", "/users/current", "", 200, &u)
	at := fmt.Sprintf("/users/%d/cli_secret", u.ID)
	r.api("cloud-admin", "PUT", at, "{}", 403, nil) // not for others
	r.api("developer", "PUT", at, `{"secret":"Chosen1234"}`, 400, nil)
	r.api("developer", "PUT", "/users/999/cli_secret", "{}", 404, nil)
	var first, second cliSecretForm
	r.api("developer", "PUT", at, "{}", 200, &first)
	r.api("developer", "PUT", at, "{}", 200, &second)
	as := func(secret, method, path, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, r.url+Prefix+path, strings.NewReader(body))
		must(t, err)
		req.SetBasicAuth("developer", secret)
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		must(t, err)
		defer res.Body.Close()
		return res.StatusCode
	}
	if got := as(first.Secret, "GET", "/users/current", ""); got != 401 || first == second {
		t.Errorf("the secret before: %d", got)
	}
	if got := as(second.Secret, "GET", "/users/current", ""); got != 200 {
		t.Errorf("the secret: %d", got)
	}
	if got := as(second.Secret, "PUT", at, "{}"); got != 403 {
		t.Errorf("the secret makes the next: %d", got)
	}
	r.api("developer", "GET", "/users/current", "", 200, &u)
	if u.OIDC == nil || u.OIDC.Created == "" || u.OIDC.Used == "" || u.OIDC.UserID != u.ID {
		t.Errorf("%+v", u.OIDC)
	}
	r.api("viewer", "DELETE", at, "", 404, nil)
	r.api("cloud-admin", "DELETE", at, "", 200, nil)
	if got := as(second.Secret, "GET", "/users/current", ""); got != 401 {
		t.Errorf("a removed secret: %d", got)
	}
	r.source.Capabilities = []string{auth.CapPassword, auth.CapLookup}
	r.api("developer", "PUT", at, "{}", 412, nil)
}

// A group of a source that cannot be searched gets a role by its ID, before anybody of it has been here.
func TestAGroupThatCannotBeLookedUp(t *testing.T) {
	r := newRig(t, "sqlite:"+t.TempDir()+"/hub.db")
	r.api("devops-admin", "POST", "/projects/private/members", `{"role_id":3,"member_group":{"group_name":"d/testers"}}`, 400, nil) // the source says no
	r.source.Capabilities = []string{auth.CapPassword, auth.CapRedirect}
	r.api("devops-admin", "POST", "/projects/private/members", `{"role_id":3,"member_group":{"group_name":"d/testers"}}`, 201, nil)
	r.api("devops-admin", "POST", "/projects/private/members", `{"role_id":3,"member_user":{"username":"d/somebody"}}`, 400, nil)
	r.api("devops-admin", "POST", "/projects/private/members", `{"role_id":3,"member_group":{"group_name":"elsewhere/testers"}}`, 400, nil)
	r.api("devops-admin", "POST", "/projects/private/members", `{"role_id":3,"member_group":{"group_name":"d/a\u0007b"}}`, 400, nil)
	b := r.signIn("none")
	b.api("GET", "/projects/private", "", 404, nil)
	none := auth.Principal{ID: "d/none", Kind: auth.User, Name: "none"}
	_, err := r.people.Seen(t.Context(), "fake", auth.Identity{Principal: none, Groups: []string{"d/testers"}}, nil)
	must(t, err)
	var seen []project
	b.api("GET", "/projects", "", 200, &seen)
	if len(seen) != 2 {
		t.Errorf("a user of the group sees %+v", seen)
	}
}
