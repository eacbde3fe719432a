package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/hub/role"
)

// retentionBody keeps the one artifact that was pushed last of those that have a tag, in all repositories of a project.
func retentionBody(project int64, cron string) string {
	return fmt.Sprintf(`{"algorithm":"or","scope":{"level":"project","ref":%d},"trigger":{"kind":"Schedule","references":{},"settings":{"cron":%q}},
		"rules":[{"action":"retain","template":"latestPushedK","params":{"latestPushedK":1},
		"tag_selectors":[{"kind":"doublestar","decoration":"matches","pattern":"**","extras":"{\"untagged\":false}"}],
		"scope_selectors":{"repository":[{"kind":"doublestar","decoration":"repoMatches","pattern":"**"}]}}]}`, project, cron)
}

// retained runs a policy and waits until that has ended. It returns the tasks.
func (r *rig) retained(at, body string) (run string, tasks []retentionTaskForm) {
	r.t.Helper()
	header := r.api("devops-admin", "POST", at+"/executions", body, 201, nil)
	run = strings.TrimPrefix(header.Get("Location"), Prefix)
	var id int64
	_, err := fmt.Sscan(run[strings.LastIndex(run, "/")+1:], &id)
	must(r.t, err)
	e, err := r.jobs.Wait(r.t.Context(), id)
	must(r.t, err)
	if e.Status != jobs.Success {
		r.t.Fatalf("%s: %s", e.Status, e.Message)
	}
	r.api("devops-admin", "GET", run+"/tasks", "", 200, &tasks)
	return run, tasks
}

func TestRetention(t *testing.T) {
	eachRig(t, func(r *rig) {
		r.work()
		devops, private := "devops-admin", r.number("private")
		header := r.api(devops, "POST", "/retentions", retentionBody(private, ""), 201, nil)
		at := strings.TrimPrefix(header.Get("Location"), Prefix)
		r.api(devops, "POST", "/retentions", retentionBody(private, ""), 400, nil) // it has one
		var p project
		if r.api("viewer", "GET", "/projects/private", "", 200, &p); "/retentions/"+p.Metadata["retention_id"] != at {
			r.t.Errorf("%v", p.Metadata)
		}
		var policy retentionForm
		r.api(devops, "GET", at, "", 200, &policy)
		if x := policy.Rules[0]; x.Template != "latestPushedK" || x.Params["latestPushedK"] != 1.0 || x.Tags[0].Pattern != "**" || policy.Scope.Ref != private ||
			policy.Trigger.Kind != "Schedule" {
			r.t.Errorf("%+v", policy)
		}
		// Three artifacts by one tag each, one of them held; one without a tag; one with a signature that stays with it.
		r.api(devops, "POST", "/projects/private/immutabletagrules", strings.Replace(holdReleases, "{app,team/**}", "web", 1), 201, nil)
		old, held := r.plain("private/web", "old", "one"), r.plain("private/web", "v1", "two")
		last := r.plain("private/web", "last", "three")
		untagged := r.plain("private/web", "gone", "four")
		r.plain("private/web", "last", "three") // again, so that it is the latest
		r.api(devops, "DELETE", "/projects/private/repositories/web/artifacts/gone/tags/gone", "", 200, nil)
		signature := r.signature("private/web", last)
		there := func(d string) bool {
			status, _, _ := r.do("", "HEAD", "/v2/private/web/manifests/"+d, "", "")
			return status == 200
		}
		// A dry run tells what would go, and changes nothing.
		run, tasks := r.retained(at, `{"dry_run":true}`)
		if len(tasks) != 2 || tasks[1].Repository != "private/web" || tasks[1].Total != 4 || tasks[1].Retained != 2 || tasks[0].Retained != 1 || tasks[0].Total != 1 {
			r.t.Errorf("%+v", tasks)
		}
		for _, d := range []string{old, held, last, untagged, signature} {
			if !there(d) {
				r.t.Errorf("the dry run removed %s", d)
			}
		}
		_, _, log := r.do(devops, "GET", fmt.Sprintf("%s%s/tasks/%d", Prefix, run, tasks[1].ID), "", "")
		for _, want := range []string{"would go: " + old + " old: no rule keeps it", "would go: " + untagged, "stays: " + held + " v1: its tag v1 is immutable",
			"stays: " + last + " last: rule 1 keeps it: the 1 most recently pushed"} {
			if !strings.Contains(log, want) {
				r.t.Errorf("the log does not say %q:\n%s", want, log)
			}
		}
		// The real one.
		_, tasks = r.retained(at, `{"dry_run":false}`)
		if tasks[1].Retained != 2 || tasks[1].Total != 4 {
			r.t.Errorf("%+v", tasks)
		}
		for d, want := range map[string]bool{old: false, untagged: false, held: true, last: true, signature: true} {
			if there(d) != want {
				r.t.Errorf("%s is there: %v, want %v", d, !want, want)
			}
		}
		var runs []retentionRunForm
		r.api(devops, "GET", at+"/executions", "", 200, &runs)
		if len(runs) != 2 || runs[0].DryRun || !runs[1].DryRun || runs[0].Trigger != jobs.ByHand || runs[0].End == "" {
			r.t.Errorf("%+v", runs)
		}
		r.api(devops, "PATCH", run, `{"action":"stop"}`, 200, nil) // it has ended: nothing to stop
		r.api(devops, "PATCH", run, `{"action":"go"}`, 400, nil)
		r.api(devops, "GET", at+"/executions/999/tasks", "", 404, nil)
		r.api(devops, "GET", run+"/tasks/999", "", 404, nil)
		// Its schedule, and its end.
		r.api(devops, "PUT", at, retentionBody(private, "0 0 3 * * *"), 200, nil)
		var all []scheduledForm
		r.api("cloud-admin", "GET", "/schedules", "", 200, &all)
		if len(all) != 1 || all[0].Kind != "RETENTION" || all[0].Cron != "0 0 3 * * *" {
			r.t.Errorf("%+v", all)
		}
		r.api(devops, "PUT", at, retentionBody(private, "x"), 400, nil)
		r.api(devops, "PUT", at, retentionBody(r.number("public"), ""), 400, nil)
		r.api(devops, "DELETE", at, "", 200, nil)
		r.api("cloud-admin", "GET", at, "", 404, nil)
		if r.api("cloud-admin", "GET", "/schedules", "", 200, &all); len(all) != 0 {
			r.t.Errorf("%+v", all)
		}
		// A project takes its policy and the schedule along.
		r.api("cloud-admin", "POST", "/projects", `{"project_name":"gone"}`, 201, nil)
		r.api("cloud-admin", "POST", "/retentions", retentionBody(r.number("gone"), "0 0 3 * * *"), 201, nil)
		r.api("cloud-admin", "DELETE", "/projects/gone", "", 200, nil)
		if r.api("cloud-admin", "GET", "/schedules", "", 200, &all); len(all) != 0 {
			r.t.Errorf("%+v", all)
		}
	})
}

// signature pushes a manifest that is about another one, and returns its digest.
func (r *rig) signature(repo, subject string) string {
	r.t.Helper()
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.dev.cosign.artifact.sig.v1+json","manifests":[],
		"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":1}}`, indexType, subject)
	d := digest.FromString(m).String()
	if status, _, body := r.do("", "PUT", "/v2/"+repo+"/manifests/"+d, indexType, m); status != 201 {
		r.t.Fatalf("%d %s", status, body)
	}
	return d
}

func TestWhoMayHaveWhatRetained(t *testing.T) {
	eachRig(t, func(r *rig) {
		private := r.number("private")
		header := r.api("devops-admin", "POST", "/retentions", retentionBody(private, ""), 201, nil)
		at := strings.TrimPrefix(header.Get("Location"), Prefix)
		for x := role.None; x <= role.CloudAdmin; x++ {
			want := func(ok int) int {
				if x >= role.DevOpsAdmin {
					return ok
				}
				return 403
			}
			user := x.String()
			create := 403
			if x == role.None {
				create = 404
			} else if x >= role.DevOpsAdmin {
				create = 400
			}
			r.api(user, "POST", "/retentions", retentionBody(private, ""), create, nil)
			r.api(user, "GET", "/retentions/metadatas", "", 200, nil)
			r.api(user, "GET", at, "", want(200), nil)
			r.api(user, "PUT", at, retentionBody(private, ""), want(200), nil)
			r.api(user, "GET", at+"/executions", "", want(200), nil)
			if x < role.DevOpsAdmin {
				r.api(user, "POST", at+"/executions", `{}`, 403, nil)
				r.api(user, "DELETE", at, "", 403, nil)
				r.api(user, "GET", "/retentions/999", "", 403, nil) // as for one that is there
			}
		}
		r.api("cloud-admin", "GET", "/retentions/999", "", 404, nil)
		for _, change := range [][2]string{{`"latestPushedK","params"`, `"x","params"`}, {`{"latestPushedK":1}`, `{"latestPushedK":1.5}`}, {`{"latestPushedK":1}`, `{}`},
			{`"or"`, `"and"`}, {`"Schedule"`, `"Event"`}, {`"retain"`, `"delete"`}, {`"repository":`, `"x":`}, {"repoMatches", "matches"},
			{`"cron":""`, `"cron":"* * * * * *"`}} {
			r.api("devops-admin", "PUT", at, strings.Replace(retentionBody(private, ""), change[0], change[1], 1), 400, nil)
		}
		body := retentionBody(private, "")
		i, j := strings.Index(body, `{"action"`), strings.LastIndex(body, "]}")
		r.api("devops-admin", "PUT", at, body[:j]+","+body[i:j]+body[j:], 409, nil) // the same rule twice
		r.api("devops-admin", "POST", at+"/executions", `{"dry_run":true}`, 201, nil)
		r.api("devops-admin", "POST", at+"/executions", `{}`, 409, nil) // one is under way
		r.api("cloud-admin", "POST", "/retentions", `{"scope":{"level":"system"}}`, 400, nil)
	})
}
