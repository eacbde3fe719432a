package dockerapi

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	volumemounts "github.com/docker/docker/volume/mounts"
	sysmount "github.com/moby/sys/mount"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/guest"
)

// whyNoBinds is the answer to those who ask for a path of dockerd's host.
const whyNoBinds = "bind mounts (host paths) are not possible, since containers are VMs of their own: " +
	"use a volume (docker volume create), or docker cp"

// mountReader gathers a container's mounts.
type mountReader struct {
	parser volumemounts.Parser
	tmpfs  map[string]string
	taken  map[string]bool // targets
	req    *engine.CreateRequest
}

// mountsOf reads -v, --mount, --volumes-from and the volumes of the image.
func mountsOf(cfg *container.Config, hc *container.HostConfig, req *engine.CreateRequest) error {
	m := &mountReader{parser: volumemounts.NewLinuxParser(), tmpfs: hc.Tmpfs, taken: map[string]bool{}, req: req}
	for _, spec := range hc.VolumesFrom {
		ref, mode, err := m.parser.ParseVolumesFrom(spec)
		if err != nil {
			return invalid("%v", err)
		}
		req.VolumesFrom = append(req.VolumesFrom, engine.VolumesFrom{Container: ref, ReadOnly: !m.parser.ReadWrite(mode)})
	}
	for _, spec := range hc.Binds {
		p, err := m.parser.ParseMountRaw(spec, hc.VolumeDriver)
		if err != nil {
			return invalid("%v", err)
		}
		if err := m.add(p, "-v "+spec); err != nil {
			return err
		}
	}
	for _, spec := range hc.Mounts {
		if err := m.spec(spec); err != nil {
			return err
		}
	}
	if err := checkVolumeDriver(hc.VolumeDriver); err != nil {
		return err
	}
	m.image(cfg.Volumes)
	return nil
}

// spec reads one --mount.
func (m *mountReader) spec(spec mount.Mount) error {
	switch spec.Type {
	case mount.TypeBind:
		return refused("option --mount type=bind,source="+spec.Source, whyNoBinds)
	case mount.TypeVolume:
	case mount.TypeTmpfs: // see tmpfs
		target := path.Clean(spec.Target)
		if _, tmpfs := m.tmpfs[target]; tmpfs || m.taken[target] {
			return invalid("Duplicate mount point: %s", target)
		}
		m.taken[target] = true
		return nil
	case mount.TypeImage, mount.TypeCluster, mount.TypeNamedPipe:
		return unsupported("option --mount type=" + string(spec.Type))
	default:
		return invalid("invalid mount config for type %q: mount type unknown", spec.Type)
	}
	if o := spec.VolumeOptions; o != nil && o.Subpath != "" {
		return unsupported("option --mount volume-subpath")
	}
	p, err := m.parser.ParseMountSpec(spec)
	if err != nil {
		return invalid("%v", err)
	}
	return m.add(p, "--mount type="+string(spec.Type)+",target="+spec.Target)
}

func (m *mountReader) add(p *volumemounts.MountPoint, option string) error {
	if p.Type != mount.TypeVolume {
		return refused("option "+option, whyNoBinds)
	}
	if err := checkVolumeDriver(p.Driver); err != nil {
		return err
	}
	if _, tmpfs := m.tmpfs[p.Destination]; tmpfs || m.taken[p.Destination] {
		return invalid("Duplicate mount point: %s", p.Destination)
	}
	m.taken[p.Destination] = true
	r := engine.MountRequest{Volume: p.Name, Target: p.Destination, ReadOnly: !p.RW, NoCopy: !p.CopyData}
	if o := p.Spec.VolumeOptions; o != nil {
		r.Labels = o.Labels
		if o.DriverConfig != nil {
			r.Options = o.DriverConfig.Options
		}
	}
	if p.Name == "" {
		r.Labels = withLabel(r.Labels, anonymousLabel)
	}
	m.req.Mounts = append(m.req.Mounts, r)
	return nil
}

// image adds the volumes that an image declares.
func (m *mountReader) image(declared map[string]struct{}) {
	var targets []string
	for t := range declared {
		targets = append(targets, path.Clean(t))
	}
	slices.Sort(targets)
	for _, t := range targets {
		if _, tmpfs := m.tmpfs[t]; !tmpfs && !m.taken[t] {
			m.req.Mounts = append(m.req.Mounts, engine.MountRequest{Target: t, Labels: withLabel(nil, anonymousLabel), Declared: true})
		}
	}
}

// mountPoints are a container's mounts as inspect shows them.
func mountPoints(points []engine.MountPoint) []container.MountPoint {
	out := []container.MountPoint{}
	for _, p := range points {
		x := container.MountPoint{Type: mount.TypeVolume, Name: p.Volume, Source: volumeSource(p.Disk), Destination: p.Target,
			Driver: engine.VolumeDriver, RW: !p.ReadOnly}
		if p.ReadOnly {
			x.Mode = "ro"
		}
		out = append(out, x)
	}
	return out
}

// usesVolume says whether a container has a volume by that name or at that target.
func usesVolume(c *engine.Container, refs []string) bool {
	return slices.ContainsFunc(c.Mounts, func(p engine.MountPoint) bool {
		return slices.Contains(refs, p.Volume) || slices.Contains(refs, p.Target)
	})
}

// tmpfs reads --tmpfs and --mount type=tmpfs.
func tmpfs(hc *container.HostConfig) ([]guest.Tmpfs, error) {
	var all []guest.Tmpfs
	add := func(target, options string) error {
		switch {
		case !path.IsAbs(target):
			return invalid("invalid mount path: '%s' mount path must be absolute", target)
		case path.Clean(target) == "/":
			return invalid("invalid specification: destination can't be '/'")
		}
		words := []string{"noexec", "nosuid", "nodev"}
		if options != "" {
			words = append(words, strings.Split(options, ",")...)
		}
		merged, err := sysmount.MergeTmpfsOptions(words)
		if err != nil {
			return invalid("%v", err)
		}
		all = append(all, guest.Tmpfs{Target: path.Clean(target), Options: merged})
		return nil
	}
	for _, target := range slices.Sorted(maps.Keys(hc.Tmpfs)) {
		if err := add(target, hc.Tmpfs[target]); err != nil {
			return nil, err
		}
	}
	for _, m := range hc.Mounts {
		if m.Type != mount.TypeTmpfs {
			continue
		}
		options, err := volumemounts.NewLinuxParser().ConvertTmpfsOptions(m.TmpfsOptions, m.ReadOnly)
		if err != nil {
			return nil, invalid("%v", err)
		}
		if err := add(m.Target, options); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// tmpfsPoints are the tmpfs of --mount, as inspect shows them; those of --tmpfs stand in HostConfig.
func tmpfsPoints(hc *container.HostConfig) []container.MountPoint {
	var out []container.MountPoint
	for _, m := range hc.Mounts {
		if m.Type == mount.TypeTmpfs {
			out = append(out, container.MountPoint{Type: mount.TypeTmpfs, Destination: path.Clean(m.Target), RW: !m.ReadOnly})
		}
	}
	return out
}
