package appliance

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/rpci"
	"github.com/openvic/vic/tether/spawn"
)

func TestReplaceFiles(t *testing.T) {
	root := t.TempDir()
	old := []guest.File{{Path: "/a", Data: []byte("1")}, {Path: "/b", Data: []byte("1")}, {Path: "/c", Data: []byte("1")}}
	if err := writeFiles(root, old); err != nil {
		t.Fatal(err)
	}
	if changed, err := replaceFiles(root, old, old); changed || err != nil {
		t.Fatal(changed, err)
	}
	next := []guest.File{old[0], {Path: "/b", Data: []byte("2")}, {Path: "/d/e", Mode: 0o644, Data: []byte("3")}}
	if changed, err := replaceFiles(root, old, next); !changed || err != nil {
		t.Fatal(changed, err)
	}
	for name, want := range map[string]string{"a": "1", "b": "2", "d/e": "3", "c": ""} {
		if b, _ := os.ReadFile(filepath.Join(root, name)); string(b) != want {
			t.Errorf("%s: %q, want %q", name, b, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(root, "*.new")); len(left) > 0 {
		t.Error(left)
	}
}

func TestAServiceIsToldOfFilesAndRestartedForArguments(t *testing.T) {
	// Whoever runs the tests may ignore SIGHUP (nohup), which children inherit unless somebody listens here.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	dir := t.TempDir()
	said := newLines(t)
	script := `trap 'echo hup > ` + said.path + `' HUP; echo start $X > ` + said.path + `; while :; do sleep 0.05; done`
	service := guest.Service{Name: "s", Args: []string{"sh", "-c", script}, Env: []string{"X=1"}}
	s := &supervisor{service: service, reaper: spawn.NewReaper(), log: slog.New(slog.DiscardHandler),
		runDir: dir, logDir: dir, first: time.Millisecond, report: func(_, _, _ string) {}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	said.next("start 1")
	s.change(service, false)
	s.change(service, true)
	said.next("hup")
	service.Env = []string{"X=2"}
	s.change(service, false)
	said.next("start 2")
}

// keys is a host's guestinfo.
type keys struct {
	mu sync.Mutex
	kv map[string]string
}

func (k *keys) Halt() <-chan struct{} { return nil }

func (k *keys) Time(context.Context) (time.Time, error) { return time.Now(), nil }

func (k *keys) Resumed() <-chan struct{} { return nil }

func (k *keys) Call(_ context.Context, command string) (string, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	verb, rest, _ := strings.Cut(command, " ")
	key, value, _ := strings.Cut(rest, " ")
	if verb == "info-set" {
		k.kv[key] = value
		return "", true, nil
	}
	v, ok := k.kv[key]
	return v, ok, nil
}

func TestAChangedConfigurationIsFoundAtBoot(t *testing.T) {
	k := &keys{kv: map[string]string{}}
	first := guest.Config{Name: "old", Appliance: &guest.Appliance{}}
	m := &Machine{Keys: rpci.Keys{Transport: k}, config: first}
	if m.catchUp(t.Context()); m.config.Name != "old" || m.revision != "" {
		t.Fatalf("%+v", m)
	}
	b, err := json.Marshal(guest.Config{Name: "new", Appliance: &guest.Appliance{}})
	if err != nil {
		t.Fatal(err)
	}
	k.kv[guest.Prefix+guest.KeyConfig], k.kv[guest.Prefix+guest.KeyRevision] = string(b), "2"
	if m.catchUp(t.Context()); m.config.Name != "new" || m.revision != "2" {
		t.Fatalf("%+v", m)
	}
}

func TestSyslogOverUDPAndTCP(t *testing.T) {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newSyslog(t.Context(), "vch1")
	s.write("vicd", []byte("nobody wants this\n"))
	s.send("udp://" + u.LocalAddr().String())
	s.write("vicd", []byte("one\ntwo"))
	s.write("vicd", []byte(" three\n"))
	buf := make([]byte, 1000)
	for _, want := range []string{" vch1 vicd - - - one", " vch1 vicd - - - two three"} {
		u.SetReadDeadline(time.Now().Add(patience))
		n, _, err := u.ReadFrom(buf)
		if got := string(buf[:n]); err != nil || !strings.HasPrefix(got, "<30>1 2") || !strings.HasSuffix(got, want) {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
	s.send("tcp://" + l.Addr().String())
	s.write("vicd", []byte("four\n"))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(patience))
	n, err := c.Read(buf)
	count, rest, _ := strings.Cut(string(buf[:n]), " ")
	if err != nil || !strings.HasSuffix(rest, " - four") || count != strconv.Itoa(len(rest)) {
		t.Errorf("%q %v", buf[:n], err)
	}
}
