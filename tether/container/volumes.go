package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tether/disk"
	"github.com/openvic/vic/tether/spawn"
)

// shareDir is where network shares are mounted, out of the container's sight.
const shareDir = disksDir + "-share"

// volume is one file system that mounts of the configuration lie in.
type volume struct {
	dir    string // where it is mounted
	mounts []guest.Mount
}

// readOnly says that nobody writes to the file system.
func (v *volume) readOnly() bool {
	return !slices.ContainsFunc(v.mounts, func(m guest.Mount) bool { return !m.ReadOnly || m.Populate })
}

// diskVolumes are the disks that mounts name, each once.
func diskVolumes(mounts []guest.Mount) map[int]*volume {
	all := map[int]*volume{}
	for _, m := range mounts {
		if m.FSType != "" {
			continue
		}
		if all[m.Disk] == nil {
			all[m.Disk] = &volume{dir: disksDir + strconv.Itoa(m.Disk)}
		}
		all[m.Disk].mounts = append(all[m.Disk].mounts, m)
	}
	return all
}

// shareVolumes are the network shares that mounts name, each once.
func shareVolumes(mounts []guest.Mount) []*volume {
	var all []*volume
	at := map[[3]string]*volume{}
	for _, m := range mounts {
		if m.FSType == "" {
			continue
		}
		key := [3]string{m.FSType, m.Source, m.Options}
		if at[key] == nil {
			at[key] = &volume{dir: shareDir + strconv.Itoa(len(all))}
			all = append(all, at[key])
		}
		at[key].mounts = append(at[key].mounts, m)
	}
	return all
}

// bind fills a new volume from the image and has it appear in the container.
func (m *Machine) bind(v *volume) error {
	for _, x := range v.mounts {
		source := filepath.Join(v.dir, x.SubDir)
		if err := os.MkdirAll(source, 0o755); err != nil && !v.readOnly() {
			return fmt.Errorf("volume %s: %w", x.Volume, err)
		}
		if x.Populate {
			if err := m.populate(source, x); err != nil {
				return fmt.Errorf("volume %s: %w", x.Volume, err)
			}
		}
		m.space.Binds = append(m.space.Binds, spawn.Bind{Source: source, Target: x.Target, ReadOnly: x.ReadOnly})
	}
	return nil
}

// populate copies what the image has at the target; an image that has nothing there is no error.
func (m *Machine) populate(source string, x guest.Mount) error {
	image, err := inRoot(m.space.Root, x.Target)
	if err != nil {
		return nil
	}
	return disk.Populate(source, image, x.SubDir != "")
}

// shares mounts the network shares; the network is up.
func (m *Machine) shares(ctx context.Context) error {
	for _, v := range shareVolumes(m.config.Mounts) {
		x := v.mounts[0]
		host, _, ok := strings.Cut(x.Source, ":/")
		if x.FSType != "nfs" || !ok {
			return fmt.Errorf("volume %s: a share of type %q at %q: %w", x.Volume, x.FSType, x.Source, errdef.ErrUnsupported)
		}
		address, err := m.resolve(ctx, host)
		if err != nil {
			return fmt.Errorf("volume %s: %w", x.Volume, err)
		}
		share := disk.NFS{Source: x.Source, Address: address, Options: x.Options, ReadOnly: v.readOnly()}
		if err := m.Modules.LoadNames(share.Modules()); err != nil {
			return fmt.Errorf("volume %s: %w", x.Volume, err)
		}
		m.Trace.Step("NFS modules loaded")
		if err := share.Mount(ctx, v.dir); err != nil {
			return fmt.Errorf("volume %s: %w", x.Volume, err)
		}
		m.mounted = append([]string{v.dir}, m.mounted...)
		m.Trace.Step("share mounted")
		if err := m.bind(v); err != nil {
			return err
		}
	}
	return nil
}

// resolve finds a host's address through the container's DNS servers.
func (m *Machine) resolve(ctx context.Context, host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return a, nil
	}
	servers := slices.Clone(m.config.DNS.Servers)
	for _, l := range m.nics.leases() {
		servers = append(servers, l.DNS...)
	}
	if len(servers) == 0 {
		return netip.Addr{}, fmt.Errorf("no DNS server to look up %s with: %w", host, errdef.ErrUnavailable)
	}
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var errs []error
		for _, s := range servers {
			c, err := (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(s.String(), "53"))
			if err == nil {
				return c, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}}
	found, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("look up %s: %w", host, err)
	}
	for _, a := range found {
		if a = a.Unmap(); a.Is4() {
			return a, nil
		}
	}
	return found[0], nil
}
