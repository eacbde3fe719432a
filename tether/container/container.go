// Package container is the life of a VM that is one container: disks, network, the process, the
// link, and the end.
package container

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/sysfs"
	"github.com/openvic/vic/tether/kernel"
	"github.com/openvic/vic/tether/linkserver"
	"github.com/openvic/vic/tether/netcfg"
	"github.com/openvic/vic/tether/output"
	"github.com/openvic/vic/tether/rpci"
	"github.com/openvic/vic/tether/spawn"
	"github.com/openvic/vic/tether/supervisor"
	"github.com/openvic/vic/tether/task"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// How long things may take.
const (
	deviceWait = 2 * time.Minute        // for what the configuration names to be there; a host may be very busy
	stopWait   = 10 * time.Second       // between SIGTERM and SIGKILL
	killWait   = 30 * time.Second       // for the process to be gone after SIGKILL: one that waits for a disk is not at once
	idleWait   = 30 * time.Second       // at the end, for the host's first or next call; a host may be very busy
	answerTime = 20 * time.Millisecond  // for the answer of Shutdown to leave
	idleCheck  = 100 * time.Millisecond // at the end
)

// Machine is the VM.
//
// Run is the one goroutine that leads through its life. Before it, prepare lets disks, network and the update
// of the configuration go side by side: they write to different fields, and Run reads them after all of
// them. Then there are the supervisor's goroutine, which starts the process by the hooks, and the link's,
// whose calls come in at any time until the VM is off, also while prepare's result is an error. What they
// share with Run after prepare:
//
//   - config and space do not change any more, but for the network's part of config, which nics.mu guards; ready
//     says that the disks are mounted and space is complete;
//   - supervisor, out, server and host are set before the link is served; supervisor and out have locks of
//     their own, and so has host;
//   - execs has its own lock, and group is a path;
//   - mounted and halted are Run's alone.
type Machine struct {
	Keys    rpci.Keys
	Events  *sysfs.Events
	Modules *kernel.Modules
	Reaper  *spawn.Reaper
	Log     *slog.Logger
	Trace   *kernel.Trace
	Version string

	config     guest.Config
	space      *spawn.Container
	supervisor *supervisor.Supervisor
	out        *output.Buffer // of the process
	group      controlGroup
	execs      execs
	server     *linkserver.Server
	mounted    []string // to unmount at the end, in this order
	nics       nics
	host       *hostLink
	halted     bool // by others than the host
	shutdown   chan struct{}
	ready      atomic.Bool // the disks are mounted, and space does not change any more
}

// Run lives the container's life. It returns when the VM may be powered off.
func (m *Machine) Run(ctx context.Context, config guest.Config) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.config = config
	m.shutdown = make(chan struct{}, 1)
	m.execs.tasks = map[string]*task.Task{}
	err := m.prepare(ctx)
	if err != nil {
		m.Log.Error("the container could not be prepared", "container", config.ID, "err", err)
	}
	if m.out == nil {
		m.out = output.NewMemory()
	}
	m.supervisor = supervisor.New(m.out, m.hooks(ctx))
	serving := m.serve(ctx)
	go m.supervisor.Run(ctx, err)
	m.live(ctx)
	m.recordExit(ctx)
	if serving {
		m.linger()
	}
	m.unmount()
}

// prepare does what comes before the process: disks and network side by side.
func (m *Machine) prepare(ctx context.Context) error {
	if err := check(&m.config); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deviceWait)
	defer cancel()
	m.space = newSpace(&m.config)
	m.space.Step = m.Trace.Step
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.disks(gctx) })
	g.Go(func() error { return m.network(gctx) })
	g.Go(func() error { return m.readUpdate(gctx) })
	m.controlGroup()
	m.Trace.Step("control group made")
	if err := g.Wait(); err != nil {
		return err
	}
	if err := m.limit(); err != nil {
		return err
	}
	m.Trace.Step("disks and network are ready")
	if err := m.shares(ctx); err != nil {
		return err
	}
	if err := m.files(); err != nil {
		return err
	}
	m.ready.Store(true)
	return nil
}

// limit sets the container's limits. One that is privileged may set limits of its own on groups that
// it makes, with every controller that the kernel has.
func (m *Machine) limit() error {
	if m.config.Security.Privileged {
		if err := m.group.Delegate(); err != nil {
			m.Log.Warn("controllers are not available", "container", m.config.ID, "err", err)
		}
	}
	return m.group.Limit(m.config.Limits)
}

func check(c *guest.Config) error {
	switch {
	case c.Version != 1:
		return fmt.Errorf("configuration version %d: %w", c.Version, errdef.ErrUnsupported)
	case c.ID == "":
		return fmt.Errorf("configuration without an ID: %w", errdef.ErrInvalid)
	case len(c.Root.Disks) == 0:
		return fmt.Errorf("configuration without a root disk: %w", errdef.ErrInvalid)
	case c.Root.Kind != "single" && c.Root.Kind != "overlay" && c.Root.Kind != "":
		return fmt.Errorf("root kind %q: %w", c.Root.Kind, errdef.ErrUnsupported)
	}
	return nil
}

func newSpace(c *guest.Config) *spawn.Container {
	s := &spawn.Container{ReadOnly: c.Root.ReadOnly, Hostname: netcfg.Hostname(c), Domainname: c.Domainname,
		Hide:  []string{"/proc", "/sys", "/dev", kernel.RunDir},
		Tmpfs: c.Tmpfs, ShmSize: c.ShmSize, Sysctl: c.Sysctl, Security: c.Security}
	if f, err := os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY, 0); err == nil {
		s.Score = f
	}
	return s
}

// serve opens the link, if there is one.
func (m *Machine) serve(ctx context.Context) bool {
	var l guest.Link
	err := m.Keys.GetJSON(ctx, guest.KeyLink, &l)
	if errors.Is(err, errdef.ErrNotFound) {
		return false
	}
	if err == nil {
		m.host = &hostLink{m: m}
		err = m.host.use(ctx, l)
	}
	if err != nil {
		m.Log.Error("no link", "err", err)
		return false
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	m.server = &linkserver.Server{ID: m.config.ID, BootID: strings.TrimSpace(string(boot)), Version: m.Version, Machine: m, Log: m.Log}
	go func() {
		if err := m.server.Serve(ctx, m.host.dial, m.config.Identity); err != nil {
			m.Log.Error("no link", "err", err)
		}
	}()
	m.Trace.Step("link begins")
	return true
}

// announce tells the host that the process runs, and where it is reached.
func (m *Machine) announce(ctx context.Context) {
	err := m.Keys.Set(ctx, guest.KeyStarted, time.Now().UTC().Format(time.RFC3339Nano))
	err = errors.Join(err, m.announceAddresses(ctx), m.space.Protect())
	if err != nil {
		m.Log.Warn("the start could not be announced", "err", err)
	}
	m.Trace.Step("start announced")
	m.Trace.Flush()
}

// live returns when the container has ended: by itself, or because the host wants the VM off.
func (m *Machine) live(ctx context.Context) {
	select {
	case <-m.supervisor.Ended():
	case <-m.shutdown:
		m.Shutdown() // once more, for linger
		m.kill(ctx)
	case <-m.Keys.Halt():
		m.Log.Info("shutdown asked for", "container", m.config.ID)
		m.halted = true
		if m.supervisor.Signal(ctx, int(unix.SIGTERM), true) == nil && m.ends(stopWait) {
			return
		}
		m.kill(ctx)
	}
}

func (m *Machine) kill(ctx context.Context) {
	_ = m.supervisor.Kill(ctx)
	m.ends(killWait)
}

func (m *Machine) ends(wait time.Duration) bool {
	select {
	case <-m.supervisor.Ended():
		return true
	case <-time.After(wait):
		return false
	}
}

// recordExit leaves the record that outlives the VM. A VM that was shut down by others than the
// host leaves none if the policy would have the process run: the host then starts it again.
func (m *Machine) recordExit(ctx context.Context) {
	select {
	case <-m.supervisor.Ended():
	default: // the host takes a VM without a record for killed, which it was meant to be
		m.Log.Error("the process does not end", "container", m.config.ID)
		return
	}
	exit := m.supervisor.Exit()
	m.Trace.Step("process ended")
	if policy := m.policy(ctx); m.halted && policy.Wants(exit.Code, policy.Count) {
		return
	}
	if err := m.Keys.SetJSON(ctx, guest.KeyExit, exit); err != nil {
		m.Log.Error("the exit record could not be written", "container", m.config.ID, "err", err)
	}
}

// linger keeps the VM up for the host to fetch the rest of the output.
func (m *Machine) linger() {
	ended := time.Now()
	tick := time.NewTicker(idleCheck)
	defer tick.Stop()
	for {
		select {
		case <-m.shutdown:
			time.Sleep(answerTime)
			return
		case <-m.Keys.Halt():
			return
		case <-tick.C:
		}
		if time.Since(ended) > idleWait && m.server.Idle() > idleWait {
			return
		}
	}
}

// Shutdown implements linkserver.Machine.
func (m *Machine) Shutdown() {
	select {
	case m.shutdown <- struct{}{}:
	default:
	}
}
