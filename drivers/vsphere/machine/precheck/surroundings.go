package precheck

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"

	vsphere "github.com/openvic/vic/drivers/vsphere/session"
)

// Bounds of what is asked of the surroundings.
const (
	// clockSkew is what certificates and sessions bear without anybody noticing.
	clockSkew       = 5 * time.Minute
	registryTimeout = 3 * time.Second
)

// checkClocks compares the clocks of this machine, of vCenter and of the hosts.
func (c *checker) checkClocks(ctx context.Context) {
	const check = "clocks"
	begun := time.Now()
	now, err := methods.GetCurrentTime(ctx, c.Session.Client())
	if err != nil {
		c.warn(check, "see that the clock of vCenter is right", "the time of the target could not be read: %v", err)
		return
	}
	if now == nil {
		return
	}
	wrong := c.skewed(check, "the target", now.Sub(begun))
	read := 0
	if c.compute != nil {
		for _, h := range c.compute.hosts {
			if skew, ok := c.hostSkew(ctx, h); ok {
				read++
				wrong = c.skewed(check, "the host "+h.name, skew) || wrong
			}
		}
	}
	switch {
	case wrong:
	case read == 0:
		c.ok(check, "those of this machine and the target are less than %s apart; no host tells its own", clockSkew)
	default:
		c.ok(check, "those of this machine, the target and %d hosts are less than %s apart", read, clockSkew)
	}
}

// hostSkew is how far a host's clock is before ours; hosts that do not tell are left out.
func (c *checker) hostSkew(ctx context.Context, h host) (time.Duration, bool) {
	dts, err := object.NewHostSystem(c.Session.Client(), h.ref).ConfigManager().DateTimeSystem(ctx)
	if err != nil {
		return 0, false
	}
	begun := time.Now()
	t, err := dts.Query(ctx)
	if err != nil || t == nil {
		return 0, false
	}
	return t.Sub(begun), true
}

func (c *checker) skewed(check, whose string, skew time.Duration) bool {
	if skew.Abs() < clockSkew {
		return false
	}
	c.warn(check, "set the clocks by NTP", "the clock of %s is %s from this machine's: certificates may not be valid yet, or not any more", whose,
		skew.Round(time.Second))
	return true
}

// checkRegistries tries to reach the registries that are named. The endpoint may be able to when this
// machine is not, and the other way round.
func (c *checker) checkRegistries(ctx context.Context) {
	const check = "registries"
	if c.Spec.HTTPProxy != "" || c.Spec.HTTPSProxy != "" {
		c.ok(check, "not checked: the endpoint reaches them through a proxy")
		return
	}
	tried := 0
	for _, r := range append(append([]string{}, c.Spec.RegistryMirrors...), c.Spec.InsecureRegistries...) {
		addr := registryAddress(r)
		tried++
		d := net.Dialer{Timeout: registryTimeout}
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			c.warn(check, "check its name and that it runs; if only this machine has no way to it, all is well", "%s cannot be reached from here: %v", r, err)
			continue
		}
		_ = conn.Close()
		c.ok(check, "%s can be reached", r)
	}
	if tried == 0 {
		c.ok(check, "none is named")
	}
}

// registryAddress is host:port of "host[:port]" or a URL.
func registryAddress(r string) string {
	port := "443"
	if u, err := url.Parse(r); err == nil && u.Host != "" {
		if r = u.Host; u.Scheme == "http" {
			port = "80"
		}
	}
	if _, _, err := net.SplitHostPort(r); err == nil {
		return r
	}
	return net.JoinHostPort(r, port)
}

// checkFirewall says what the hosts' firewalls must let through.
func (c *checker) checkFirewall() {
	c.ok("host firewall", "nothing to open: container VMs reach the endpoint over the bridge network, not through the hosts")
}

// checkLimits compares the limits of the VCH with what its endpoint needs.
func (c *checker) checkLimits() {
	const check = "limits"
	s := c.Spec.Settings
	if l := s.Memory.Limit; l > 0 && l < s.EndpointMemoryMB+s.ContainerMemoryMB {
		c.out.Report.add(check, Error, "give a larger --memory, or smaller --endpoint-memory and --container-memory",
			"--memory %d is less than the endpoint VM (%d MiB) and one container (%d MiB) need", l, s.EndpointMemoryMB, s.ContainerMemoryMB)
	}
}

// checkCapacity compares reservations with what the pool has left.
func (c *checker) checkCapacity(ctx context.Context) {
	const check = "limits"
	s := c.Spec.Settings
	if s.Memory.Reservation == 0 && s.CPU.Reservation == 0 {
		return
	}
	if c.out.Resources.Pool == nil {
		c.skip(check, checkComputeName)
		return
	}
	free, err := c.unreserved(ctx)
	if err != nil {
		c.warn(check, "make sure that the compute resource can give what is reserved", "what is free could not be read: %v", err)
		return
	}
	for _, r := range []struct {
		option, unit string
		want, have   int64
	}{{"--memory-reservation", "MiB", s.Memory.Reservation, free.memory}, {"--cpu-reservation", "MHz", s.CPU.Reservation, free.cpu}} {
		if r.want > r.have {
			c.fail(check, fmt.Errorf("%s is %d %s, and %d are free to reserve", r.option, r.want, r.unit, r.have), "give a smaller "+r.option)
		}
	}
}

type unreserved struct{ memory, cpu int64 }

// unreserved reads how much of a pool may still be reserved, in MiB and MHz.
func (c *checker) unreserved(ctx context.Context) (unreserved, error) {
	var m mo.ResourcePool
	pool := c.out.Resources.Pool
	if err := pool.Properties(ctx, pool.Reference(), []string{"runtime"}, &m); err != nil {
		return unreserved{}, vsphere.Classify(err)
	}
	return unreserved{memory: m.Runtime.Memory.UnreservedForPool >> 20, cpu: m.Runtime.Cpu.UnreservedForPool}, nil
}
