package dockerauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/clisecret"
	"github.com/openvic/vic/core/hub/dockerauth"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/hub/token"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/registry/registrytest"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const (
	service   = "hub.example.com"
	password  = "right"
	manifest  = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	indexType = "application/vnd.oci.image.index.v1+json"
)

// rig is a registry with its token service, over one identity source with one user a role.
type rig struct {
	questions atomic.Int64 // about projects
	t         *testing.T
	url       string
	source    *auth.Fake
	people    *people.People
	db        *store.Store
	registry  *registry.Registry
	mu        sync.Mutex
	robots    map[string]map[string]map[role.Permission]bool // name, project, grants
	now       time.Time
	secrets   *clisecret.Secrets
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keys is a token.Keys in memory.
type keys struct {
	mu  sync.Mutex
	all []token.Key
}

func (k *keys) List(context.Context) ([]token.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all), nil
}

func (k *keys) Add(_ context.Context, n token.Key, _ time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, n)
	return nil
}

func (r *rig) Project(ctx context.Context, name string) (int64, bool, error) {
	r.questions.Add(1)
	p, err := r.registry.FindProject(ctx, r.db, name)
	return p.ID, p.Public, err
}

func (r *rig) Password(ctx context.Context, name string, s secret.Text, _ string) (authz.Robot, error) {
	if s != password {
		return authz.Robot{}, errdef.ErrDenied
	}
	return r.Find(ctx, name)
}

func (r *rig) Find(_ context.Context, name string) (authz.Robot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	grants, ok := r.robots[name]
	if !ok {
		return authz.Robot{}, errdef.ErrDenied
	}
	return authz.Robot{Name: name, Grants: func(project string) map[role.Permission]bool { return grants[project] }}, nil
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, storetest.URL(t, "sqlite"), registry.Options{})
}

// newRigOn makes one on a database, with a registry of other options.
func newRigOn(t *testing.T, database string, o registry.Options) *rig {
	t.Helper()
	r := &rig{t: t, source: auth.NewFake("d"), robots: map[string]map[string]map[role.Permission]bool{}, now: time.Now()}
	clock := func() time.Time { return r.now }
	r.db = storetest.Open(t, database, registry.Schema(), people.Schema(), clisecret.Schema())
	r.people = people.New(r.db, clock, clisecret.Forget)
	sealer, err := seal.Open(filepath.Join(t.TempDir(), "seal.key"))
	must(t, err)
	log := slog.New(slog.DiscardHandler)
	sign := signin.New(signin.Options{People: r.people, Sealer: sealer, Limiter: access.NewLimiter(access.LimitOptions{}), Log: log, Now: clock,
		Sources: func() []signin.Source {
			return []signin.Source{{Name: "fake", Driver: r.source, Capabilities: r.source.Capabilities}}
		}})
	r.secrets = clisecret.New(r.db, sign, access.NewLimiter(access.LimitOptions{}), log, clock)
	a := dockerauth.New(dockerauth.Options{Moment: r.db.Moment, Issuer: token.New(token.Options{Issuer: "vic-hub", Service: service, Keys: &keys{}, Now: clock}), Service: service,
		Authority: &authz.Authority{Signer: sign, Roles: r.people, Projects: r, Robots: r, Secrets: r.secrets}, Log: log})
	o.Authorizer, o.Log = a, log
	r.registry, err = registry.New(t.Context(), r.db, inmemory.New(), o)
	must(t, err)
	mux := http.NewServeMux()
	mux.Handle("/v2/", r.registry)
	mux.Handle(dockerauth.TokenPath, a)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r.url = server.URL
	must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error {
		for name, public := range map[string]bool{"private": false, "public": true} {
			p, err := r.registry.CreateProject(tx, registry.Project{Name: name, Public: public, Quota: -1, RepoQuota: -1})
			if err != nil {
				return err
			}
			_ = p
		}
		return nil
	}))
	for x := role.None; x <= role.CloudAdmin; x++ {
		id := auth.Principal{ID: "d/" + x.String(), Kind: auth.User, Name: x.String()}
		must(t, r.source.Save(t.Context(), auth.SaveRequest{Principal: id, Password: password}))
		for _, name := range []string{"private", "public"} {
			if x >= role.Viewer && x <= role.DevOpsAdmin {
				project, _, err := r.Project(t.Context(), name)
				must(t, err)
				_, err = r.people.AddMember(t.Context(), project, id, x)
				must(t, err)
			}
		}
		if x == role.CloudAdmin {
			_, err := r.people.AddCloudAdmin(t.Context(), id)
			must(t, err)
		}
	}
	return r
}

// do sends one request; auth is the header Authorization, "" for none.
func (r *rig) do(method, path, authorization, contentType, body string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	must(r.t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	must(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(r.t, err)
	return res, string(b)
}

func basic(user, pass string) string {
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, pass)
	return req.Header.Get("Authorization")
}

// token asks for one, as a user or as nobody, and returns the answer.
func (r *rig) token(user string, query url.Values) (map[string]any, *http.Response) {
	r.t.Helper()
	authorization := ""
	if user != "" {
		authorization = basic(user, password)
	}
	res, body := r.do("GET", dockerauth.TokenPath+"?"+query.Encode(), authorization, "", "")
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		r.t.Fatalf("%d %s", res.StatusCode, body)
	}
	return m, res
}

// bearer is the header for a scope.
func (r *rig) bearer(user string, scopes ...string) string {
	r.t.Helper()
	m, res := r.token(user, url.Values{"service": {service}, "scope": scopes})
	raw, _ := m["token"].(string)
	if res.StatusCode != 200 || raw == "" {
		r.t.Fatalf("%s asks for %v: %d %v", user, scopes, res.StatusCode, m)
	}
	return "Bearer " + raw
}

func TestDockerLogin(t *testing.T) {
	r := newRig(t)
	res, body := r.do("GET", "/v2/", "", "", "")
	challenge := res.Header.Get("WWW-Authenticate")
	if res.StatusCode != 401 || challenge != fmt.Sprintf(`Bearer realm="%s/service/token",service="hub.example.com"`, r.url) ||
		!strings.Contains(body, "UNAUTHORIZED") {
		t.Fatalf("%d %q %s", res.StatusCode, challenge, body)
	}
	m, res := r.token("developer", url.Values{"account": {"developer"}, "client_id": {"docker"}, "offline_token": {"true"}, "service": {service}})
	raw, _ := m["token"].(string)
	if res.StatusCode != 200 || m["access_token"] != raw || m["expires_in"] != float64(300) || m["refresh_token"] == nil ||
		res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", res.StatusCode, m)
	}
	if _, err := time.Parse(time.RFC3339, fmt.Sprint(m["issued_at"])); err != nil {
		t.Error(err)
	}
	if res, _ := r.do("GET", "/v2/", "Bearer "+raw, "", ""); res.StatusCode != 200 {
		t.Errorf("/v2/ with the token: %d", res.StatusCode)
	}
	if res, _ := r.do("GET", "/v2/", basic("developer", password), "", ""); res.StatusCode != 200 {
		t.Errorf("/v2/ with the password itself: %d", res.StatusCode)
	}
	for name, c := range map[string]struct{ authorization, want string }{
		"a wrong password": {basic("developer", "wrong"), "401"},
		"an unknown name":  {basic("eve", "x"), "401"},
		"a bearer token":   {"Bearer " + raw, "401"},
		"no base64":        {"Basic !!!", "401"},
	} {
		res, body := r.do("GET", dockerauth.TokenPath+"?service="+service, c.authorization, "", "")
		if fmt.Sprint(res.StatusCode) != c.want || !strings.Contains(body, "UNAUTHORIZED") {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
	for _, authorization := range []string{"Bearer x", "Bearer", "Basic x", "Digest x", basic("developer", "wrong"), "Bearer " + fmt.Sprint(m["refresh_token"])} {
		if res, _ := r.do("GET", "/v2/", authorization, "", ""); res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("/v2/ with %.30q: %d", authorization, res.StatusCode)
		}
	}
}

// TestWhoMayPullPushAndDelete tries every role, and nobody, on every action in a private and in a public project: what
// the token service grants, and what the registry then does.
func TestWhoMayPullPushAndDelete(t *testing.T) {
	r := newRig(t)
	all := "pull,push,delete"
	cloud := func(project string) string {
		return r.bearer("cloud-admin", "repository:"+project+"/app:"+all)
	}
	reset := func(project string) {
		t.Helper()
		if res, body := r.do("PUT", "/v2/"+project+"/app/manifests/1", cloud(project), indexType, manifest); res.StatusCode != 201 {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
	}
	users := []string{""}
	for x := role.None; x <= role.CloudAdmin; x++ {
		users = append(users, x.String())
	}
	least := map[string]role.Role{"pull": role.Viewer, "push": role.Developer, "delete": role.DevOpsAdmin}
	cases := 0
	for _, project := range []string{"private", "public"} {
		for i, user := range users {
			x := role.Role(i - 1)
			for action, min := range least {
				cases++
				reset(project)
				may := user != "" && x >= min || project == "public" && action == "pull"
				m, _ := r.token(user, url.Values{"service": {service}, "scope": {"repository:" + project + "/app:" + all}})
				raw, _ := m["token"].(string)
				var granted string
				if parts := strings.Split(raw, "."); len(parts) == 3 {
					granted = decode(t, parts[1])
				}
				if got := strings.Contains(granted, `"`+action+`"`); got != may {
					t.Errorf("%s in the %s project is granted %s, want %s: %v", user, project, granted, action, may)
				}
				method, path := map[string]string{"pull": "GET", "push": "PUT", "delete": "DELETE"}[action], "/v2/"+project+"/app/manifests/1"
				body := ""
				if action == "push" {
					body = manifest
				}
				res, text := r.do(method, path, "Bearer "+raw, indexType, body)
				if ok := res.StatusCode/100 == 2; ok != may {
					t.Errorf("%s in the %s project, %s: %d %s, want %v", user, project, action, res.StatusCode, text, may)
				}
				want := 403
				switch {
				case user == "":
					want = 401
				case project == "private" && x == role.None:
					want = 404
				}
				if !may && res.StatusCode != want {
					t.Errorf("%s in the %s project, %s: %d, want %d", user, project, action, res.StatusCode, want)
				}
				if user != "" { // without a token the table itself answers
					if may {
						want = 200
					}
					reset(project)
					res, text := r.do(method, path, basic(user, password), indexType, body)
					if res.StatusCode/100 != 2 && want == 200 || want != 200 && res.StatusCode != want {
						t.Errorf("%s by password in the %s project, %s: %d %s, want %d", user, project, action, res.StatusCode, text, want)
					}
				}
			}
		}
	}
	t.Logf("%d cases", cases)
}

func decode(t *testing.T, part string) string {
	t.Helper()
	var w struct {
		Access []token.Access `json:"access"`
	}
	b, err := base64url(part)
	must(t, err)
	must(t, json.Unmarshal(b, &w))
	if len(w.Access) == 0 {
		return ""
	}
	out, err := json.Marshal(w.Access[0].Actions)
	must(t, err)
	return string(out)
}

func TestATokenGivesNoMoreThanTheRoleOfNow(t *testing.T) {
	r := newRig(t)
	push := r.bearer("developer", "repository:private/app:pull,push")
	stranger := r.bearer("none", "repository:public/app:pull")
	put := func() int {
		res, _ := r.do("PUT", "/v2/private/app/manifests/1", push, indexType, manifest)
		return res.StatusCode
	}
	if got := put(); got != 201 {
		t.Fatal(got)
	}
	if res, _ := r.do("PUT", "/v2/public/app/manifests/1", r.bearer("developer", "repository:public/app:pull,push"), indexType, manifest); res.StatusCode != 201 {
		t.Fatal(res.StatusCode)
	}
	if res, _ := r.do("GET", "/v2/public/app/manifests/1", stranger, "", ""); res.StatusCode != 200 {
		t.Fatal(res.StatusCode)
	}
	project, _, err := r.Project(t.Context(), "private")
	must(t, err)
	members, _, err := r.people.Members(t.Context(), project, "developer", 0, 10)
	must(t, err)
	must(t, r.people.ChangeMember(t.Context(), project, members[0].Number, role.Viewer))
	if got := put(); got != 403 {
		t.Errorf("a viewer pushes with a developer's token: %d", got)
	}
	must(t, r.people.RemoveMember(t.Context(), project, members[0].Number))
	if got := put(); got != 404 {
		t.Errorf("a stranger pushes with a developer's token: %d", got)
	}
	p, err := r.registry.FindProject(t.Context(), r.db, "public")
	must(t, err)
	p.Public = false
	must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error { return r.registry.UpdateProject(tx, p) }))
	if res, _ := r.do("GET", "/v2/public/app/manifests/1", stranger, "", ""); res.StatusCode != 404 {
		t.Errorf("a stranger pulls from what has become private: %d", res.StatusCode)
	}
	must(t, r.source.Remove(t.Context(), auth.RemoveRequest{ID: "d/viewer"}))
	view := func(authorization string) int {
		res, _ := r.do("GET", "/v2/private/app/manifests/1", authorization, "", "")
		return res.StatusCode
	}
	long := r.bearer("cloud-admin", "repository:private/app:pull")
	must(t, r.source.Remove(t.Context(), auth.RemoveRequest{ID: "d/cloud-admin"}))
	if got := view(long); got != 200 {
		t.Errorf("before the source is asked again: %d", got)
	}
	r.now = r.now.Add(299 * time.Second)
	if got := view(long); got != 200 {
		t.Errorf("within the source's refresh time: %d", got)
	}
	r.now = r.now.Add(5 * time.Second) // within the token's leeway, beyond the refresh time
	if got := view(long); got != 401 {
		t.Errorf("a user whom the source does not know any more: %d", got)
	}
}

func TestARefreshTokenIsInPlaceOfThePassword(t *testing.T) {
	r := newRig(t)
	m, _ := r.token("developer", url.Values{"service": {service}, "offline_token": {"true"}})
	refresh := fmt.Sprint(m["refresh_token"])
	post := func(form url.Values) (int, map[string]any) {
		res, body := r.do("POST", dockerauth.TokenPath, "", "application/x-www-form-urlencoded", form.Encode())
		var out map[string]any
		must(t, json.Unmarshal([]byte(body), &out))
		return res.StatusCode, out
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "service": {service}, "client_id": {"docker"},
		"scope": {"repository:private/app:pull,push"}}
	status, out := post(form)
	if status != 200 || out["scope"] != "repository:private/app:pull,push" || out["token"] != nil {
		t.Fatalf("%d %v", status, out)
	}
	if res, _ := r.do("PUT", "/v2/private/app/manifests/1", "Bearer "+fmt.Sprint(out["access_token"]), indexType, manifest); res.StatusCode != 201 {
		t.Errorf("%d", res.StatusCode)
	}
	if status, out := post(url.Values{"grant_type": {"password"}, "username": {"developer"}, "password": {password}, "service": {service},
		"access_type": {"offline"}}); status != 200 || out["refresh_token"] == nil {
		t.Errorf("by password: %d %v", status, out)
	}
	access := strings.TrimPrefix(r.bearer("developer"), "Bearer ")
	for name, c := range map[string]struct {
		form url.Values
		want int
	}{
		"a token that refreshes nothing": {url.Values{"grant_type": {"refresh_token"}, "refresh_token": {access}, "service": {service}}, 401},
		"no token":                       {url.Values{"grant_type": {"refresh_token"}, "service": {service}}, 401},
		"a wrong password":               {url.Values{"grant_type": {"password"}, "username": {"developer"}, "password": {"wrong"}, "service": {service}}, 401},
		"no grant":                       {url.Values{"service": {service}}, 400},
		"another service":                {url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "service": {"x"}}, 400},
		"no scope":                       {url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "service": {service}, "scope": {"x"}}, 400},
	} {
		if status, out := post(c.form); status != c.want || out["errors"] == nil {
			t.Errorf("%s: %d %v, want %d", name, status, out, c.want)
		}
	}
	must(t, r.source.Remove(t.Context(), auth.RemoveRequest{ID: "d/developer"}))
	r.now = r.now.Add(time.Hour)
	if status, out := post(form); status != 401 {
		t.Errorf("after the user was removed: %d %v", status, out)
	}
}

func TestRobotsHaveTheirGrants(t *testing.T) {
	r := newRig(t)
	r.robots["robot$private+ci"] = map[string]map[role.Permission]bool{"private": {role.ArtifactPull: true, role.ArtifactPush: true}}
	b := r.bearer("robot$private+ci", "repository:private/app:*", "repository:public/app:push")
	for path, want := range map[string]int{"/v2/private/app/manifests/1": 201, "/v2/public/app/manifests/1": 401} {
		if res, _ := r.do("PUT", path, b, indexType, manifest); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	if res, _ := r.do("DELETE", "/v2/private/app/manifests/1", basic("robot$private+ci", password), "", ""); res.StatusCode != 403 {
		t.Errorf("a robot deletes: %d", res.StatusCode)
	}
	delete(r.robots, "robot$private+ci")
	if res, _ := r.do("GET", "/v2/private/app/manifests/1", b, "", ""); res.StatusCode != 401 {
		t.Errorf("a robot that is gone: %d", res.StatusCode)
	}
}

func TestTheChallengeNamesWhatIsMissing(t *testing.T) {
	r := newRig(t)
	res, _ := r.do("GET", "/v2/private/app/manifests/1", "", "", "")
	if c := res.Header.Get("WWW-Authenticate"); res.StatusCode != 401 || !strings.HasSuffix(c, `,scope="repository:private/app:pull"`) {
		t.Errorf("%d %q", res.StatusCode, c)
	}
	res, _ = r.do("POST", "/v2/private/app/blobs/uploads/", "", "", "")
	if c := res.Header.Get("WWW-Authenticate"); !regexp.MustCompile(`,scope="repository:private/app:(pull,)?push"$`).MatchString(c) {
		t.Errorf("%q", c)
	}
	// Who shows a token is told what is wrong with it: clients say then that access is denied, not that the answer is odd.
	for authorization, want := range map[string]string{"Bearer x": `error="invalid_token"`,
		r.bearer("viewer", "repository:public/app:pull"): `error="insufficient_scope"`} {
		res, _ = r.do("GET", "/v2/private/app/manifests/1", authorization, "", "")
		if c := res.Header.Get("WWW-Authenticate"); res.StatusCode != 401 || !strings.Contains(c, want) {
			t.Errorf("%d %q, want %s", res.StatusCode, c, want)
		}
	}
	// A project that is not there looks like one that is private.
	a, textA := r.do("GET", "/v2/private/app/tags/list", basic("none", password), "", "")
	b, textB := r.do("GET", "/v2/nothing/app/tags/list", basic("none", password), "", "")
	if a.StatusCode != b.StatusCode || strings.ReplaceAll(textA, "private", "nothing") != textB {
		t.Errorf("%d %s\n%d %s", a.StatusCode, textA, b.StatusCode, textB)
	}
	if res, _ := r.do("GET", "/v2/_catalog", r.bearer("devops-admin", "registry:catalog:*"), "", ""); res.StatusCode == 200 {
		t.Error("a DevOps administrator reads the catalogue")
	}
	if res, _ := r.do("GET", "/v2/_catalog", r.bearer("cloud-admin", "registry:catalog:*"), "", ""); res.StatusCode != 200 {
		t.Errorf("the catalogue: %d", res.StatusCode)
	}
}

func base64url(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

// OCI's conformance tests as a DevOps administrator of a private project, by the tokens of the hub's own service.
func TestConformanceWithTokens(t *testing.T) {
	tool := registrytest.Tool(t, "../../..")
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			r := newRigOn(t, storetest.URL(t, kind), registry.Options{Sparse: true})
			var project registry.Project
			must(t, r.db.Tx(t.Context(), func(tx *store.Tx) (err error) {
				project, err = r.registry.CreateProject(tx, registry.Project{Name: "conformance", Quota: 1 << 30, RepoQuota: 2})
				return err
			}))
			_, err := r.people.AddMember(t.Context(), project.ID, auth.Principal{ID: "d/devops-admin", Kind: auth.User}, role.DevOpsAdmin)
			must(t, err)
			registrytest.Conform(t, tool, r.url, "devops-admin", password)
		})
	}
}

// A token that is for one repository mounts nothing from another, though its owner might: the client is told to ask for
// both. From where its owner may not pull there is no mount, and no word of why.
func TestAMountNeedsATokenForItsSource(t *testing.T) {
	r := newRig(t)
	const digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of "hello"
	both := []string{"repository:private/a:pull,push", "repository:private/b:pull,push"}
	if res, body := r.do("POST", "/v2/private/a/blobs/uploads/?digest="+digest, r.bearer("developer", both...), "application/octet-stream", "hello"); res.StatusCode != 201 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	mount := func(to, authorization, from string) (int, string) {
		t.Helper()
		path := "/v2/" + to + "/blobs/uploads/?mount=" + digest
		if from != "" {
			path += "&from=" + from
		}
		res, _ := r.do("POST", path, authorization, "", "")
		return res.StatusCode, res.Header.Get("WWW-Authenticate")
	}
	narrow := r.bearer("developer", "repository:private/b:pull,push")
	for _, from := range []string{"private/a", ""} {
		status, challenge := mount("private/b", narrow, from)
		if status != 401 || !strings.Contains(challenge, "repository:private/b:pull,push") || !strings.Contains(challenge, "repository:private/a:pull") {
			t.Errorf("from %q: %d %s", from, status, challenge)
		}
	}
	if status, _ := mount("private/b", r.bearer("developer", both...), "private/a"); status != 201 {
		t.Errorf("with a token for both: %d", status)
	}
	project, _, err := r.Project(t.Context(), "public")
	must(t, err)
	_, err = r.people.AddMember(t.Context(), project, auth.Principal{ID: "d/none", Kind: auth.User}, role.Developer)
	must(t, err)
	stranger := r.bearer("none", "repository:public/b:pull,push", "repository:private/a:pull")
	for _, from := range []string{"private/a", "private/nothing", ""} {
		if status, challenge := mount("public/b", stranger, from); status != 202 || challenge != "" {
			t.Errorf("a stranger to the source, from %q: %d %s", from, status, challenge)
		}
	}
}
