package boottest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

// clockError is by how much the guest's clock is off, by the time of a line that it writes between two
// looks at ours.
func clockError(t *testing.T, c linkv1.LinkClient, execID string, args ...string) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := time.Now()
	if _, err := c.Exec(ctx, &linkv1.ExecRequest{ExecId: execID, Args: args}); err != nil {
		t.Fatal(err)
	}
	s, err := c.Output(ctx, &linkv1.OutputRequest{ExecId: execID, Follow: true, Attached: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	switch at := m.Time.AsTime(); {
	case at.Before(before):
		return at.Sub(before)
	case at.After(time.Now()):
		return time.Until(at)
	}
	return 0
}

const clockLimit = 100 * time.Millisecond

func TestTheClockIsTheHosts(t *testing.T) {
	needs(t)
	v, c := linked(t, config("sleep", "600"), makeDisk(t, rootfs))
	for _, x := range []string{"a", "b", "c"} {
		if off := clockError(t, c, x, "echo", "now"); off.Abs() > clockLimit {
			t.Errorf("the guest's clock is off by %v", off)
		}
		time.Sleep(2 * time.Second)
	}
	v.rpc.halt()
	v.waitOff(30 * time.Second)
}

// A kernel that takes the TSC for a tenth of its frequency has a clock that runs ten times too fast.
func TestATSCThatIsTenTimesTooFastIsReplaced(t *testing.T) {
	needs(t)
	a, h := newAuthority(t), newLinkHost(t)
	conf := config("sleep", "600")
	conf.Identity = a.issue(conf.ID)
	v := boot(t, vmOptions{config: conf, link: &guest.Link{Address: h.guestAddress(), MAC: mac}, disks: []string{makeDisk(t, rootfs)},
		append: "tsc_early_khz=250000"})
	c, _ := h.connect(a, conf.ID)
	if off := clockError(t, c, "a", "echo", "now"); off.Abs() > clockLimit {
		t.Errorf("the guest's clock is off by %v", off)
	}
	time.Sleep(3 * time.Second)
	if off := clockError(t, c, "b", "echo", "now"); off.Abs() > clockLimit {
		t.Errorf("the guest's clock is off by %v three seconds later", off)
	}
	console, err := os.ReadFile(v.console)
	if err != nil || !strings.Contains(string(console), "oscillator is wrong") {
		t.Errorf("not noticed: %v", err)
	}
	v.rpc.halt()
	v.waitOff(30 * time.Second)
}

func TestAContainerThatSetsTheClockKeepsIt(t *testing.T) {
	needs(t)
	conf := config("sleep", "600")
	conf.Security.Privileged = true
	v, c := linked(t, conf, makeDisk(t, rootfs))
	if out, exit := execute(t, c, &linkv1.ExecRequest{ExecId: "set", Privileged: true, Args: []string{"busybox", "date", "-s", fmt.Sprintf("@%d", time.Now().Add(time.Hour).Unix())}}); exit.Code != 0 {
		t.Fatal(out)
	}
	time.Sleep(5 * time.Second)
	if off := clockError(t, c, "see", "echo", "now"); off < 59*time.Minute {
		t.Errorf("the clock was set back to %v", off)
	}
	v.rpc.halt()
	v.waitOff(30 * time.Second)
}
