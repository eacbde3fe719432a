package usage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest/linkv1"
	"google.golang.org/protobuf/proto"
)

// files are what the kernel shows of a machine with one container.
var files = map[string]string{
	"proc/stat":    "cpu  10 20 30 400 5 6 7 99 0 0\ncpu0 5 10 15 200 2 3 3 9 0 0\ncpu1 5 10 15 200 3 3 4 90 0 0\nintr 12345\nbtime 1000\n",
	"proc/meminfo": "MemTotal:         131072 kB\nMemFree:           1024 kB\n",
	"proc/self/net/dev": "Inter-|   Receive                                                |  Transmit\n" +
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n" +
		"    lo:     999       9    0    0    0     0          0         0      999       9    0    0    0     0       0          0\n" +
		"  eth0:    1000      10    1    2    0     0          0         0     2000      20    3    4    0     0       0          0\n",
	"proc/diskstats": "   8       0 sda 100 1 800 5 50 2 400 6 0 7 8\n   8       1 sda1 90 1 700 5 40 2 300 6 0 7 8\n" +
		"   8      16 sdb 0 0 0 0 0 0 0 0 0 0 0\nshort\n",
	"sys/block/sda/size": "", "sys/block/sdb/size": "",
	"group/cpu.stat":    "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 7\nnr_throttled 3\nthrottled_usec 50\n",
	"group/memory.stat": "anon 4096\nfile 8192\nnot a number\n", "group/memory.current": "12288\n", "group/memory.max": "67108864\n",
	"group/memory.peak": "16384\n", "group/memory.events": "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\n",
	"group/pids.current": "5\n", "group/pids.max": "40\n",
}

// machine writes the files, and others over them; "-" takes one away.
func machine(t *testing.T, others map[string]string) *Reader {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil && text == "-" {
			err = os.Remove(path)
		} else if err == nil {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		write(name, text)
	}
	for name, text := range others {
		write(name, text)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	return &Reader{Proc: at("proc"), Sys: at("sys"), Group: at("group"), Root: at("root")}
}

func TestStatsAreTheKernelsCounters(t *testing.T) {
	s, err := machine(t, nil).Stats()
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(s.Time.AsTime()); age < 0 || age > time.Hour {
		t.Errorf("taken at %v", s.Time)
	}
	s.Time = nil
	want := &linkv1.StatsResponse{
		// All of a processor but what the hypervisor took (steal): 10+20+30+400+5+6+7 ticks.
		Cpu:    &linkv1.CPUStats{TotalNs: 3e6, UserNs: 2e6, SystemNs: 1e6, Periods: 7, ThrottledPeriods: 3, ThrottledNs: 5e4, MachineNs: 478 * 1e7, Online: 2},
		Memory: &linkv1.MemoryStats{Usage: 12288, MaxUsage: 16384, Limit: 64 << 20, Failures: 4, Stats: map[string]uint64{"anon": 4096, "file": 8192}},
		Pids:   5, PidsLimit: 40,
		Interfaces: []*linkv1.InterfaceStats{{Name: "eth0", RxBytes: 1000, RxPackets: 10, RxErrors: 1, RxDropped: 2,
			TxBytes: 2000, TxPackets: 20, TxErrors: 3, TxDropped: 4}},
		Devices: []*linkv1.DeviceStats{{Major: 8, Reads: 100, ReadBytes: 800 * 512, Writes: 50, WriteBytes: 400 * 512}},
	}
	if !proto.Equal(s, want) {
		t.Errorf("got  %v\nwant %v", s, want)
	}
}

func TestWithoutABoundTheMachinesMemoryIsTheLimit(t *testing.T) {
	for text, want := range map[string]uint64{"max\n": 128 << 20, "1048576\n": 1 << 20, "999999999999\n": 128 << 20, "-": 128 << 20} {
		s, err := machine(t, map[string]string{"group/memory.max": text, "group/memory.events": "-"}).Stats()
		if err != nil || s.Memory.Limit != want || s.Memory.Failures != 0 {
			t.Errorf("memory.max %q: %v, %v", text, s.GetMemory(), err)
		}
	}
}

func TestWhatTheKernelDoesNotShowIsAnError(t *testing.T) {
	for _, name := range []string{"group/cpu.stat", "group/memory.stat", "proc/stat", "proc/meminfo", "proc/self/net/dev", "proc/diskstats"} {
		if s, err := machine(t, map[string]string{name: "-"}).Stats(); err == nil {
			t.Errorf("without %s: %v", name, s)
		}
	}
	if _, err := machine(t, map[string]string{"proc/meminfo": "MemFree: 1 kB\n"}).Stats(); err == nil {
		t.Error("a machine without memory")
	}
	r := machine(t, nil)
	r.Group = ""
	if _, err := r.Stats(); err == nil {
		t.Error("stats without a control group")
	}
	if _, err := r.Processes(); err == nil {
		t.Error("processes without a control group")
	}
}

// stat is a line of /proc/N/stat: the fields that are read have values of their own.
func stat(pid int, name, state string, rest ...int) string {
	f := make([]string, 50)
	for i := range f {
		f[i] = "0"
	}
	for i, n := range rest {
		f[i] = fmt.Sprint(n)
	}
	// f[0] is field 4.
	f[10], f[11] = "30", "12"                // user and system time, in ticks
	f[14], f[15], f[16] = "20", "0", "1"     // priority, nice, threads
	f[18], f[19], f[20] = "250", "4096", "3" // started, virtual size, resident pages
	f[35] = "1"                              // processor
	return fmt.Sprintf("%d (%s) %s %s\n", pid, name, state, strings.Join(f, " "))
}

func TestProcessesAreListedWithTheContainersNames(t *testing.T) {
	r := machine(t, map[string]string{
		"group/cgroup.procs": "30\n7\n8\n99\n9\n",
		"root/etc/passwd":    "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/:/bin/sh\n",
		"root/etc/group":     "root:x:0:\nwww:x:33:\n",
		"proc/7/stat":        stat(7, "sh", "S", 0, 7, 7, 136<<8|2, 7),
		"proc/7/status":      "Name:\tsh\nUid:\t33\t33\t33\t33\nGid:\t33\t33\t33\t33\n",
		"proc/7/cmdline":     "sh\x00-c\x00a b\x00",
		"proc/30/stat":       stat(30, "odd) (name", "R", 7, 30, 7, 0, 0),
		"proc/30/status":     "Name:\todd\nUid:\t1\t5\t1\t1\nGid:\t1\t6\t1\t1\n",
		"proc/30/cmdline":    "",
		"proc/8/stat":        "8 (cut short) S 1 2 3\n",
		"proc/9/stat":        "9 no name\n",
		// 99 has ended since the group was read.
	})
	res, err := r.Processes()
	if err != nil {
		t.Fatal(err)
	}
	if res.Memory != 128<<20 {
		t.Errorf("memory %d", res.Memory)
	}
	page := uint64(os.Getpagesize())
	want := []*linkv1.ProcessInfo{
		{Pid: 7, Ppid: 0, Pgid: 7, Sid: 7, Tty: "pts/2", State: "Ss+", Command: "sh", Args: []string{"sh", "-c", "a b"}, Uid: 33, User: "web", Gid: 33, Group: "www"},
		{Pid: 30, Ppid: 7, Pgid: 30, Sid: 7, Tty: "?", State: "R", Command: "odd) (name", Uid: 5, User: "5", Gid: 6, Group: "6"},
	}
	if len(res.Processes) != len(want) {
		t.Fatalf("%v", res.Processes)
	}
	for i, got := range res.Processes {
		if at := got.Started.AsTime(); !at.Equal(time.Unix(1002, 5e8)) {
			t.Errorf("%s started at %v", got.Command, at)
		}
		got.Started = nil
		w := want[i]
		w.CpuNs, w.Priority, w.Threads, w.Vsize, w.Rss, w.Processor = 420e6, 20, 1, 4096, 3*page, 1
		if !proto.Equal(got, w) {
			t.Errorf("got  %v\nwant %v", got, w)
		}
	}
}

func TestStatesAreThoseOfPs(t *testing.T) {
	for want, p := range map[string]*linkv1.ProcessInfo{
		"S":     {Pid: 5, Sid: 1, Pgid: 5, Threads: 1},
		"Ss":    {Pid: 5, Sid: 5, Pgid: 5, Threads: 1},
		"S<l":   {Pid: 5, Sid: 1, Pgid: 5, Threads: 2, Nice: -3},
		"SNsl+": {Pid: 5, Sid: 5, Pgid: 9, Threads: 3, Nice: 4},
	} {
		if got := state("S", p, 9); got != want {
			t.Errorf("%v: %q, want %q", p, got, want)
		}
	}
}

func TestTerminalsHaveTheirNames(t *testing.T) {
	for dev, want := range map[int64]string{
		0: "?", 136 << 8: "pts/0", 136<<8 | 255: "pts/255", 137 << 8: "pts/256", 4<<8 | 64: "4/64", 136<<8 | 1<<20: "pts/256",
	} {
		if got := tty(dev); got != want {
			t.Errorf("%#x: %q, want %q", dev, got, want)
		}
	}
}

// What the image holds is not to be trusted: a link leads nowhere outside of it, and a pipe holds nobody up.
func TestNamesAreReadFromTheContainersOwnFiles(t *testing.T) {
	r := machine(t, map[string]string{"outside": "spy:x:0:0::/:/bin/sh\n", "root/etc/keep": ""})
	passwd := filepath.Join(r.Root, "etc/passwd")
	if err := os.Symlink(filepath.Join(filepath.Dir(r.Root), "outside"), passwd); err != nil {
		t.Fatal(err)
	}
	if got := r.names().user(0); got != "0" {
		t.Errorf("a link out of the image was followed: %q", got)
	}
	if err := syscall.Mkfifo(filepath.Join(r.Root, "etc/group"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := r.names().group(0); got != "0" { // returns, too
		t.Errorf("%q", got)
	}
}

// This kernel's /proc is understood as well: the test looks at itself.
func TestThisProcessIsUnderstood(t *testing.T) {
	r := &Reader{Proc: "/proc", Sys: "/sys"}
	boot, err := r.bootTime()
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.process(int64(os.Getpid()), boot)
	if err != nil {
		t.Fatal(err)
	}
	if p.Pid != int64(os.Getpid()) || p.Ppid != int64(os.Getppid()) || p.Uid != uint32(os.Geteuid()) ||
		p.Threads < 1 || p.Rss == 0 || !slices.Equal(p.Args, os.Args) {
		t.Errorf("%v", p)
	}
	if n, err := r.memTotal(); err != nil || n < p.Rss {
		t.Errorf("%d bytes of memory, %v", n, err)
	}
	if all, err := r.interfaces(); err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if all, err := r.devices(); err != nil {
		t.Errorf("%v, %v", all, err)
	}
}
