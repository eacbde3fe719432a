package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/trust/trusttest"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
)

// ofProjects counts the rows that belong to a project, by "table.column" of all tables that there are.
func (r *rig) ofProjects(project int64) map[string]int {
	r.t.Helper()
	rows, err := r.db.Query(r.t.Context(), `SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND c.name IN ('project', 'project_id')`)
	must(r.t, err)
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var table, column string
		must(r.t, rows.Scan(&table, &column))
		var n int
		must(r.t, r.db.QueryRow(r.t.Context(), fmt.Sprintf(`SELECT COUNT(*) FROM %s WHERE %s = $1`, table, column), project).Scan(&n))
		out[table+"."+column] = n
	}
	must(r.t, rows.Err())
	return out
}

// Nothing is left of a project that is deleted, which one of its name or number could come into. Whoever adds a table of things of
// projects has one made here.
func TestNothingIsLeftOfAProject(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	const admin = "cloud-admin"
	// The audit log keeps its lines; the others are the registry's, whose tests make them.
	kept := []string{"audit_line.project", "upload.project_id", "repo.project_id", "project_blob.project_id"}
	r.api(admin, "POST", "/projects", `{"project_name":"shop","cve_allowlist":{"items":[{"cve_id":"CVE-2024-3094"}]}}`, 201, nil)
	n := r.number("shop")
	r.api(admin, "POST", "/projects/shop/members", `{"role_id":2,"member_user":{"username":"developer"}}`, 201, nil)
	key, err := json.Marshal(trustKeyRequest{Name: "release", Kind: "cosign-key", PEM: trusttest.NewKey(t).PEM(t)})
	must(t, err)
	r.api(admin, "POST", "/projects/shop/trust/keys", string(key), 201, nil)
	r.api(admin, "POST", "/labels", fmt.Sprintf(`{"name":"gold","scope":"p","project_id":%d}`, n), 201, nil)
	r.api(admin, "POST", "/projects/shop/immutabletagrules", harborRuleBody, 201, nil)
	r.api(admin, "POST", "/retentions", retentionBody(n, ""), 201, nil)
	r.api(admin, "POST", "/robots", robotBody("ci", "shop", "repository:list"), 201, nil)
	r.api(admin, "POST", "/vchs", `{"uid":"u1","name":"one","projects":["shop","private"]}`, 201, nil)
	r.api(admin, "PUT", "/projects/shop/allowance", `{"containers":2,"cpus":-1,"memory":-1}`, 200, nil)
	r.api(admin, "POST", "/projects/shop/approval-rules", `{"name":"large"}`, 201, nil)
	r.api(admin, "PUT", "/projects/shop", `{"metadata":{"auto_scan":"true"}}`, 200, nil)
	r.api(admin, "POST", "/projects/shop/webhook/policies",
		`{"name":"x","enabled":true,"event_types":["PUSH_ARTIFACT"],"targets":[{"type":"http","address":"https://hooks.example.com/"}]}`, 201, nil)
	must(t, r.db.Tx(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO endpoint (name, description, kind, url, insecure, ca, username, made, changed)
			VALUES ('hub', '', 'docker-registry', 'https://registry.example.com', FALSE, '', '', 1, 1)`); err != nil {
			return err
		}
		for _, q := range []string{
			`INSERT INTO proxy_project (project_id, endpoint_id) SELECT $1, MAX(id) FROM endpoint`,
			`INSERT INTO webhook_quota (project, event, at) VALUES ($1, 'QUOTA_WARNING', 1)`,
			`INSERT INTO tuf_repo (project, name, gun, made) VALUES ($1, 'shop/app', 'hub/shop/app', 1)`,
			`INSERT INTO provision (project, vch, name, image, status, principal, requested_by, made, updated, expires, reason, decided_by, comment, containers, cpus,
				memory, starts, plan, sealed_body, container, execution, message) VALUES ($1, 1, 'web', 'x', 'done', 'd/x', 'x', 1, 1, 0, '', '', '', 1, 1, 1, TRUE,
				'{}', x'', 'c', 0, '')`,
		} {
			if _, err := tx.Exec(q, n); err != nil {
				return err
			}
		}
		return nil
	}))
	before := r.ofProjects(n)
	for name, rows := range before {
		if rows == 0 && !slices.Contains(kept, name) {
			t.Errorf("this test makes nothing in %s", name)
		}
	}
	if len(before) < 12 {
		t.Errorf("not the tables of projects: %v", before)
	}
	r.api(admin, "DELETE", "/projects/shop", "", 200, nil)
	for name, rows := range r.ofProjects(n) {
		if rows != 0 && !strings.HasPrefix(name, "audit_line") {
			t.Errorf("%s still has %d rows", name, rows)
		}
	}
	if r.api(admin, "POST", "/projects", `{"project_name":"shop"}`, 201, nil); r.number("shop") == n {
		t.Error("a number was given twice")
	}
}
