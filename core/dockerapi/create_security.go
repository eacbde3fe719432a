package dockerapi

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/guest"
)

// confine reads what a container's processes may do, and what surrounds them.
func confine(cfg *container.Config, hc *container.HostConfig, req *engine.CreateRequest) error {
	var err error
	if req.Guest.Security, err = security(hc); err != nil {
		return err
	}
	if req.Guest.Tmpfs, err = tmpfs(hc); err != nil {
		return err
	}
	if req.Process.Rlimits, err = rlimits(hc.Ulimits); err != nil {
		return err
	}
	if req.Guest.Health, err = healthCheck(cfg); err != nil {
		return err
	}
	req.Guest.Sysctl, req.Guest.ShmSize = hc.Sysctls, hc.ShmSize
	req.Process.Init = hc.Init != nil && *hc.Init
	req.Restart = policy(hc.RestartPolicy)
	req.Limits = limits(&hc.Resources)
	if n := cpus(&hc.Resources); n > 0 {
		req.CPUs = n
	}
	return nil
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
		w = append(w, "Privileged: the container has all rights in its own VM and sees the VM's devices; "+
			"it has none of the virtual container host or of the ESXi host.")
	}
	for _, o := range hc.SecurityOpt {
		key, value, _ := strings.Cut(strings.Replace(o, ":", "=", 1), "=")
		if (key == "label" || key == "apparmor" || key == "seccomp") && value != "unconfined" && value != "disable" {
			w = append(w, fmt.Sprintf("Security option %s is not applied: a container VM has a kernel of its own, which shields no other container.", key))
		}
	}
	return w
}
