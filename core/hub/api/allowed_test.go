package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store/storetest"
)

// What /users/current/permissions says is what the table allows.
func TestEverybodyIsToldWhatTheyMay(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	private := r.number("private")
	for x := role.None; x <= role.CloudAdmin; x++ {
		for _, scope := range []role.Scope{role.Project, role.Global} {
			path := "/users/current/permissions?relative=true"
			if scope == role.Project {
				path += fmt.Sprintf("&scope=/project/%d", private)
			}
			if scope == role.Project && x == role.None { // the project is hidden
				r.api(x.String(), "GET", path, "", 404, nil)
				continue
			}
			var list []permissionForm
			r.api(x.String(), "GET", path, "", 200, &list)
			for _, p := range role.All() {
				if p.Row().Scope != scope {
					continue
				}
				resource, action, _ := strings.Cut(p.String(), ":")
				if told := slices.Contains(list, permissionForm{resource, action}); told != (x >= p.Row().Least) {
					t.Errorf("%v as %v: told %v", p, x, told)
				}
			}
		}
	}
	var list []permissionForm
	r.api("viewer", "GET", fmt.Sprintf("/users/current/permissions?scope=/project/%d", private), "", 200, &list)
	if !slices.Contains(list, permissionForm{fmt.Sprintf("/project/%d/tag", private), "list"}) {
		t.Errorf("%v", list)
	}
	for _, bad := range []string{"scope=/project/x", "scope=/projects/1", "relative=perhaps"} {
		r.api("viewer", "GET", "/users/current/permissions?"+bad, "", 400, nil)
	}
	r.api("viewer", "GET", "/users/current/permissions?scope=/project/999", "", 404, nil)
}

func TestAProfileIsChangedByItsUserAndByAdministrators(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	var u user
	r.api("developer", "GET", "/users/current", "", 200, &u)
	at := fmt.Sprintf("/users/%d", u.ID)
	r.api("developer", "PUT", at, `{"realname":"Dev Eloper","email":"dev@example.com"}`, 200, nil)
	r.api("cloud-admin", "PUT", at, `{"email":"d@example.com"}`, 200, nil)
	r.api("viewer", "PUT", at, `{"email":"x@example.com"}`, 403, nil)
	r.api("viewer", "PUT", "/users/999", `{"email":"x@example.com"}`, 403, nil)
	r.api("cloud-admin", "PUT", "/users/999", `{"email":"x@example.com"}`, 404, nil)
	r.api("developer", "GET", "/users/current", "", 200, &u)
	if u.RealName != "Dev Eloper" || u.Email != "d@example.com" {
		t.Errorf("%+v", u)
	}
}

func TestARepositoryIsDescribed(t *testing.T) {
	eachRig(t, func(r *rig) {
		const at = "/projects/private/repositories/app"
		r.api("developer", "PUT", at, `{"description":"The shop's front"}`, 200, nil)
		r.api("viewer", "PUT", at, `{"description":"x"}`, 403, nil)
		r.api("developer", "PUT", at, fmt.Sprintf(`{"description":%q}`, strings.Repeat("x", 16<<10+1)), 400, nil)
		r.api("developer", "PUT", at+"s", `{"description":"x"}`, 404, nil)
		var x repositoryForm
		r.api("viewer", "GET", at, "", 200, &x)
		if x.Text != "The shop's front" {
			t.Errorf("%+v", x)
		}
	})
}

func TestWorkIsListedAndStopped(t *testing.T) {
	eachRig(t, func(r *rig) {
		header := r.api("cloud-admin", "POST", "/system/gc/schedule", `{"schedule":{"type":"Manual"},"parameters":{}}`, 201, nil)
		number := header.Get("Location")[strings.LastIndex(header.Get("Location"), "/")+1:]
		var queues []queueForm
		r.api("cloud-admin", "GET", "/jobservice/queues", "", 200, &queues)
		i := slices.IndexFunc(queues, func(q queueForm) bool { return q.Kind == "GARBAGE_COLLECTION" })
		if i < 0 || queues[i].Count != 1 || len(queues) < 3 {
			t.Fatalf("%+v", queues)
		}
		var list []executionForm
		r.api("cloud-admin", "GET", "/jobservice/jobs?q=vendor_type=GARBAGE_COLLECTION,trigger=manual", "", 200, &list)
		if len(list) != 1 || fmt.Sprint(list[0].ID) != number {
			t.Errorf("%+v", list)
		}
		r.api("cloud-admin", "GET", "/jobservice/jobs?q=vendor_type=WEBHOOK", "", 200, &list)
		if len(list) != 0 {
			t.Errorf("%+v", list)
		}
		at := "/jobservice/jobs/" + number
		r.api("cloud-admin", "PUT", at, "", 202, nil)
		var one executionForm
		r.api("cloud-admin", "GET", at, "", 200, &one)
		if one.Status != "Stopped" {
			t.Errorf("%+v", one)
		}
		if status, _, _ := r.do("cloud-admin", "GET", Prefix+at+"/log", "", ""); status != 200 {
			t.Errorf("the log: %d", status)
		}
		r.api("cloud-admin", "GET", "/jobservice/jobs/999", "", 404, nil)
		r.api("cloud-admin", "GET", "/system/purgeaudit/"+number, "", 404, nil) // of another kind
		r.api("cloud-admin", "POST", "/system/purgeaudit/schedule", `{"schedule":{"type":"Manual"}}`, 400, nil)
	})
}
