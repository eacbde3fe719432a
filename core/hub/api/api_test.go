package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"

	"github.com/go-jose/go-jose/v4"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/admission"
	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/browser"
	"github.com/openvic/vic/core/hub/clisecret"
	"github.com/openvic/vic/core/hub/cveallow"
	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/gc"
	"github.com/openvic/vic/core/hub/immutable"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/labels"
	"github.com/openvic/vic/core/hub/notary"
	"github.com/openvic/vic/core/hub/people"
	"github.com/openvic/vic/core/hub/provision"
	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/hub/replication"
	"github.com/openvic/vic/core/hub/retention"
	"github.com/openvic/vic/core/hub/robots"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/hub/seal"
	"github.com/openvic/vic/core/hub/session"
	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/core/hub/signin"
	"github.com/openvic/vic/core/hub/systemlog"
	"github.com/openvic/vic/core/hub/trust"
	"github.com/openvic/vic/core/hub/vchs"
	"github.com/openvic/vic/core/hub/webhook"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/outbound"
	"github.com/openvic/vic/sdk/scan"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const (
	password  = "right"
	manifest  = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	indexType = "application/vnd.oci.image.index.v1+json"
)

// rig is an API over one identity source with one user a role, and the projects "private" and "public", in each of
// which the users have their roles and a repository "app" holds an artifact with the tag "1".
type rig struct {
	t        *testing.T
	url      string
	db       *store.Store
	people   *people.People
	registry *registry.Registry
	robots   *robots.Robots
	jobs     *jobs.Queue
	hooks    *webhook.Hooks
	source   *auth.Fake
	health   map[string]error
	logs     *systemlog.Log

	registries *registries.Registries
	fleet      *fleet.Fleet
	provisions *provision.Provisions
	scanner    *scan.Fake
	scanning   *scanning.Service
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// policies is the registry's Policy, as the hub has it.
type policies struct{ *immutable.Rules }

func (p policies) Immutable(ctx context.Context, tx *store.Tx, x registry.Artifact, tag string) (bool, error) {
	return p.Rules.Immutable(ctx, tx, x.Repository, tag)
}
func (policies) MayPull(context.Context, registry.Caller, registry.Artifact, string) error {
	return nil
}
func (policies) Untagged(context.Context, string) (time.Duration, error) { return -1, nil }

// unsigned signs nothing: how answers are signed is tested where the keys are.
type unsigned struct{}

func (unsigned) Sign(_ context.Context, _ string, _ any, life time.Duration) (string, time.Time, error) {
	return "unsigned", time.Now().Add(life), nil
}

// open is an Authorizer that lets everybody do everything: what the registry allows is tested elsewhere.
type open struct{}

func (open) Authenticate(*http.Request) (registry.Caller, error) { return remover{"tester"}, nil }
func (open) Challenge(*http.Request, []registry.Access) string   { return "" }
func (r *rig) Project(ctx context.Context, name string) (int64, bool, error) {
	p, err := r.registry.FindProject(ctx, r.db, name)
	return p.ID, p.Public, err
}

func newRig(t *testing.T, url string) *rig {
	t.Helper()
	r := &rig{t: t, source: auth.NewFake("d"), health: map[string]error{"core": nil}}
	r.db = storetest.Open(t, url, registry.Schema(), people.Schema(), audit.Schema(), robots.Schema(), session.Schema(), clisecret.Schema(), vchs.Schema(),
		jobs.Schema(), webhook.Schema(), immutable.Schema(), labels.Schema(), registries.Schema(), retention.Schema(), settings.Schema(), provision.Schema(),
		cveallow.Schema(), trust.Schema(), notary.Schema(), scanning.Schema(), replication.Schema())
	r.people = people.New(r.db, nil, clisecret.Forget)
	sealer, err := seal.Open(filepath.Join(t.TempDir(), "seal.key"))
	must(t, err)
	log := slog.New(slog.DiscardHandler)
	sign := signin.New(signin.Options{People: r.people, Sealer: sealer, Limiter: access.NewLimiter(access.LimitOptions{}), Log: log,
		Sources: func() []signin.Source {
			return []signin.Source{{Name: "fake", Driver: r.source, Capabilities: r.source.Capabilities}}
		}})
	rules := immutable.New(r.db)
	policy, err := outbound.New([]string{"127.0.0.1"}, nil)
	must(t, err)
	r.registries = registries.New(r.db, sealer, policy, nil)
	set := settings.New(r.db, nil)
	r.registry, err = registry.New(t.Context(), r.db, inmemory.New(), registry.Options{Authorizer: open{}, Policy: policies{rules}, Log: log,
		Upstreams: r.registries, ReadOnly: set.ReadOnly})
	must(t, err)
	r.logs = systemlog.New(systemlog.DefaultSize)
	trusted := trust.NewKeys(r.db, nil)
	limiter := access.NewLimiter(access.LimitOptions{})
	r.robots = robots.New(r.db, limiter, log, nil)
	secrets, sessions := clisecret.New(r.db, sign, limiter, log, nil), session.New(r.db, session.Options{Log: log})
	browsers := browser.New(browser.Options{Signer: sign, Sessions: sessions, Sealer: sealer, Log: log})
	r.hooks = webhook.New(webhook.Options{DB: r.db, Sealer: sealer, Log: log, Queue: func() *jobs.Queue { return r.jobs }, Outbound: policy})
	tags, keeps := labels.New(r.db, nil), retention.New(r.db, nil)
	reg := func() *registry.Registry { return r.registry }
	hosts := vchs.New(r.db, sealer, nil)
	r.fleet = fleet.New(fleet.Options{VCHs: hosts, Log: log})
	r.provisions = provision.New(provision.Options{DB: r.db, Sealer: sealer, Fleet: r.fleet, VCHs: hosts, Queue: func() *jobs.Queue { return r.jobs }, Log: log,
		Token: func(context.Context, string, string) (string, error) { return "", nil }})
	copies := replication.New(replication.Options{DB: r.db, Sealer: sealer, Queue: func() *jobs.Queue { return r.jobs }, Registry: reg, Labels: tags, Hooks: r.hooks,
		Registries: func() *registries.Registries { return r.registries }, Outbound: policy, Drivers: func() []replication.Driver { return nil }})
	r.registries.Connect(copies, replication.Uses)
	r.scanner = scan.NewFake()
	r.scanning = scanning.New(scanning.Options{DB: r.db, Settings: set, Queue: func() *jobs.Queue { return r.jobs }, Registry: reg,
		Scanners: func() []scanning.Scanner {
			return []scanning.Scanner{{Name: "osv", Driver: r.scanner, Capabilities: scan.Capabilities()}}
		}})
	r.jobs = jobs.New(r.db, jobs.Options{Log: log, Kinds: append(r.scanning.Jobs(), copies.Jobs(), r.provisions.Jobs(), gc.Jobs(reg), r.hooks.Jobs(),
		retention.Parts{DB: r.db, Policies: keeps, Labels: tags, Immutable: rules, Registry: reg}.Jobs())})
	mux := http.NewServeMux()
	mux.Handle("/v2/", r.registry)
	mux.Handle(Prefix+"/", New(Options{Authority: &authz.Authority{Signer: sign, Roles: r.people, Projects: r, Robots: r.robots, Secrets: secrets}, People: r.people,
		Identities: sign, Registry: r.registry, Registries: r.registries, Settings: set, Scanning: r.scanning,
		Answers:  &admission.Answers{Admission: admission.New(r.db, set), Signer: unsigned{}},
		Keys:     func(context.Context) (jose.JSONWebKeySet, error) { return jose.JSONWebKeySet{}, nil },
		Browsers: browsers, Sessions: sessions, Secrets: secrets,
		TrustKeys: trusted, Trust: trust.NewVerifier(trusted, func() trust.Images { return r.registry }, nil),
		Immutable: rules, Labels: tags, Retention: keeps, Allowlists: cveallow.New(r.db, nil),
		DB: r.db, Robots: r.robots, VCHs: hosts, Replication: copies, Fleet: r.fleet, Provisions: r.provisions, Jobs: r.jobs, Webhooks: r.hooks,
		Support: NewSupport(r.logs, r.bundle), Version: "1.2.3", Hosts: []string{"hub.example.com"}, Log: log, Audit: audit.New(r.db, log, nil),
		Health: func(context.Context) map[string]error { return r.health }}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r.url = server.URL
	for name, public := range map[string]bool{"private": false, "public": true} {
		must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := r.registry.CreateProject(tx, registry.Project{Name: name, Public: public, Quota: -1, RepoQuota: -1})
			return err
		}))
		if status, _, body := r.do("", "PUT", "/v2/"+name+"/app/manifests/1", indexType, manifest); status != 201 {
			t.Fatalf("%d %s", status, body)
		}
	}
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

// do sends a request as a user, or as nobody.
func (r *rig) do(user, method, path, contentType, body string) (int, http.Header, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	must(r.t, err)
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	if body != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	must(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(r.t, err)
	checkAnswer(r.t, req, res, b)
	return res.StatusCode, res.Header, string(b)
}

// api sends one below Prefix with a JSON body, and reads the answer into v if it is not nil.
func (r *rig) api(user, method, path, body string, want int, v any) http.Header {
	r.t.Helper()
	status, header, text := r.do(user, method, Prefix+path, "application/json", body)
	if status != want {
		r.t.Errorf("%s %s as %q: %d %s, want %d", method, path, user, status, text, want)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			r.t.Errorf("%s %s: %v in %s", method, path, err, text)
		}
	}
	if status >= 400 && method != "HEAD" && !strings.HasPrefix(text, `{"errors":[{"code":"`) {
		r.t.Errorf("%s %s: an error that is not Harbor's: %s", method, path, text)
	}
	return header
}

// TestEveryRoleOnEveryRoute asks for each route as each role and as nobody, in a private and in a public project. The
// table of package role says what must come.
func TestEveryRoleOnEveryRoute(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	users := []string{""}
	for x := role.None; x <= role.CloudAdmin; x++ {
		users = append(users, x.String())
	}
	cases := 0
	for _, rt := range routes() {
		for _, project := range []string{"private", "public"} {
			if !strings.Contains(rt.path, "{project}") && project == "public" {
				continue
			}
			path := strings.NewReplacer("{project}", project, "{member}", "999", "{quota}", "999", "{user}", "999", "{robot}", "999", "{vch}", "999",
				"{name}", "c1", "{provision}", "999", "{label}", "999", "{rule}", "999", "{addition}", "build_history", "{principal...}", "d/nobody", "{gc}", "999", "{purge}", "999", "{registry}", "999",
				"{policy}", "999", "{retention}", "999", "{metadata}", "severity", "{group}", "999", "{execution}", "999", "{task}", "999", "{format}", "csv",
				"{repository}", "nothing", "{reference}", "1", "{tag}", "1").Replace(rt.path)
			for i, user := range users {
				cases++
				want := role.Allowed
				switch {
				case rt.signed && user == "":
					want = role.SignIn
				case rt.needs != 0:
					want = role.Ask(role.Subject{Known: user != "", Role: role.Role(i - 1)}, rt.needs, project == "public")
				}
				body := ""
				if rt.method == "POST" || rt.method == "PUT" {
					body = "[]" // which no handler takes: nothing changes
				}
				status, header, text := r.do(user, rt.method, Prefix+path, "application/json", body)
				got := map[int]role.Answer{401: role.SignIn, 403: role.Forbidden}[status]
				if status == 404 && want == role.Hidden {
					got = role.Hidden
				}
				if got != want || status >= 500 {
					t.Errorf("%s %s as %q: %d %s, want %v", rt.method, path, user, status, text, want)
				}
				if status == 401 && header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s %s: 401 without a challenge", rt.method, path)
				}
			}
		}
	}
	t.Logf("%d routes, %d cases", len(routes()), cases)
}

// What a stranger is told of a private project is what they are told of one that is not there.
func TestPrivateProjectsAreNotTold(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	for _, rt := range routes() {
		if !strings.Contains(rt.path, "{project}") {
			continue
		}
		ask := func(project string) string {
			path := strings.NewReplacer("{project}", project, "{member}", "1", "{repository}", "app", "{reference}", "1", "{tag}", "1", "{policy}", "1", "{vch}", "1", "{name}", "c1", "{provision}", "1", "{rule}", "1",
				"{execution}", "1", "{task}", "1", "{format}", "csv").Replace(rt.path)
			body := ""
			if rt.method == "POST" || rt.method == "PUT" {
				body = "{}"
			}
			status, _, text := r.do("none", rt.method, Prefix+path, "application/json", body)
			return fmt.Sprint(status, " ", strings.ReplaceAll(text, project, "PROJECT"))
		}
		if a, b := ask("private"), ask("nothing"); a != b {
			t.Errorf("%s %s: %s for a private one, %s for none", rt.method, rt.path, a, b)
		}
	}
}

func TestTheLifeOfAProject(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		kind := t.Name()[strings.LastIndex(t.Name(), "/")+1:]
		r := newRig(t, storetest.URL(t, kind))
		admin, devops := "cloud-admin", "devops-admin"
		header := r.api(admin, "POST", "/projects", `{"project_name":"shop","metadata":{"public":"false"},"storage_limit":1000000,"devops_admin":"d/devops-admin"}`, 201, nil)
		at := strings.TrimPrefix(header.Get("Location"), Prefix)
		r.api(admin, "POST", "/projects", `{"project_name":"shop"}`, 409, nil)
		r.api(admin, "POST", "/projects", `{"project_name":"Shop!"}`, 400, nil)
		r.api(admin, "POST", "/projects", `{"project_name":"x","devops_admin":"d/who"}`, 400, nil)
		var p project
		r.api(devops, "GET", at, "", 200, &p)
		if p.Name != "shop" || p.Role != harborProjectAdminID || p.Metadata["public"] != "false" {
			t.Errorf("%+v", p)
		}
		r.api("none", "GET", "/projects/shop", "", 404, nil)
		r.api("none", "HEAD", "/projects?project_name=shop", "", 404, nil)
		r.api(devops, "HEAD", "/projects?project_name=shop", "", 200, nil)
		r.api(devops, "PUT", "/projects/shop", `{"metadata":{"public":"true"}}`, 200, nil)
		r.api("none", "GET", "/projects/shop", "", 200, nil)
		r.api(devops, "PUT", "/projects/shop", `{"storage_limit":-1}`, 403, nil)
		r.api(admin, "PUT", "/projects/shop", `{"storage_limit":-1}`, 200, nil)
		r.api(devops, "PUT", "/projects/shop", `{"project_name":"store"}`, 400, nil)
		r.api(devops, "PUT", "/projects/shop", `{"public":false}`, 200, nil)

		// Members: by name, by group, changed, taken away.
		must(t, r.source.Save(t.Context(), auth.SaveRequest{Principal: auth.Principal{ID: "d/testers", Kind: auth.Group, Name: "testers"}}))
		header = r.api(devops, "POST", "/projects/shop/members", `{"role_id":3,"member_user":{"username":"none"}}`, 201, nil)
		member := strings.TrimPrefix(header.Get("Location"), Prefix)
		r.api("none", "GET", "/projects/shop", "", 200, nil)
		r.api("none", "GET", "/projects/shop/members", "", 200, nil)
		r.api("none", "POST", "/projects/shop/members", `{"role_id":3,"member_user":{"username":"viewer"}}`, 403, nil)
		r.api(devops, "POST", "/projects/shop/members", `{"role_id":2,"member_group":{"group_name":"testers"}}`, 201, nil)
		r.api(devops, "POST", "/projects/shop/members", `{"role_id":3,"member_user":{"username":"none"}}`, 409, nil)
		r.api(devops, "POST", "/projects/shop/members", `{"role_id":9,"member_user":{"username":"viewer"}}`, 400, nil)
		r.api(devops, "POST", "/projects/shop/members", `{"role_id":3}`, 400, nil)
		r.api(devops, "PUT", member, `{"role_id":1}`, 200, nil)
		r.api("none", "PUT", "/projects/shop", `{"public":false}`, 200, nil)
		var members []memberJSON
		header = r.api(devops, "GET", "/projects/shop/members?entityname=TEST", "", 200, &members)
		if len(members) != 1 || members[0].EntityType != "g" || members[0].RoleID != 2 || header.Get("X-Total-Count") != "1" {
			t.Errorf("%+v", members)
		}
		r.api(devops, "DELETE", member, "", 200, nil)
		r.api("none", "GET", "/projects/shop", "", 404, nil)
		r.api(devops, "DELETE", member, "", 404, nil)

		// Quotas, and the end.
		var quotas []projectQuota
		r.api(admin, "GET", "/quotas?page_size=100", "", 200, &quotas)
		i := slices.IndexFunc(quotas, func(q projectQuota) bool { return q.Ref.Name == "shop" })
		if i < 0 || quotas[i].Hard.Storage != -1 {
			t.Fatalf("%+v", quotas)
		}
		r.api(admin, "PUT", fmt.Sprintf("/quotas/%d", quotas[i].ID), `{"hard":{"storage":1,"repositories":5}}`, 200, nil)
		r.api(admin, "PUT", fmt.Sprintf("/quotas/%d", quotas[i].ID), `{"hard":{"cpu":1}}`, 400, nil)
		if status, _, body := r.do("", "PUT", "/v2/shop/app/manifests/1", indexType, manifest); status != 403 {
			t.Errorf("a push over the quota: %d %s", status, body)
		}
		r.api(admin, "PUT", fmt.Sprintf("/quotas/%d", quotas[i].ID), `{"hard":{"storage":-1}}`, 200, nil)
		if status, _, body := r.do("", "PUT", "/v2/shop/app/manifests/1", indexType, manifest); status != 201 {
			t.Errorf("a push within the quota: %d %s", status, body)
		}
		var deletable struct{ Deletable bool }
		r.api(admin, "GET", "/projects/shop/_deletable", "", 200, &deletable)
		r.api(admin, "DELETE", "/projects/shop", "", 412, nil)
		r.api(devops, "DELETE", "/projects/shop/repositories/app", "", 200, nil)
		if deletable.Deletable {
			t.Error("deletable with a repository in it")
		}
		// What was in it may go at once, and leaves nothing that nobody names.
		r.api(admin, "GET", "/projects/shop/_deletable", "", 200, &deletable)
		r.api(admin, "DELETE", "/projects/shop", "", 200, nil)
		r.api(admin, "GET", "/projects/shop", "", 404, nil)
		if h, err := r.registry.Fsck(t.Context(), registry.FsckOptions{}); err != nil || len(h.First) != 0 || !deletable.Deletable {
			t.Errorf("%+v %v", h, err)
		}
	})
}

// harborProjectAdminID is Harbor's number of a project administrator.
const harborProjectAdminID = 1

type memberJSON struct {
	EntityType string `json:"entity_type"`
	RoleID     int    `json:"role_id"`
}

func TestProjectsAreListedForWhoMaySeeThem(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		kind := t.Name()[strings.LastIndex(t.Name(), "/")+1:]
		r := newRig(t, storetest.URL(t, kind))
		for user, want := range map[string]int{"": 1, "none": 1, "viewer": 2, "developer": 2, "cloud-admin": 2} {
			var list []project
			header := r.api(user, "GET", "/projects", "", 200, &list)
			if len(list) != want || header.Get("X-Total-Count") != fmt.Sprint(want) {
				t.Errorf("%q sees %d projects, want %d", user, len(list), want)
			}
			if user == "" {
				continue
			}
			var n map[string]int64
			r.api(user, "GET", "/statistics", "", 200, &n)
			if n["total_project_count"] != int64(want) || n["public_repo_count"] != 1 || n["private_repo_count"] != int64(want-1) {
				t.Errorf("%q: %v", user, n)
			}
		}
		for query, want := range map[string]int{"?name=riv": 1, "?q=name=~pub": 1, "?q=public=true": 1, "?public=false": 1, "?name=%25": 0, "?name=_": 0,
			"?page_size=1": 1, "?page=2&page_size=1": 1, "?page=3&page_size=1": 0} {
			var list []project
			r.api("cloud-admin", "GET", "/projects"+query, "", 200, &list)
			if len(list) != want {
				t.Errorf("%s: %d projects, want %d", query, len(list), want)
			}
		}
		header := r.api("cloud-admin", "GET", "/projects?page_size=1&page=1&name=p", "", 200, nil)
		if l := header.Get("Link"); l != `</api/v2.0/projects?name=p&page=2&page_size=1>; rel="next"` {
			t.Errorf("Link: %s", l)
		}
		for _, bad := range []string{"?page=0", "?page_size=101", "?page=x", "?q=owner=1", "?q=x", "?public=maybe", "?page=99999999",
			"?q=" + strings.Repeat("a", 2000)} {
			r.api("cloud-admin", "GET", "/projects"+bad, "", 400, nil)
		}
	})
}

func TestRepositoriesAndArtifacts(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	if status, _, body := r.do("", "PUT", "/v2/private/team/web/manifests/v1", indexType, manifest); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	_, _, _ = r.do("", "PUT", "/v2/private/team/web/manifests/v2", indexType, manifest)
	var repos []repositoryForm
	r.api("viewer", "GET", "/projects/private/repositories?q=name=~team", "", 200, &repos)
	if len(repos) != 1 || repos[0].Name != "private/team/web" || repos[0].Artifacts != 1 {
		t.Errorf("%+v", repos)
	}
	for _, name := range []string{"team%2Fweb", "team%252Fweb"} { // as Harbor's clients escape it
		var list []artifactForm
		r.api("viewer", "GET", "/projects/private/repositories/"+name+"/artifacts", "", 200, &list)
		if len(list) != 1 || len(list[0].Tags) != 2 || !strings.HasPrefix(list[0].Digest, "sha256:") || list[0].Type != "IMAGE" {
			t.Errorf("%s: %+v", name, list)
		}
	}
	at := "/projects/private/repositories/team%2Fweb/artifacts/"
	var one artifactForm
	r.api("viewer", "GET", at+"v1", "", 200, &one)
	r.api("viewer", "GET", at+one.Digest, "", 200, nil)
	r.api("viewer", "GET", at+"nothing", "", 404, nil)
	referrer := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","artifactType":"application/vnd.example","manifests":[],
		"subject":{"mediaType":%q,"digest":%q,"size":%d}}`, indexType, one.Digest, len(manifest))
	if status, _, body := r.do("", "PUT", "/v2/private/team/web/manifests/about", indexType, referrer); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	var about []accessoryForm
	r.api("viewer", "GET", at+"v1/accessories", "", 200, &about)
	if len(about) != 1 || about[0].ArtifactType != "application/vnd.example" {
		t.Errorf("%+v", about)
	}
	var tags []tagForm
	header := r.api("viewer", "GET", at+"v1/tags?page_size=1", "", 200, &tags)
	if len(tags) != 1 || header.Get("X-Total-Count") != "2" {
		t.Errorf("%+v", tags)
	}
	r.api("developer", "DELETE", at+"v1/tags/v1", "", 403, nil)
	r.api("devops-admin", "DELETE", at+"v1/tags/v2x", "", 404, nil)
	r.api("devops-admin", "DELETE", at+"v1/tags/v1", "", 200, nil)
	r.api("viewer", "GET", at+"v1", "", 404, nil)
	r.api("viewer", "GET", at+"v2", "", 200, nil) // the other tag of the same digest stays
	r.api("devops-admin", "DELETE", at+"v2", "", 200, nil)
	r.api("viewer", "GET", at+one.Digest, "", 404, nil)
	r.api("devops-admin", "DELETE", "/projects/private/repositories/team%2Fweb", "", 200, nil)
	r.api("viewer", "GET", "/projects/private/repositories/nothing", "", 404, nil)
}

func TestUsersAndCloudAdministrators(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	var u user
	r.api("developer", "GET", "/users/current", "", 200, &u)
	if u.Name != "developer" || u.SysAdmin || u.ID == 0 || u.Principal != "d/developer" {
		t.Errorf("%+v", u)
	}
	r.api("cloud-admin", "GET", "/users/current", "", 200, &u)
	if !u.SysAdmin {
		t.Errorf("%+v", u)
	}
	var found []user
	r.api("devops-admin", "GET", "/users/search?username=view", "", 200, &found)
	if len(found) != 1 || found[0].Principal != "d/viewer" {
		t.Errorf("%+v", found)
	}
	r.api("devops-admin", "GET", "/users/search", "", 400, nil)
	r.api("cloud-admin", "GET", fmt.Sprintf("/users/%d", u.ID), "", 200, nil)
	var list []user
	r.api("cloud-admin", "GET", "/users?page_size=100", "", 200, &list)
	if len(list) < 2 {
		t.Errorf("%+v", list)
	}
	r.api("cloud-admin", "DELETE", "/cloud-admins/d/cloud-admin", "", 409, nil) // the last one
	r.api("cloud-admin", "POST", "/cloud-admins", `{"principal":"d/viewer"}`, 201, nil)
	r.api("cloud-admin", "POST", "/cloud-admins", `{"principal":"d/viewer"}`, 409, nil)
	r.api("viewer", "GET", "/cloud-admins", "", 200, nil)
	r.api("viewer", "DELETE", "/cloud-admins/d/cloud-admin", "", 200, nil)
	r.api("cloud-admin", "GET", "/cloud-admins", "", 403, nil)
}

func TestUsersOfTheHubsOwn(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	header := r.api("cloud-admin", "POST", "/users", `{"username":"New","password":"right","realname":"New One"}`, 201, nil)
	at := strings.TrimPrefix(header.Get("Location"), Prefix)
	r.api("cloud-admin", "POST", "/users", `{"username":"new","password":"other"}`, 409, nil)
	r.api("cloud-admin", "POST", "/users", `{"username":"x","password":"abc"}`, 400, nil) // the source's rule
	r.api("cloud-admin", "POST", "/users", `{"username":"x"}`, 400, nil)
	var u user
	r.api("new", "GET", "/users/current", "", 200, &u)
	if at != fmt.Sprintf("/users/%d", u.ID) || u.Principal != "d/new" || u.RealName != "New One" {
		t.Errorf("%s %+v", at, u)
	}
	r.api("new", "PUT", at+"/password", `{"old_password":"wrong","new_password":"better"}`, 403, nil)
	r.api("viewer", "PUT", at+"/password", `{"old_password":"right","new_password":"better"}`, 403, nil)
	r.api("viewer", "PUT", "/users/9999/password", `{"new_password":"better"}`, 403, nil)
	r.api("cloud-admin", "PUT", "/users/9999/password", `{"new_password":"better"}`, 404, nil)
	r.api("new", "PUT", at+"/password", `{"old_password":"right","new_password":"better"}`, 200, nil)
	r.api("new", "GET", "/users/current", "", 401, nil)
	r.api("cloud-admin", "PUT", at+"/password", `{"new_password":"right"}`, 200, nil)
	r.api("new", "GET", "/users/current", "", 200, nil)
	r.api("new", "DELETE", at, "", 403, nil)
	r.api("cloud-admin", "DELETE", at, "", 200, nil)
	r.api("new", "GET", "/users/current", "", 401, nil)
	r.api("cloud-admin", "GET", "/users/current", "", 200, &u)
	r.api("cloud-admin", "DELETE", fmt.Sprintf("/users/%d", u.ID), "", 403, nil) // their own
}

func TestWhatAClientIsTold(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	if status, _, body := r.do("", "GET", Prefix+"/ping", "", ""); status != 200 || body != "Pong" {
		t.Errorf("%d %s", status, body)
	}
	r.health["plugin vsphere"] = fmt.Errorf("password hunter2 is wrong")
	_, _, body := r.do("", "GET", Prefix+"/health", "", "")
	if !strings.Contains(body, `"status":"unhealthy"`) || strings.Contains(body, "hunter2") {
		t.Error(body)
	}
	var info map[string]any
	r.api("", "GET", "/systeminfo", "", 200, &info)
	if info["harbor_version"] != nil || info["registry_url"] == "" {
		t.Errorf("%v", info)
	}
	r.api("viewer", "GET", "/systeminfo", "", 200, &info)
	if info["harbor_version"] != "1.2.3" {
		t.Errorf("%v", info)
	}
	r.api("", "GET", "/systeminfo/getcert", "", 404, nil)
	r.api("", "GET", "/nothing", "", 404, nil)
	r.api("", "DELETE", "/ping", "", 405, nil)
	r.api("cloud-admin", "POST", "/projects", "{", 400, nil)
	r.api("cloud-admin", "POST", "/projects", `{"project_name":"`+strings.Repeat("x", maxBody)+`"}`, 413, nil)
	if status, _, body := r.do("cloud-admin", "POST", Prefix+"/projects", "text/plain", "{}"); status != 415 || !strings.Contains(body, "application/json") {
		t.Errorf("%d %s", status, body)
	}
	if status, _, _ := r.do("eve", "GET", Prefix+"/projects", "", ""); status != 401 {
		t.Errorf("a wrong password: %d", status)
	}
}

func TestWhatChangesIsInTheLog(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	r.api("devops-admin", "PUT", "/projects/private", `{"public":true}`, 200, nil)
	r.api("viewer", "PUT", "/projects/private", `{"public":false}`, 403, nil)
	r.api("cloud-admin", "POST", "/projects", `{"project_name":"new"}`, 201, nil)
	r.api("", "DELETE", "/projects/private", "", 401, nil) // a stranger's tries are not kept
	var list []line
	header := r.api("devops-admin", "GET", "/projects/private/logs", "", 200, &list)
	if len(list) != 2 || header.Get("X-Total-Count") != "2" || list[0].User != "viewer" || list[0].Outcome != 403 || list[1].Operation != "update" ||
		list[1].Type != "project" || list[1].Address != "127.0.0.1" {
		t.Errorf("%+v", list)
	}
	for query, want := range map[string]int{"": 3, "?q=operation=create": 1, "?q=username=~DEVOPS": 1, "?q=op_time=[2020-01-01~]": 3,
		"?q=op_time=[~2020-01-01 10:00:00]":     0,
		"?q=resource=~private,operation=update": 2, "?q=resource_type=member": 0} {
		r.api("cloud-admin", "GET", "/audit-logs"+strings.ReplaceAll(query, " ", "%20"), "", 200, &list)
		if len(list) != want {
			t.Errorf("%s: %d lines, want %d", query, len(list), want)
		}
	}
	for _, bad := range []string{"?q=op_time=x", "?q=op_time=[a~b]", "?q=color=red"} {
		r.api("cloud-admin", "GET", "/audit-logs"+bad, "", 400, nil)
	}
}
