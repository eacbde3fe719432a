package api

import (
	"testing"

	"github.com/openvic/vic/core/store/storetest"
)

func TestAllowlistsOfTheHubAndOfAProject(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	var l allowlistForm
	r.api("viewer", "GET", "/system/CVEAllowlist", "", 200, &l)
	if l.Items == nil || len(l.Items) != 0 || l.Expires != nil {
		t.Errorf("%+v", l)
	}
	r.api("cloud-admin", "PUT", "/system/CVEAllowlist", `{"items":[{"cve_id":"CVE-2024-3094"}],"expires_at":1900000000}`, 200, nil)
	r.api("viewer", "GET", "/system/CVEAllowlist", "", 200, &l)
	if len(l.Items) != 1 || l.Items[0].CVE != "CVE-2024-3094" || l.Expires == nil || *l.Expires != 1900000000 || l.Project != 0 {
		t.Errorf("%+v", l)
	}
	for _, bad := range []string{`{"items":[{"cve_id":""}]}`, `{"items":[{"cve_id":"X"},{"cve_id":"x"}]}`, `{"expires_at":-1}`, `{"expires_at":9223372036854775807}`} {
		r.api("cloud-admin", "PUT", "/system/CVEAllowlist", bad, 400, nil)
	}
	list := func() (p project) { r.api("viewer", "GET", "/projects/private", "", 200, &p); return p }
	if p := list(); p.Allowlist.Project != p.ID || len(p.Allowlist.Items) != 0 {
		t.Errorf("%+v", p)
	}
	r.api("devops-admin", "PUT", "/projects/private", `{"cve_allowlist":{"items":[{"cve_id":"GHSA-1"}]}}`, 200, nil)
	r.api("devops-admin", "PUT", "/projects/private", `{"metadata":{"severity":"high"}}`, 200, nil) // says nothing of it
	r.api("devops-admin", "PUT", "/projects/private", `{"cve_allowlist":{"items":[{"cve_id":"no ID"}]},"metadata":{"severity":"low"}}`, 400, nil)
	if p := list(); len(p.Allowlist.Items) != 1 || p.Allowlist.Items[0].CVE != "GHSA-1" || p.Metadata["severity"] != "high" {
		t.Errorf("%+v", p)
	}
	r.api("devops-admin", "PUT", "/projects/private", `{"cve_allowlist":{}}`, 200, nil)
	if p := list(); len(p.Allowlist.Items) != 0 {
		t.Errorf("%+v", p)
	}
}
