package sso

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/lookup"
	"github.com/vmware/govmomi/ssoadmin"
	"github.com/vmware/govmomi/ssoadmin/types"
	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
)

// keys are made once: each takes a while.
var keys = sync.OnceValue(func() (k struct{ sts, hub, stranger tls.Certificate }) {
	for _, c := range []*tls.Certificate{&k.sts, &k.hub, &k.stranger} {
		cert, err := NewCertificate("test")
		if err != nil {
			panic(err)
		}
		*c = cert
	}
	return k
})

// rig is a service with users, and govmomi's clients of it.
type rig struct {
	t      *testing.T
	ctx    context.Context
	server *Server
	dir    *Directory
	url    string
	sts    *sts.Client
	admin  *ssoadmin.Client
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	k := keys()
	dir := NewDirectory("administrator@vsphere.local", "VMware1!", nil)
	server, err := New(Config{Directory: dir, Key: &k.sts})
	must(t, err)
	mux := http.NewServeMux()
	server.Mount(mux)
	web := httptest.NewTLSServer(mux)
	t.Cleanup(web.Close)
	must(t, dir.AddGroup(Group{Name: "all"}))
	must(t, dir.AddGroup(Group{Name: "devs", Groups: []string{"all"}}))
	must(t, dir.AddUser(User{Name: "dev", FirstName: "Dev", LastName: "Eloper", Email: "dev@example.com", Groups: []string{"devs"}}, "secret"))
	u, err := url.Parse(web.URL)
	must(t, err)
	vc := &vim25.Client{Client: soap.NewClient(u, true)}
	r := &rig{t: t, ctx: t.Context(), server: server, dir: dir, url: web.URL}
	r.sts, err = sts.NewClient(r.ctx, vc)
	must(t, err)
	if got := r.sts.URL().String(); got != web.URL+"/sts/STSService/vsphere.local" {
		t.Fatalf("the lookup service sends to %s", got)
	}
	r.admin, err = ssoadmin.NewClient(r.ctx, vc)
	must(t, err)
	if r.admin.Domain != Domain {
		t.Fatalf("the domain is %s", r.admin.Domain)
	}
	return r
}

func (r *rig) bearer(user, password string) (*sts.Signer, error) {
	return r.sts.Issue(r.ctx, sts.TokenRequest{Userinfo: url.UserPassword(user, password)})
}

// logIn begins a session of the administration.
func (r *rig) logIn(s *sts.Signer) error {
	return r.admin.Login(r.admin.WithHeader(r.ctx, soap.Header{Security: s}))
}

func (r *rig) asAdministrator() {
	r.t.Helper()
	s, err := r.bearer("administrator@vsphere.local", "VMware1!")
	must(r.t, err)
	must(r.t, r.logIn(s))
}

// refused wants a SOAP fault with a text.
func refused(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil || !soap.IsSoapFault(err) || !strings.Contains(soap.ToSoapFault(err).String, want) {
		t.Errorf("%s: %v, want a fault with %q", what, err, want)
	}
}

func TestTokensForPasswords(t *testing.T) {
	r := newRig(t)
	s, err := r.bearer(`VSPHERE.LOCAL\Dev`, "secret")
	must(t, err)
	for _, part := range []string{">dev@vsphere.local</saml2:NameID>", `>vsphere.local\devs<`, `>vsphere.local\all<`, ">Eloper<"} {
		if !strings.Contains(s.Token, part) {
			t.Errorf("the token lacks %q: %s", part, s.Token)
		}
	}
	if life := s.Lifetime.Expires.Sub(s.Lifetime.Created); life != 5*time.Minute {
		t.Errorf("it lives for %v", life)
	}
	yes, no := true, false
	for _, c := range []struct {
		name, user, password string
		change               UserChange
		want                 string
	}{
		{"a wrong password", "dev", "Secret", UserChange{}, "Invalid credentials"},
		{"nobody", "nobody", "secret", UserChange{}, "Invalid credentials"},
		{"a locked user", "dev", "secret", UserChange{Locked: &yes}, "User account locked"},
		{"a disabled user", "dev", "secret", UserChange{Locked: &no, Disabled: &yes}, "User account disabled"},
		{"a disabled user with a wrong password", "dev", "Secret", UserChange{}, "Invalid credentials"},
		{"an expired password", "dev", "secret", UserChange{Disabled: &no, PasswordExpired: &yes}, "Password of the user logging on is expired"},
	} {
		must(t, r.dir.ChangeUser("dev", c.change))
		_, err := r.bearer(c.user, c.password)
		refused(t, c.name, err, c.want)
	}
}

func TestTokensForKeys(t *testing.T) {
	r, k := newRig(t), keys()
	must(t, r.dir.AddSolution(Solution{Name: "vic-hub", Certificate: k.hub.Certificate[0]}))
	s, err := r.sts.Issue(r.ctx, sts.TokenRequest{Certificate: &k.hub, Lifetime: time.Hour, Renewable: true})
	must(t, err)
	if !strings.Contains(s.Token, base64.StdEncoding.EncodeToString(k.hub.Certificate[0])) || !strings.Contains(s.Token, "vic-hub@vsphere.local") {
		t.Errorf("the token is not bound to the certificate: %s", s.Token)
	}
	next, err := r.sts.Renew(r.ctx, sts.TokenRequest{Certificate: &k.hub, Token: s.Token, Lifetime: time.Hour})
	must(t, err)
	if next.Token == s.Token || next.Token == "" {
		t.Error("a renewed token is the same")
	}
	_, err = r.sts.Renew(r.ctx, sts.TokenRequest{Certificate: &k.stranger, Token: s.Token})
	refused(t, "a renewal by another key", err, "Signature is invalid")
	_, err = r.sts.Issue(r.ctx, sts.TokenRequest{Certificate: &k.stranger})
	refused(t, "a certificate of nobody", err, "Invalid credentials")
	forged := k.hub
	forged.PrivateKey = k.stranger.PrivateKey
	_, err = r.sts.Issue(r.ctx, sts.TokenRequest{Certificate: &forged})
	refused(t, "another key", err, "Signature is invalid")
	bearer, err := r.bearer("dev", "secret")
	must(t, err)
	_, err = r.sts.Renew(r.ctx, sts.TokenRequest{Certificate: &k.hub, Token: bearer.Token})
	refused(t, "renewal of a bearer token", err, "cannot be renewed")
}

// validate asks whether a token is good; govmomi has no call for it.
func (r *rig) validate(token string) string {
	r.t.Helper()
	now := r.server.now()
	body := `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Header><Security><Timestamp><Created>` + now.Format(timeFormat) + `</Created><Expires>` +
		now.Add(time.Minute).Format(timeFormat) + `</Expires></Timestamp></Security></Header><Body><RequestSecurityToken xmlns="` + nsTrust + `"><RequestType>` +
		nsTrust + `/Validate</RequestType><ValidateTarget>` + token + `</ValidateTarget></RequestSecurityToken></Body></Envelope>`
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.url+"/sts/STSService", strings.NewReader(body))
	must(r.t, err)
	client := &http.Client{Transport: r.sts.DefaultTransport()}
	res, err := client.Do(req)
	must(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(r.t, err)
	return string(b)
}

func TestClockAndKeys(t *testing.T) {
	r := newRig(t)
	s, err := r.bearer("dev", "secret")
	must(t, err)
	if a := r.validate(s.Token); !strings.Contains(a, "status/valid") {
		t.Errorf("a good token: %s", a)
	}
	if a := r.validate(strings.Replace(s.Token, "devs", "Administrators", 1)); !strings.Contains(a, "status/invalid") {
		t.Errorf("a changed token: %s", a)
	}
	must(t, r.server.RollOver())
	if a := r.validate(s.Token); !strings.Contains(a, "status/valid") {
		t.Errorf("a token of the key before: %s", a)
	}
	for _, skew := range []time.Duration{time.Hour, -time.Hour} {
		r.server.SetFaults(Faults{Skew: skew})
		_, err = r.bearer("dev", "secret")
		refused(t, skew.String(), err, "clock skew problem")
	}
	r.server.SetFaults(Faults{Skew: 6 * time.Minute}) // within the tolerance, and the token has expired
	if a := r.validate(s.Token); !strings.Contains(a, "status/invalid") {
		t.Errorf("an expired token: %s", a)
	}
	r.server.SetFaults(Faults{Away: true})
	if _, err = r.bearer("dev", "secret"); err == nil || soap.IsSoapFault(err) || !strings.Contains(err.Error(), "503") {
		t.Errorf("away: %v", err)
	}
	r.server.SetFaults(Faults{})
	_, err = r.bearer("dev", "secret")
	must(t, err)
}

func TestAdministrationFindsUsersAndNestedGroups(t *testing.T) {
	r := newRig(t)
	if _, err := r.admin.FindPersonUser(r.ctx, "dev"); err == nil {
		t.Error("the administration answers who is not signed in")
	}
	r.asAdministrator()
	u, err := r.admin.FindPersonUser(r.ctx, "DEV@vsphere.local")
	must(t, err)
	if u == nil || u.Id.Name != "dev" || u.Id.Domain != Domain || u.Details.EmailAddress != "dev@example.com" || u.Disabled {
		t.Fatalf("%+v", u)
	}
	if u, err := r.admin.FindPersonUser(r.ctx, "nobody"); err != nil || u != nil {
		t.Errorf("nobody: %+v, %v", u, err)
	}
	for search, want := range map[string]int{"": 2, "EV": 1, "elop": 1, "nothing": 0} {
		if l, err := r.admin.FindPersonUsers(r.ctx, search); err != nil || len(l) != want {
			t.Errorf("search for %q: %+v, %v", search, l, err)
		}
	}
	parents := func() (names []string) {
		t.Helper()
		l, err := r.admin.FindParentGroups(r.ctx, types.PrincipalId{Name: "dev", Domain: Domain})
		must(t, err)
		for _, p := range l {
			names = append(names, p.Name)
		}
		return names
	}
	if l := parents(); !slices.Equal(l, []string{"all", "devs"}) {
		t.Errorf("dev is in %q", l)
	}
	must(t, r.admin.RemoveUsersFromGroup(r.ctx, "devs", u.Id))
	if l := parents(); len(l) != 0 {
		t.Errorf("dev is in %q", l)
	}
	must(t, r.admin.CreateGroup(r.ctx, "ops", types.AdminGroupDetails{}))
	must(t, r.admin.AddGroupsToGroup(r.ctx, "devs", types.PrincipalId{Name: "ops", Domain: Domain}))
	must(t, r.admin.AddUsersToGroup(r.ctx, "ops", u.Id))
	if l := parents(); !slices.Equal(l, []string{"all", "devs", "ops"}) {
		t.Errorf("dev is in %q", l)
	}
	refused(t, "a circle", r.admin.AddGroupsToGroup(r.ctx, "ops", types.PrincipalId{Name: "all", Domain: Domain}), "contain each other")
	if l, err := r.admin.FindUsersInGroup(r.ctx, "ops", ""); err != nil || len(l) != 1 || l[0].Id.Name != "dev" {
		t.Errorf("users in ops: %+v, %v", l, err)
	}
	if l, err := r.admin.FindGroupsInGroup(r.ctx, "devs", ""); err != nil || len(l) != 1 || l[0].Id.Name != "ops" {
		t.Errorf("groups in devs: %+v, %v", l, err)
	}
	must(t, r.admin.ResetPersonPassword(r.ctx, "dev", "another"))
	if _, err := r.bearer("dev", "secret"); err == nil {
		t.Error("the old password is still right")
	}
	must(t, r.admin.DeletePrincipal(r.ctx, "dev"))
	if _, err := r.bearer("dev", "another"); err == nil {
		t.Error("a deleted user signs in")
	}
}

func TestSolutionUsersHaveTheirRoles(t *testing.T) {
	r, k := newRig(t), keys()
	r.asAdministrator()
	details := types.AdminSolutionDetails{Certificate: base64.StdEncoding.EncodeToString(k.hub.Certificate[0])}
	must(t, r.admin.CreateSolutionUser(r.ctx, "vic-hub", details))
	refused(t, "the certificate of another", r.admin.CreateSolutionUser(r.ctx, "vic-hub-2", details), "taken")
	as := func() error {
		s, err := r.sts.Issue(r.ctx, sts.TokenRequest{Certificate: &k.hub})
		must(t, err)
		must(t, r.logIn(s))
		_, err = r.admin.FindPersonUser(r.ctx, "dev")
		return err
	}
	refused(t, "no role", as(), "lacks the role")
	r.asAdministrator()
	_, err := r.admin.SetRole(r.ctx, types.PrincipalId{Name: "vic-hub", Domain: Domain}, types.RoleRegularUser)
	must(t, err)
	must(t, as())
	refused(t, "a reader's change", r.admin.DeletePrincipal(r.ctx, "dev"), "lacks the role")
	if certs, err := r.admin.GetTrustedCertificates(r.ctx); err != nil || len(certs) != 1 {
		t.Errorf("trusted certificates: %q, %v", certs, err)
	}
	// The token alone is of no use without its key.
	s, err := r.sts.Issue(r.ctx, sts.TokenRequest{Certificate: &k.hub})
	must(t, err)
	s.Certificate = &k.stranger
	refused(t, "a stolen token", r.logIn(s), "Signature is invalid")
	s.Certificate = nil
	refused(t, "a stolen token, unsigned", r.logIn(s), "not signed")
	must(t, as())
	must(t, r.dir.Remove("vic-hub"))
	if _, err := r.admin.FindPersonUser(r.ctx, "dev"); err == nil {
		t.Error("the session of a removed solution user goes on")
	}
}

func TestTheDirectoryIsKept(t *testing.T) {
	saved := 0
	d := NewDirectory("administrator@vsphere.local", "x", func() error { saved++; return nil })
	must(t, d.AddUser(User{Name: "dev", Groups: []string{"devs"}}, "secret"))
	must(t, d.AddClient(Client{ID: "hub", Secret: "s", Redirects: []string{"https://hub/callback"}}))
	if saved != 2 {
		t.Errorf("saved %d times", saved)
	}
	again := NewDirectory("administrator@vsphere.local", "x", nil)
	again.Restore(d.State())
	if _, _, ok := again.Login("dev", "secret"); !ok || !slices.Equal(again.Nested("dev"), []string{"devs"}) {
		t.Errorf("%+v", again.State())
	}
	old := NewDirectory("administrator@vsphere.local", "x", nil)
	old.Restore(State{Users: []User{{Name: "ops@vsphere.local", Groups: []string{`VSPHERE.LOCAL\ops`}}}})
	if !slices.Equal(old.Nested("ops2"), nil) || !slices.Equal(old.Nested("ops"), []string{"ops"}) {
		t.Errorf("a file of before: %+v", old.State())
	}
	for name, err := range map[string]error{
		"the administrator": d.Remove("administrator"), "the group": d.Remove(Administrators), "nobody": d.Remove("nobody"),
		"a name that is taken": d.AddUser(User{Name: "DEV"}, "x"), "another domain": d.AddUser(User{Name: "a@b"}, "x"),
		"no password": d.AddUser(User{Name: "a"}, ""), "a slash": d.AddGroup(Group{Name: "a/b"}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLookupServiceFilters(t *testing.T) {
	r := newRig(t)
	u, err := url.Parse(r.url)
	must(t, err)
	c, err := lookup.NewClient(r.ctx, &vim25.Client{Client: soap.NewClient(u, true)})
	must(t, err)
	l, err := c.List(r.ctx, nil)
	must(t, err)
	if len(l) != 6 {
		t.Errorf("%d services", len(l))
	}
	if id, err := c.SiteID(r.ctx); err != nil || id != site {
		t.Errorf("%q, %v", id, err)
	}
}

func FuzzRequests(f *testing.F) {
	f.Add([]byte(`<Envelope><Header><Security><Timestamp><Created>x</Created></Timestamp></Security></Header><Body><A/></Body></Envelope>`))
	f.Add([]byte(`<Envelope><Body/></Envelope>`))
	f.Add([]byte(`<a:b xmlns:a="c">`))
	k, err := NewCertificate("fuzz")
	if err != nil {
		f.Fatal(err)
	}
	s, err := New(Config{Directory: NewDirectory("administrator", "x", nil), Key: &k})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if res, err := s.trust("issuer", body); err == nil && strings.Contains(res, "Assertion") {
			t.Errorf("a token for %q", body)
		}
		if r, err := parseRequest(body); err == nil && r.checkSignature(k.Leaf) == nil {
			t.Errorf("a signature in %q", body)
		}
	})
}
