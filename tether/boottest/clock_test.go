package boottest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

// look is one look at the guest's clock between two at ours.
type look struct {
	before, at, after time.Time
	bound             time.Duration // by how much the guest's kernel says that its clock may be off
}

// off is by how much the guest's clock is certainly off.
func (l look) off() time.Duration {
	switch {
	case l.at.Before(l.before):
		return l.at.Sub(l.before)
	case l.at.After(l.after):
		return l.at.Sub(l.after)
	}
	return 0
}

// lookAtClock has the guest tell its clock and the bound of its error, both of one moment.
func lookAtClock(t *testing.T, c linkv1.LinkClient, execID string) look {
	t.Helper()
	l := look{before: time.Now()}
	out, exit := execute(t, c, &linkv1.ExecRequest{ExecId: execID, Args: []string{"busybox", "adjtimex"}})
	l.after = time.Now()
	values := map[string]int64{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		values[name], _ = strconv.ParseInt(number, 10, 64)
	}
	if exit.Code != 0 || values["maxerror"] == 0 || values["time.tv_sec"] == 0 {
		t.Fatalf("exit %v, %q", exit, out)
	}
	l.at, l.bound = time.Unix(values["time.tv_sec"], values["time.tv_usec"]*1000), time.Duration(values["maxerror"])*time.Microsecond
	return l
}

// keepsTime fails if the clock is off by more than is told, and returns when less than limit is told.
func keepsTime(t *testing.T, c linkv1.LinkClient, limit time.Duration) {
	t.Helper()
	for n, end := 0, time.Now().Add(patience); ; n++ {
		l := lookAtClock(t, c, fmt.Sprintf("look%d", n))
		if l.off().Abs() > l.bound {
			t.Fatalf("look %d: off by %v, and %v is told", n, l.off(), l.bound)
		}
		if n == 0 || l.bound < limit {
			t.Logf("look %d: off by %v, %v is told, seen within %v", n, l.off(), l.bound, l.after.Sub(l.before))
		}
		if l.bound < limit {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still %v is told", l.bound)
		}
	}
}

// told is what the bound becomes with the first looks while the container runs: before them the
// oscillator alone is worth half a second.
const told = 400 * time.Millisecond

func TestTheClockIsTheHosts(t *testing.T) {
	needs(t)
	v, c := linked(t, config("sleep", "600"), makeDisk(t, rootfs))
	keepsTime(t, c, told)
	v.rpc.halt()
	v.waitOff()
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
	v.console.wait(t, "oscillator is wrong")
	keepsTime(t, c, told)
	v.rpc.halt()
	v.waitOff()
}

func TestAContainerThatSetsTheClockKeepsIt(t *testing.T) {
	needs(t)
	conf := config("sleep", "600")
	conf.Security.Privileged = true
	v, c := linked(t, conf, makeDisk(t, rootfs))
	ahead := fmt.Sprintf("@%d", time.Now().Add(time.Hour).Unix())
	if out, exit := execute(t, c, &linkv1.ExecRequest{ExecId: "set", Privileged: true, Args: []string{"busybox", "date", "-s", ahead}}); exit.Code != 0 {
		t.Fatal(out)
	}
	v.console.wait(t, "another program keeps this machine's clock")
	if off := lookAtClock(t, c, "see").off(); off < 50*time.Minute {
		t.Errorf("the clock was set back to %v", off)
	}
	v.rpc.halt()
	v.waitOff()
}
