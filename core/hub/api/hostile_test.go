package api

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/core/store/storetest"
	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

// each runs a test on each kind of database.
func each(t *testing.T, test func(*rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, _ func(...store.Schema) *store.Store) {
		test(newRig(t, storetest.URL(t, t.Name()[strings.LastIndex(t.Name(), "/")+1:])))
	})
}

// Strangers leave no lines in the log, whatever they are answered: else they could fill it.
func TestStrangersLeaveNoLines(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	limited := false
	for i := range 40 {
		status, _, body := r.do(fmt.Sprint("eve", i), "POST", Prefix+"/projects", "application/json", "{}")
		if limited = status == 429; status != 401 && !limited {
			t.Fatalf("%d %s", status, body)
		}
	}
	if !limited {
		t.Error("nobody slows a guesser down")
	}
	var lines int
	must(t, r.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM audit_line`).Scan(&lines))
	if lines != 0 {
		t.Errorf("%d lines", lines)
	}
}

// Who cannot sign in is told why, and nothing of what is behind the hub.
func TestWhyASignInFails(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	r.source.Fail("Password", fmt.Errorf("dial tcp 10.0.0.3:443: %w", errdef.ErrUnavailable))
	if status, _, body := r.do("viewer", "GET", Prefix+"/users/current", "", ""); status != 503 || strings.Contains(body, "10.0.0.3") {
		t.Errorf("%d %s", status, body)
	}
	r.source.Expire("d/viewer")
	if status, _, body := r.do("viewer", "GET", Prefix+"/users/current", "", ""); status != 401 || !strings.Contains(body, "expired") {
		t.Errorf("%d %s", status, body)
	}
}

// What no database keeps as text is the client's mistake, on each of them.
func TestTextThatIsNone(t *testing.T) {
	each(t, func(r *rig) {
		for _, path := range []string{"/projects/%00", "/projects/%ff/members", "/projects?name=%00", "/projects?q=name=~%ff",
			"/projects/private/members?entityname=%00",
			"/projects/private/repositories/a%00", "/projects/private/repositories/app/artifacts/%ff", "/audit-logs?q=username=%00", "/users/search?username=%ff"} {
			r.api("cloud-admin", "GET", path, "", 400, nil)
		}
		r.api("cloud-admin", "POST", "/projects/private/members", `{"role_id":1,"principal":"a\u0000b"}`, 400, nil)
		r.api("cloud-admin", "POST", "/projects", `{"project_name":"x","devops_admin":"a\u0000b"}`, 400, nil)
	})
}

// Deleting a repository deletes also what is about a manifest that is not there, or that was given a tag.
func TestADeletedRepositoryHoldsNothing(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	about := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","artifactType":"application/vnd.example","manifests":[],
		"subject":{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:` + strings.Repeat("0", 64) + `","size":1}}`
	if status, _, body := r.do("", "PUT", "/v2/private/app/manifests/about", indexType, about); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	r.api("devops-admin", "DELETE", "/projects/private/repositories/app", "", 200, nil)
	for _, tag := range []string{"1", "about"} {
		if status, _, body := r.do("", "GET", "/v2/private/app/manifests/"+tag, "", ""); status != 404 {
			t.Errorf("%s: %d %s", tag, status, body)
		}
	}
}

// A user is not made a member who was named as a group, nor the other way around.
func TestAMemberIsOfTheKindThatWasNamed(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	r.api("none", "GET", "/users/current", "", 200, nil) // whom the hub has seen now
	must(t, r.source.Save(t.Context(), auth.SaveRequest{Principal: auth.Principal{ID: "d/testers", Kind: auth.Group, Name: "testers"}}))
	r.api("devops-admin", "POST", "/projects/private/members", `{"role_id":3,"member_group":{"group_name":"none"}}`, 400, nil)
	r.api("devops-admin", "POST", "/projects/private/members", `{"role_id":3,"member_user":{"username":"testers"}}`, 400, nil)
	project, _, err := r.Project(t.Context(), "private")
	must(t, err)
	if got, err := r.people.Role(t.Context(), "d/none", project); err != nil || got != role.None {
		t.Errorf("%s, %v", got, err)
	}
}

// Two who change a project at once change what each of them means, and nothing else.
func TestTwoChangesAtOnceAreBothKept(t *testing.T) {
	each(t, func(r *rig) {
		id, _, err := r.Project(r.t.Context(), "private")
		must(r.t, err)
		for i := 1; i <= 30; i++ {
			var both sync.WaitGroup
			both.Go(func() {
				r.api("devops-admin", "PUT", "/projects/private", fmt.Sprintf(`{"public":%t}`, i%2 == 0), 200, nil)
			})
			both.Go(func() {
				r.api("cloud-admin", "PUT", fmt.Sprint("/quotas/", id), fmt.Sprintf(`{"hard":{"storage":%d}}`, 1000+i), 200, nil)
			})
			both.Wait()
			p, err := r.registry.ProjectByID(r.t.Context(), r.db, id)
			must(r.t, err)
			if p.Public != (i%2 == 0) || p.Quota != int64(1000+i) {
				r.t.Fatalf("round %d: %+v", i, p)
			}
		}
	})
}

// An index may name twenty thousand manifests, also one over and over: what is told of it has an end.
func TestAnIndexThatNamesMany(t *testing.T) {
	r := newRig(t, storetest.URL(t, "sqlite"))
	child := fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":1}`, r.plain("private/app", "child", "x"))
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s%s]}`, indexType, child, strings.Repeat(","+child, maxReferences))
	if status, _, body := r.do("", "PUT", "/v2/private/app/manifests/many", indexType, index); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	var got artifactForm
	r.api("viewer", "GET", "/projects/private/repositories/app/artifacts/many", "", 200, &got)
	if len(got.References) != maxReferences {
		t.Errorf("%d references are told", len(got.References))
	}
}
