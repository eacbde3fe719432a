package hub

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// shell is "vic hub" as an administrator who has signed in.
type shell struct {
	*world
	t *testing.T
}

// run is a command that succeeds.
func (s shell) run(args ...string) string {
	s.t.Helper()
	out, _ := s.vic(0, "", args...)
	return out
}

// has runs one whose output has these words.
func (s shell) has(args []string, want ...string) string {
	s.t.Helper()
	out := s.run(args...)
	for _, x := range want {
		if !strings.Contains(out, x) {
			s.t.Errorf("vic hub %v: %q lacks %q", args, out, x)
		}
	}
	return out
}

// fails runs one that does not succeed, and says these words.
func (s shell) fails(args []string, want ...string) {
	s.t.Helper()
	_, errs := s.vic(1, "", args...)
	for _, x := range want {
		if !strings.Contains(errs, x) {
			s.t.Errorf("vic hub %v: %q lacks %q", args, errs, x)
		}
	}
}

// json runs one with --output json, behind the command's words, and reads the answer.
func (s shell) json(v any, words int, args ...string) {
	s.t.Helper()
	all := append(append([]string{}, args[:words]...), "--output", "json")
	must(s.t, json.Unmarshal([]byte(s.run(append(all, args[words:]...)...)), v))
}

// last is the last number of a text.
func last(text string) string {
	all := regexp.MustCompile(`\d+`).FindAllString(text, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// newShell is a hub that reaches this machine, with an administrator who has signed in and an image default-project/app:1.
func newShell(t *testing.T) (s shell, password string) {
	w := newWorld(t, "sqlite")
	w.stop()
	w.cfg.Outbound.Allow = []string{"127.0.0.0/8"}
	w.start()
	password = w.administrator()
	header, _ := w.bearer("admin@local", password, "repository:default-project/app:pull,push")
	if status, _, body := w.do("PUT", "/v2/default-project/app/manifests/1", header, indexType, manifest); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	w.vic(0, password+"\n", "--ca", filepath.Join(w.cfg.Data, "tls", "ca.pem"), "--user", "admin@local", "--password-stdin", "login",
		"https://"+w.hub.Addr().String())
	return shell{w, t}, password
}

type words = []string

func TestVicHubDoesLabelsAndRules(t *testing.T) {
	s, _ := newShell(t)
	s.has(words{"label", "create", "--color", "#2E7D32", "approved"}, "label approved is made")
	s.has(words{"label", "create", "--project", "default-project", "--description", "Not yet", "draft"}, "is made")
	s.has(words{"label", "ls"}, "approved", "#2E7D32")
	s.has(words{"label", "ls", "--project", "default-project"}, "draft", "Not yet")
	s.run("label", "update", "--project", "default-project", "--name", "sketch", "draft")
	s.has(words{"label", "add", "default-project/app:1", "sketch"}, "has the label sketch")
	s.run("label", "add", "default-project/app:1", "approved")
	s.fails(words{"label", "add", "default-project/app:1", "draft"}, `there is no label "draft"`)
	s.has(words{"label", "remove", "default-project/app:1", "approved"}, "no more")
	s.has(words{"label", "rm", "approved"}, "is removed")
	s.has(words{"search", "app"}, "repository", "default-project/app")
	var found struct{ Repository []struct{ Name string } }
	s.json(&found, 1, "search", "app")
	if len(found.Repository) != 1 {
		t.Errorf("%+v", found)
	}

	rule := last(s.has(words{"immutable", "create", "--tags", "v*", "default-project"}, "is made"))
	s.has(words{"immutable", "ls", "default-project"}, "v*", "**", "false")
	s.run("immutable", "disable", "default-project", rule)
	s.has(words{"immutable", "ls", "default-project"}, "true")
	s.run("immutable", "enable", "default-project", rule)
	s.run("immutable", "rm", "default-project", rule)
	s.fails(words{"immutable", "rm", "default-project", rule}, "there is no rule")

	s.fails(words{"retention", "show", "default-project"}, "keeps all")
	s.fails(words{"retention", "set", "default-project"}, "--keep TEMPLATE=NUMBER")
	s.fails(words{"retention", "set", "--keep", "newest=1", "default-project"}, "400")
	s.has(words{"retention", "set", "--keep", "latestPushedK=1", "--schedule", "daily", "default-project"}, "are set")
	s.has(words{"retention", "show", "default-project"}, "latestPushedK", "0 0 0 * * *")
	file := s.file("policy.json", s.run("retention", "show", "--output", "json", "default-project"))
	s.run("retention", "set", "--file", file, "--schedule", "none", "default-project")
	s.has(words{"retention", "show", "default-project"}, "latestPushedK", "by hand alone")
	run := last(s.has(words{"retention", "run", "--dry-run", "default-project"}, "has begun"))
	within(t, "the run ends", func() bool { return strings.Contains(s.run("retention", "ls", "default-project"), "Success") })
	var tasks []struct {
		ID              int64
		Repository      string
		Total, Retained int
	}
	s.json(&tasks, 2, "retention", "inspect", "default-project", run)
	if len(tasks) != 1 || tasks[0].Total != 1 || tasks[0].Retained != 1 {
		t.Fatalf("%+v", tasks)
	}
	s.has(words{"retention", "log", "default-project", run, strconv.FormatInt(tasks[0].ID, 10)}, "sha256:")
	s.fails(words{"retention", "stop", "default-project", "x"}, "is no number of a run")
	s.run("retention", "rm", "default-project")
}

func TestVicHubDoesRegistriesAndWebhooks(t *testing.T) {
	s, _ := newShell(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	s.has(words{"registry", "types"}, "docker-hub")
	s.has(words{"registry", "create", "--insecure", "up", upstream.URL}, "registry up is known")
	s.fails(words{"registry", "create", "--insecure", "--username", "x", "other", upstream.URL}, "give both or none")
	s.has(words{"registry", "ls"}, "up", "docker-registry", upstream.URL, "healthy")
	s.has(words{"registry", "inspect", "up"}, upstream.URL)
	s.has(words{"registry", "ping", "up"}, "answers")
	s.run("project", "create", "--proxy-of", "up", "cache")
	var cache struct {
		Registry int64 `json:"registry_id"`
	}
	s.json(&cache, 2, "project", "inspect", "cache")
	if cache.Registry == 0 {
		t.Error("the project is no proxy cache")
	}
	s.fails(words{"registry", "rm", "up"}, "412")
	s.run("project", "rm", "cache")
	s.run("registry", "rm", "up")

	// A target that wants nothing at first: the delivery fails for good, and is sent again by hand with the same id.
	var gone atomic.Bool
	gone.Store(true)
	ids := make(chan string, 10)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusGone)
		}
		ids <- r.Header.Get("webhook-id")
	}))
	defer target.Close()
	s.has(words{"webhook", "events", "default-project"}, "PUSH_ARTIFACT")
	out, _ := s.vic(0, "a secret\n", "webhook", "create", "--event", "DELETE_ARTIFACT", "--secret-stdin", "default-project", "ci", target.URL)
	if !strings.Contains(out, "webhook ci is made") {
		t.Error(out)
	}
	s.has(words{"webhook", "ls", "default-project"}, "ci", target.URL, "DELETE_ARTIFACT")
	s.run("webhook", "disable", "default-project", "ci")
	s.has(words{"webhook", "ls", "default-project"}, "false")
	s.run("webhook", "enable", "default-project", "ci")
	if text := s.has(words{"webhook", "inspect", "default-project", "ci"}, "Signed:"); !regexp.MustCompile(`Signed: +true`).MatchString(text) {
		t.Errorf("the secret did not stay: %s", text)
	}
	s.run("artifact", "rm", "default-project/app:1")
	var list []struct {
		ID     int64
		Status string
	}
	within(t, "the delivery fails", func() bool {
		s.json(&list, 2, "webhook", "deliveries", "default-project", "ci")
		return len(list) == 1 && list[0].Status == "Error"
	})
	id := strconv.FormatInt(list[0].ID, 10)
	s.has(words{"webhook", "log", "default-project", "ci", id}, "DELETE_ARTIFACT to", "410")
	gone.Store(false)
	s.has(words{"webhook", "retry", "default-project", "ci", id}, "is sent again as")
	within(t, "the delivery succeeds", func() bool {
		return strings.Contains(s.run("webhook", "deliveries", "--status", "Success", "default-project", "ci"), "DELETE_ARTIFACT")
	})
	if a, b := <-ids, <-ids; a == "" || a != b {
		t.Errorf("the ids are %q and %q", a, b)
	}
	s.fails(words{"webhook", "log", "default-project", "other", id}, `there is no webhook "other"`)
	s.has(words{"job", "ls", "--kind", "WEBHOOK"}, "WEBHOOK", "MANUAL", "EVENT", "Success", "Error")
	s.has(words{"job", "inspect", id}, "WEBHOOK", "Error")
	s.has(words{"job", "log", id}, "DELETE_ARTIFACT to")
	s.run("webhook", "rm", "default-project", "ci")
}

func TestVicHubAdministersTheHub(t *testing.T) {
	s, password := newShell(t)
	s.has(words{"job", "queues"}, "GARBAGE_COLLECTION", "0s")
	s.has(words{"job", "schedules"}, "GARBAGE_COLLECTION", " * * * *")
	s.fails(words{"job", "stop", "999999"}, "404")

	s.has(words{"config", "get"}, "read_only", "false", "token_expiration")
	s.has(words{"config", "set", "read_only=true", "banner_message=Back at noon"}, "changed: banner_message, read_only")
	var setting map[string]struct{ Value any }
	s.json(&setting, 2, "config", "get", "banner_message")
	if len(setting) != 1 || setting["banner_message"].Value != "Back at noon" {
		t.Errorf("%+v", setting)
	}
	s.run("config", "set", "read_only=false")
	s.fails(words{"config", "get", "nothing"}, `there is no setting "nothing"`)
	s.fails(words{"config", "set", "token_expiration=1000"}, "want 1 to 60 minutes")

	s.has(words{"allowlist", "set", "--until", "2040-01-01T00:00:00Z", "CVE-2024-3094", "GHSA-1"}, "2 vulnerabilities are allowed")
	s.has(words{"allowlist", "show"}, "2040-01-01T00:00:00Z", "GHSA-1")
	s.run("allowlist", "set")
	s.has(words{"allowlist", "show"}, "never")

	s.has(words{"vch", "ls"}, "NAME")
	s.run("api", "--data", `{"uid":"u-1","name":"vch1","projects":["default-project"]}`, "POST", "/vchs")
	s.has(words{"vch", "ls", "--project", "default-project"}, "vch1", "false", "default-project")
	s.has(words{"vch", "inspect", "vch1"}, "u-1", "error")
	s.run("vch", "rm", "u-1")

	browse := func() {
		t.Helper()
		res, err := s.browser(nil).PostForm("https://"+s.hub.Addr().String()+"/c/login", url.Values{"principal": {"admin@local"}, "password": {password}})
		must(t, err)
		must(t, res.Body.Close())
		if res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
	}
	browse()
	browse()
	var sessions []struct{ ID string }
	count := func(want int, args ...string) {
		t.Helper()
		if s.json(&sessions, 2, append(words{"session", "ls"}, args...)...); len(sessions) != want {
			t.Errorf("%d sessions, want %d", len(sessions), want)
		}
	}
	count(2)
	s.run("session", "end", sessions[0].ID)
	count(1, "--of", "admin@local")
	s.fails(words{"session", "end"}, "or --all")
	s.run("session", "end", "--all", "--of", "admin@local")
	count(0)

	var room struct {
		Storage []struct{ Total, Free int64 }
	}
	must(t, json.Unmarshal([]byte(s.run("api", "GET", "/systeminfo/volumes")), &room))
	if len(room.Storage) != 1 || room.Storage[0].Total < room.Storage[0].Free || room.Storage[0].Free <= 0 {
		t.Errorf("%+v", room)
	}
	help, _ := s.vic(0, "", "--help")
	for _, word := range []string{"vic-hub", "retention", "webhook", "session", "registry"} {
		if !strings.Contains(help, word) {
			t.Errorf("the help lacks %s: %s", word, help)
		}
	}
}
