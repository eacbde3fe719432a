package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/auth"
)

const clientsFile = "../../../docs/hub-harbor-clients.md"

// harborCall is a request as Harbor's clients send it, and what they want of the answer. A path or body names what an
// earlier call made: {project} is its path, {project#} its number.
type harborCall struct {
	resource, what     string
	method, path, body string
	want               int
	reads              string // fields of the answer, or of the first entry of a list
	keep               string // the name for what the call made
}

const (
	harborProjectBody = `{"project_name":"harbor","registry_id":0,"storage_limit":-1,"cve_allowlist":{},
		"metadata":{"auto_scan":"false","severity":"low","prevent_vul":"false","enable_content_trust":"false","reuse_sys_cve_allowlist":"true","public":"false"}}`
	harborRobotBody = `{"name":"ci","description":"","disable":false,"duration":30,"level":"project","permissions":[{"kind":"project","namespace":"private",
		"access":[{"resource":"repository","action":"pull"}]}]}`
	harborRuleBody = `{"disabled":false,"action":"immutable","template":"immutable_template",
		"tag_selectors":[{"kind":"doublestar","decoration":"matches","pattern":"v*","extras":"{\"untagged\":false}"}],
		"scope_selectors":{"repository":[{"kind":"doublestar","decoration":"repoMatches","pattern":"**"}]}}`
	harborRetentionBody = `{"algorithm":"or","rules":[{"disabled":false,"action":"retain","template":"latestPushedK","params":{"latestPushedK":5},
		"tag_selectors":[{"kind":"doublestar","decoration":"matches","pattern":"**","extras":"{\"untagged\":true}"}],
		"scope_selectors":{"repository":[{"kind":"doublestar","decoration":"repoMatches","pattern":"**"}]}}],
		"trigger":{"kind":"Schedule","references":{},"settings":{"cron":""}},"scope":{"level":"project","ref":{project#}}}`
	harborWebhookBody = `{"name":"hook","description":"","enabled":true,"event_types":["PUSH_ARTIFACT"],
		"targets":[{"type":"http","address":"http://127.0.0.1:1/","auth_header":"","skip_cert_verify":false,"payload_format":"Default"}]}`
	harborArtifacts = "/projects/private/repositories/app/artifacts"
)

// harborCalls are in order: later ones use what earlier ones made.
func harborCalls(upstream string) []harborCall {
	registryBody := fmt.Sprintf(`{"name":"up","description":"","type":"docker-registry","url":%q,"insecure":true,"ca_certificate":"",
		"credential":{"type":"basic","access_key":"","access_secret":""}}`, upstream)
	return []harborCall{
		{"system", "ping", "GET", "/ping", "", 200, "", ""},
		{"system", "health", "GET", "/health", "", 200, "status components", ""},
		{"system", "system information", "GET", "/systeminfo", "", 200, "auth_mode registry_url external_url harbor_version read_only", ""},
		{"system", "statistics", "GET", "/statistics", "", 200, "total_project_count total_repo_count", ""},
		{"system", "search", "GET", "/search?q=app", "", 200, "project repository", ""},
		{"system", "permissions", "GET", "/permissions", "", 200, "system project", ""},
		{"system", "volumes", "GET", "/systeminfo/volumes", "", 200, "storage", ""},
		{"system", "CVE allowlist", "GET", "/system/CVEAllowlist", "", 200, "items", ""},
		{"system", "set CVE allowlist", "PUT", "/system/CVEAllowlist", `{"expires_at":1900000000,"items":[{"cve_id":"CVE-2024-3094"}]}`, 200, "", ""},
		{"configurations", "read", "GET", "/configurations", "", 200, "auth_mode.value read_only.editable quota_per_project_enable.value", ""},
		{"configurations", "change", "PUT", "/configurations", `{"project_creation_restriction":"adminonly","read_only":false,"robot_token_duration":30,
			"oidc_verify_cert":false,"self_registration":false,"scan_all_policy":{"parameter":{}},"quota_per_project_enable":true,"email_ssl":false}`, 200, "", ""},

		{"projects", "create", "POST", "/projects", harborProjectBody, 201, "", "project"},
		{"projects", "find by name", "GET", "/projects?name=harbor", "", 200, "project_id name metadata.public creation_time", ""},
		{"projects", "exists", "HEAD", "/projects?project_name=harbor", "", 200, "", ""},
		{"projects", "read", "GET", "{project}", "", 200, "project_id name owner_name metadata.public metadata.severity repo_count", ""},
		{"projects", "change", "PUT", "{project}", harborProjectBody, 200, "", ""},
		{"projects", "summary", "GET", "{project}/summary", "", 200, "repo_count quota.hard.storage project_admin_count", ""},
		{"projects", "deletable", "GET", "{project}/_deletable", "", 200, "deletable", ""},
		{"projects", "metadata", "GET", "{project}/metadatas/", "", 200, "public", ""},
		{"projects", "set metadata", "PUT", "{project}/metadatas/auto_scan", `{"auto_scan":"true"}`, 200, "", ""},
		{"projects", "log", "GET", "/projects/private/logs?page=1&page_size=10", "", 200, "", ""},
		{"quotas", "list", "GET", "/quotas/?page=1&page_size=100", "", 200, "id ref.id hard.storage used.storage", ""},
		{"quotas", "change", "PUT", "/quotas/{project#}", `{"hard":{"storage":1073741824}}`, 200, "", ""},

		{"users", "create", "POST", "/users", `{"username":"tf","password":"right","email":"tf@example.com","realname":"T F","comment":""}`, 201, "", "user"},
		{"users", "read", "GET", "{user}", "", 200, "user_id username realname email sysadmin_flag", ""},
		{"users", "list", "GET", "/users?page=1&page_size=100", "", 200, "user_id username", ""},
		{"users", "search", "GET", "/users/search?username=tf", "", 200, "user_id username", ""},
		{"users", "current", "GET", "/users/current", "", 200, "user_id username sysadmin_flag", ""},
		{"users", "current permissions", "GET", "/users/current/permissions?scope=/project/1", "", 200, "", ""},
		{"users", "make administrator", "PUT", "{user}/sysadmin", `{"sysadmin_flag":false}`, 200, "", ""},
		{"users", "set password", "PUT", "{user}/password", `{"new_password":"right"}`, 200, "", ""},
		{"users", "change profile", "PUT", "{user}", `{"email":"a@example.com","realname":"T F","comment":""}`, 200, "", ""},
		{"user groups", "create", "POST", "/usergroups", `{"group_name":"testers","group_type":3}`, 201, "", "group"},
		{"user groups", "read", "GET", "{group}", "", 200, "id group_name group_type", ""},
		{"user groups", "list", "GET", "/usergroups", "", 200, "id group_name group_type", ""},
		{"user groups", "search", "GET", "/usergroups/search?groupname=test", "", 200, "id group_name", ""},
		{"members", "add a user", "POST", "{project}/members", `{"role_id":2,"member_user":{"username":"tf"}}`, 201, "", "member"},
		{"members", "add a group", "POST", "{project}/members", `{"role_id":3,"member_group":{"group_name":"testers","group_type":3}}`, 201, "", ""},
		{"members", "read", "GET", "{member}", "", 200, "id project_id entity_name entity_type role_id role_name", ""},
		{"members", "list", "GET", "{project}/members?page=1", "", 200, "id entity_name role_id", ""},
		{"members", "change", "PUT", "{member}", `{"role_id":3,"member_user":{"username":"tf"}}`, 200, "", ""},
		{"members", "remove", "DELETE", "{member}", "", 200, "", ""},
		{"robots", "create", "POST", "/robots", harborRobotBody, 201, "id name secret", "robot"},
		{"robots", "read", "GET", "{robot}", "", 200, "id name level duration permissions expires_at disable", ""},
		{"robots", "list", "GET", "/robots?page=1&page_size=100", "", 200, "", ""},
		{"robots", "change", "PUT", "{robot}", strings.Replace(harborRobotBody, `"ci"`, `"robot$private+ci"`, 1), 200, "", ""},
		{"robots", "new secret", "PATCH", "{robot}", `{"secret":""}`, 200, "secret", ""},
		{"robots", "secret of the client's own", "PATCH", "{robot}", `{"secret":"Harbor12345"}`, 200, "", ""},
		{"robots", "delete", "DELETE", "{robot}", "", 200, "", ""},

		{"repositories", "list all", "GET", "/repositories", "", 200, "id name artifact_count", ""},
		{"repositories", "list", "GET", "/projects/private/repositories?page=1", "", 200, "id name project_id artifact_count", ""},
		{"repositories", "read", "GET", "/projects/private/repositories/app", "", 200, "id name artifact_count creation_time", ""},
		{"repositories", "describe", "PUT", "/projects/private/repositories/app", `{"description":"x"}`, 200, "", ""},
		{"artifacts", "list", "GET", harborArtifacts + "?with_tag=true&with_label=true&with_scan_overview=false&page=1", "", 200, "id digest type size tags.0.name push_time", ""},
		{"artifacts", "read", "GET", harborArtifacts + "/1?with_tag=true", "", 200, "id digest media_type manifest_media_type size push_time", ""},
		{"artifacts", "copy", "POST", "/projects/public/repositories/copied/artifacts?from=private/app:1", "", 201, "", ""},
		{"artifacts", "accessories", "GET", harborArtifacts + "/1/accessories", "", 200, "", ""},
		{"artifacts", "scan", "POST", "/projects/private/repositories/web/artifacts/1/scan", "", 202, "", ""},
		{"artifacts", "stop a scan", "POST", "/projects/private/repositories/web/artifacts/1/scan/stop", "", 202, "", ""},
		{"artifacts", "with the head of the report", "GET", "/projects/private/repositories/web/artifacts/1?with_scan_overview=true", "", 200, "scan_overview", ""},
		{"tags", "create", "POST", harborArtifacts + "/1/tags", `{"name":"2"}`, 201, "", ""},
		{"tags", "list", "GET", harborArtifacts + "/1/tags", "", 200, "id name push_time immutable", ""},
		{"tags", "delete", "DELETE", harborArtifacts + "/1/tags/2", "", 200, "", ""},
		{"labels", "create", "POST", "/labels", `{"name":"good","description":"","color":"#00AB9A","scope":"p","project_id":{project#}}`, 201, "", "label"},
		{"labels", "read", "GET", "{label}", "", 200, "id name color scope project_id", ""},
		{"labels", "list", "GET", "/labels?scope=p&project_id={project#}", "", 200, "id name", ""},
		{"labels", "change", "PUT", "{label}", `{"name":"better","description":"","color":"#00AB9A","scope":"p","project_id":{project#}}`, 200, "", ""},
		{"labels", "delete", "DELETE", "{label}", "", 200, "", ""},
		{"immutable tags", "create", "POST", "{project}/immutabletagrules", harborRuleBody, 201, "", "rule"},
		{"immutable tags", "list", "GET", "{project}/immutabletagrules", "", 200, "id disabled tag_selectors scope_selectors", ""},
		{"immutable tags", "change", "PUT", "{rule}", harborRuleBody, 200, "", ""},
		{"immutable tags", "delete", "DELETE", "{rule}", "", 200, "", ""},
		{"retention", "create", "POST", "/retentions", harborRetentionBody, 201, "", "retention"},
		{"retention", "read", "GET", "{retention}", "", 200, "id algorithm rules scope.ref trigger.kind", ""},
		{"retention", "change", "PUT", "{retention}", harborRetentionBody, 200, "", ""},
		{"retention", "executions", "GET", "{retention}/executions", "", 200, "", ""},
		{"retention", "delete", "DELETE", "{retention}", "", 200, "", ""},
		{"webhooks", "create", "POST", "{project}/webhook/policies", harborWebhookBody, 201, "", "hook"},
		{"webhooks", "read", "GET", "{hook}", "", 200, "id name enabled event_types targets", ""},
		{"webhooks", "list", "GET", "{project}/webhook/policies", "", 200, "id name", ""},
		{"webhooks", "events", "GET", "{project}/webhook/events", "", 200, "event_type notify_type", ""},
		{"webhooks", "change", "PUT", "{hook}", harborWebhookBody, 200, "", ""},
		{"webhooks", "delete", "DELETE", "{hook}", "", 200, "", ""},

		{"registries", "ping", "POST", "/registries/ping", registryBody, 200, "", ""},
		{"registries", "create", "POST", "/registries", registryBody, 201, "", "registry"},
		{"registries", "read", "GET", "{registry}", "", 200, "id name type url insecure status", ""},
		{"registries", "list", "GET", "/registries?page=1&page_size=100", "", 200, "id name", ""},
		{"registries", "change", "PUT", "{registry}", `{"name":"up","description":"x","url":` + fmt.Sprintf("%q", upstream) + `,"access_key":"","access_secret":"","insecure":true}`, 200, "", ""},
		{"registries", "information", "GET", "{registry}/info", "", 200, "type supported_triggers", ""},
		{"registries", "kinds", "GET", "/replication/adapters", "", 200, "", ""},
		{"registries", "kinds with addresses", "GET", "/replication/adapterinfos", "", 200, "", ""},
		{"registries", "delete", "DELETE", "{registry}", "", 200, "", ""},
		{"registries", "create again", "POST", "/registries", registryBody, 201, "", "registry"},
		{"replication", "make a rule", "POST", "/replication/policies", `{"name":"mirror","description":"","src_registry":null,"dest_registry":{"id":2,"name":"up"},
			"dest_namespace":"mirror","dest_namespace_replace_count":1,"trigger":{"type":"scheduled","trigger_settings":{"cron":"0 0 2 * * *"}},
			"filters":[{"type":"name","value":"library/**"},{"type":"label","value":["good"],"decoration":"matches"},{"type":"resource","value":"image"}],
			"replicate_deletion":false,"deletion":false,"override":true,"enabled":true,"speed":-1,"copy_by_chunk":false,"single_active_replication":true}`,
			201, "", "rule"},
		{"replication", "get a rule", "GET", "{rule}", "", 200, "id name src_registry dest_registry dest_namespace trigger filters override enabled speed", ""},
		{"replication", "list rules", "GET", "/replication/policies?page=1&page_size=15&name=mirror", "", 200, "id name", ""},
		{"replication", "run a rule", "POST", "/replication/executions", `{"policy_id":1}`, 201, "", "execution"},
		{"replication", "get an execution", "GET", "{execution}", "", 200, "id policy_id status trigger start_time total succeed failed in_progress stopped", ""},
		{"replication", "list tasks", "GET", "{execution}/tasks?page=1&page_size=10", "", 200, "id execution_id status operation src_resource dst_resource", ""},
		{"replication", "stop an execution", "PUT", "{execution}", "", 200, "", ""},
		{"replication", "delete a rule", "DELETE", "{rule}", "", 200, "", ""},
		{"replication", "list executions", "GET", "/replication/executions", "", 200, "", ""},
		{"scanners", "list", "GET", "/scanners", "", 200, "uuid name is_default disabled", ""},
		{"scanners", "register", "POST", "/scanners", `{"name":"x","url":"http://192.0.2.1"}`, 201, "", ""},
		{"scanners", "read", "GET", "/scanners/osv", "", 200, "uuid name is_default", ""},
		{"scanners", "metadata", "GET", "/scanners/osv/metadata", "", 200, "scanner.name capabilities", ""},
		{"scanners", "make it the default", "PATCH", "/scanners/osv", `{"is_default":true}`, 200, "", ""},
		{"scanners", "of a project", "GET", "{project}/scanner", "", 200, "uuid name", ""},
		{"scanners", "choose for a project", "PUT", "{project}/scanner", `{"uuid":"osv"}`, 200, "", ""},
		{"scanners", "scan all", "POST", "/system/scanAll/schedule", `{"schedule":{"type":"Manual"}}`, 201, "", ""},
		{"scanners", "scan all, set schedule", "PUT", "/system/scanAll/schedule", `{"schedule":{"type":"Daily","cron":"0 0 0 * * *"}}`, 200, "", ""},
		{"scanners", "scan all, metrics", "GET", "/scans/all/metrics", "", 200, "total completed metrics ongoing trigger", ""},
		{"scanners", "scan all, stop", "POST", "/system/scanAll/stop", "", 202, "", ""},
		{"scanners", "findings of the hub", "GET", "/security/summary", "", 200, "total_vuls scanned_cnt total_artifact", ""},
		{"scanners", "find a weakness", "GET", "/security/vul?q=cve_id=CVE-2024-1,severity=High", "", 200, "", ""},
		{"scanners", "scan all, schedule", "GET", "/system/scanAll/schedule", "", 200, "", ""},
		{"garbage collection", "set schedule", "POST", "/system/gc/schedule",
			`{"schedule":{"type":"Weekly","cron":"0 0 0 * * 0"},"parameters":{"delete_untagged":false,"workers":1}}`, 201, "", ""},
		{"garbage collection", "read schedule", "GET", "/system/gc/schedule", "", 200, "schedule.type schedule.cron job_parameters", ""},
		{"garbage collection", "change schedule", "PUT", "/system/gc/schedule", `{"schedule":{"type":"None","cron":""},"parameters":{"delete_untagged":false}}`, 200, "", ""},
		{"garbage collection", "history", "GET", "/system/gc", "", 200, "", ""},
		{"audit", "log of the hub", "GET", "/audit-logs?page=1&page_size=10", "", 200, "id username resource operation op_time", ""},
		{"audit", "log, as of Harbor 2.13", "GET", "/auditlog-exts?page=1&page_size=10", "", 200, "id username operation_result", ""},
		{"audit", "purge, schedule", "GET", "/system/purgeaudit/schedule", "", 200, "", ""},
		{"audit", "purge, history", "GET", "/system/purgeaudit?page=1&page_size=10", "", 200, "", ""},
		{"audit", "purge, change schedule", "PUT", "/system/purgeaudit/schedule",
			`{"schedule":{"type":"Daily","cron":"0 0 0 * * *"},"parameters":{"audit_retention_hour":24,"dry_run":false}}`, 200, "", ""},
		{"jobs", "queues", "GET", "/jobservice/queues", "", 200, "job_type count latency paused", ""},
		{"jobs", "schedules", "GET", "/schedules", "", 200, "", ""},

		{"users", "delete", "DELETE", "{user}", "", 200, "", ""},
		{"projects", "delete", "DELETE", "{project}", "", 200, "", ""},
	}
}

// harborRefused are calls that the hub answers otherwise on purpose, and why.
var harborRefused = map[string]string{
	"audit/purge, change schedule":      "refused: hub.toml alone says how long the log is kept",
	"scanners/register":                 "refused: scanners are plugins of the configuration",
	"robots/secret of the client's own": "refused: the hub makes secrets itself",
}

// TestPageTellsEveryHarborCall makes the calls of Harbor's clients in their order, and compares what works with the page.
func TestPageTellsEveryHarborCall(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	must(t, r.source.Save(t.Context(), auth.SaveRequest{Principal: auth.Principal{ID: "d/testers", Kind: auth.Group, Name: "testers"}}))
	up := httptest.NewServer(http.NotFoundHandler())
	up.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	defer up.Close()
	var page strings.Builder
	page.WriteString(clientsHead)
	made := map[string]string{}
	r.image("private/web", "1", imageConfig, "{}", imageLayer, "x")
	for _, c := range harborCalls(up.URL) {
		path, body := fillIn(c.path, made), fillIn(c.body, made)
		if body == "" {
			body = "null\n" // as the terraform provider does
		}
		status, header, text := r.do("cloud-admin", c.method, Prefix+path, "application/json", body)
		works, why := "yes", lacks(c, status, header, text)
		switch refused := harborRefused[c.resource+"/"+c.what]; {
		case noRoute(status, text):
			works = "not there"
		case refused != "" && status == http.StatusBadRequest:
			works = refused
		case why != "":
			t.Errorf("%s: %s: %s", c.resource, c.what, why)
			works = "no"
		}
		if c.keep != "" {
			made[c.keep] = strings.TrimPrefix(header.Get("Location"), Prefix)
		}
		fmt.Fprintf(&page, "| %s | %s | `%s %s` | %s |\n", c.resource, c.what, c.method, c.path, works)
	}
	if *update {
		must(t, os.WriteFile(clientsFile, []byte(page.String()), 0o644))
		return
	}
	have, err := os.ReadFile(clientsFile)
	must(t, err)
	if !bytes.Equal(have, []byte(page.String())) {
		t.Error("docs/hub-harbor-clients.md is not what works: make gen, or go test ./core/hub/api -run TestPage -update")
	}
}

const clientsHead = `<!-- Made by make gen from core/hub/api; do not edit. -->
# Harbor's clients and the hub

A test sends the hub these requests as the terraform provider for Harbor and Harbor's Go client send them, and compares
status, the header Location, and the fields that they read. It does not run those clients. "Not there": the hub has no such route.

| resource | call | request | works |
| --- | --- | --- | --- |
`

var inBraces = regexp.MustCompile(`\{[a-z]+#?\}`)

// fillIn puts what was made into a path or a body.
func fillIn(s string, made map[string]string) string {
	return inBraces.ReplaceAllStringFunc(s, func(m string) string {
		name := strings.Trim(m, "{}")
		if number, ok := strings.CutSuffix(name, "#"); ok {
			return made[number][strings.LastIndex(made[number], "/")+1:]
		}
		return made[name]
	})
}

// noRoute says whether the hub has no route for a request, which is not the same as that it does not have the thing.
func noRoute(status int, text string) bool {
	return status == http.StatusNotFound && strings.Contains(text, "there is nothing at") || status == http.StatusMethodNotAllowed
}

// lacks says what a client misses in an answer.
func lacks(c harborCall, status int, header http.Header, text string) string {
	if status != c.want {
		return fmt.Sprintf("%d %s, want %d", status, text, c.want)
	}
	if c.keep != "" && header.Get("Location") == "" {
		return "there is no Location"
	}
	if c.reads == "" {
		return ""
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err.Error()
	}
	if list, ok := v.([]any); ok {
		if len(list) == 0 {
			return "the list is empty"
		}
		v = list[0]
	}
	for field := range strings.FieldsSeq(c.reads) {
		at := v
		for part := range strings.SplitSeq(field, ".") {
			if list, ok := at.([]any); ok && part == "0" && len(list) > 0 {
				at = list[0]
				continue
			}
			m, _ := at.(map[string]any)
			x, ok := m[part]
			if !ok {
				return fmt.Sprintf("there is no %s in %.300s", field, text)
			}
			at = x
		}
	}
	return ""
}
