package api

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
)

func TestTheLogIsExported(t *testing.T) {
	eachRig(t, func(r *rig) {
		const admin = "cloud-admin"
		for _, name := range []string{"one", "two"} {
			r.api(admin, "POST", "/projects", `{"project_name":"`+name+`"}`, 201, nil)
		}
		r.api(admin, "PUT", "/projects/one", `{"public":true}`, 200, nil)
		status, header, text := r.do(admin, "GET", Prefix+"/audit-logs/export/jsonl", "", "")
		lines := strings.Split(strings.TrimSpace(text), "\n")
		var first, last line
		if status != 200 || len(lines) != 3 || !strings.Contains(header.Get("Content-Disposition"), "audit-log.jsonl") {
			r.t.Fatalf("%d %v %s", status, header, text)
		}
		must(r.t, json.Unmarshal([]byte(lines[0]), &first))
		must(r.t, json.Unmarshal([]byte(lines[2]), &last))
		if first.Operation != "create" || last.Operation != "update" || first.User != "cloud-admin" || first.ID >= last.ID {
			r.t.Errorf("%+v %+v", first, last)
		}
		_, _, text = r.do(admin, "GET", Prefix+"/projects/one/logs/export/csv?q=operation=update", "", "")
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || len(rows) != 2 || rows[0][2] != "username" || rows[1][2] != "cloud-admin" || rows[1][6] != "update" {
			r.t.Errorf("%v %v", rows, err)
		}
		r.api(admin, "GET", "/audit-logs/export/xml", "", 404, nil)
		r.api(admin, "GET", "/audit-logs/export/csv?q=x=y", "", 400, nil)
	})
}

func TestCellsAreNoFormulas(t *testing.T) {
	for text, want := range map[string]string{"": "", "a=b": "a=b", "=1+1": "'=1+1", "@x": "'@x", "-1": "'-1", "+1": "'+1", "\tx": "'\tx"} {
		if got := cell(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
