package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// robotBody is what Harbor's clients send to make a robot of a project; access is "resource:action ...".
func robotBody(name, project, access string) string {
	return fmt.Sprintf(`{"name":%q,"level":"project","duration":-1,"permissions":[{"kind":"project","namespace":%q,"access":[%s]}]}`, name, project,
		accessJSON(access))
}

func accessJSON(access string) string {
	var all []string
	for pair := range strings.FieldsSeq(access) {
		resource, action, _ := strings.Cut(pair, ":")
		all = append(all, fmt.Sprintf(`{"resource":%q,"action":%q}`, resource, action))
	}
	return strings.Join(all, ",")
}

// status asks as a robot.
func (r *rig) status(m robotMade, method, path string) int {
	r.t.Helper()
	return r.send(m, method, path, "")
}

// send asks as a robot with a JSON body, if that is not "".
func (r *rig) send(m robotMade, method, path, body string) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+Prefix+path, strings.NewReader(body))
	must(r.t, err)
	req.SetBasicAuth(m.Name, m.Secret)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	must(r.t, err)
	must(r.t, res.Body.Close())
	return res.StatusCode
}

func (r *rig) number(project string) int64 {
	r.t.Helper()
	id, _, err := r.Project(r.t.Context(), project)
	must(r.t, err)
	return id
}

func TestTheRobotOfAProject(t *testing.T) {
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		r := newRig(t, storetest.URL(t, t.Name()[strings.LastIndex(t.Name(), "/")+1:]))
		devops := "devops-admin"
		var made robotMade
		header := r.api(devops, "POST", "/robots", robotBody("ci", "private", "repository:list log:list"), 201, &made)
		at := strings.TrimPrefix(header.Get("Location"), Prefix)
		if made.Name != "robot$private+ci" || len(made.Secret) != 43 || made.Expires != -1 || at != fmt.Sprintf("/robots/%d", made.ID) {
			t.Errorf("%+v %s", made, at)
		}
		r.api(devops, "POST", "/robots", robotBody("ci", "private", "repository:list"), 409, nil)
		for path, want := range map[string]int{"/projects/private/repositories": 200, "/projects/private/logs": 200, "/projects/private/members": 403,
			"/users/current": 200, "/quotas": 403, "/robots": 403, at: 403} {
			if got := r.status(made, "GET", path); got != want {
				t.Errorf("the robot asks for %s: %d, want %d", path, got, want)
			}
		}
		var one robotForm
		r.api(devops, "GET", at, "", 200, &one)
		if one.Level != "project" || one.Creator != devops || one.LastUsed == "" || len(one.Permissions) != 1 ||
			one.Permissions[0].Namespace != "private" || len(one.Permissions[0].Access) != 2 {
			t.Errorf("%+v", one)
		}
		var list []robotForm
		header = r.api(devops, "GET", fmt.Sprintf("/robots?q=Level=project,ProjectID=%d", r.number("private")), "", 200, &list)
		if len(list) != 1 || list[0].ID != made.ID || header.Get("X-Total-Count") != "1" {
			t.Errorf("%+v", list)
		}
		_, _, text := r.do(devops, "GET", Prefix+at, "", "")
		if strings.Contains(text, made.Secret) || strings.Contains(text, "secret") {
			t.Errorf("the secret is shown again: %s", text)
		}
		// Each change counts at the next request.
		body := robotBody("ci", "private", "repository:list")
		r.api(devops, "PUT", at, body, 200, nil)
		if got := r.status(made, "GET", "/projects/private/logs"); got != 403 {
			t.Errorf("after it was taken away: %d", got)
		}
		r.api(devops, "PUT", at, strings.Replace(body, `"duration"`, `"disable":true,"duration"`, 1), 200, nil)
		if got := r.status(made, "GET", "/projects/private/repositories"); got != 401 {
			t.Errorf("disabled: %d", got)
		}
		r.api(devops, "PUT", at, body, 200, nil)
		var fresh struct{ Secret string }
		r.api(devops, "PATCH", at, `{"secret":""}`, 200, &fresh)
		if got := r.status(made, "GET", "/projects/private/repositories"); got != 401 {
			t.Errorf("the old secret: %d", got)
		}
		made.Secret = fresh.Secret
		if got := r.status(made, "GET", "/projects/private/repositories"); got != 200 {
			t.Errorf("the new secret: %d", got)
		}
		r.api(devops, "PUT", at, strings.Replace(body, `"ci"`, `"cd"`, 1), 400, nil)
		r.api(devops, "PATCH", at, `{"secret":"Harbor12345"}`, 400, nil)
		var lines []line
		r.api("cloud-admin", "GET", "/audit-logs?q=resource_type=robot,operation=create", "", 200, &lines)
		if len(lines) != 2 || lines[1].User != devops || lines[1].Outcome != 201 {
			t.Errorf("%+v", lines)
		}
		r.api(devops, "DELETE", at, "", 200, nil)
		if got := r.status(made, "GET", "/projects/public"); got != 401 {
			t.Errorf("gone: %d", got)
		}
		r.api("cloud-admin", "DELETE", at, "", 404, nil)
	})
}

// TestEveryRoleOnTheRobotsOfAProject is what the test of all routes does not try: robots have no project in their path.
func TestEveryRoleOnTheRobotsOfAProject(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	var made robotMade
	header := r.api("cloud-admin", "POST", "/robots", robotBody("ci", "private", "repository:pull"), 201, &made)
	at := strings.TrimPrefix(header.Get("Location"), Prefix)
	for x := role.None; x <= role.CloudAdmin; x++ {
		may, hidden := x >= role.DevOpsAdmin, x == role.None
		want := func(ok int, no int) int {
			if may {
				return ok
			}
			return no
		}
		outside := 403
		if hidden {
			outside = 404 // as for a project that is not there
		}
		user := x.String()
		list := fmt.Sprintf("/robots?q=Level=project,ProjectID=%d", r.number("private"))
		r.api(user, "GET", list, "", want(200, outside), nil)
		r.api(user, "GET", "/robots?q=Level=project,ProjectID=999", "", 404, nil)
		r.api(user, "POST", "/robots", robotBody("x-"+user, "private", "repository:pull"), want(201, outside), nil)
		r.api(user, "POST", "/robots", robotBody("x", "nothing", "repository:pull"), 404, nil)
		r.api(user, "GET", at, "", want(200, 403), nil)
		r.api(user, "PUT", at, robotBody("ci", "private", "repository:pull"), want(200, 403), nil)
		r.api(user, "PATCH", at, `{}`, want(200, 403), nil)
		// One that is not there is told as one that they may not see.
		if !may {
			r.api(user, "GET", "/robots/999", "", 403, nil)
			r.api(user, "DELETE", at, "", 403, nil)
		}
	}
	// The DevOps administrator of one project has nothing to say in another.
	r.api("cloud-admin", "POST", "/projects", `{"project_name":"other"}`, 201, nil)
	header = r.api("cloud-admin", "POST", "/robots", robotBody("ci", "other", "repository:pull"), 201, &made)
	other := strings.TrimPrefix(header.Get("Location"), Prefix)
	r.api("devops-admin", "DELETE", other, "", 403, nil)
	r.api("devops-admin", "POST", "/robots", robotBody("x", "other", "repository:pull"), 404, nil)
	// The project goes, and its robot with it.
	r.api("cloud-admin", "DELETE", "/projects/other", "", 200, nil)
	r.api("cloud-admin", "GET", other, "", 404, nil)
	if got := r.status(made, "GET", "/projects/public"); got != 401 {
		t.Errorf("the robot of a project that is gone: %d", got)
	}
}

func TestRobotsOfTheWholeHub(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	body := `{"name":"exporter","level":"system","duration":7,"permissions":[{"kind":"system","namespace":"/","access":[` +
		accessJSON("quota:manage system-robot:manage") +
		`]},{"kind":"project","namespace":"*","access":[` + accessJSON("repository:list") + `]}]}`
	var made robotMade
	r.api("devops-admin", "POST", "/robots", body, 403, nil)
	r.api("cloud-admin", "POST", "/robots", body, 201, &made)
	for path, want := range map[string]int{"/quotas": 200, "/robots": 200, "/projects/private/repositories": 200, "/projects/private/members": 403,
		"/audit-logs": 403} {
		if got := r.status(made, "GET", path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	var list []robotForm
	r.api("cloud-admin", "GET", "/robots?q=Level=system,name=~export", "", 200, &list)
	if len(list) != 1 || list[0].Level != "system" || len(list[0].Permissions) != 2 || list[0].Duration != 7 || list[0].Expires < 1 {
		t.Errorf("%+v", list)
	}
	// A robot makes robots, but of its own kind and no mightier.
	ask := func(level, kind, namespace, access string) int {
		req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+Prefix+"/robots", strings.NewReader(fmt.Sprintf(
			`{"name":"child","level":%q,"duration":1,"permissions":[{"kind":%q,"namespace":%q,"access":[%s]}]}`, level, kind, namespace, accessJSON(access))))
		must(t, err)
		req.SetBasicAuth(made.Name, made.Secret)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultTransport.RoundTrip(req)
		must(t, err)
		must(t, res.Body.Close())
		return res.StatusCode
	}
	for _, c := range []struct {
		level, kind, namespace, access string
		want                           int
	}{
		{"system", "system", "/", "system-robot:manage", 403},
		{"system", "system", "/", "cloud-admin:manage", 403},
		{"system", "project", "*", "repository:push", 403},
		{"system", "project", "private", "repository:push", 403},
		{"project", "project", "private", "repository:list", 403}, // without robot:manage there
		{"system", "project", "private", "repository:list", 201},
	} {
		if got := ask(c.level, c.kind, c.namespace, c.access); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestWrongRequestsForRobots(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	good := robotBody("ci", "private", "repository:pull")
	for name, c := range map[string]struct{ old, new, want string }{
		"an unknown permission": {`"pull"`, `"fly"`, "repository:push"},
		"a global permission":   {`"repository","action":"pull"`, `"catalog","action":"list"`, "repository:push"},
		"an effect":             {`"pull"`, `"pull","effect":"deny"`, "effect"},
		"a level":               {`"level":"project"`, `"level":"world"`, "level"},
		"a kind":                {`"kind":"project"`, `"kind":"world"`, "kind"},
		"no duration":           {`"duration":-1,`, ``, "duration"},
		"a secret of its own":   {`"name"`, `"secret":"Harbor12345","name"`, "secret"},
		"a name":                {`"ci"`, `"C I"`, "name"},
		"no access":             {`{"resource":"repository","action":"pull"}`, ``, "permissions"},
		"no JSON":               {`{`, `[`, "body"},
		"elsewhere too":         {`}]}]}`, `}]},{"kind":"project","namespace":"public","access":[{"resource":"repository","action":"pull"}]}]}`, "permissions"},
	} {
		body := strings.Replace(good, c.old, c.new, 1)
		status, _, text := r.do("cloud-admin", "POST", Prefix+"/robots", "application/json", body)
		if status != 400 || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s, want %q", name, status, text, c.want)
		}
	}
	r.api("cloud-admin", "POST", "/robots", `{"name":"`+strings.Repeat("x", maxBody)+`"}`, 413, nil)
	for _, q := range []string{"Level=world", "Level=project", "ProjectID=1", "Level=project,ProjectID=x", "Color=red"} {
		r.api("cloud-admin", "GET", "/robots?q="+q, "", 400, nil)
	}
	r.api("cloud-admin", "GET", "/robots/x", "", 400, nil)
	r.api("devops-admin", "POST", "/robots", robotBody("ci", "private", "project:delete"), 403, nil)
	r.api("devops-admin", "POST", "/robots", robotBody("ci", "private", "member:manage"), 403, nil)
}

// A pair of Harbor's is a part of a permission, and opens the routes of that part alone.
func TestAPairOpensWhatItNames(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	label, private := `{"name":"x","scope":"p","project_id":%d}`, r.number("private")
	hook := `{"name":"x","enabled":true,"event_types":["PUSH_ARTIFACT"],"targets":[{"type":"http","address":"https://hooks.example.com/"}]}`
	for i, c := range []struct {
		pair, method, path, body string
		want                     int
	}{
		{"label:create", "POST", "/labels", fmt.Sprintf(label, private), 201},
		{"label:create", "PUT", "/projects/private", `{"public":true}`, 403},
		{"label:create", "POST", "/retentions", fmt.Sprintf(`{"scope":{"level":"project","ref":%d}}`, private), 403},
		{"immutable-tag:create", "DELETE", "/projects/private/immutabletagrules/1", "", 403},
		{"immutable-tag:delete", "DELETE", "/projects/private/immutabletagrules/1", "", 404},
		{"tag-retention:read", "POST", "/retentions", fmt.Sprintf(`{"scope":{"level":"project","ref":%d}}`, private), 403},
		{"tag-retention:create", "POST", "/retentions", fmt.Sprintf(`{"scope":{"level":"project","ref":%d}}`, private), 201},
		{"notification-policy:read", "GET", "/projects/private/webhook/policies", "", 200},
		{"notification-policy:read", "POST", "/projects/private/webhook/policies", hook, 403},
		{"notification-policy:create", "POST", "/projects/private/webhook/policies", hook, 201},
		{"artifact-label:create", "POST", "/projects/private/repositories/app/artifacts/1/tags", `{"name":"two"}`, 403},
		{"artifact-label:create", "POST", "/projects/private/repositories/app/artifacts/1/labels", `{"id":999}`, 404},
		{"artifact-label:create", "POST", "/projects/private/repositories/web/artifacts?from=public/app:1", "", 403},
		{"tag:create", "POST", "/projects/private/repositories/app/artifacts/1/tags", `{"name":"two"}`, 201},
		{"tag:create", "POST", "/projects/private/repositories/web/artifacts?from=public/app:1", "", 403},
		{"artifact:create", "POST", "/projects/private/repositories/web/artifacts?from=public/app:1", "", 201},
		{"tag:delete", "DELETE", "/projects/private/repositories/web/artifacts/1", "", 403},
		{"tag:delete", "DELETE", "/projects/private/repositories/web", "", 403},
		{"repository:delete", "DELETE", "/projects/private/repositories/web", "", 200},
		{"quota:read", "GET", "/quotas", "", 200},
		{"quota:read", "PUT", fmt.Sprint("/quotas/", private), `{"hard":{"storage":1000}}`, 403},
		{"quota:update", "PUT", fmt.Sprint("/quotas/", private), `{"hard":{"storage":1000}}`, 200},
		{"registry:list", "GET", "/registries", "", 200},
		{"registry:list", "POST", "/registries/ping", `{}`, 403},
		{"user:create", "POST", "/cloud-admins", `{"principal":"d/viewer"}`, 403},
		{"audit-log:list", "GET", "/audit-logs", "", 200},
		{"audit-log:list", "GET", "/auditlog-exts", "", 200},
		{"audit-log:list", "GET", "/system/logs", "", 403},
		{"audit-log:list", "GET", "/system/support-bundle", "", 403},
		{"garbage-collection:read", "POST", "/system/gc/schedule", `{"schedule":{"type":"Manual"}}`, 403},
	} {
		kind, namespace, level := "project", "private", "project"
		if slices.ContainsFunc([]string{"quota:", "registry:", "user:", "garbage-", "audit-log:"}, func(s string) bool { return strings.HasPrefix(c.pair, s) }) {
			kind, namespace, level = "system", "/", "system"
		}
		var made robotMade
		r.api("cloud-admin", "POST", "/robots", fmt.Sprintf(`{"name":"r%d","level":%q,"duration":1,"permissions":[{"kind":%q,"namespace":%q,"access":[%s]}]}`,
			i, level, kind, namespace, accessJSON(c.pair+map[bool]string{true: " repository:list"}[kind == "project"])), 201, &made)
		if got := r.send(made, c.method, c.path, c.body); got != c.want {
			t.Errorf("%s: %s %s: %d, want %d", c.pair, c.method, c.path, got, c.want)
		}
	}
}
