// Package tether is PID 1 of every VM that we boot: of a container VM, whose one process it starts
// and reports on, and of the endpoint VM, whose services it supervises.
package tether

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/sysfs"
	"github.com/openvic/vic/tether/appliance"
	"github.com/openvic/vic/tether/clock"
	"github.com/openvic/vic/tether/container"
	"github.com/openvic/vic/tether/kernel"
	"github.com/openvic/vic/tether/netcfg"
	"github.com/openvic/vic/tether/ovf"
	"github.com/openvic/vic/tether/rpci"
	"github.com/openvic/vic/tether/spawn"
	"golang.org/x/sys/unix"
)

// Run boots the machine, lives its life, and powers it off. It is for PID 1 and does not return.
func Run(ctx context.Context, version string) error {
	b := &boot{version: version, log: slog.New(slog.NewTextHandler(os.Stderr, nil)), trace: &kernel.Trace{}}
	if err := b.run(ctx); err != nil {
		b.log.Error("boot failed", "err", err)
	}
	b.trace.Step("power off")
	b.trace.Flush()
	return kernel.PowerOff()
}

// boot leads from the first instant to the machine's life. It is PID 1's main goroutine. Beside it run, from
// here on and as long as the VM: the reader of device events, the loader of modules, the reader of the
// host's messages (rpci), the keeper of the clock, and the reaper.
type boot struct {
	version string
	log     *slog.Logger
	trace   *kernel.Trace
	events  *sysfs.Events
	modules *kernel.Modules
	keys    rpci.Keys
	clock   *clock.Keeper
}

func (b *boot) run(ctx context.Context) error {
	unix.Umask(0o022)
	if err := kernel.MountEssential(); err != nil {
		return err
	}
	if _, ok := kernel.CommandLine()[kernel.TraceWord]; ok {
		b.trace = kernel.NewTrace(os.Stderr)
	}
	b.trace.Step("tether is up")
	var err error
	if kernel.Emulated() {
		if err := kernel.SetTimerSlack(kernel.EmulatedTimerSlack); err != nil {
			b.log.Warn("timers stay exact, and cost more", "err", err)
		}
	}
	if b.events, err = sysfs.Subscribe(ctx); err != nil {
		return err
	}
	b.trace.Step("events subscribed")
	if err := netcfg.PrepareIPv6(); err != nil {
		b.log.Warn("IPv6 is slow to come up", "err", err)
	}
	b.trace.Step("IPv6 prepared")
	b.modules = kernel.NewModules()
	// The rest waits for devices, not for modules: what is there first is used first.
	go func() {
		if err := b.modules.LoadList(func(name string) { b.trace.Step("module " + name) }); err != nil {
			b.log.Error("modules are missing", "err", err)
		}
	}()
	config, err := b.configuration(ctx)
	if err != nil {
		return err
	}
	b.trace.Step("configuration read")
	b.clock.Settle(ctx)
	go b.clock.Run(ctx, b.keys.Resumed())
	b.live(ctx, config)
	return nil
}

func (b *boot) configuration(ctx context.Context) (guest.Config, error) {
	var c guest.Config
	t, err := rpci.Open(ctx, b.events)
	if err != nil {
		return c, err
	}
	b.trace.Step("RPCI is open")
	b.keys = rpci.Keys{Transport: t}
	// What comes next compares the time with certificates, and writes it into logs.
	b.clock = clock.New(t.Time, b.log)
	b.clock.Sync(ctx)
	b.trace.Step("clock set")
	// No time-out: a VM may be started, and kept waiting, before there is a container for it.
	err = b.keys.GetJSON(ctx, guest.KeyConfig, &c)
	if errors.Is(err, errdef.ErrNotFound) && ovf.Possible(ovf.Translator) {
		return b.deployed(ctx)
	}
	if err != nil {
		exit := guest.Exit{Code: spawn.CodeTether, Error: fmt.Sprintf("read the configuration: %v", err), Finished: time.Now()}
		_ = b.keys.SetJSON(ctx, guest.KeyExit, exit)
		return c, err
	}
	return c, b.changedNetwork(ctx, &c)
}

// deployed is the configuration of a VM that was deployed from an OVA. If it is not good the VM stays, for the administrator to read on
// its console why, until it is shut down.
func (b *boot) deployed(ctx context.Context) (guest.Config, error) {
	c, err := ovf.Config(ctx, b.keys, ovf.Translator)
	if err == nil {
		return c, nil
	}
	fmt.Fprintf(os.Stderr, "\n%v\n", err)
	status := guest.Status{State: "failed", Message: err.Error(), Time: time.Now().UTC()}
	if err := b.keys.SetJSON(ctx, guest.KeyStatus, status); err != nil {
		b.log.Warn("the status could not be reported", "err", err)
	}
	<-b.keys.Halt()
	return c, err
}

// changedNetwork takes over what has changed since the configuration was written.
func (b *boot) changedNetwork(ctx context.Context, c *guest.Config) error {
	var n guest.NetworkConfig
	err := b.keys.GetJSON(ctx, guest.KeyNetwork, &n)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the network configuration: %w", err)
	}
	c.SetNetwork(n)
	return nil
}

func (b *boot) live(ctx context.Context, config guest.Config) {
	reaper := spawn.NewReaper()
	if config.Appliance != nil {
		m := &appliance.Machine{Keys: b.keys, Events: b.events, Modules: b.modules, Reaper: reaper, Log: b.log, Trace: b.trace}
		m.Run(ctx, config)
		return
	}
	m := &container.Machine{Keys: b.keys, Events: b.events, Modules: b.modules, Reaper: reaper, Log: b.log,
		Trace: b.trace, Version: b.version}
	m.Run(ctx, config)
}
