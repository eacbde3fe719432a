package container

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/linkserver"
	"github.com/openvic/vic/tether/output"
	"github.com/openvic/vic/tether/spawn"
	"github.com/openvic/vic/tether/supervisor"
	"github.com/openvic/vic/tether/task"
	"github.com/openvic/vic/tether/usage"
)

// keepEnded is how long a finished exec can be asked for.
const keepEnded = 2 * time.Minute

// execs are the further processes, by their IDs. An ID is entered before its process is started, so that of
// two calls with the same one only the first starts it and both wait for the same start.
type execs struct {
	mu    sync.Mutex // guards tasks; not held over a start
	tasks map[string]*task.Task
}

var _ linkserver.Machine = (*Machine)(nil)

// Supervisor implements linkserver.Machine.
func (m *Machine) Supervisor() *supervisor.Supervisor { return m.supervisor }

// Usage implements linkserver.Machine.
func (m *Machine) Usage() *usage.Reader {
	return &usage.Reader{Proc: "/proc", Sys: "/sys", Group: string(m.group), Root: m.space.Root}
}

// Limits implements linkserver.Machine.
func (m *Machine) Limits() linkserver.Limits { return m.group }

// Task implements linkserver.Machine.
func (m *Machine) Task(id string) (*task.Task, error) {
	if id == "" {
		return m.supervisor.Task(), nil
	}
	m.execs.mu.Lock()
	defer m.execs.mu.Unlock()
	if t, ok := m.execs.tasks[id]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("exec %s: %w", id, errdef.ErrNotFound)
}

// Exec implements linkserver.Machine. A program that cannot be started is no error of the call: it is an
// exec that has ended, with Docker's exit code and text.
func (m *Machine) Exec(ctx context.Context, id string, p guest.Process, discard bool) (int, error) {
	if id == "" || len(p.Args) == 0 {
		return 0, fmt.Errorf("exec without an ID or arguments: %w", errdef.ErrInvalid)
	}
	pid, err := m.supervisor.Running(ctx)
	if err != nil {
		return 0, err
	}
	t, known := m.addExec(id, discard)
	if !known {
		m.startExec(t, pid, m.execProcess(p))
		go m.forget(id, t)
	}
	if err := t.Started(ctx); err != nil {
		return 0, err
	}
	_, pid, _, _ = t.State()
	return pid, nil
}

func (m *Machine) addExec(id string, discard bool) (*task.Task, bool) {
	m.execs.mu.Lock()
	defer m.execs.mu.Unlock()
	if t, ok := m.execs.tasks[id]; ok {
		return t, true
	}
	var out *output.Buffer
	if !discard {
		out = output.NewMemory()
	}
	t := task.New(out, false)
	m.execs.tasks[id] = t
	return t, false
}

func (m *Machine) startExec(t *task.Task, pid int, p guest.Process) {
	started, err := m.space.Exec(m.Reaper, pid, p)
	if err != nil {
		t.Fail(err)
		return
	}
	t.Run(started, nil)
}

// execProcess adds what an exec has from the container.
func (m *Machine) execProcess(p guest.Process) guest.Process {
	c := m.config.Process
	p.Env = spawn.MergeEnv(c.Env, p.Env)
	if p.Dir == "" {
		p.Dir = c.Dir
	}
	if p.User == "" {
		p.User, p.Groups = c.User, c.Groups
	}
	p.Rlimits = c.Rlimits
	return p
}

func (m *Machine) forget(id string, t *task.Task) {
	<-t.Ended()
	time.Sleep(keepEnded)
	m.execs.mu.Lock()
	defer m.execs.mu.Unlock()
	delete(m.execs.tasks, id)
}
