package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/disk"
	"github.com/openvic/vic/tether/kernel"
	"github.com/openvic/vic/tether/minit"
	"github.com/openvic/vic/tether/netcfg"
	"github.com/openvic/vic/tether/output"
	"github.com/openvic/vic/tether/spawn"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Where the tether keeps things, out of the container's sight.
const (
	disksDir = kernel.RunDir + "/vic/disk"
	mergeDir = kernel.RunDir + "/vic/root"
	etcDir   = kernel.RunDir + "/vic/etc"
)

// disks mounts the root file system and the volumes, and opens the log.
func (m *Machine) disks(ctx context.Context) error {
	f := &disk.Finder{Sys: "/sys", Dev: "/dev", Events: m.Events, Trace: m.Trace}
	roots := make([]string, len(m.config.Root.Disks))
	volumes := diskVolumes(m.config.Mounts)
	g, gctx := errgroup.WithContext(ctx)
	mount := func(n int, readOnly bool, dir *string) {
		*dir = disksDir + strconv.Itoa(n)
		g.Go(func() error {
			dev, err := f.Find(gctx, n)
			if err != nil {
				return err
			}
			return disk.Mount(dev, *dir, readOnly)
		})
	}
	last := len(roots) - 1
	for i, n := range m.config.Root.Disks {
		mount(n, i < last, &roots[i])
	}
	for n, v := range volumes {
		mount(n, v.readOnly(), &v.dir)
	}
	if err := g.Wait(); err != nil {
		return err
	}
	m.mounted = slices.Clone(roots)
	for _, v := range volumes {
		m.mounted = append([]string{v.dir}, m.mounted...)
	}
	m.Trace.Step("disks mounted")
	if err := m.openLog(filepath.Join(roots[last], guest.StateDir, "log")); err != nil {
		return err
	}
	if err := m.assemble(roots); err != nil {
		return err
	}
	for _, v := range volumes {
		if err := m.bind(v); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) openLog(dir string) error {
	if m.config.Log.None {
		m.out = output.NewUnkept()
		return nil
	}
	failed := false
	b, err := output.Open(dir, m.config.Log.MaxSize, m.config.Log.MaxFiles, func(err error) {
		if !failed { // the disk is full: once is enough
			failed = true
			m.Log.Error("output is not kept", "container", m.config.ID, "err", err)
		}
	})
	if err != nil {
		return err
	}
	m.out = b
	return nil
}

// assemble makes the root file system of the disks.
func (m *Machine) assemble(roots []string) error {
	last := roots[len(roots)-1]
	m.space.Root = filepath.Join(last, guest.RootfsDir)
	if m.config.Root.Kind != "overlay" {
		return nil
	}
	if err := m.Modules.LoadNames([]string{"overlay"}); err != nil {
		return err
	}
	var lower []string
	for _, r := range roots[:len(roots)-1] {
		lower = append(lower, filepath.Join(r, guest.RootfsDir))
	}
	if err := disk.Overlay(lower, m.space.Root, filepath.Join(last, guest.StateDir, "work"), mergeDir); err != nil {
		return err
	}
	m.space.Root = mergeDir
	m.mounted = append([]string{mergeDir}, m.mounted...)
	return nil
}

// inRoot returns where a path of the container is in the tether's view. Links in the image lead
// nowhere outside of it.
func inRoot(root, path string) (string, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(dir)
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err := unix.Openat2(dir, path, how)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
}

// files writes the files that Docker puts over the image's.
func (m *Machine) files() error {
	if err := m.writeEtc(); err != nil {
		return err
	}
	for _, name := range []string{"hostname", "hosts", "resolv.conf"} {
		m.space.Binds = append(m.space.Binds, spawn.Bind{Source: filepath.Join(etcDir, name), Target: "/etc/" + name})
	}
	if m.config.Process.Init {
		self, err := os.Readlink("/proc/self/exe")
		if err != nil {
			return fmt.Errorf("the container's init: %w", err)
		}
		m.space.Init = minit.Path
		m.space.Binds = append(m.space.Binds, spawn.Bind{Source: self, Target: minit.Path, ReadOnly: true})
	}
	return nil
}

// writeEtc writes the files in place: the container has them mounted. Once it runs, m.nics.mu is held.
func (m *Machine) writeEtc() error {
	if err := os.MkdirAll(etcDir, 0o755); err != nil {
		return fmt.Errorf("write /etc: %w", err)
	}
	resolv := netcfg.ResolvFile(m.config.DNS, m.nics.leases())
	for name, text := range map[string]string{
		"hostname":    netcfg.Hostname(&m.config) + "\n",
		"hosts":       netcfg.HostsFile(&m.config, m.nics.addresses()),
		"resolv.conf": resolv,
	} {
		if err := os.WriteFile(filepath.Join(etcDir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write /etc/%s: %w", name, err)
		}
	}
	return nil
}

// unmount leaves the disks clean.
func (m *Machine) unmount() {
	for _, dir := range m.mounted {
		if err := unix.Unmount(dir, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			m.Log.Warn("not unmounted", "dir", dir, "err", err)
			unix.Sync()
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
}
