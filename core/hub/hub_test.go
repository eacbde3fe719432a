package hub

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/hub/audit"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// built are the plugins that tests run, by name; each is built once.
var built struct {
	sync.Mutex
	paths map[string]string
}

// buildPlugin builds a plugin of this tree.
func buildPlugin(t *testing.T, name string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if path, ok := built.paths[name]; ok {
		return path
	}
	dir, err := os.MkdirTemp("", "vic-hub-test-")
	must(t, err)
	path := filepath.Join(dir, "vic-"+name)
	if out, err := exec.Command("go", "build", "-trimpath", "-o", path, "../../plugins/"+name).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	if built.paths == nil {
		built.paths = map[string]string{}
	}
	built.paths[name] = path
	return path
}

// world is a folder with a hub's configuration, and the hub that runs by it.
type world struct {
	t      *testing.T
	dir    string
	cfg    config.Hub
	hub    *Hub
	client *http.Client
	stop   func()
	logs   logs
	// prepare, if not nil, changes a hub before it runs.
	prepare func(*Hub)
}

// logs is what the hub has written to its log, whatever the level.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newWorld has users in a file.
func newWorld(t *testing.T, kind string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.begin(kind, "local", fmt.Sprintf("file = %q\n", filepath.Join(w.dir, "people", "users.json")))
	return w
}

// begin writes the configuration of a hub with one identity source, the plugin auth-NAME, and starts it.
func (w *world) begin(kind, name, pluginConfig string) {
	w.t.Helper()
	program := buildPlugin(w.t, "auth-"+name)
	binary, err := os.ReadFile(program)
	must(w.t, err)
	plugins := filepath.Join(w.dir, "plugins.d")
	must(w.t, os.MkdirAll(plugins, 0o755))
	write := func(path, format string, args ...any) {
		w.t.Helper()
		must(w.t, os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600))
	}
	file := filepath.Join(w.dir, name+".toml")
	write(file, "%s", pluginConfig)
	write(filepath.Join(plugins, name+".toml"), "name = %q\npath = %q\nsha256 = '%x'\nconfig = %q\n", name, program, sha256.Sum256(binary), file)
	write(filepath.Join(plugins, "unused.toml"), "name = 'unused'\npath = %q\nsha256 = '%x'\nconfig = '/nowhere'\n", program, sha256.Sum256(binary))
	text := fmt.Sprintf("listen = 'tcp://127.0.0.1:0'\ndata = %q\n[plugins]\ndir = %q\n[roles]\nauth = %q\n[database]\nurl = %q\n",
		filepath.Join(w.dir, "data"), plugins, name, storetest.URL(w.t, kind))
	write(filepath.Join(w.dir, "hub.toml"), "%s", text)
	w.cfg, err = config.LoadHub(filepath.Join(w.dir, "hub.toml"))
	must(w.t, err)
	w.t.Cleanup(func() {
		if w.stop != nil {
			w.stop()
		}
	})
	w.start()
}

// start runs the hub until stop.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var err error
	w.hub, err = New(ctx, w.cfg, "test", slog.New(slog.NewTextHandler(io.MultiWriter(w.t.Output(), &w.logs), &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(w.t, err)
	if w.prepare != nil {
		w.prepare(w.hub)
	}
	done := make(chan error, 1)
	go func() { done <- w.hub.Run(ctx) }()
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(w.cfg.Data, "tls", "ca.pem"))
	must(w.t, err)
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	w.client = &http.Client{Transport: transport}
	w.stop = func() {
		w.stop = nil
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) do(method, path, authorization, contentType, body string) (int, http.Header, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+w.hub.Addr().String()+path, strings.NewReader(body))
	must(w.t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := w.client.Do(req)
	must(w.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(w.t, err)
	return res.StatusCode, res.Header, string(b)
}

// basicAuth is the header of a name and a password.
func basicAuth(user, password string) string {
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, password)
	return req.Header.Get("Authorization")
}

// bearer signs in at the token service.
func (w *world) bearer(user, password, scope string) (header string, status int) {
	w.t.Helper()
	status, _, body := w.do("GET", "/service/token?service=vic-hub&scope="+scope, basicAuth(user, password), "", "")
	var m struct{ Token string }
	must(w.t, json.Unmarshal([]byte(body), &m))
	return "Bearer " + m.Token, status
}

// within polls what has no event to wait for: a supervisor's next process, the first administrators.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

const (
	manifest  = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	indexType = "application/vnd.oci.image.index.v1+json"
)

// TestFromAnEmptyFolderToAPush is the first hour of a hub: it starts with nothing, names its first administrator, who
// pushes; anybody pulls from the public project; and all of it is there after a restart, whatever dies.
func TestFromAnEmptyFolderToAPush(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind)
			within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
			first, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
			must(t, err)
			password := strings.TrimSpace(string(first))
			const scope = "repository:default-project/app:pull,push"
			push := func() int {
				header, status := w.bearer("admin@local", password, scope)
				if status != 200 {
					t.Fatalf("sign-in: %d", status)
				}
				status, _, _ = w.do("PUT", "/v2/default-project/app/manifests/1", header, indexType, manifest)
				return status
			}
			within(t, "the first administrator may push", func() bool { return push() == 201 })
			if _, status := w.bearer("admin@local", "wrong", scope); status != 401 {
				t.Errorf("a wrong password: %d", status)
			}
			pull := func() (int, string) {
				status, _, body := w.do("GET", "/service/token?service=vic-hub&scope="+scope, "", "", "")
				var m struct{ Token string }
				must(t, json.Unmarshal([]byte(body), &m))
				if status != 200 {
					t.Fatalf("a token for nobody: %d %s", status, body)
				}
				status, _, body = w.do("GET", "/v2/default-project/app/manifests/1", "Bearer "+m.Token, "", "")
				return status, body
			}
			if status, body := pull(); status != 200 || body != manifest {
				t.Errorf("anybody pulls from the public project: %d %s", status, body)
			}
			within(t, "push and pull are in the audit log", func() bool {
				status, _, body := w.do("GET", "/api/v2.0/projects/default-project/logs", basicAuth("admin@local", password), "", "")
				return status == 200 && strings.Contains(body, `"operation":"pull"`) && strings.Contains(body, `"operation":"push"`)
			})
			if status, _, _ := w.do("GET", "/metrics", "", "", ""); status != 401 {
				t.Errorf("metrics for nobody: %d", status)
			}
			_, _, text := w.do("GET", "/metrics", basicAuth("admin@local", password), "", "")
			for _, want := range []string{`vic_hub_requests_total{code="201",method="PUT",part="registry"} 1`, `vic_hub_plugin_up{plugin="local"} 1`, "go_goroutines"} {
				if !strings.Contains(text, want) {
					t.Errorf("the metrics lack %s:\n%s", want, text)
				}
			}
			if v, err := w.hub.audit.Verify(t.Context()); err != nil {
				t.Errorf("%+v %v", v, err)
			}
			status, _, body := w.do("POST", "/api/v2.0/robots", basicAuth("admin@local", password), "application/json", `{"name":"ci","level":"project","duration":1,
				"permissions":[{"kind":"project","namespace":"default-project","access":[{"resource":"repository","action":"push"},{"resource":"repository","action":"pull"}]}]}`)
			var robot struct {
				ID           int64
				Name, Secret string
			}
			must(t, json.Unmarshal([]byte(body), &robot))
			_, wrong := w.bearer(robot.Name, robot.Secret+"x", scope)
			if status != 201 || wrong != 401 {
				t.Errorf("a robot is made: %d; with a wrong secret: %d", status, wrong)
			}
			byRobot, _ := w.bearer(robot.Name, robot.Secret, scope)
			if status, _, body := w.do("PUT", "/v2/default-project/app/manifests/2", byRobot, indexType, manifest); status != 201 {
				t.Errorf("a robot pushes: %d %s", status, body)
			}
			status, _, body = w.do("PATCH", fmt.Sprint("/api/v2.0/robots/", robot.ID), basicAuth("admin@local", password), "application/json", "{}")
			after, _, _ := w.do("PUT", "/v2/default-project/app/manifests/2", byRobot, indexType, manifest)
			if status != 200 || after != 401 {
				t.Errorf("another secret: %d %s; with a token of the old one: %d", status, body, after)
			}
			// A browser's session is known to the API of the same port, and comes through a restart.
			status, head, _ := w.do("POST", "/api/v2.0/sign-in", "", "application/json", fmt.Sprintf(`{"username":"admin","domain":"local","password":%q}`, password))
			cookie, _, _ := strings.Cut(head.Get("Set-Cookie"), ";")
			bySession := func() int {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+w.hub.Addr().String()+"/api/v2.0/users/current", nil)
				must(t, err)
				req.Header.Set("Cookie", cookie)
				res, err := w.client.Do(req)
				must(t, err)
				defer res.Body.Close()
				return res.StatusCode
			}
			if got := bySession(); status != 200 || got != 200 {
				t.Errorf("sign-in: %d; by the session: %d", status, got)
			}
			// A plugin that dies is started anew; a sign-in meanwhile waits for it.
			st := w.hub.plugins.List()[0]
			p, err := os.FindProcess(st.PID)
			must(t, err)
			must(t, p.Kill())
			within(t, "sign-in after the plugin died", func() bool { _, status := w.bearer("admin@local", password, scope); return status == 200 })
			header, _ := w.bearer("admin@local", password, scope)
			w.stop()
			w.start()
			if status, body := pull(); status != 200 || body != manifest {
				t.Errorf("after a restart: %d %s", status, body)
			}
			if got := bySession(); got != 200 {
				t.Errorf("a session of before the restart: %d", got)
			}
			if status, _, _ := w.do("HEAD", "/v2/default-project/app/manifests/1", header, "", ""); status != 200 {
				t.Errorf("a token of before the restart: %d", status)
			}
		})
	}
}

// TestExampleUsersAreMadeOnce asks for example users in a hub that runs already, where one of the names is taken.
func TestExampleUsersAreMadeOnce(t *testing.T) {
	w := newWorld(t, "sqlite")
	within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	first, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
	must(t, err)
	admin := basicAuth("admin@local", strings.TrimSpace(string(first)))
	within(t, "somebody takes a name", func() bool {
		status, _, _ := w.do("POST", "/api/v2.0/users", admin, "application/json", `{"username":"taken-developer","password":"a password of ten or more"}`)
		return status == 201
	})
	restart := func(examples string) {
		t.Helper()
		w.stop()
		w.cfg.Access.Examples = examples
		w.start()
	}
	restart("taken")
	within(t, "the first example is made", func() bool {
		_, _, body := w.do("GET", "/api/v2.0/cloud-admins", admin, "", "")
		return strings.Contains(body, "local/taken-cloud-admin")
	})
	if _, err := os.Stat(filepath.Join(w.cfg.Data, examplesFile)); err == nil {
		t.Error("users are said to be made, one of whom is another's")
	}
	_, _, members := w.do("GET", "/api/v2.0/projects/default-project/members", admin, "", "")
	if strings.Contains(members, "taken-developer") {
		t.Errorf("who has the name by chance has a role: %s", members)
	}

	restart("vic")
	file := filepath.Join(w.cfg.Data, examplesFile)
	within(t, "the examples are made", func() bool { _, err := os.Stat(file); return err == nil })
	info, err := os.Stat(file)
	must(t, err)
	text, err := os.ReadFile(file)
	must(t, err)
	lines := strings.Fields(string(text))
	if info.Mode().Perm() != 0o600 || len(lines) != 6 {
		t.Fatalf("%v %q", info.Mode(), text)
	}
	for i, want := range []struct {
		name      string
		tag, logs int // pushing in default-project; reading its log
	}{{"vic-cloud-admin", 201, 200}, {"vic-devops-admin", 201, 200}, {"vic-developer", 201, 403}} {
		name, password := lines[2*i], lines[2*i+1]
		header, status := w.bearer(name, password, "repository:default-project/app:pull,push")
		if name != want.name || status != 200 {
			t.Fatalf("%s signs in: %d", name, status)
		}
		if status, _, body := w.do("PUT", "/v2/default-project/app/manifests/1", header, indexType, manifest); status != want.tag {
			t.Errorf("%s pushes: %d %s", name, status, body)
		}
		if status, _, body := w.do("GET", "/api/v2.0/projects/default-project/logs", basicAuth(name, password), "", ""); status != want.logs {
			t.Errorf("%s reads the log: %d %s", name, status, body)
		}
	}

	// Who is removed stays removed.
	var users []struct {
		ID   int64  `json:"user_id"`
		Name string `json:"username"`
	}
	_, _, body := w.do("GET", "/api/v2.0/users?page_size=100", admin, "", "")
	must(t, json.Unmarshal([]byte(body), &users))
	for _, u := range users {
		if u.Name == "vic-developer@local" {
			if status, _, body := w.do("DELETE", fmt.Sprintf("/api/v2.0/users/%d", u.ID), admin, "", ""); status != 200 {
				t.Fatalf("%d %s", status, body)
			}
		}
	}
	restart("vic")
	must(t, w.hub.makeExamples(t.Context()))
	within(t, "the developer is gone", func() bool {
		_, status := w.bearer("vic-developer", lines[5], "repository:default-project/app:pull")
		return status == 401
	})
}

func TestAPageOfAnotherSiteMovesNothing(t *testing.T) {
	w := newWorld(t, "sqlite")
	for _, path := range []string{"/v2/default-project/app/blobs/uploads/", "/service/token"} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+w.hub.Addr().String()+path, nil)
		must(t, err)
		req.Header.Set("Origin", "https://evil.example")
		res, err := w.client.Do(req)
		must(t, err)
		_ = res.Body.Close()
		if res.StatusCode != 403 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}

func TestWhatStopsAHubSaysSo(t *testing.T) {
	w := newWorld(t, "sqlite")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	s3 := config.HubS3{Bucket: "b", Region: "r", Credentials: filepath.Join(t.TempDir(), "keys")}
	must(t, os.WriteFile(s3.Credentials, []byte("one\n"), 0o600))
	for name, c := range map[string]struct {
		change func(c *config.Hub)
		want   string
	}{
		"a port that is taken":              {func(c *config.Hub) { c.Listen = "tcp://" + taken.Addr().String() }, "address already in use"},
		"a certificate that is none":        {func(c *config.Hub) { c.TLS.Cert, c.TLS.Key = "/nowhere", "/nowhere" }, "/nowhere"},
		"a database elsewhere":              {func(c *config.Hub) { c.Database.URL = "postgres://127.0.0.1:1/hub" }, "127.0.0.1"},
		"nobody to sign in":                 {func(c *config.Hub) { c.Roles = nil }, "roles.auth is empty"},
		"an administrator without a domain": {func(c *config.Hub) { c.Access.CloudAdmins = []string{"admins"} }, "access.cloud_admins"},
		"a role without a plugin":           {func(c *config.Hub) { c.Roles = config.Roles{"auth": {"vsphere"}} }, `roles.auth: plugin "vsphere"`},
		"half of the bucket's secret":       {func(c *config.Hub) { c.Storage = config.HubStorage{S3: s3} }, "does not hold two lines"},
	} {
		cfg := w.cfg
		cfg.Data = t.TempDir()
		cfg.Database.URL = storetest.URL(t, "sqlite")
		c.change(&cfg)
		h, err := New(t.Context(), cfg, "test", slog.New(slog.DiscardHandler))
		if err == nil {
			h.close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestOwnCertificatesAreRenewedUnderOneAuthority(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	names := []string{"hub.example.com", "127.0.0.1"}
	read := func() (ca, server string) {
		t.Helper()
		files, err := ownCertificate(dir, names, now)
		must(t, err)
		c, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		must(t, err)
		s, err := os.ReadFile(files.Cert)
		must(t, err)
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		must(t, err)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(c)
		for _, n := range names {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: n, CurrentTime: now}); err != nil {
				t.Errorf("%s: %v", n, err)
			}
		}
		return string(c), string(s)
	}
	ca, server := read()
	if ca2, server2 := read(); ca2 != ca || server2 != server {
		t.Error("made anew without need")
	}
	now = now.Add(300 * 24 * time.Hour)
	ca3, server3 := read()
	if ca3 != ca || server3 == server {
		t.Error("not renewed before its end, or under another authority")
	}
	names = append(names, "other.example.com")
	if ca4, server4 := read(); ca4 != ca || server4 == server3 {
		t.Error("not made anew for another name")
	}
	must(t, os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("x"), 0o600))
	if _, err := ownCertificate(dir, names, now); err == nil || !strings.Contains(err.Error(), "restore both from a backup") {
		t.Errorf("a broken authority: %v", err)
	}
}

// A pull is kept also if its project was removed before the line was written, and so are those that were written with it.
func TestPullsOfARemovedProjectAreKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(...store.Schema) *store.Store) {
		db := open(registry.Schema(), audit.Schema())
		log := slog.New(slog.DiscardHandler)
		e := newEvents(audit.New(db, log, nil), db, log)
		pull := registry.Event{Kind: registry.EventPull, Time: time.Now(), Artifact: registry.Artifact{Project: "gone", Repository: "gone/app"}}
		e.Happened(t.Context(), pull)
		e.write(t.Context(), pull, time.After(0))
		var lines int
		must(t, db.QueryRow(t.Context(), `SELECT COUNT(*) FROM audit_line WHERE operation = 'pull'`).Scan(&lines))
		if lines != 2 {
			t.Errorf("%d lines", lines)
		}
	})
}

func TestACommandThatIsNoneIsNamed(t *testing.T) {
	for _, c := range []struct{ args, want string }{{"srve", `"srve" is no command`}, {"audit", `"audit" is no command`}, {"audit verfy", `"audit verfy" is no command`}, {"", "vic-hub is"}} {
		var out, errs strings.Builder
		if code := Main("test", strings.Fields(c.args), &out, &errs); code != 2 || !strings.Contains(errs.String(), c.want) || !strings.Contains(errs.String(), "vic-hub serve") || out.Len() > 0 {
			t.Errorf("vic-hub %s: %d %q %q", c.args, code, out.String(), errs.String())
		}
	}
}
