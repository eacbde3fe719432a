package hub

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/replication"
)

// copier is a hub with the plugin that replicates, and its administrator.
type copier struct {
	*world
	admin, password string
}

// replicating starts a hub that may connect to this machine.
func replicating(t *testing.T, kind string) *copier {
	t.Helper()
	w := newWorld(t, kind)
	w.stop()
	w.plug("oci", "replicate-oci", "chunk_mib = 1\n")
	w.cfg.Roles["replicate"] = []string{"oci"}
	w.cfg.Outbound.Allow = []string{"127.0.0.0/8"}
	w.start()
	return w.asCopier()
}

// plug writes the entry of one more plugin.
func (w *world) plug(name, program, config string) {
	w.t.Helper()
	path := buildPlugin(w.t, program)
	binary, err := os.ReadFile(path)
	must(w.t, err)
	file := filepath.Join(w.dir, name+".toml")
	must(w.t, os.WriteFile(file, []byte(config), 0o600))
	must(w.t, os.WriteFile(filepath.Join(w.dir, "plugins.d", name+".toml"),
		fmt.Appendf(nil, "name = %q\npath = %q\nsha256 = '%x'\nconfig = %q\n", name, path, sha256.Sum256(binary), file), 0o600))
}

func (w *world) asCopier() *copier {
	w.t.Helper()
	within(w.t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	text, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
	must(w.t, err)
	c := &copier{world: w, password: strings.TrimSpace(string(text))}
	c.admin = basicAuth("admin@local", c.password)
	within(w.t, "the first administrator", func() bool {
		status, _, _ := w.do("GET", "/api/v2.0/registries", c.admin, "", "")
		return status == 200
	})
	within(w.t, "the plugin runs", func() bool { return len(w.hub.replicators()) == 0 || len(w.hub.replicators()[0].Capabilities) > 0 })
	return c
}

// api asks the hub's API and reads the answer.
func (c *copier) api(want int, method, path, body string, v any) (location string) {
	c.t.Helper()
	status, header, text := c.do(method, "/api/v2.0"+path, c.admin, "application/json", body)
	if status != want {
		c.t.Fatalf("%s %s: %d %s, want %d", method, path, status, text, want)
	}
	if v != nil {
		must(c.t, json.Unmarshal([]byte(text), v))
	}
	return header.Get("Location")
}

// knows registers another hub.
func (c *copier) knows(name string, other *copier) int64 {
	c.t.Helper()
	ca, err := os.ReadFile(filepath.Join(other.cfg.Data, "tls", "ca.pem"))
	must(c.t, err)
	body, err := json.Marshal(map[string]any{"name": name, "type": "harbor", "url": "https://" + other.hub.Addr().String(), "ca_certificate": string(ca),
		"credential": map[string]string{"access_key": "admin@local", "access_secret": other.password}})
	must(c.t, err)
	return numberOf(c.t, c.api(201, "POST", "/registries", string(body), nil))
}

func numberOf(t *testing.T, location string) (n int64) {
	t.Helper()
	_, err := fmt.Sscan(location[strings.LastIndex(location, "/")+1:], &n)
	must(t, err)
	return n
}

func (c *copier) rule(format string, args ...any) int64 {
	c.t.Helper()
	return numberOf(c.t, c.api(201, "POST", "/replication/policies", fmt.Sprintf(format, args...), nil))
}

// image pushes one with a layer of some bytes, and returns its digest. subject, if not empty, is the descriptor of what it refers to.
func (c *copier) image(repo, tag string, size int, subject string) (digest, descriptor string) {
	c.t.Helper()
	bearer, _ := c.bearer("admin@local", c.password, "repository:"+repo+":pull,push")
	blob := func(b []byte) string {
		d := fmt.Sprintf("sha256:%x", sha256.Sum256(b))
		status, _, text := c.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+d, bearer, "application/octet-stream", string(b))
		if status != 201 {
			c.t.Fatalf("a blob for %s: %d %s", repo, status, text)
		}
		return fmt.Sprintf(`"digest":%q,"size":%d`, d, len(b))
	}
	layer := make([]byte, size)
	_, _ = rand.Read(layer)
	const m = "application/vnd.oci.image.manifest.v1+json"
	if subject != "" {
		subject = `,"artifactType":"application/vnd.test.signature","subject":` + subject
	}
	text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",%s}]%s}`, m, blob([]byte("{}")), blob(layer), subject)
	digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
	if tag == "" {
		tag = digest
	}
	if status, _, answer := c.do("PUT", "/v2/"+repo+"/manifests/"+tag, bearer, m, text); status != 201 {
		c.t.Fatalf("%s:%s: %d %s", repo, tag, status, answer)
	}
	return digest, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, m, digest, len(text))
}

// means is the digest of a tag; "" if it is not there.
func (c *copier) means(repo, tag string) string {
	c.t.Helper()
	bearer, _ := c.bearer("admin@local", c.password, "repository:"+repo+":pull")
	status, header, _ := c.do("HEAD", "/v2/"+repo+"/manifests/"+tag, bearer, "", "")
	if status != 200 {
		return ""
	}
	return header.Get("Docker-Content-Digest")
}

func (c *copier) referrers(repo, digest string) int {
	c.t.Helper()
	bearer, _ := c.bearer("admin@local", c.password, "repository:"+repo+":pull")
	_, _, text := c.do("GET", "/v2/"+repo+"/referrers/"+digest, bearer, "", "")
	var m struct{ Manifests []json.RawMessage }
	must(c.t, json.Unmarshal([]byte(text), &m))
	return len(m.Manifests)
}

// runForm is an execution as the API tells it.
type runForm struct {
	ID      int64
	Status  string
	Trigger string
	Total   int
	Text    string `json:"status_text"`
}

func (c *copier) runs() (all []runForm) {
	c.t.Helper()
	c.api(200, "GET", "/replication/executions?page_size=100", "", &all)
	return all
}

// rests waits until no run is under way.
func (c *copier) rests() []runForm {
	c.t.Helper()
	within(c.t, "all runs have ended", func() bool {
		return !slices.ContainsFunc(c.runs(), func(r runForm) bool { return r.Status == "InProgress" || r.Status == "Pending" })
	})
	return c.runs()
}

// starts runs a rule and waits for its end.
func (c *copier) starts(rule int64) runForm {
	c.t.Helper()
	id := numberOf(c.t, c.api(201, "POST", "/replication/executions", fmt.Sprintf(`{"policy_id":%d}`, rule), nil))
	c.rests()
	var r runForm
	c.api(200, "GET", fmt.Sprintf("/replication/executions/%d", id), "", &r)
	return r
}

// TestTwoWaysRest pushes at both ends of two event-based rules.
func TestTwoWaysRest(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			a, b := replicating(t, kind), replicating(t, kind)
			const rule = `{"name":"both ways","dest_registry":{"id":%d},"enabled":true,"override":true,"replicate_deletion":true,
				"trigger":{"type":"event_based"},"filters":[{"type":"name","value":"team/**"}]}`
			a.rule(rule, a.knows("b", b))
			b.rule(rule, b.knows("a", a))
			a.api(201, "POST", "/projects", `{"project_name":"team","public":true}`, nil)
			first, descriptor := a.image("team/app", "1", 3<<20, "")
			within(t, "the image is at the other hub", func() bool { return b.means("team/app", "1") == first })
			a.image("team/app", "", 100, descriptor)
			within(t, "its signature is there too", func() bool { return b.referrers("team/app", first) == 1 })
			second, _ := b.image("team/app", "2", 1000, "")
			within(t, "an image comes back the other way", func() bool { return a.means("team/app", "2") == second })
			// Both move a tag at once: one of them wins, and that is the end of it.
			a.image("team/app", "3", 10, "")
			b.image("team/app", "3", 10, "")
			for range 3 { // a run at one may have set off one at the other
				a.rests()
				b.rests()
			}
			if n, m := len(a.runs()), len(b.runs()); n > 8 || m > 8 {
				t.Errorf("%d and %d runs for 5 pushes: they go round", n, m)
			}
			var p struct {
				Metadata map[string]string
			}
			b.api(200, "GET", "/projects/team", "", &p)
			if p.Metadata["public"] != "true" {
				t.Errorf("the project that was made is %v", p.Metadata)
			}
			bearer, _ := a.bearer("admin@local", a.password, "repository:team/app:pull,push,delete")
			a.do("DELETE", "/v2/team/app/manifests/"+second, bearer, "", "")
			within(t, "what is deleted here is deleted there", func() bool { return b.means("team/app", "2") == "" })
			for _, r := range append(a.rests(), b.rests()...) {
				if r.Status == "Failed" {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// log is what the tasks of a run have written.
func (c *copier) log(run int64) (text string) {
	c.t.Helper()
	var tasks []struct{ ID int64 }
	c.api(200, "GET", fmt.Sprintf("/replication/executions/%d/tasks?page_size=100", run), "", &tasks)
	for _, x := range tasks {
		_, _, log := c.do("GET", fmt.Sprintf("/api/v2.0/replication/executions/%d/tasks/%d/log", run, x.ID), c.admin, "", "")
		text += log
	}
	return text
}

// TestReplicationByRules goes through what rules say, at the API.
func TestReplicationByRules(t *testing.T) {
	a, b := replicating(t, "sqlite"), replicating(t, "sqlite")
	other := a.knows("b", b)
	for i, repo := range []string{"default-project/app", "default-project/deep/app", "default-project/other"} {
		a.image(repo, "v1", 100+i, "")
		a.image(repo, "test", 200+i, "")
	}
	rule := a.rule(`{"name":"releases","dest_registry":{"id":%d},"enabled":true,"dest_namespace":"mirror/a","dest_namespace_replace_count":1,
		"filters":[{"type":"name","value":"default-project/**/app"},{"type":"tag","value":"test","decoration":"excludes"},{"type":"age","value":7}]}`, other)
	if r := a.starts(rule); r.Status != "Succeed" || r.Total != 3 { // one finds, two copy
		t.Errorf("%+v", r)
	}
	for at, want := range map[string]bool{"mirror/a/app:v1": true, "mirror/a/deep/app:v1": true, "mirror/a/app:test": false, "mirror/a/other:v1": false} {
		repo, tag, _ := strings.Cut(at, ":")
		if got := b.means(repo, tag) != ""; got != want {
			t.Errorf("%s is there: %v", at, got)
		}
	}
	// A pull makes the project here.
	back := a.rule(`{"name":"back","src_registry":{"id":%d},"enabled":true,"dest_namespace":"copies","filters":[{"type":"name","value":"mirror/a/*"}]}`, other)
	if r := a.starts(back); r.Status != "Succeed" || a.means("copies/app", "v1") != a.means("default-project/app", "v1") {
		t.Errorf("%+v", r)
	}
	// A tag that means something else stays unless the rule says otherwise.
	moved, _ := a.image("default-project/app", "v1", 300, "")
	if r := a.starts(rule); r.Status != "Succeed" || b.means("mirror/a/app", "v1") == moved {
		t.Errorf("%+v", r)
	}
	// Without filters the copy in copies would become the same name; it comes first in the list, and says so in the log.
	put := func(filters string) {
		t.Helper()
		a.api(200, "PUT", fmt.Sprintf("/replication/policies/%d", rule), fmt.Sprintf(`{"name":"releases","dest_registry":{"id":%d},"enabled":true,"override":true,
			"dest_namespace":"mirror/a","dest_namespace_replace_count":1,"speed":100000,"filters":[%s]}`, other, filters), nil)
	}
	put("")
	r := a.starts(rule)
	if text := a.log(r.ID); r.Status != "Succeed" || b.means("mirror/a/app", "v1") == moved ||
		!strings.Contains(text, "copies/app:v1 and default-project/app:v1 would both become mirror/a/app:v1") {
		t.Errorf("%+v: %s", r, text)
	}
	put(`{"type":"name","value":"default-project/**"}`)
	if r = a.starts(rule); r.Status != "Succeed" || b.means("mirror/a/app", "v1") != moved {
		t.Errorf("%+v: %s", r, a.log(r.ID))
	}
	var tasks []struct {
		ID                 int64
		Status, Operation  string
		From               string `json:"src_resource"`
		Sent, Skipped, Run int64
	}
	a.api(200, "GET", fmt.Sprintf("/replication/executions/%d/tasks?page_size=100", r.ID), "", &tasks)
	sent := false
	for _, x := range tasks {
		if x.Status != "Succeed" {
			t.Errorf("%+v", x)
		}
		if x.Operation == "copy" {
			_, _, log := a.do("GET", fmt.Sprintf("/api/v2.0/replication/executions/%d/tasks/%d/log", r.ID, x.ID), a.admin, "", "")
			sent = sent || x.Sent > 300 && strings.Contains(log, "bytes sent")
		}
	}
	if !sent {
		t.Errorf("no task says that it sent something: %+v", tasks)
	}
	a.api(412, "DELETE", fmt.Sprintf("/registries/%d", other), "", nil)
	a.api(200, "DELETE", fmt.Sprintf("/replication/policies/%d", rule), "", nil)
	a.api(404, "GET", fmt.Sprintf("/replication/policies/%d", rule), "", nil)
	for _, bad := range []string{`{"name":"x"}`, `{"name":"x","src_registry":{"id":1},"dest_registry":{"id":1}}`, `{"name":"x","dest_registry":{"id":99}}`,
		`{"name":"x","src_registry":{"id":1},"trigger":{"type":"event_based"}}`, `{"name":"x","dest_registry":{"id":1},"filters":[{"type":"name","value":"[a"}]}`,
		`{"name":"x","dest_registry":{"id":1},"trigger":{"type":"scheduled","trigger_settings":{"cron":"* * * * * *"}}}`,
		`{"name":"x","dest_registry":{"id":1},"dest_namespace":"../x"}`} {
		a.api(400, "POST", "/replication/policies", bad, nil)
	}
}

// A token that a plugin has of a task opens one repository, while the task runs.
func TestATasksTokenOpensOneRepositoryWhileItRuns(t *testing.T) {
	w := newWorld(t, "sqlite")
	must(t, forKind(w, `INSERT INTO job_execution (id, kind, subject, alone, cause, status, message, params, tasks, created) VALUES (90, $1, 1, '', '', 'Running', '', '', 1, 1)`))
	must(t, forKind(w, `INSERT INTO job_task (id, execution, kind, status, message, payload, created, due, expires, updated) VALUES (91, 90, $1, 'Running', '', '{}', 1, 1, 1, 1)`))
	e, err := w.hub.local(t.Context(), 91, "default-project/app", true)
	must(t, err)
	ask := func(method, path string) int {
		status, _, _ := w.do(method, path, "Bearer "+string(e.Secret), "", "")
		return status
	}
	if got := ask("POST", "/v2/default-project/app/blobs/uploads/"); got != 202 {
		t.Errorf("a push: %d", got)
	}
	if got := ask("POST", "/v2/default-project/other/blobs/uploads/"); got != 403 {
		t.Errorf("a push elsewhere: %d", got)
	}
	if got := ask("GET", "/api/v2.0/registries"); got != 401 {
		t.Errorf("the API: %d", got)
	}
	must(t, forKind(w, `UPDATE job_task SET status = 'Success' WHERE kind = $1`))
	if got := ask("POST", "/v2/default-project/app/blobs/uploads/"); got != 401 {
		t.Errorf("after the task: %d", got)
	}
	var _ authz.Jobs = tasks{w.hub}
}

func forKind(w *world, query string) error {
	_, err := w.hub.db.LazyExec(w.t.Context(), query, replication.Kind)
	return err
}

// TestVicHubReplication makes a rule and runs it at a shell.
func TestVicHubReplication(t *testing.T) {
	a, b := replicating(t, "sqlite"), replicating(t, "sqlite")
	other := a.knows("b", b)
	want, _ := a.image("default-project/app", "v1", 100, "")
	a.image("default-project/app", "test", 100, "")
	a.vic(0, a.password+"\n", "--ca", filepath.Join(a.cfg.Data, "tls", "ca.pem"), "--user", "admin@local", "--password-stdin", "login",
		"https://"+a.hub.Addr().String())
	sh := func(want string, args ...string) {
		t.Helper()
		if out, _ := a.vic(0, "", append([]string{"replication"}, args...)...); !strings.Contains(out, want) {
			t.Errorf("vic hub replication %q: %q lacks %q", args, out, want)
		}
	}
	sh("rule 1 is made", "create", "--to", fmt.Sprint(other), "--repositories", "default-project/*", "--tags", "v*", "--namespace", "copies", "releases")
	sh("releases", "ls")
	sh("run 1 has begun", "run", "1")
	a.rests()
	if got := b.means("copies/app", "v1"); got != want || b.means("copies/app", "test") != "" {
		t.Errorf("the other hub has %q", got)
	}
	sh("Succeed", "runs", "--rule", "1")
	sh("copies/app [v1]", "tasks", "1")
	sh("bytes sent", "log", "1", fmt.Sprint(a.copyTask(1)))
	sh("is to stop", "stop", "1")
	a.vic(1, "", "replication", "retry", "x")
	sh("is deleted", "rm", "1")
}

// copyTask is the number of the first task of a run that copies.
func (c *copier) copyTask(run int64) int64 {
	c.t.Helper()
	var all []struct {
		ID        int64
		Operation string
	}
	c.api(200, "GET", fmt.Sprintf("/replication/executions/%d/tasks", run), "", &all)
	for _, x := range all {
		if x.Operation == "copy" {
			return x.ID
		}
	}
	c.t.Fatal("nothing is copied")
	return 0
}
