package dockerapi

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	volumemounts "github.com/docker/docker/volume/mounts"
	"github.com/docker/go-units"
	sysmount "github.com/moby/sys/mount"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/guest"
)

// confine reads what a container's processes may do, and what surrounds them.
func confine(cfg *container.Config, hc *container.HostConfig, req *engine.CreateRequest) error {
	var err error
	if req.Security, err = security(hc); err != nil {
		return err
	}
	if req.Tmpfs, err = tmpfs(hc); err != nil {
		return err
	}
	if req.Process.Rlimits, err = rlimits(hc.Ulimits); err != nil {
		return err
	}
	if req.Health, err = healthCheck(cfg); err != nil {
		return err
	}
	req.Sysctl, req.ShmSize = hc.Sysctls, hc.ShmSize
	req.Process.Init = hc.Init != nil && *hc.Init
	req.Restart = policy(hc.RestartPolicy)
	req.Limits = limits(&hc.Resources)
	if n := cpus(&hc.Resources); n > 0 {
		req.CPUs = n
	}
	return nil
}

func policy(p container.RestartPolicy) guest.Restart {
	return guest.Restart{Policy: guest.PolicyName(p.Name), Max: p.MaximumRetryCount}
}

// security reads capabilities, --privileged and --security-opt.
func security(hc *container.HostConfig) (guest.Security, error) {
	s := guest.Security{Privileged: hc.Privileged, Confined: !hc.Privileged}
	left, err := capabilities(hc.CapAdd, hc.CapDrop)
	if err != nil {
		return s, err
	}
	if s.Confined {
		// --security-opt systempaths=unconfined asks for no paths at all.
		s.Capabilities, s.Masked, s.ReadOnly = left, hc.MaskedPaths, hc.ReadonlyPaths
		if s.Masked == nil {
			s.Masked = maskedPaths()
		}
		if s.ReadOnly == nil {
			s.ReadOnly = readOnlyPaths()
		}
	}
	for _, o := range hc.SecurityOpt {
		if err := securityOption(o, &s); err != nil {
			return s, err
		}
	}
	return s, nil
}

func securityOption(o string, s *guest.Security) error {
	key, value, ok := strings.Cut(o, "=")
	if !ok {
		key, value, ok = strings.Cut(o, ":")
	}
	switch {
	case o == "no-new-privileges":
		s.NoNewPrivileges = true
	case !ok:
		return invalid("invalid --security-opt 1: %q", o)
	case key == "no-new-privileges":
		on, err := strconv.ParseBool(value)
		if err != nil {
			return invalid("invalid --security-opt 2: %q", o)
		}
		s.NoNewPrivileges = on
	case key == "label", key == "apparmor", key == "seccomp": // see securityWarnings
	default:
		return invalid("invalid --security-opt 2: %q", o)
	}
	return nil
}

// securityWarnings says what of the security options means nothing in a VM.
func securityWarnings(hc *container.HostConfig) []string {
	var w []string
	if hc.Privileged {
		w = append(w, "Privileged: the container has all rights in its own VM and sees the VM's devices; it has none of the virtual container host or of the ESXi host.")
	}
	for _, o := range hc.SecurityOpt {
		key, value, _ := strings.Cut(strings.Replace(o, ":", "=", 1), "=")
		if (key == "label" || key == "apparmor" || key == "seccomp") && value != "unconfined" && value != "disable" {
			w = append(w, fmt.Sprintf("Security option %s is not applied: a container VM has a kernel of its own, which shields no other container.", key))
		}
	}
	return w
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

// rlimits reads --ulimit; the numbers are Linux's.
func rlimits(limits []*units.Ulimit) ([]guest.Rlimit, error) {
	numbers := map[string]int{"cpu": 0, "fsize": 1, "data": 2, "stack": 3, "core": 4, "rss": 5, "nproc": 6, "nofile": 7, "memlock": 8,
		"locks": 10, "sigpending": 11, "msgqueue": 12, "nice": 13, "rtprio": 14, "rttime": 15}
	var all []guest.Rlimit
	for _, l := range limits {
		n, ok := numbers[l.Name]
		if !ok {
			return nil, invalid("invalid ulimit type: %s", l.Name)
		}
		all = append(all, guest.Rlimit{Resource: n, Soft: rlimit(l.Soft), Hard: rlimit(l.Hard)})
	}
	return all, nil
}

// rlimit turns -1 into the kernel's "unlimited".
func rlimit(n int64) uint64 {
	if n < 0 {
		return math.MaxUint64
	}
	return uint64(n)
}
