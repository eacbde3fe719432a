package boottest

import (
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

func TestConfinementAndRestarts(t *testing.T) {
	needs(t)
	c := config("sh", "-c", "n=$(cat /n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /n; [ $n -ge 3 ] && sleep 60; exit 1")
	c.Restart = guest.Restart{Policy: guest.PolicyAlways}
	c.Process.Init = true
	c.Process.Rlimits = []guest.Rlimit{{Resource: 7, Soft: 77, Hard: 99}}
	c.Security = guest.Security{Confined: true, Capabilities: []int{0, 5}, NoNewPrivileges: true, Masked: []string{"/proc/kcore"}, ReadOnly: []string{"/proc/sys"}}
	c.Tmpfs, c.ShmSize = []guest.Tmpfs{{Target: "/scratch", Options: []string{"size=1m", "nosuid"}}}, 3<<20
	c.Limits = guest.Limits{Memory: 100 << 20, Pids: 50, NanoCPUs: 5e8}
	_, l := linked(t, c, makeDisk(t, rootfs))
	untilRun(t, l, 3)
	out, _ := execute(t, l, &linkv1.ExecRequest{ExecId: "1", Args: []string{"sh", "-c",
		"cat /proc/1/comm; grep -e CapBnd -e NoNewPrivs /proc/self/status; ulimit -n; df -k /scratch /dev/shm | awk 'NR>1{print $2}'; " +
			"echo x 2>/dev/null > /proc/sys/vm/drop_caches || echo denied; wc -c < /proc/kcore"}})
	want := "docker-init\nCapBnd: 0000000000000021\nNoNewPrivs: 1\n77\n1024\n3072\ndenied\n0\n"
	if got := strings.ReplaceAll(out, "\t", " "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := l.Pause(t.Context(), &linkv1.PauseRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Signal(t.Context(), &linkv1.SignalRequest{Signal: 15, Stop: true}); err != nil { // goes on, so that it arrives
		t.Fatal(err)
	}
	if x := wait(t, l, ""); x.Code != 143 {
		t.Errorf("exit %v", x)
	}
}
