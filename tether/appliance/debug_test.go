package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/spawn"
)

// debugRig is a debugger whose key the test writes.
type debugRig struct {
	t   *testing.T
	dir string
	d   *debugger

	mu      sync.Mutex
	value   string
	status  guest.DebugStatus
	changed chan struct{} // closed and replaced when status changes
}

func newDebugRig(t *testing.T, atBoot string) *debugRig {
	r := &debugRig{t: t, dir: t.TempDir(), value: atBoot, changed: make(chan struct{})}
	reaper := spawn.NewReaper()
	r.d = &debugger{root: r.dir, seen: atBoot, warn: func(msg string, err error) { t.Error(msg, err) },
		get: func(context.Context) (string, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.value == "" {
				return "", fmt.Errorf("no such key: %w", errdef.ErrNotFound)
			}
			return r.value, nil
		},
		report: func(s guest.DebugStatus) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.status = s
			close(r.changed)
			r.changed = make(chan struct{})
		},
		supervisor: func(s guest.Service) *supervisor {
			return &supervisor{service: s, reaper: reaper, log: slog.New(slog.DiscardHandler), runDir: r.dir, logDir: r.dir, first: time.Millisecond}
		}}
	t.Cleanup(r.d.end)
	return r
}

func (r *debugRig) set(v guest.Debug) {
	b, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.value = string(b)
	r.mu.Unlock()
	r.d.look(r.t.Context())
}

func (r *debugRig) until(what string, f func(guest.DebugStatus) bool) {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		s, changed := r.status, r.changed
		r.mu.Unlock()
		if f(s) {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			r.t.Fatalf("not %s: %+v", what, s)
		}
	}
}

func sleeper(id string, minutes int) guest.Debug {
	return guest.Debug{ID: id, Minutes: minutes, Service: &guest.Service{Name: "ssh", Args: []string{"sh", "-c", "exec sleep 60"}},
		Files: []guest.File{{Path: "/ssh.json", Data: []byte("{}")}}}
}

func TestADebugServiceIsSwitchedOnAndOff(t *testing.T) {
	r := newDebugRig(t, "")
	r.d.look(t.Context())
	if r.status.ID != "" || r.d.stop != nil {
		t.Fatal("something runs without a key")
	}
	file := filepath.Join(r.dir, "ssh.json")
	r.set(sleeper("1", 5))
	r.until("on", func(s guest.DebugStatus) bool { return s.ID == "1" && s.State == "running" })
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v %v", st, err)
	}
	r.set(sleeper("2", 5))
	r.until("another", func(s guest.DebugStatus) bool { return s.ID == "2" && s.State == "running" })
	r.set(guest.Debug{ID: "3"})
	r.until("off", func(s guest.DebugStatus) bool { return s.ID == "3" && s.State == guest.DebugOff })
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
}

func TestADebugServiceEndsWithItsTime(t *testing.T) {
	r := newDebugRig(t, "")
	r.set(sleeper("1", 0))
	r.until("ended", func(s guest.DebugStatus) bool { return s.ID == "1" && s.State == guest.DebugOff })
}

// After a reset or an upgrade nothing is on, though the key is there.
func TestADebugServiceDoesNotSurviveABoot(t *testing.T) {
	b, err := json.Marshal(sleeper("1", 5))
	if err != nil {
		t.Fatal(err)
	}
	r := newDebugRig(t, string(b))
	r.d.look(t.Context())
	if r.d.stop != nil {
		t.Error("it runs again")
	}
	r.set(sleeper("2", 5))
	r.until("on", func(s guest.DebugStatus) bool { return s.ID == "2" && s.State == "running" })
}
