package dockerapi

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"github.com/openvic/vic/core/engine"
	driver "github.com/openvic/vic/sdk/network"
)

// portRequests reads -p and -P.
func portRequests(hc *container.HostConfig, cfg *container.Config) ([]engine.Port, error) {
	var out []engine.Port
	for p, bindings := range hc.PortBindings {
		if len(bindings) == 0 {
			bindings = []nat.PortBinding{{}}
		}
		for _, b := range bindings {
			e, err := portRequest(p, b)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
	}
	if hc.PublishAllPorts {
		for p := range cfg.ExposedPorts {
			if _, ok := hc.PortBindings[p]; ok {
				continue
			}
			e, err := portRequest(p, nat.PortBinding{})
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b engine.Port) int {
		if d := strings.Compare(a.Protocol, b.Protocol); d != 0 {
			return d
		}
		if d := int(a.ContainerPort) - int(b.ContainerPort); d != 0 {
			return d
		}
		return int(a.HostPort) - int(b.HostPort)
	})
	return out, nil
}

func portRequest(p nat.Port, b nat.PortBinding) (engine.Port, error) {
	proto, number := nat.SplitProtoPort(string(p))
	port, err := nat.ParsePort(number)
	if err != nil || port == 0 {
		return engine.Port{}, invalid("invalid port specification: %q", p)
	}
	e := engine.Port{Port: driver.Port{Protocol: strings.ToLower(proto), ContainerPort: uint16(port)}}
	if b.HostIP != "" {
		if e.HostIP, err = netip.ParseAddr(b.HostIP); err != nil {
			return e, invalid("invalid IP address: %q", b.HostIP)
		}
	}
	if b.HostPort != "" {
		first, last, err := nat.ParsePortRange(b.HostPort)
		if err != nil {
			return e, invalid("invalid port specification: %q", b.HostPort)
		}
		e.HostPort = uint16(first)
		if last > first {
			e.HostPortEnd = uint16(last)
		}
	}
	return e, nil
}

// hostIP is where a port is published. On a container network that is the container's own address.
func hostIP(c *engine.Container, p driver.Port) string {
	for _, a := range c.Networks {
		if a.Driver != driver.DriverExternal && a.Gateway.IsValid() {
			return or(text(p.HostIP), netip.IPv4Unspecified().String())
		}
	}
	for _, a := range c.Networks {
		if addr := addressOf(c, &a); addr.IsValid() {
			return addr.Addr().String()
		}
	}
	return netip.IPv4Unspecified().String()
}

// portMap is NetworkSettings.Ports: what is exposed and where it is published.
func portMap(c *engine.Container, d *definition) nat.PortMap {
	m := nat.PortMap{}
	if !c.State.Running() {
		return m
	}
	for p := range d.Config.ExposedPorts {
		m[p] = nil
	}
	for _, p := range c.Published {
		key := nat.Port(strconv.Itoa(int(p.ContainerPort)) + "/" + p.Protocol)
		m[key] = append(m[key], nat.PortBinding{HostIP: hostIP(c, p), HostPort: strconv.Itoa(int(p.HostPort))})
	}
	return m
}

// ports is the PORTS column.
func ports(c *engine.Container, d *definition) []container.Port {
	out := []container.Port{}
	for p, bindings := range portMap(c, d) {
		if len(bindings) == 0 {
			out = append(out, container.Port{PrivatePort: uint16(p.Int()), Type: p.Proto()})
		}
		for _, b := range bindings {
			host, err := strconv.ParseUint(b.HostPort, 10, 16)
			if err != nil {
				continue // the range was checked when it was bound
			}
			out = append(out, container.Port{IP: b.HostIP, PrivatePort: uint16(p.Int()), PublicPort: uint16(host), Type: p.Proto()})
		}
	}
	slices.SortFunc(out, func(a, b container.Port) int {
		if d := int(a.PrivatePort) - int(b.PrivatePort); d != 0 {
			return d
		}
		if d := strings.Compare(a.Type, b.Type); d != 0 {
			return d
		}
		return int(a.PublicPort) - int(b.PublicPort)
	})
	return out
}
