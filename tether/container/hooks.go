package container

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/health"
	"github.com/openvic/vic/tether/spawn"
	"github.com/openvic/vic/tether/supervisor"
	"golang.org/x/sys/unix"
)

// hooks ties the supervisor to this machine.
func (m *Machine) hooks(ctx context.Context) supervisor.Hooks {
	return supervisor.Hooks{
		Spawn: m.spawn,
		Started: func() {
			m.Trace.Step("process started")
			m.announce(ctx)
		},
		Policy: m.policy,
		Kills:  m.group.Kills,
		Freeze: m.group.Freeze,
		Check:  m.config.Health,
		Probe:  m.probe,
	}
}

func (m *Machine) spawn() (*spawn.Process, error) {
	if s, _ := m.supervisor.State(); s.Restarts > 0 {
		if err := m.group.Renew(); err != nil {
			m.Log.Warn("control groups are left of an earlier process", "container", m.config.ID, "err", err)
		}
	}
	p, err := m.space.Start(m.Reaper, m.config.Process)
	if err != nil {
		m.Log.Error("the process could not be started", "container", m.config.ID, "err", err)
	}
	return p, err
}

// readUpdate applies what has changed since the configuration was written.
func (m *Machine) readUpdate(ctx context.Context) error {
	var u guest.Update
	err := m.Keys.GetJSON(ctx, guest.KeyUpdate, &u)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if u.Limits != nil {
		m.config.Limits = *u.Limits
	}
	if u.Restart != nil {
		m.config.Restart = *u.Restart
	}
	return nil
}

// policy is the restart policy as it is now: it may have been changed since the boot.
func (m *Machine) policy(ctx context.Context) guest.Restart {
	var u guest.Update
	if err := m.Keys.GetJSON(ctx, guest.KeyUpdate, &u); err == nil && u.Restart != nil {
		return *u.Restart
	}
	return m.config.Restart
}

// probe runs the health check's command.
func (m *Machine) probe(ctx context.Context, args []string, out *health.Buffer) (int, error) {
	pid, err := m.supervisor.Running(ctx)
	if err != nil {
		return 0, err
	}
	p, err := m.space.Exec(m.Reaper, pid, m.execProcess(guest.Process{Args: args}))
	if err != nil {
		return 0, err
	}
	var copies sync.WaitGroup
	for _, f := range []*os.File{p.Stdout, p.Stderr} {
		copies.Go(func() {
			defer f.Close()
			copyOutput(f, out)
		})
	}
	defer copies.Wait() // all that it wrote is in out
	defer spawn.EndOutput(p.Stdout, p.Stderr)
	select {
	case ws := <-p.Ended:
		return int(spawn.ExitCode(ws)), nil
	case <-ctx.Done():
		unix.Kill(-p.PID, unix.SIGKILL) // it leads a session, and so a group
		<-p.Ended
		return 0, context.Cause(ctx)
	}
}

// copyOutput reads a pipe to its end, or to what it holds at its deadline.
func copyOutput(f *os.File, out io.Writer) {
	if _, err := io.Copy(out, f); errors.Is(err, os.ErrDeadlineExceeded) {
		spawn.Drain(f, func(rest []byte) { _, _ = out.Write(rest) })
	}
}
