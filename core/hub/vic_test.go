package hub

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/core/admin/cli"
	"github.com/openvic/vic/core/hub/trust/trusttest"
)

// vic runs "vic hub" as somebody would at a shell.
func (w *world) vic(want int, stdin string, args ...string) (stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	all := append([]string{"vic", "hub", "--credentials", filepath.Join(w.dir, "vic", "hub.json")}, args...)
	if code := cli.Main(w.t.Context(), "test", all, cli.Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs}); code != want {
		w.t.Errorf("vic hub %q: exit code %d, want %d: %s%s", args, code, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// administrator waits until the first one may do what they may, and tells the password.
func (w *world) administrator() string {
	w.t.Helper()
	within(w.t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	text, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
	must(w.t, err)
	password := strings.TrimSpace(string(text))
	within(w.t, "the first administrator", func() bool {
		status, _, _ := w.do("GET", "/api/v2.0/cloud-admins", basicAuth("admin@local", password), "", "")
		return status == 200
	})
	return password
}

// TestVicHubDoesWhatAnAdministratorDoes runs each command against a hub.
func TestVicHubDoesWhatAnAdministratorDoes(t *testing.T) {
	w := newWorld(t, "sqlite")
	password := w.administrator()
	w.pushBlob("hello hub")
	header, _ := w.bearer("admin@local", password, "repository:default-project/app:pull,push")
	if status, _, body := w.do("PUT", "/v2/default-project/app/manifests/1", header, indexType, manifest); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	url := "https://" + w.hub.Addr().String()
	ca := filepath.Join(w.cfg.Data, "tls", "ca.pem")
	has := func(out string, want ...string) {
		t.Helper()
		for _, x := range want {
			if !strings.Contains(out, x) {
				t.Errorf("%q lacks %q", out, x)
			}
		}
	}
	run := func(args ...string) string {
		t.Helper()
		out, _ := w.vic(0, "", args...)
		return out
	}

	_, errs := w.vic(1, "", "--hub", url, "--ca", ca, "project", "create", "shop")
	has(errs, "401", "vic hub login "+url)
	_, errs = w.vic(1, "wrong\n", "--ca", ca, "--user", "admin@local", "--password-stdin", "login", url)
	has(errs, "the user or the password is wrong")
	out, _ := w.vic(0, password+"\n", "--ca", ca, "--user", "admin@local", "--password-stdin", "login", url)
	has(out, "signed in to "+url+" as admin@local")
	if info, err := os.Stat(filepath.Join(w.dir, "vic", "hub.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}

	has(run("status"), "admin@local", "healthy", "plugin local")
	out, _ = w.vic(0, "a-long-secret\n", "user", "create", "--new-password-stdin", "--realname", "Dev", "dev")
	has(out, "user dev is made")
	has(run("project", "create", "--storage", "1GiB", "shop"), "project shop is made")
	has(run("member", "set", "shop", "dev@local", "viewer"), "dev@local is viewer in shop")
	has(run("member", "set", "shop", "dev@local", "developer"), "dev@local is developer in shop")
	has(run("member", "ls", "shop"), "dev@local", "developer")
	has(run("user", "ls"), "dev@local", "admin@local", "true")
	has(run("user", "ls", "--search", "de"), "dev@local")
	has(run("quota", "ls"), "shop", "1GiB", "none")
	run("quota", "set", "--storage", "none", "--repositories", "5", "shop")
	var quotas []struct {
		Ref  struct{ Name string }
		Hard struct{ Storage, Repositories int64 }
	}
	must(t, json.Unmarshal([]byte(run("quota", "ls", "--output", "json")), &quotas))
	if len(quotas) != 2 || quotas[1].Ref.Name != "shop" || quotas[1].Hard.Storage != -1 || quotas[1].Hard.Repositories != 5 {
		t.Errorf("%+v", quotas)
	}
	run("project", "update", "--public", "shop")
	has(run("project", "inspect", "shop"), "true")
	has(run("project", "ls"), "default-project", "shop")

	var robot struct{ Name, Secret string }
	must(t, json.Unmarshal([]byte(run("robot", "create", "--project", "shop", "--permission", "repository:pull", "--output", "json", "ci")), &robot))
	has(robot.Name, "robot$shop+ci")
	w.vic(0, robot.Secret+"\n", "--hub", url, "--user", robot.Name, "--password-stdin", "project", "inspect", "shop")
	has(run("robot", "ls", "--project", "shop"), "robot$shop+ci", "repository:pull")
	run("robot", "disable", "--project", "shop", "ci")
	_, errs = w.vic(1, robot.Secret+"\n", "--hub", url, "--user", robot.Name, "--password-stdin", "project", "inspect", "shop")
	has(errs, "401")
	run("robot", "enable", "--project", "shop", "ci")
	has(run("robot", "refresh", "--project", "shop", "ci"), "Secret")
	run("robot", "rm", "--project", "shop", "ci")

	has(run("repo", "ls", "default-project"), "default-project/app")
	has(run("artifact", "ls", "default-project/app"), "sha256:", "1")
	has(run("artifact", "inspect", "default-project/app:1"), "default-project/app", "admin@local")
	key := w.file("cosign.pub", trusttest.NewKey(t).PEM(t))
	has(run("trust", "keys", "add", "default-project", "release", key), "release is trusted in default-project")
	has(run("trust", "keys", "ls", "default-project"), "release", "cosign-key", "sha256:", "admin@local")
	run("trust", "keys", "revoke", "default-project", "release")
	run("trust", "keys", "restore", "default-project", "release")
	_, errs = w.vic(1, "", "trust", "keys", "add", "default-project", "x", w.file("cosign.key", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"))
	has(errs, "is a private key, and stays here")
	has(run("trust", "show", "default-project/app:1"), "FORMAT")
	has(run("trust", "require", "default-project", "cosign", "notary"), "cosign, notary")
	_, errs = w.vic(1, "", "trust", "require", "default-project", "pgp")
	has(errs, "is none of cosign, notation, notary")
	run("trust", "require", "default-project", "none")
	run("trust", "keys", "rm", "default-project", "release")
	_, errs = w.vic(1, "", "trust", "keys", "rm", "default-project", "release")
	has(errs, "has no key")
	run("tag", "rm", "default-project/app:1")
	run("repo", "rm", "default-project/app")
	has(run("admin", "ls"), "local/administrators", "group")
	run("admin", "add", "dev@local")
	run("admin", "rm", "local/dev")
	run("member", "rm", "shop", "dev@local")
	w.vic(0, "another-long-secret\n", "user", "password", "--new-password-stdin", "dev@local")
	run("user", "rm", "dev@local")
	run("project", "rm", "shop")
	has(run("api", "GET", "/ping"), "Pong")

	has(run("gc", "run", "--dry-run"), "has begun")
	within(t, "the run ends", func() bool { return strings.Contains(run("gc", "ls"), "Success") })
	has(run("gc", "schedule", "daily"), "daily")
	has(run("gc", "schedule"), "Daily")
	run("gc", "schedule", "none")
	_, errs = w.vic(1, "", "gc", "inspect", "x")
	has(errs, "is no number of a run")

	within(t, "the audit log has the push", func() bool {
		return strings.Contains(run("audit", "search", "--operation", "push"), "default-project/app")
	})
	has(run("audit", "search", "--by", "admin@local", "--type", "user", "--limit", "2", "--output", "json"), `"operation": "delete"`)
	rows, err := csv.NewReader(strings.NewReader(run("audit", "export", "--format", "csv"))).ReadAll()
	if err != nil || len(rows) < 10 || rows[0][1] != "time" {
		t.Errorf("%v %v", rows, err)
	}
	lines := strings.Split(strings.TrimSpace(run("audit", "export", "--project", "default-project")), "\n")
	if len(lines) < 2 || !json.Valid([]byte(lines[0])) {
		t.Errorf("%q", lines)
	}

	has(run("logs", "--text", "plugin is up"), "local: plugin is up")
	has(run("logs", "--plugin", "hub", "--level", "info", "--since", "1h", "--output", "json"), `"message":"hub listens"`)
	_, errs = w.vic(1, "", "logs", "--level", "loud")
	has(errs, "is not one of error, warning, info, debug")
	file := filepath.Join(w.dir, "bundle.tar.gz")
	has(run("support-bundle", file), "the log bundle is in "+file)
	packed, err := os.ReadFile(file)
	must(t, err)
	inside := unpacked(t, string(packed))
	for _, want := range []string{"/hub.log", "/plugins.json", "/health.json", "vic_hub_plugin_up", "goroutine profile", "hub listens", "for admin@local"} {
		if !strings.Contains(inside, want) {
			t.Errorf("the log bundle lacks %q", want)
		}
	}
	_, errs = w.vic(1, "", "support-bundle", file)
	has(errs, "exists")

	_, errs = w.vic(1, "", "project", "inspect", "nothing")
	has(errs, "404 NOT_FOUND")
	has(run("logout"), "signed out")
	_, errs = w.vic(1, "", "project", "ls")
	has(errs, "which hub?")
}
