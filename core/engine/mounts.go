package engine

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/storage"
)

// MountPoint is a volume's place in a container.
type MountPoint struct {
	Volume   string `json:"volume"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	// Anonymous: the user gave the volume no name; it goes with the container if that is asked for.
	Anonymous bool `json:"anonymous,omitempty"`
	NoCopy    bool `json:"noCopy,omitempty"` // not filled from the image
	// Disk is the volume as the storage driver gave it; Index its place among the VM's disks, if it
	// is one that a VM attaches.
	Disk  device.Disk `json:"disk"`
	Index int         `json:"index,omitempty"`
}

// Shared says that several running containers may have the volume.
func (m MountPoint) Shared() bool { return m.Disk.Kind == device.KindNFS }

// VolumesFrom takes over the volumes of another container.
type VolumesFrom struct {
	Container string // name or ID
	ReadOnly  bool
}

// MountRequest asks for a volume in a container.
type MountRequest struct {
	Volume    string // made if it is not there; empty: an anonymous one is made
	Target    string
	ReadOnly  bool
	NoCopy    bool
	Anonymous bool // for a volume of another container that has no name of the user's
	// Declared: it is the image's, and comes only where nothing else is mounted.
	Declared bool
	// Options and Labels are for a volume that has to be made.
	Options map[string]string
	Labels  map[string]string
}

// mounting is what a container in the making has of volumes.
type mounting struct {
	points  []MountPoint
	disks   []device.Disk // in the order of their Index, after the root's
	made    []string      // anonymous volumes that go if the container does not come
	release func()
}

// mount finds or makes the volumes of a container in the making, which are held until the result's release.
func (vs *Volumes) mount(ctx context.Context, reqs []MountRequest) (mounting, error) {
	m := mounting{release: func() {}}
	reqs = slices.Clone(reqs)
	madeUp := make([]bool, len(reqs))
	var names []string
	for i := range reqs {
		if reqs[i].Volume == "" {
			id, err := newID()
			if err != nil {
				return m, err
			}
			reqs[i].Volume, reqs[i].Anonymous, madeUp[i] = id, true, true
		}
		names = append(names, reqs[i].Volume)
	}
	m.release = vs.hold(names)
	for i, r := range reqs {
		v, made, err := vs.ensure(ctx, VolumeRequest{Name: r.Volume, Options: r.Options, Labels: r.Labels, madeUp: madeUp[i]})
		if err != nil {
			return m, notTheImage(fmt.Errorf("create %s: %w", r.Volume, err))
		}
		if made && r.Anonymous {
			m.made = append(m.made, v.Name)
		}
		m.points = append(m.points, MountPoint{Volume: v.Name, Target: r.Target, ReadOnly: r.ReadOnly, Anonymous: r.Anonymous,
			NoCopy: r.NoCopy, Disk: v.Disk})
	}
	return m, nil
}

// place gives the volumes' disks their indices after the root's.
func (m *mounting) place(root storage.Root) error {
	index := map[string]int{}
	for i := range m.points {
		p := &m.points[i]
		if p.Shared() {
			continue
		}
		n, ok := index[p.Volume]
		if !ok {
			n = len(root.Disks) + len(m.disks)
			index[p.Volume] = n
			m.disks = append(m.disks, p.Disk)
		}
		p.Index = n
	}
	if n := len(root.Disks) + len(m.disks); n > guest.MaxDisks {
		return fail(errdef.ErrInvalid, "the container needs %d disks, %d of them volumes; a container VM takes %d", n, len(m.disks), guest.MaxDisks)
	}
	return nil
}

// abandon gives back what a container has that did not come to be.
func (vs *Volumes) abandon(m mounting) {
	m.release()
	ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
	defer cancel()
	for _, name := range m.made {
		if err := vs.Remove(ctx, name, true); err != nil {
			vs.log.Warn("anonymous volume stays", "volume", name, "err", err)
		}
	}
}

// guestMounts is what the tether mounts.
func guestMounts(points []MountPoint) ([]guest.Mount, error) {
	var out []guest.Mount
	for _, p := range points {
		m := guest.Mount{Disk: p.Index, Target: p.Target, ReadOnly: p.ReadOnly, SubDir: guest.VolumeDir, Volume: p.Volume, Populate: !p.NoCopy}
		if p.Shared() {
			m.SubDir = ""
			var err error
			if m.FSType, m.Source, m.Options, err = nfsMount(p.Disk.Locator); err != nil {
				return nil, fmt.Errorf("volume %s: %w", p.Volume, err)
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// nfsMount reads a locator of device.KindNFS.
func nfsMount(locator string) (fstype, source, options string, err error) {
	u, err := url.Parse(locator)
	if err != nil || u.Scheme != "nfs" || u.Host == "" {
		return "", "", "", fmt.Errorf("share %q is not like nfs://host/path: %w", locator, errdef.ErrInternal)
	}
	options = strings.ReplaceAll(u.RawQuery, "&", ",")
	if p := u.Port(); p != "" {
		options += ",port=" + p
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return "nfs", host + ":" + u.Path, strings.TrimPrefix(options, ","), nil
}

// title is a container as messages name it.
func (c *container) title() string { return c.definition().Name + " (" + c.id[:12] + ")" }

// mountsOff are the volumes of a container that is off, outer ones first. What cannot be mounted
// now is left out, unless the path that is wanted lies in it: a share, which only a running container
// reaches, and a volume that another container runs with.
func (vs *Volumes) mountsOff(c *container, wanted string) ([]storage.Mount, error) {
	wanted = path.Clean("/" + wanted)
	var all []storage.Mount
	for _, p := range c.definition().Mounts {
		inside := wanted == p.Target || strings.HasPrefix(wanted, strings.TrimSuffix(p.Target, "/")+"/")
		holder := vs.claims.holder(p.Volume)
		switch {
		case p.Shared() && inside:
			return nil, fail(errdef.ErrUnsupported, "volume %q is a share, which only a running container reaches: start container %s first", p.Volume, c.id)
		case p.Shared():
		case holder != nil && holder != c && inside:
			return nil, fail(errdef.ErrConflict, "volume %q is in use by container %s: copy through that one", p.Volume, holder.title())
		case holder != nil && holder != c:
		default:
			all = append(all, storage.Mount{Disk: p.Disk, SubDir: guest.VolumeDir, Target: p.Target, ReadOnly: p.ReadOnly})
		}
	}
	slices.SortStableFunc(all, func(a, b storage.Mount) int { return strings.Count(a.Target, "/") - strings.Count(b.Target, "/") })
	return all, nil
}
