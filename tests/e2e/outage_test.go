package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestVCenterIsAway has the endpoint's packets to vCenter go nowhere, as when vCenter's host loses its
// power: what needs no vCenter goes on, what needs it says so soon, and all is as before when it is back.
func TestVCenterIsAway(t *testing.T) {
	alone(t)
	container(t, "--name", "steady", "busybox", "sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); usleep 100000; done")
	container(t, "--name", "brief", "busybox", "sh", "-c", "sleep 3")
	endpoint := func(script string) string {
		out, err := theLab.Vic("exec", "--", "sh", "-c", script)
		if err != nil {
			t.Fatal(err, out)
		}
		return out
	}
	addr := strings.TrimSpace(endpoint("nslookup vcenter.vic-lab.test | awk '/^Address/ {a = $NF} END {print a}'"))
	endpoint("arp -i public -s " + addr + " 02:00:00:00:00:99") // nobody has it
	back := func() { endpoint("arp -i public -d " + addr) }
	t.Cleanup(func() {
		if back != nil {
			back()
		}
	})
	away := func(args ...string) time.Duration {
		t.Helper()
		begun := time.Now()
		r := dockerRun(t.Context(), nil, args...)
		if r.Code == 0 || !strings.Contains(r.Stderr, "vcenter.vic-lab.test") {
			t.Errorf("docker %v: %+v", args, r)
		}
		return time.Since(begun)
	}
	first := away("run", "--rm", "busybox", "true")
	later := away("run", "--rm", "busybox", "true")
	t.Logf("docker run fails after %.1f s, then after %.1f s", first.Seconds(), later.Seconds())
	for _, args := range [][]string{{"start", "brief"}, {"volume", "create", "vol"}, {"network", "create", "net"}} {
		away(args...)
	}
	if out := docker(t, "ps", "-a", "--format", "{{.Names}} {{.State}}"); !strings.Contains(out, "steady running") || !strings.Contains(out, "brief exited") {
		t.Errorf("ps: %s", out)
	}
	if out := docker(t, "exec", "steady", "echo", "works"); out != "works\n" {
		t.Errorf("exec: %q", out)
	}
	if out := docker(t, "logs", "--tail", "1", "steady"); !strings.HasPrefix(out, "line ") {
		t.Errorf("logs: %q", out)
	}
	back()
	back = nil
	took := await(t, func() string { return dockerRun(t.Context(), nil, "start", "brief").Stderr })
	t.Logf("docker start works %.1f s after vCenter is back", took.Seconds())
	if out := docker(t, "run", "--rm", "busybox", "echo", "again"); out != "again\n" {
		t.Errorf("run: %q", out)
	}
	for i, line := range strings.Split(strings.TrimSpace(docker(t, "logs", "steady")), "\n") {
		if line != "line "+strconv.Itoa(i) {
			t.Fatalf("line %d of the log is %q", i, line)
		}
	}
}
