// Package appliance is the life of a VM that runs services: the endpoint VM of a VCH.
package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/sysfs"
	"github.com/openvic/vic/tether/disk"
	"github.com/openvic/vic/tether/kernel"
	"github.com/openvic/vic/tether/netcfg"
	"github.com/openvic/vic/tether/rpci"
	"github.com/openvic/vic/tether/spawn"
	"golang.org/x/sys/unix"
)

const (
	deviceWait = 2 * time.Minute  // for what the configuration names to be there; a host may be very busy
	leaseWait  = time.Minute      // for the first lease of DHCP, which may come later as well
	stopWait   = 10 * time.Second // between SIGTERM and SIGKILL
	notifyDir  = kernel.RunDir + "/vic"
	logDir     = "/var/log"
)

// Machine is the VM. Run leads through its life; each service, each lease and the following of the
// configuration have a goroutine of their own, which end with Run's context.
type Machine struct {
	Keys    rpci.Keys
	Events  *sysfs.Events
	Modules *kernel.Modules
	Reaper  *spawn.Reaper
	Log     *slog.Logger
	Trace   *kernel.Trace

	config   guest.Config // after prepare it is changed by follow alone, with mu held
	board    *board
	revision string // follow's alone, after Run's first look
	syslog   *syslog
	services []*supervisor

	mu     sync.Mutex // guards config and leases
	leases map[string]netcfg.Lease
}

// Run lives the appliance's life. It returns when the VM may be powered off.
func (m *Machine) Run(ctx context.Context, config guest.Config) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.config, m.leases = config, map[string]netcfg.Lease{}
	m.catchUp(ctx)
	config = m.config
	m.syslog = newSyslog(ctx, netcfg.Hostname(&config))
	m.syslog.send(config.Appliance.Syslog)
	m.board = newBoard(config.Appliance.Services, func(s guest.Status) {
		if err := m.Keys.SetJSON(ctx, guest.KeyStatus, s); err != nil {
			m.Log.Warn("the status could not be reported", "err", err)
		}
	})
	m.board.revise(m.revision)
	mounted, err := m.prepare(ctx)
	if err != nil {
		m.Log.Error("the appliance could not be prepared", "err", err)
		m.board.fail(err)
		// The console and the status tell; the VM stays for the administrator to look at.
		<-m.Keys.Halt()
		return
	}
	m.serve(ctx, cancel)
	for _, dir := range slices.Backward(mounted) {
		if err := unix.Unmount(dir, 0); err != nil {
			m.Log.Warn("not unmounted", "dir", dir, "err", err)
			unix.Sync()
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
}

// prepare does all that comes before the services.
func (m *Machine) prepare(ctx context.Context) ([]string, error) {
	if err := errors.Join(kernel.MountServices(), m.identity()); err != nil {
		return nil, err
	}
	if err := m.Modules.LoadNames(m.config.Appliance.Modules); err != nil {
		return nil, err
	}
	if err := kernel.MountControlGroups(); err != nil {
		m.Log.Warn("no control groups", "err", err)
	}
	if err := writeFiles("/", m.config.Appliance.Files); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, deviceWait)
	defer cancel()
	disks := make(chan error, 1)
	var mounted []string
	go func() {
		var err error
		mounted, err = m.mounts(wait)
		disks <- err
	}()
	err := m.network(ctx, wait)
	if derr := <-disks; derr != nil {
		return mounted, errors.Join(derr, err)
	}
	if err != nil {
		return mounted, err
	}
	return mounted, sysctl("/proc/sys", m.config.Appliance.Sysctl)
}

// identity sets the host name and the files that name hosts.
func (m *Machine) identity() error {
	name := netcfg.Hostname(&m.config)
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if err := os.MkdirAll("/etc", 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile("/etc/hostname", []byte(name+"\n"), 0o644),
		os.WriteFile("/etc/hosts", []byte(netcfg.HostsFile(&m.config, nil)), 0o644))
}

// writeFiles writes the configuration's files below root.
func writeFiles(root string, files []guest.File) error {
	for _, f := range files {
		path := filepath.Join(root, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		mode := os.FileMode(f.Mode)
		if mode == 0 {
			mode = 0o600
		}
		if err := os.WriteFile(path, f.Data, mode); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		if err := os.Chmod(path, mode); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

// sysctl sets kernel parameters by their dotted names.
func sysctl(root string, values map[string]string) error {
	var errs []error
	for k, v := range values {
		path := filepath.Join(root, strings.ReplaceAll(k, ".", "/"))
		if err := sysfs.Write(path, v); err != nil {
			errs = append(errs, fmt.Errorf("sysctl %s: %w", k, err))
		}
	}
	return errors.Join(errs...)
}

// mounts mounts the disks, making file systems on blank ones that want one.
func (m *Machine) mounts(ctx context.Context) ([]string, error) {
	f := &disk.Finder{Sys: "/sys", Dev: "/dev", Events: m.Events, Trace: m.Trace}
	var done []string
	for _, v := range m.config.Mounts {
		dev, err := f.Find(ctx, v.Disk)
		if err != nil {
			return done, err
		}
		if err := m.check(dev, v); err != nil {
			return done, err
		}
		if err := disk.Mount(dev, v.Target, v.ReadOnly); err != nil {
			return done, err
		}
		done = append(done, v.Target)
	}
	m.Trace.Step("disks mounted")
	return done, nil
}

// check makes a file system where there is none, and repairs one that was not unmounted.
func (m *Machine) check(dev string, v guest.Mount) error {
	if v.ReadOnly {
		return nil
	}
	blank, err := disk.Blank(dev)
	if err != nil {
		return err
	}
	if blank && v.Format != "" {
		m.Log.Info("making a file system", "dev", dev, "label", v.Format)
		code, err := m.tool("/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-L", v.Format, "-m", "0",
			"-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", dev)
		if err != nil || code != 0 {
			return fmt.Errorf("make a file system on %s: exit code %d: %w", dev, code, err)
		}
		return nil
	}
	// 0 clean, 1 repaired, 2 repaired and a reboot is wanted for a root file system.
	code, err := m.tool("/sbin/e2fsck", "-p", dev)
	if err != nil || code > 2 {
		m.Log.Warn("the file system could not be checked", "dev", dev, "code", code, "err", err)
	}
	return nil
}

// tool runs a program to its end.
func (m *Machine) tool(args ...string) (int32, error) {
	p, err := spawn.StartService(m.Reaper, args, []string{"PATH=" + spawn.DefaultPath})
	if err != nil {
		return -1, err
	}
	out := &serviceLog{console: os.Stderr}
	<-out.copy(p.Stdout)
	p.Stdout.Close()
	return spawn.ExitCode(<-p.Ended), nil
}

// serve runs the services until the host asks for the end.
func (m *Machine) serve(ctx context.Context, cancel context.CancelFunc) {
	if err := os.MkdirAll(notifyDir, 0o755); err != nil {
		m.board.fail(err)
	}
	var running sync.WaitGroup
	for _, s := range m.config.Appliance.Services {
		v := &supervisor{service: s, reaper: m.Reaper, log: m.Log, runDir: notifyDir, logDir: logDir,
			console: os.Stderr, report: m.board.service, first: firstRestart, syslog: m.syslog}
		m.services = append(m.services, v)
		running.Go(func() { v.run(ctx) })
	}
	running.Go(func() { m.follow(ctx) })
	m.Trace.Step("services started")
	m.Trace.Flush()
	<-m.Keys.Halt()
	m.Log.Info("shutdown asked for")
	cancel()
	ended := make(chan struct{})
	go func() {
		running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(stopWait):
		for _, v := range m.services {
			v.signal(unix.SIGKILL)
		}
		<-ended
	}
}
