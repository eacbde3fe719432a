package boottest

import (
	"testing"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

// TestControlGroups runs what a runtime in a privileged container does with its control groups: it
// leaves the root of its hierarchy for a group of its own and passes controllers on. Such a root
// takes no processes, so that an exec has to go elsewhere, and a restart has to begin with a clean one.
func TestControlGroups(t *testing.T) {
	needs(t)
	c := config("sh", "-ec", `cd /sys/fs/cgroup; mkdir init inner; echo $$ > init/cgroup.procs; echo +memory +pids > cgroup.subtree_control
echo 1000000 > inner/memory.max; n=$(cat /n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /n; echo run $n; [ $n -lt 2 ] || sleep 60; exit 1`)
	c.Restart = guest.Restart{Policy: guest.PolicyAlways}
	c.Security = guest.Security{Privileged: true}
	c.Limits = guest.Limits{Memory: 64 << 20, Pids: 40}
	_, l := linked(t, c, makeDisk(t, rootfs))
	untilRun(t, l, 2)
	until(t, l, "run 2\n")
	out, _ := execute(t, l, &linkv1.ExecRequest{ExecId: "1", Args: []string{"sh", "-c",
		"cat /proc/self/cgroup; grep -c ' / /sys/fs/cgroup .* cgroup2 ' /proc/self/mountinfo; cd /sys/fs/cgroup; " +
			"(echo 1 >memory.max) 2>/dev/null || echo kept; cat memory.max inner/memory.max"}})
	if want := "0::/init\n1\nkept\n67108864\n999424\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if _, err := l.Pause(t.Context(), &linkv1.PauseRequest{}); err != nil {
		t.Fatal(err)
	}
	stats, err := l.Stats(t.Context(), &linkv1.StatsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := stats.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if s.Pids != 2 || s.PidsLimit != 40 { // sh and its sleep
		t.Errorf("%d tasks of %d", s.Pids, s.PidsLimit)
	}
}
