package appliance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/netcfg"
	"github.com/openvic/vic/tether/spawn"
	"golang.org/x/sys/unix"
)

func TestBoardIsReadyWhenAllServicesAre(t *testing.T) {
	var last guest.Status
	b := newBoard([]guest.Service{{Name: "a"}, {Name: "b"}}, func(s guest.Status) { last = s })
	for _, step := range []struct{ name, state, status, want string }{
		{"a", "running", "", "starting"},
		{"a", "ready", "", "starting"},
		{"b", "", "loading", "starting"},
		{"b", "ready", "", "ready"},
		{"a", "exited 1", "", "starting"},
		{"a", "ready", "", "ready"},
	} {
		b.service(step.name, step.state, step.status)
		if last.State != step.want {
			t.Errorf("%v: %s", step, last.State)
		}
	}
	if last.Message != "b: loading" || last.Services["a"] != "ready" {
		t.Errorf("%+v", last)
	}
	b.fail(fmt.Errorf("no disk"))
	if last.State != "failed" || last.Message != "no disk" {
		t.Errorf("%+v", last)
	}
}

func TestTheLeaseOfTheFirstNetworkIsAskedFirst(t *testing.T) {
	m := &Machine{config: guest.Config{Networks: []guest.Network{{Interface: "public"}, {Interface: "client"}, {Interface: "bridge"}}},
		leases: map[string]netcfg.Lease{"client": {Search: []string{"c"}}, "public": {Search: []string{"p"}}}}
	if got := m.inOrder(); len(got) != 2 || got[0].Search[0] != "p" || got[1].Search[0] != "c" {
		t.Errorf("%+v", got)
	}
}

func TestParseNotify(t *testing.T) {
	for message, want := range map[string]notice{
		"MAINPID=3\nREADY=1\nSTATUS=all is well\n": {ready: true, status: "all is well"},
		"READY=0":                      {},
		"ERRNO=0":                      {},
		"ERRNO=1\nSTATUS=no such file": {failed: true, status: "no such file"},
	} {
		if got := parseNotify(message); got != want {
			t.Errorf("%q: %+v", message, got)
		}
	}
}

// patience bounds every wait: it is for a machine that has much else to do.
const patience = time.Minute

// lines is a named pipe by which programs tell a test what they have come to.
type lines struct {
	t    *testing.T
	path string
	f    *os.File
	r    *bufio.Reader
}

func newLines(t *testing.T) *lines {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lines")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// For both, so that writers need not wait and the pipe does not end with one of them.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &lines{t, path, f, bufio.NewReader(f)}
}

// next waits for the next line, which is want.
func (l *lines) next(want string) {
	l.t.Helper()
	if err := l.f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	if got, err := l.r.ReadString('\n'); err != nil || got != want+"\n" {
		l.t.Fatalf("%q, %v, want %q", got, err, want)
	}
}

func TestServiceIsRestartedAndReportsAreSeen(t *testing.T) {
	dir, said := t.TempDir(), newLines(t)
	var mu sync.Mutex
	var states []string
	s := &supervisor{
		service: guest.Service{Name: "s", Args: []string{"sh", "-c", `echo run $X; echo x > ` + said.path + `; exit 4`}, Env: []string{"X=7"}},
		reaper:  spawn.NewReaper(), log: slog.New(slog.DiscardHandler), runDir: dir, logDir: dir, first: time.Millisecond,
		report: func(_, state, _ string) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, state)
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		s.run(ctx)
		close(done)
	}()
	for range 3 {
		said.next("x")
	}
	cancel()
	<-done
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(states[:4], " "); got != "running exited 4 running exited 4" {
		t.Error(got)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "s.log")); !strings.HasPrefix(string(b), "run 7\nrun 7\n") {
		t.Errorf("log %q", b)
	}
}

func TestServiceReportsAndEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	up, ready := make(chan struct{}), make(chan string, 1)
	var once sync.Once
	s := &supervisor{service: guest.Service{Name: "s", Args: []string{"sleep", "100"}}, reaper: spawn.NewReaper(),
		log: slog.New(slog.DiscardHandler), runDir: dir, logDir: dir, first: time.Millisecond,
		report: func(_, state, status string) {
			switch state {
			case "running":
				once.Do(func() { close(up) })
			case "ready":
				ready <- status
			}
		}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		s.run(ctx)
		close(done)
	}()
	<-up
	c, err := net.Dial("unixgram", filepath.Join(dir, "s.notify"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("READY=1\nSTATUS=serves"))
	if got := <-ready; got != "serves" {
		t.Errorf("status %q", got)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
}

func TestServiceLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l, err := openServiceLog(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.limit = 100
	for range 50 {
		l.Write([]byte("0123456789"))
	}
	l.close()
	for _, p := range []string{path, path + ".1"} {
		if st, err := os.Stat(p); err != nil || st.Size() > 100 {
			t.Error(p, st, err)
		}
	}
}

func TestFilesAndSysctl(t *testing.T) {
	root := t.TempDir()
	err := writeFiles(root, []guest.File{{Path: "/etc/vic/a", Data: []byte("x")}, {Path: "/b", Mode: 0o644}})
	if err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(filepath.Join(root, "etc/vic/a")); st.Mode().Perm() != 0o600 {
		t.Error(st.Mode())
	}
	if st, _ := os.Stat(filepath.Join(root, "b")); st.Mode().Perm() != 0o644 {
		t.Error(st.Mode())
	}
	forward := filepath.Join(root, "net/ipv4/ip_forward")
	if err := errors.Join(os.MkdirAll(filepath.Dir(forward), 0o755), os.WriteFile(forward, []byte("0"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := sysctl(root, map[string]string{"net.ipv4.ip_forward": "1"}); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(forward); string(b) != "1" {
		t.Error(string(b))
	}
	if err := sysctl(root, map[string]string{"no.such.thing": "1"}); err == nil {
		t.Error("set what is not there")
	}
}
