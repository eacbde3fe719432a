package api

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/openvic/vic/core/store/storetest"
)

func TestSettingsOfTheHub(t *testing.T) {
	each(t, func(r *rig) {
		t := r.t
		admin := "cloud-admin"
		at := func() map[string]settingForm {
			var m map[string]settingForm
			r.api(admin, "GET", "/configurations", "", 200, &m)
			return m
		}
		if m := at(); m["auth_mode"].Value != "oidc_auth" || m["auth_mode"].Editable || m["token_expiration"].Value != 5.0 || !m["read_only"].Editable ||
			m["project_creation_restriction"].Value != "adminonly" {
			t.Errorf("%v", m)
		}
		// What terraform sends for the system: a flag as a text, and what is empty elsewhere.
		r.api(admin, "PUT", "/configurations", `{"token_expiration":15,"storage_per_project":"5000000","robot_token_duration":-1,"banner_message":"Hello",
			"project_creation_restriction":"adminonly","read_only":"false","ldap_url":"","oidc_verify_cert":false,"scan_all_policy":{"parameter":{}}}`, 200, nil)
		if m := at(); m["token_expiration"].Value != 15.0 || m["storage_per_project"].Value != 5e6 || m["robot_token_duration"].Value != -1.0 {
			t.Errorf("%v", m)
		}
		var info systemInfoForm
		r.api("", "GET", "/systeminfo", "", 200, &info)
		if info.Banner != "Hello" || info.ReadOnly {
			t.Errorf("%+v", info)
		}
		for _, bad := range []string{`{"token_expiration":0}`, `{"token_expiration":61}`, `{"token_expiration":1.5}`, `{"token_expiration":"soon"}`,
			`{"robot_token_duration":0}`, `{"storage_per_project":-2}`, `{"read_only":"perhaps"}`, `{"banner_message":1}`, `{"project_creation_restriction":"everyone"}`,
			`{"auth_mode":"db_auth"}`, `{"ldap_url":"ldap://x"}`, `{"token_expiration":20,"color":"red"}`, `[]`,
			fmt.Sprintf(`{"banner_message":%q}`, strings.Repeat("x", 5000))} {
			r.api(admin, "PUT", "/configurations", bad, 400, nil)
		}
		if m := at(); m["token_expiration"].Value != 15.0 {
			t.Errorf("a change in part: %v", m)
		}
		r.api(admin, "POST", "/projects", `{"project_name":"sized"}`, 201, nil)
		var s summaryForm
		r.api(admin, "GET", "/projects/sized/summary", "", 200, &s)
		if s.Quota.Hard.Storage != 5e6 {
			t.Errorf("%+v", s)
		}
		var list []line
		r.api(admin, "GET", "/audit-logs?page_size=100&q=resource_type=configuration", "", 200, &list)
		if len(list) == 0 || !strings.Contains(list[len(list)-1].Detail, "token_expiration: 15, was 5") {
			t.Errorf("%+v", list)
		}
		// Two who change different settings at once.
		var both sync.WaitGroup
		both.Go(func() { r.api(admin, "PUT", "/configurations", `{"token_expiration":30}`, 200, nil) })
		both.Go(func() { r.api(admin, "PUT", "/configurations", `{"robot_token_duration":60}`, 200, nil) })
		both.Wait()
		if m := at(); m["token_expiration"].Value != 30.0 || m["robot_token_duration"].Value != 60.0 {
			t.Errorf("%v", m)
		}
	})
}

func TestReadOnlyMode(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	r.api("cloud-admin", "PUT", "/configurations", `{"read_only":true}`, 200, nil)
	for _, c := range []struct{ method, path, body string }{{"PUT", "/v2/private/app/manifests/2", manifest}, {"POST", "/v2/private/app/blobs/uploads/", ""},
		{"DELETE", "/v2/private/app/manifests/1", ""}} {
		if status, _, body := r.do("", c.method, c.path, indexType, c.body); status != 403 || !strings.Contains(body, "read-only") {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
	}
	at := "/projects/private/repositories/app"
	r.api("devops-admin", "DELETE", at+"/artifacts/1", "", 403, nil)
	r.api("devops-admin", "DELETE", at, "", 403, nil)
	r.api("developer", "POST", at+"/artifacts/1/tags", `{"name":"2"}`, 403, nil)
	r.api("developer", "POST", "/projects/private/repositories/copy/artifacts?from=private/app:1", "", 403, nil)
	if status, _, body := r.do("", "GET", "/v2/private/app/manifests/1", "", ""); status != 200 {
		t.Errorf("a pull: %d %s", status, body)
	}
	r.api("cloud-admin", "PUT", "/configurations", `{"read_only":false}`, 200, nil)
	if status, _, body := r.do("", "PUT", "/v2/private/app/manifests/2", indexType, manifest); status != 201 {
		t.Errorf("%d %s", status, body)
	}
}

func TestMetadataOfProjects(t *testing.T) {
	each(t, func(r *rig) {
		t := r.t
		admin, devops := "cloud-admin", "devops-admin"
		r.api(admin, "POST", "/projects", `{"project_name":"meta","metadata":{"public":"false","auto_scan":"true","prevent_vul":"false","retention_id":"7"}}`, 201, nil)
		var p project
		r.api(admin, "GET", "/projects/meta", "", 200, &p)
		if fmt.Sprint(p.Metadata) != "map[auto_scan:true prevent_vul:false public:false]" {
			t.Errorf("%v", p.Metadata)
		}
		r.api(admin, "POST", "/projects", `{"project_name":"safe","metadata":{"prevent_vul":"true","grace_days":"7"}}`, 201, nil)
		r.api(admin, "POST", "/projects", `{"project_name":"odd","metadata":{"grace_days":"-1"}}`, 400, nil)
		// What the hub would not do is not promised.
		r.api(admin, "PUT", "/projects/meta", `{"metadata":{"enable_content_trust":"maybe"}}`, 400, nil)
		r.api(admin, "PUT", "/projects/meta", `{"metadata":{"severity":"high"}}`, 200, nil)
		at := "/projects/private/metadatas"
		r.api(devops, "POST", at+"/", `{"auto_scan":"true"}`, 200, nil)
		r.api(devops, "POST", at+"/", `{"color":"red"}`, 400, nil)
		r.api(devops, "PUT", at+"/severity", `{"severity":"high"}`, 200, nil)
		r.api(devops, "PUT", at+"/severity", `{"severity":"awful"}`, 400, nil)
		r.api(devops, "PUT", at+"/severity", `{"auto_scan":"true"}`, 400, nil)
		r.api(devops, "PUT", at+"/public", `{"public":"true"}`, 200, nil)
		var m map[string]string
		r.api("none", "GET", at, "", 200, &m) // public by now
		if fmt.Sprint(m) != "map[auto_scan:true public:true severity:high]" {
			t.Errorf("%v", m)
		}
		r.api("none", "PUT", at+"/severity", `{"severity":"low"}`, 403, nil)
		r.api(devops, "DELETE", at+"/severity", "", 200, nil)
		r.api(devops, "DELETE", at+"/severity", "", 404, nil)
		r.api(devops, "DELETE", at+"/public", "", 400, nil)
		r.api(devops, "GET", at+"/auto_scan", "", 200, &m)
		r.api(devops, "GET", at+"/severity", "", 404, nil)
		r.api(admin, "DELETE", "/projects/meta", "", 200, nil)
		var left int
		must(t, r.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM project_metadata WHERE project_id = $1`, p.ID).Scan(&left))
		if left != 0 {
			t.Errorf("a project that is gone left %d", left)
		}
	})
}

func TestCloudAdministratorsByHarborsFlag(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	var u, last user
	r.api("viewer", "GET", "/users/current", "", 200, &u)
	r.api("cloud-admin", "GET", "/users/current", "", 200, &last)
	set := func(n int64, flag bool, want int) {
		t.Helper()
		r.api("cloud-admin", "PUT", fmt.Sprintf("/users/%d/sysadmin", n), fmt.Sprintf(`{"sysadmin_flag":%t}`, flag), want, nil)
	}
	set(last.ID, false, 409) // the last one
	for _, flag := range []bool{true, true, false, false} {
		set(u.ID, flag, 200)
		r.api("viewer", "GET", "/users/current", "", 200, &u)
		if u.SysAdmin != flag {
			t.Errorf("%+v, want %t", u, flag)
		}
	}
	set(999, true, 404)
}
