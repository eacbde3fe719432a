package container

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/output"
	"github.com/openvic/vic/tether/supervisor"
	"github.com/openvic/vic/tether/task"
)

func TestCheckOfTheConfiguration(t *testing.T) {
	disk := guest.Root{Disks: []int{0}}
	tests := []struct {
		name string
		c    guest.Config
		want error
	}{
		{"good", guest.Config{Version: 1, ID: "x", Root: disk}, nil},
		{"another version", guest.Config{Version: 2, ID: "x", Root: disk}, errdef.ErrUnsupported},
		{"no ID", guest.Config{Version: 1, Root: disk}, errdef.ErrInvalid},
		{"no disk", guest.Config{Version: 1, ID: "x"}, errdef.ErrInvalid},
		{"another root", guest.Config{Version: 1, ID: "x", Root: guest.Root{Kind: "9p", Disks: []int{0}}}, errdef.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := check(&tt.c); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatal(err)
			}
		})
	}
}

func TestExecHasWhatTheContainerHas(t *testing.T) {
	m := &Machine{config: guest.Config{Process: guest.Process{Env: []string{"A=1", "B=1"}, Dir: "/d", User: "u", Groups: []string{"g"}}}}
	p := m.execProcess(guest.Process{Env: []string{"B=2"}})
	if strings.Join(p.Env, " ") != "A=1 B=2" || p.Dir != "/d" || p.User != "u" || len(p.Groups) != 1 {
		t.Fatalf("%+v", p)
	}
	p = m.execProcess(guest.Process{Dir: "/e", User: "w"})
	if p.Dir != "/e" || p.User != "w" || len(p.Groups) != 0 {
		t.Fatalf("%+v", p)
	}
}

func TestExecNeedsARunningContainer(t *testing.T) {
	m := &Machine{supervisor: supervisor.New(output.NewMemory(), supervisor.Hooks{})}
	m.execs.tasks = map[string]*task.Task{}
	m.supervisor.Run(t.Context(), errors.New("no"))
	if _, err := m.Exec(t.Context(), "1", guest.Process{Args: []string{"x"}}, false); !errors.Is(err, errdef.ErrConflict) {
		t.Fatal(err)
	}
	if _, err := m.Exec(t.Context(), "", guest.Process{Args: []string{"x"}}, false); !errors.Is(err, errdef.ErrInvalid) {
		t.Fatal(err)
	}
	if _, err := m.Task("1"); !errors.Is(err, errdef.ErrNotFound) {
		t.Fatal(err)
	}
}

func TestPathInRootStaysInRoot(t *testing.T) {
	root := t.TempDir()
	os.MkdirAll(filepath.Join(root, "run/x"), 0o755)
	os.Mkdir(filepath.Join(root, "var"), 0o755)
	os.Symlink("/run", filepath.Join(root, "var/run"))
	os.Symlink("../../../..", filepath.Join(root, "up"))
	for path, want := range map[string]string{"/var/run/x": "run/x", "/up/run": "run", "/": ""} {
		got, err := inRoot(root, path)
		if err != nil || got != filepath.Join(root, want) {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	if _, err := inRoot(root, "/none"); err == nil {
		t.Error("found what is not there")
	}
}
