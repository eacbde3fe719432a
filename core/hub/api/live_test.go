package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openvic/vic/core/hub/vchs/vchtest"
)

// What a robot may not see any more it is not shown any more, though its stream began before; nor after its secret has changed.
func TestTheStreamOfARobot(t *testing.T) {
	r, host := newLiveRig(t), vchtest.Serve(t)
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(1), Name: "web", State: "running"})
	r.vch(host, "one", "private")
	var robot robotMade
	r.api("devops-admin", "POST", "/robots", robotBody("eyes", "private", "container:read"), 201, &robot)

	next, end := r.eventsOf(robot.Name, robot.Secret, "")
	if got, _ := read(next); !strings.Contains(strings.Join(got, ""), `"name":"web"`) {
		t.Fatalf("the beginning: %q", got)
	}
	at := fmt.Sprintf("/robots/%d", robot.ID)
	narrower := strings.Replace(robotBody("eyes", "private", "repository:list"), `"eyes"`, fmt.Sprintf("%q", robot.Name), 1)
	r.api("devops-admin", "PUT", at, narrower, 200, nil)
	if got, _ := read(next); got[0] != "reset []" {
		t.Errorf("after its grant is gone: %q", got)
	}
	end()

	next, _ = r.eventsOf(robot.Name, robot.Secret, "")
	if got, _ := read(next); got[0] != "reset []" {
		t.Errorf("without a grant: %q", got)
	}
	r.api("devops-admin", "PATCH", at, `{}`, 200, nil)
	for event := ""; event != "end"; {
		event, _, _ = next()
	}
}

// Who may see more than when the stream ended, or less, is told all anew.
func TestAStreamIsNotGoneOnWithBySomebodyOfOtherRights(t *testing.T) {
	r, host := newLiveRig(t), vchtest.Serve(t)
	host.Docker.Add(&vchtest.Container{ID: vchtest.ID(1), Name: "web", State: "running"})
	r.vch(host, "one", "private")
	for _, c := range []struct{ user, last string }{{user: "none"}, {user: "developer"}} {
		next, end := r.events(c.user, "")
		_, c.last = read(next)
		end()
		if c.user == "none" {
			r.api("devops-admin", "POST", "/projects/private/members", `{"role_id":2,"member_user":{"username":"none"}}`, 201, nil)
		} else {
			r.api("cloud-admin", "DELETE", "/projects/private/repositories/app", "", 200, nil)
			r.api("cloud-admin", "DELETE", "/projects/private", "", 200, nil)
		}
		next, end = r.events(c.user, c.last)
		got, _ := read(next)
		if text := strings.Join(got, ""); !strings.HasPrefix(text, "reset [") || strings.Contains(text, `"name":"web"`) != (c.user == "none") {
			t.Errorf("%s: %q", c.user, got)
		}
		end()
	}
}
