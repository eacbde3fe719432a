package precheck

import (
	"context"
	"fmt"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/hubvm"
	"github.com/openvic/vic/sdk/errdef"
)

// RunHub checks what a new hub needs, which is less than a VCH does: of in, Spec (Name, ApplianceISO as the hub's, Static, sizes),
// Session, ComputeResource, ImageStore, PublicNetwork, Certs and SSO are looked at.
func RunHub(ctx context.Context, in Input) *Output {
	c := &checker{Input: in, out: &Output{}}
	c.out.Resources.Session = in.Session
	c.localHub()
	if in.Session == nil {
		c.fail("credentials", in.ConnectErr, "check --target, --user and --password")
		return c.out
	}
	c.ok("credentials", "%s on %s", in.Session.Target.User, in.Session.Client().ServiceContent.About.FullName)
	c.checkSSO()
	if !c.checkDatacenter(ctx) {
		return c.out
	}
	c.findOthers(ctx)
	c.checkCompute(ctx)
	c.checkStore(ctx)
	public, err := c.findNetwork(ctx, "--public-network", c.PublicNetwork)
	if err != nil {
		c.fail(checkPublicName, err, "name the network on which clients reach the hub with --public-network")
	} else if c.checkPublic(ctx, checkPublicName, public) {
		c.out.Resources.Public, c.out.Resources.PublicName = public, nameOf(public)
	}
	c.checkHubName(ctx)
	c.checkClocks(ctx)
	return c.out
}

// HubImage checks the ISO image that an upgrade brings.
func HubImage(iso string) Report {
	c := &checker{out: &Output{}}
	c.checkISO("hub ISO", iso, "--hub-iso")
	return c.out.Report
}

// HubSizes checks the sizes that configure gives a hub; 0 is none.
func HubSizes(cpus int32, memoryMB int64) Report {
	c := &checker{out: &Output{}}
	if cpus == 0 {
		cpus = 1
	}
	if memoryMB == 0 {
		memoryMB = leastHubMemory
	}
	c.checkHubSizes(cpus, memoryMB)
	return c.out.Report
}

// leastHubMemory is the least that a hub works with, in MiB.
const leastHubMemory = 512

func (c *checker) checkHubSizes(cpus int32, memoryMB int64) {
	c.checkSize("--memory", memoryMB, leastHubMemory, 1<<20)
	c.checkSize("--cpu", int64(cpus), 1, 64)
	if memoryMB%4 != 0 {
		c.fail("sizes", fmt.Errorf("--memory is %d: %w", memoryMB, errdef.ErrInvalid), "give it a multiple of 4")
	}
}

// localHub checks what needs no vSphere.
func (c *checker) localHub() {
	if err := checkName(c.Spec.Name); err != nil {
		c.fail("name", err, "give another --name")
	} else {
		c.ok("name", "%s", c.Spec.Name)
	}
	c.checkISO("hub ISO", c.Spec.ApplianceISO, "--hub-iso")
	c.checkHubSizes(c.Spec.EndpointCPU, c.Spec.EndpointMemoryMB)
	c.checkSize("--data-size", c.Spec.StateGB, 1, 62<<10)
	set, err := certs.Prepare(c.Certs, time.Now())
	if err == nil {
		err = set.Writable()
	}
	if err != nil {
		c.fail("certificates", err, "check --cert-path and --tls-cname")
		return
	}
	c.out.Certs = set
	c.ok("certificates", "%s", certSummary(c.Certs, set))
}

// checkSSO says whether users of vCenter will sign in, and warns of an address at which the hub could not ask about them.
func (c *checker) checkSSO() {
	const check = "Single Sign-On"
	switch t := c.Session.Target; {
	case !c.SSO:
		c.ok(check, "left alone: users of vCenter do not sign in")
	case !c.Session.IsVC():
		c.ok(check, "none: %s is no vCenter", t.URL.Host)
	case t.Loopback():
		c.warn(check, "give --target a name or address that VMs on the public network can reach too, or --no-sso", "the hub cannot reach vCenter at %s", t.URL.Host)
	default:
		c.ok(check, "the hub will be registered, and users of vCenter sign in")
	}
}

// checkHubName looks for a hub of the name.
func (c *checker) checkHubName(ctx context.Context) {
	const check = "name is free"
	all, err := hubvm.List(ctx, c.Session)
	if err != nil {
		c.fail(check, err, "check the account's privileges on VMs")
		return
	}
	for _, h := range all {
		if h.Record.Name == c.Spec.Name {
			c.fail(check, fmt.Errorf("there is a hub %s already, the VM %s: %w", h.Record.Name, h.ID, errdef.ErrExists), "give another --name, or delete it first")
			return
		}
	}
	c.ok(check, "%s", c.Spec.Name)
}
