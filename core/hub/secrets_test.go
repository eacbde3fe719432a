package hub

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoSecretIsInAnyLog uses every kind of secret well and wrongly, and searches the hub's log, the audit log, the logs of
// jobs, and the database whole.
func TestNoSecretIsInAnyLog(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(target.Close)
	w := newWorld(t, "sqlite")
	w.stop()
	w.cfg.Outbound.Allow = []string{"127.0.0.0/8"}
	w.start()
	within(t, "ready", func() bool { status, _, _ := w.do("GET", "/readyz", "", "", ""); return status == 200 })
	text, err := os.ReadFile(filepath.Join(w.dir, "people", "first-password"))
	must(t, err)
	secrets := map[string]string{"the first password": strings.TrimSpace(string(text)), "a user's password": "Grue-Grue-4711", "a wrong password": "Xyzzy-Plugh-0815",
		"a password typed as a name": "Plover-Egg-2342", "a webhook's header": "Lamp-Oil-9876", "a webhook's key": "Brass-Lantern-5432"}
	admin := basicAuth("admin@local", secrets["the first password"])
	api := func(method, path, authorization, body string, want int) (http.Header, string) {
		t.Helper()
		status, header, text := w.do(method, "/api/v2.0"+path, authorization, "application/json", body)
		if status != want {
			t.Fatalf("%s %s: %d %s, want %d", method, path, status, text, want)
		}
		return header, text
	}
	within(t, "the first administrator is one", func() bool {
		status, _, _ := w.do("GET", "/api/v2.0/audit-logs", admin, "", "")
		return status == 200
	})
	api("POST", "/users", admin, fmt.Sprintf(`{"username":"dev","password":%q,"realname":"Dev","email":"dev@example.com"}`, secrets["a user's password"]), 201)
	dev := basicAuth("dev@local", secrets["a user's password"])
	api("GET", "/users/current", dev, "", 200)
	api("GET", "/users/current", basicAuth("dev@local", secrets["a wrong password"]), "", 401)
	api("GET", "/users/current", basicAuth(secrets["a password typed as a name"], "x"), "", 401)
	if _, status := w.bearer("dev@local", secrets["a wrong password"], "repository:default-project/app:pull"); status != 401 {
		t.Errorf("%d", status)
	}
	_, made := api("POST", "/robots", admin, `{"name":"ci","level":"project","duration":1,"permissions":[{"kind":"project","namespace":"default-project",
		"access":[{"resource":"repository","action":"pull"},{"resource":"repository","action":"push"}]}]}`, 201)
	var robot struct{ Name, Secret string }
	must(t, json.Unmarshal([]byte(made), &robot))
	secrets["a robot's secret"] = robot.Secret
	header, _ := api("POST", "/projects/default-project/webhook/policies", admin, fmt.Sprintf(`{"name":"w","enabled":true,"event_types":["PUSH_ARTIFACT"],
		"targets":[{"type":"http","address":%q,"auth_header":%q,"secret":%q}]}`, target.URL, secrets["a webhook's header"], secrets["a webhook's key"]), 201)
	bearer, status := w.bearer(robot.Name, robot.Secret, "repository:default-project/app:pull,push")
	if status != 200 {
		t.Fatalf("%d", status)
	}
	secrets["a token"] = strings.TrimPrefix(bearer, "Bearer ")
	if status, _, s := w.do("PUT", "/v2/default-project/app/manifests/1", bearer, indexType, manifest); status != 201 {
		t.Fatalf("%d %s", status, s)
	}
	policy := strings.TrimPrefix(header.Get("Location"), "/api/v2.0")
	within(t, "the delivery has failed once", func() bool {
		_, s := api("GET", policy+"/executions", admin, "", 200)
		var runs []struct{ ID int64 }
		must(t, json.Unmarshal([]byte(s), &runs))
		if len(runs) == 0 {
			return false
		}
		_, s = api("GET", fmt.Sprintf("%s/executions/%d/tasks", policy, runs[0].ID), admin, "", 200)
		return strings.Contains(s, "answers 500")
	})
	_, lines := api("GET", "/audit-logs/export/jsonl", admin, "", 200)
	for _, want := range []string{`"operation":"sign-in","op_time"`, `"resource":"dev@local","resource_type":"session"`, `"username":"dev@local"`, `"outcome":401`, "none here",
		`"username":"` + robot.Name + `"`} {
		if !strings.Contains(lines, want) {
			t.Errorf("the audit log has no %s:\n%s", want, lines)
		}
	}
	_, system := api("GET", "/system/logs?page_size=100", admin, "", 200)
	_, packed := api("GET", "/system/support-bundle", admin, "", 200)
	w.stop()
	places := map[string]string{"the hub's log": w.logs.String(), "the audit log": lines, "system logs": system, "the log bundle": unpacked(t, packed)}
	for place, want := range map[string]string{"system logs": "hub listens", "the log bundle": "/config" + w.cfg.File} {
		if !strings.Contains(places[place], want) {
			t.Errorf("%s: there is no %q", place, want)
		}
	}
	file := strings.TrimPrefix(w.cfg.Database.URL, "sqlite:")
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(file + end)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		places["the database"+end] = string(b)
	}
	if !strings.Contains(places["the database"], "default-project") || !strings.Contains(places["the hub's log"], "hub listens") {
		t.Error("the search would find nothing")
	}
	for place, text := range places {
		for what, s := range secrets {
			if len(s) < 8 || strings.Contains(text, s) {
				t.Errorf("%s is in %s", what, place)
			}
		}
	}
}

// unpacked is the text of a tar.gz, names of files and all.
func unpacked(t *testing.T, packed string) string {
	t.Helper()
	zip, err := gzip.NewReader(strings.NewReader(packed))
	must(t, err)
	text, err := io.ReadAll(zip)
	must(t, err)
	return string(text)
}
