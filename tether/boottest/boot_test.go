package boottest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/linkv1"
)

const id = "4f1c2d3e5a6b4f1c2d3e5a6b4f1c2d3e5a6b4f1c2d3e5a6b4f1c2d3e5a6b0000"

func config(args ...string) guest.Config {
	return guest.Config{Version: 1, ID: id, Root: guest.Root{Kind: "single", Disks: []int{0}},
		Networks: []guest.Network{{Name: "bridge", MAC: mac, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.2.15/24")},
			Gateway: netip.MustParseAddr("10.0.2.2")}},
		DNS: guest.DNS{Servers: []netip.Addr{netip.MustParseAddr("10.0.2.3")}}, Process: guest.Process{Args: args}}
}

// linked boots a container with a link and connects.
func linked(t *testing.T, c guest.Config, disks ...string) (*vm, linkv1.LinkClient) {
	t.Helper()
	a, h := newAuthority(t), newLinkHost(t)
	c.Identity = a.issue(c.ID)
	v := boot(t, vmOptions{config: c, link: &guest.Link{Address: h.guestAddress(), MAC: mac}, disks: disks})
	client, _ := h.connect(a, c.ID)
	return v, client
}

// output reads an exec's, or the container's, output to its end.
func output(t *testing.T, c linkv1.LinkClient, execID string) (stdout, stderr string) {
	t.Helper()
	return read(t, c, &linkv1.OutputRequest{ExecId: execID, Follow: true, Attached: true})
}

// untilRun waits until the container's process runs for the n-th time.
func untilRun(t *testing.T, c linkv1.LinkClient, n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	states, err := c.WatchState(ctx, &linkv1.WatchStateRequest{})
	for err == nil {
		var m *linkv1.WatchStateResponse
		if m, err = states.Recv(); err == nil && m.State.Restarts == n-1 && m.State.Phase == linkv1.ContainerState_PHASE_RUNNING {
			return
		}
	}
	t.Fatalf("no run %d: %v", n, err)
}

// until reads the output of the container's process, and of those before it, until it ends with text.
func until(t *testing.T, c linkv1.LinkClient, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := c.Output(ctx, &linkv1.OutputRequest{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	var out string
	for !strings.HasSuffix(out, text) {
		m, err := s.Recv()
		if err != nil {
			t.Fatalf("no %q after %q: %v", text, out, err)
		}
		out += string(m.Data)
	}
}

func read(t *testing.T, c linkv1.LinkClient, r *linkv1.OutputRequest) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := c.Output(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	var out [3]strings.Builder
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return out[1].String(), out[2].String()
		}
		if err != nil {
			t.Fatal(err)
		}
		out[m.Stream].Write(m.Data)
	}
}

func wait(t *testing.T, c linkv1.LinkClient, execID string) *linkv1.ExitStatus {
	t.Helper()
	r, err := c.Wait(t.Context(), &linkv1.WaitRequest{ExecId: execID})
	if err != nil {
		t.Fatal(err)
	}
	return r.Exit
}

func execute(t *testing.T, c linkv1.LinkClient, req *linkv1.ExecRequest) (string, *linkv1.ExitStatus) {
	t.Helper()
	if _, err := c.Exec(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	out, stderr := output(t, c, req.ExecId)
	return out + stderr, wait(t, c, req.ExecId)
}

func TestContainerLife(t *testing.T) {
	needs(t)
	disk := makeDisk(t, rootfs)
	v, c := linked(t, config("sh", "-c", `echo hello; echo oops >&2; echo "$$ $(hostname) $HOME $PATH"; mount | head -1; ls /;
		cat /etc/resolv.conf; test -w /dev/stdout && ulimit -n; readlink /proc/1/exe; cat /proc/self/timerslack_ns; exit 7`), disk)
	out, stderr := output(t, c, "")
	exit := wait(t, c, "")
	t.Logf("%s", out)
	if exit.Code != 7 || stderr != "oops\n" || !strings.HasPrefix(out, "hello\n1 4f1c2d3e5a6b /root /usr/local/sbin:") {
		t.Errorf("exit %v stderr %q stdout %q", exit, stderr, out)
	}
	for _, want := range []string{"nameserver 10.0.2.3\n", "1048576\n", "/bin/busybox\n", "\n50000\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, not := range []string{"init", "modules.list", "newroot"} {
		if strings.Contains(out, not+"\n") {
			t.Errorf("the container sees %s", not)
		}
	}
	ended := time.Now()
	if _, err := c.Shutdown(t.Context(), &linkv1.ShutdownRequest{}); err != nil {
		t.Log("shutdown:", err)
	}
	v.waitOff()
	t.Logf("whole life %v, power off %v", time.Since(v.began), time.Since(ended))
	if e := v.exit(); e.Code != 7 || e.Started.IsZero() || e.Finished.IsZero() {
		t.Errorf("record %+v", e)
	}
	if got := v.rpc.get(guest.IPKey); got != "10.0.2.15" {
		t.Errorf("ip %q", got)
	}
	if got := v.rpc.get(guest.Prefix + guest.KeyAddresses); !strings.HasPrefix(got, "eth0=10.0.2.15") {
		t.Errorf("addresses %q", got)
	}
}

func TestProcessThatCannotBeStarted(t *testing.T) {
	needs(t)
	v := boot(t, vmOptions{config: config("foo"), disks: []string{makeDisk(t, rootfs)}})
	v.waitOff()
	if e := v.exit(); e.Code != 127 || e.Error != `exec: "foo": executable file not found in $PATH` {
		t.Fatalf("record %+v", e)
	}
}

func TestDiskThatIsNotThere(t *testing.T) {
	needs(t)
	c := config("true")
	c.Version = 9
	v := boot(t, vmOptions{config: c})
	v.waitOff()
	if e := v.exit(); e.Code != 128 || !strings.Contains(e.Error, "version 9") {
		t.Fatalf("record %+v", e)
	}
}

func TestExecInputTerminalAndSignals(t *testing.T) {
	needs(t)
	cfg := config("sh", "-c", `trap 'echo got term; exit 3' TERM; while :; do sleep 0.1; done`)
	cfg.Process.Env = []string{"A=1"}
	volume := makeDisk(t, func(string) {})
	cfg.Mounts = []guest.Mount{{Disk: 1, Target: "/home", SubDir: guest.VolumeDir, Populate: true, Volume: "home"}}
	v, c := linked(t, cfg, makeDisk(t, rootfs), volume)

	out, exit := execute(t, c, &linkv1.ExecRequest{ExecId: "1", Args: []string{"sh", "-c", "id; echo $A $B $$; pwd; ps | head -3; ls -la /home; exit 4"},
		Env: []string{"B=2"}, Dir: "/tmp", User: "web"})
	t.Log(out)
	if exit.Code != 4 || !strings.Contains(out, "uid=33(web) gid=33(web) groups=33(web),40(extra)") || !strings.Contains(out, "1 2 ") ||
		!strings.Contains(out, "\n/tmp\n") || !strings.Contains(out, "web\n") || strings.Contains(out, "lost+found") {
		t.Errorf("exec: %v", exit)
	}
	if _, exit := execute(t, c, &linkv1.ExecRequest{ExecId: "2", Args: []string{"nope"}}); exit.Code != 127 || !strings.Contains(exit.Error, "nope") {
		t.Errorf("exec of what is not there: %v", exit)
	}
	out, _ = execute(t, c, &linkv1.ExecRequest{ExecId: "3", Args: []string{"sh", "-c", "tty; stty size"}, Tty: true, Width: 91, Height: 17})
	if out != "/dev/pts/0\r\n17 91\r\n" {
		t.Errorf("terminal: %q", out)
	}
	input(t, c)
	bulk(t, c)
	linger(t, c)

	if _, err := c.Signal(t.Context(), &linkv1.SignalRequest{Signal: 15}); err != nil {
		t.Fatal(err)
	}
	if out, _ := output(t, c, ""); out != "got term\n" {
		t.Errorf("output %q", out)
	}
	v.waitOff() // without Shutdown: when no host asks any more
	if e := v.exit(); e.Code != 3 {
		t.Errorf("record %+v", e)
	}
}

func input(t *testing.T, c linkv1.LinkClient) {
	t.Helper()
	if _, err := c.Exec(t.Context(), &linkv1.ExecRequest{ExecId: "in", Args: []string{"cat"}, Stdin: true}); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*linkv1.WriteStdinRequest{{Data: []byte("hello ")}, {Offset: 2, Data: []byte("llo wor")}, {Offset: 9, Data: []byte("ld"), Close: true}} {
		w.ExecId = "in"
		if _, err := c.WriteStdin(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	if out, _ := output(t, c, "in"); out != "hello world" {
		t.Errorf("cat wrote %q", out)
	}
}

// bulk measures bulk output.
func bulk(t *testing.T, c linkv1.LinkClient) {
	t.Helper()
	began := time.Now()
	out, _ := execute(t, c, &linkv1.ExecRequest{ExecId: "big", Args: []string{"sh", "-c", "dd if=/dev/zero bs=256k count=120 2>/dev/null"}})
	if len(out) != 120*256<<10 {
		t.Errorf("%d bytes", len(out))
	}
	t.Logf("bulk output %.1f MB/s", float64(len(out))/1e6/time.Since(began).Seconds())
}

// linger sees that what a process leaves in the background does not hold up the end of its output.
func linger(t *testing.T, c linkv1.LinkClient) {
	t.Helper()
	out, _ := execute(t, c, &linkv1.ExecRequest{ExecId: "bg", Args: []string{"sh", "-c", fmt.Sprintf("sleep %d & echo done", 2*int(patience.Seconds()))}})
	if out != "done\n" {
		t.Errorf("output %q", out)
	}
}

func TestHaltFromTheHost(t *testing.T) {
	needs(t)
	v, c := linked(t, config("sh", "-c", `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done`), makeDisk(t, rootfs))
	until(t, c, "up\n")
	v.rpc.halt()
	v.waitOff()
	if e := v.exit(); e.Code != 0 {
		t.Errorf("record %+v", e)
	}
}

func TestTerminalAndOverlay(t *testing.T) {
	needs(t)
	base := makeDisk(t, rootfs)
	top := makeDisk(t, func(dir string) { os.MkdirAll(filepath.Join(dir, guest.RootfsDir), 0o755) })
	c := config("sh", "-c", "tty; stty size; touch /new; ls -l /dev/console; read x; echo got $x; exit 5")
	c.Root = guest.Root{Kind: "overlay", Disks: []int{0, 1}}
	c.Process.TTY, c.Process.Stdin, c.Process.Width, c.Process.Height = true, true, 100, 30
	v, client := linked(t, c, base, top)
	if _, err := client.WriteStdin(t.Context(), &linkv1.WriteStdinRequest{Data: []byte("word\n")}); err != nil {
		t.Fatal(err)
	}
	out, _ := output(t, client, "")
	if !strings.HasPrefix(out, "/dev/console\r\n30 100\r\n") && !strings.HasPrefix(out, "/dev/pts/0\r\n30 100\r\n") && !strings.Contains(out, "got word") {
		t.Errorf("output %q", out)
	}
	if e := wait(t, client, ""); e.Code != 5 {
		t.Errorf("exit %v", e)
	}
	client.Shutdown(t.Context(), &linkv1.ShutdownRequest{})
	v.waitOff()
}

func TestLinkNICIsHiddenFromTheContainer(t *testing.T) {
	needs(t)
	a, h := newAuthority(t), listenLink(t, "[::1]:0")
	c := config("sh", "-c", "ip addr; exit 6")
	c.Identity = a.issue(c.ID)
	v := boot(t, vmOptions{config: c, link: &guest.Link{Address: h.overIPv6(), MAC: linkMAC, Isolated: true}, disks: []string{makeDisk(t, rootfs)}})
	client, _ := h.connect(a, c.ID)
	out, _ := output(t, client, "")
	if e := wait(t, client, ""); e.Code != 6 || !strings.Contains(out, mac) || strings.Contains(out, linkMAC) {
		t.Errorf("exit %v, output %q", e, out)
	}
	client.Shutdown(t.Context(), &linkv1.ShutdownRequest{})
	v.waitOff()
}
