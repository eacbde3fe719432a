package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/core/hub/vchs/vchtest"
)

// TestWhoMakesContainers follows a request through the roles: planned, made, held, approved.
func TestWhoMakesContainers(t *testing.T) {
	r, host := newLiveRig(t), vchtest.Serve(t)
	id, _ := r.vch(host, "one", "private")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.jobs.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	const at = "/projects/private/provisions"
	is := func(n int64, want string) provisionForm {
		t.Helper()
		var f provisionForm
		for late := time.Now().Add(2 * time.Minute); ; {
			r.api("developer", "GET", at+"/"+strconv.FormatInt(n, 10), "", 200, &f)
			if f.Status == want || f.ID == 0 || time.Now().After(late) {
				break
			}
			<-time.After(20 * time.Millisecond) // the database tells nobody
		}
		if f.Status != want {
			t.Fatalf("%+v, want %s", f, want)
		}
		return f
	}
	r.api("devops-admin", "POST", "/projects/private/approval-rules", `{"name":"large","memory_over":1073741824}`, 201, nil)
	r.api("developer", "POST", "/projects/private/approval-rules", `{"name":"x"}`, 403, nil)
	r.api("devops-admin", "POST", "/approval-rules", `{"name":"x"}`, 403, nil)
	r.api("cloud-admin", "PUT", "/projects/private/allowance", `{"containers":2,"cpus":-1,"memory":3221225472}`, 200, nil)
	r.api("devops-admin", "PUT", "/projects/private/allowance", `{"containers":9}`, 403, nil)
	r.api("cloud-admin", "PUT", "/projects/private/allowance", `{"containers":-2}`, 400, nil)

	r.api("cloud-admin", "PUT", "/projects/private/allowance", `{}`, 400, nil)
	r.api("cloud-admin", "PUT", "/projects/private/allowance", `{"containers":2}`, 200, nil)
	var kept allowanceForm
	if r.api("developer", "GET", "/projects/private/allowance", "", 200, &kept); kept.Most != (sizeForm{2, -1, 3 << 30}) {
		t.Errorf("what was left out is another: %+v", kept.Most)
	}
	const large = `{"name":"big","config":{"Image":"nginx","HostConfig":{"Memory":2147483648}}}`
	var plan provisionPlan
	r.api("developer", "POST", at+"/plan", large, 200, &plan)
	if plan.Approval != "rule large" || plan.Plan.Chosen != id || plan.Over != "" || plan.Size.Memory != 2<<30 || plan.Size.CPUs != 1 {
		t.Errorf("%+v", plan)
	}
	for body, want := range map[string]int{`{}`: 400, `{"config":{}}`: 400, `{"config":{"Image":"x"},"vch":99}`: 400, `{"config":{"Image":"x"},"strategy":"best"}`: 400,
		`{"config":{"Image":"x"},"name":"a/b"}`: 400} {
		r.api("developer", "POST", at, body, want, nil)
	}
	r.api("viewer", "POST", at, large, 403, nil)
	var small, big provisionForm
	r.api("developer", "POST", at, `{"name":"web","config":{"Image":"nginx"}}`, 201, &small)
	if f := is(small.ID, "done"); f.Container == "" || host.Docker.Get("web") == nil || !f.Mine {
		t.Errorf("%+v", f)
	}
	if r.api("developer", "POST", at, large, 201, &big); big.Status != "waiting" {
		t.Fatalf("%+v", big)
	}
	one := at + "/" + strconv.FormatInt(big.ID, 10)
	r.api("developer", "POST", one+"/approve", `{}`, 403, nil)
	// Nobody decides about their own by a robot of theirs.
	var robot robotMade
	r.api("devops-admin", "POST", "/robots", robotBody("yes", "private", "approval:decide container:read"), 201, &robot)
	for _, word := range []string{"/approve", "/refuse"} {
		if got := r.send(robot, "POST", one+word, `{}`); got != 403 {
			t.Errorf("%s by a robot: %d", word, got)
		}
	}
	var waiting []provisionForm
	if r.api("devops-admin", "GET", at+"?status=waiting", "", 200, &waiting); len(waiting) != 1 || waiting[0].RequestedBy != "developer" || waiting[0].Mine {
		t.Errorf("%+v", waiting)
	}
	r.api("devops-admin", "POST", one+"/approve", `{"comment":"for the launch"}`, 200, &big)
	if f := is(big.ID, "done"); f.Comment != "for the launch" || f.DecidedBy != "devops-admin" {
		t.Errorf("%+v", f)
	}
	r.api("devops-admin", "POST", one+"/refuse", `{}`, 409, nil)
	r.api("developer", "DELETE", one, "", 409, nil)
	var a allowanceForm
	if r.api("developer", "GET", "/projects/private/allowance", "", 200, &a); a.Used.Containers != 2 || a.Most.CPUs != -1 {
		t.Errorf("%+v", a)
	}
	_, _, text := r.do("developer", "POST", Prefix+at, "application/json", `{"config":{"Image":"nginx"}}`)
	if !strings.Contains(text, "2 of 2 are used") {
		t.Error(text)
	}
	// What is held is what they were made with.
	web := fmt.Sprintf("/projects/private/vchs/%d/containers/web/update", id)
	r.api("developer", "POST", web, `{"Memory":4294967296}`, 403, nil)
	r.api("developer", "POST", web, `{"RestartPolicy":{"Name":"always"}}`, 200, nil)
	r.api("cloud-admin", "PUT", "/projects/private/allowance", `{"containers":2,"cpus":-1,"memory":-1}`, 200, nil)
	r.api("developer", "POST", web, `{"Memory":4294967296}`, 200, nil)
	r.api("cloud-admin", "DELETE", "/projects/private/repositories/app", "", 200, nil)
	r.api("cloud-admin", "DELETE", "/projects/private", "", 200, nil)
}
