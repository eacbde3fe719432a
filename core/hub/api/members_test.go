package api

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// A member who is added while the project is removed leaves no role behind.
func TestMembersAreNotAddedToAProjectThatGoes(t *testing.T) {
	eachRig(t, func(r *rig) {
		for i := range 30 {
			name := fmt.Sprintf("p%d", i)
			r.api("cloud-admin", "POST", "/projects", `{"project_name":"`+name+`"}`, 201, nil)
			var both sync.WaitGroup
			var add, remove int
			both.Go(func() {
				add, _, _ = r.do("cloud-admin", "POST", Prefix+"/projects/"+name+"/members", "application/json", `{"role_id":2,"member_user":{"username":"none"}}`)
			})
			both.Go(func() { remove, _, _ = r.do("cloud-admin", "DELETE", Prefix+"/projects/"+name, "", "") })
			both.Wait()
			if remove != http.StatusOK || add != http.StatusCreated && add != http.StatusNotFound {
				r.t.Errorf("the member: %d, the removal: %d", add, remove)
			}
		}
		var left int
		must(r.t, r.db.QueryRow(r.t.Context(), `SELECT COUNT(*) FROM role_grant WHERE project <> 0 AND project NOT IN (SELECT id FROM project)`).Scan(&left))
		if left != 0 {
			r.t.Errorf("%d roles in projects that are gone", left)
		}
	})
}

func TestUsersArePagedByTheDatabase(t *testing.T) {
	eachRig(t, func(r *rig) {
		for _, name := range []string{"viewer", "developer", "devops-admin"} {
			r.api(name, "GET", "/users/current", "", 200, nil) // to be seen
		}
		for query, want := range map[string]int{"?page_size=2": 2, "?page_size=2&page=2": 2, "?q=username=viewer": 1, "?q=username=~DEV": 2, "?q=username=x": 0} {
			var list []user
			r.api("cloud-admin", "GET", "/users"+query, "", 200, &list)
			if len(list) != want {
				r.t.Errorf("%s: %d users, want %d", query, len(list), want)
			}
		}
		var list []user
		if r.api("cloud-admin", "GET", "/users?sort=-username&page_size=1", "", 200, &list); list[0].Name != "viewer" {
			r.t.Errorf("%+v", list)
		}
		r.api("cloud-admin", "GET", "/users?sort=password", "", 400, nil)
	})
}

// A robot that has Harbor's pairs does what Harbor's robots do with them, and is told by the same.
func TestARobotWithHarborsPairs(t *testing.T) {
	eachRig(t, func(r *rig) {
		var made robotMade
		header := r.api("devops-admin", "POST", "/robots", robotBody("ci", "private", "artifact:list tag:list artifact:read tag:create"), 201, &made)
		for path, want := range map[string]int{"/projects/private/repositories/app/artifacts": 200, "/projects/private/repositories/app/artifacts/1/tags": 200,
			"/projects/private/logs": 403, "/projects/private": 403} {
			if got := r.status(made, "GET", path); got != want {
				r.t.Errorf("%s: %d, want %d", path, got, want)
			}
		}
		var one robotForm
		r.api("devops-admin", "GET", header.Get("Location")[len(Prefix):], "", 200, &one)
		var pairs []string
		for _, x := range one.Permissions[0].Access {
			pairs = append(pairs, x.Resource+":"+x.Action)
		}
		if fmt.Sprint(pairs) != "[artifact:list artifact:read tag:create tag:list]" {
			r.t.Errorf("%v", pairs)
		}
		r.api("devops-admin", "POST", "/robots", robotBody("cd", "private", "artifact:fly"), 400, nil)
		r.api("devops-admin", "POST", "/robots", robotBody("cd", "private", "robot:create"), 403, nil)
	})
}
