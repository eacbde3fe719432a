package precheck

import (
	"context"
	"fmt"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
)

// Input is what the administrator gave. Names are as on the command line.
type Input struct {
	Spec            vch.Spec
	Session         *session.Session // nil if there is none
	ConnectErr      error            // why not
	ComputeResource string
	ImageStore      string
	VolumeStores    []string
	BridgeNetwork   string
	PublicNetwork   string
	// ClientNetwork and ManagementNetwork are the public one if they are empty.
	ClientNetwork     string
	ManagementNetwork string
	Containers        []vch.ContainerNetwork // by the names of their port groups
	Certs             certs.Options
	Force             bool // what can be lived with becomes a warning
	SSO               bool // of a hub: it shall be registered at vCenter Single Sign-On
}

// Output is what the checks found.
type Output struct {
	Report    Report
	Resources vch.Resources
	Certs     *certs.Set
}

// OK says that nothing stands in the way.
func (o *Output) OK() bool { return o.Report.Count(Error) == 0 && o.Report.Count(Skipped) == 0 }

// Run runs all checks. It changes nothing, but for a file that it writes to the image store's
// datastore and removes again, to see whether that works.
func Run(ctx context.Context, in Input) *Output {
	c := &checker{Input: in, out: &Output{}}
	c.out.Resources.Session = in.Session
	c.local()
	c.checkRegistries(ctx)
	c.checkHub(ctx)
	if in.Session == nil {
		c.fail("credentials", in.ConnectErr, "check --target, --user and --password")
		for _, name := range []string{"datacenter", "compute resource", "DRS", "licence", "image store", "networks", "name is free"} {
			c.skip(name, "connection")
		}
		return c.out
	}
	about := in.Session.Client().ServiceContent.About
	c.ok("credentials", "%s on %s", in.Session.Target.User, about.FullName)
	c.checkTarget()
	if !c.checkDatacenter(ctx) {
		for _, name := range []string{"compute resource", "DRS", "licence", "image store", "networks", "name is free"} {
			c.skip(name, "datacenter")
		}
		return c.out
	}
	c.findOthers(ctx)
	c.checkCompute(ctx)
	c.checkDRS()
	c.checkLicence(ctx)
	c.checkStore(ctx)
	c.checkVolumeStores(ctx)
	c.checkNetworks(ctx)
	c.checkConflicts(ctx)
	c.checkVMGroup("")
	c.checkCapacity(ctx)
	c.checkAccount(ctx)
	c.checkOps(ctx)
	c.checkClocks(ctx)
	c.checkFirewall()
	return c.out
}

// checker runs the checks. The fields below out are what earlier checks found for later ones.
type checker struct {
	Input
	out    *Output
	finder *find.Finder

	compute *compute
	others  vch.Neighbours
}

// compute is the cluster or host that the VCH will run on.
type compute struct {
	name    string
	cluster bool
	drs     bool
	groups  []string // of DRS
	hosts   []host
}

type host struct {
	ref  types.ManagedObjectReference
	name string
}

func (c *checker) ok(check, format string, args ...any) { c.out.Report.ok(check, format, args...) }
func (c *checker) fail(check string, err error, remedy string) {
	c.out.Report.fail(check, err, remedy)
}
func (c *checker) skip(check, missing string) { c.out.Report.skip(check, missing) }
func (c *checker) warn(check, remedy, format string, args ...any) {
	c.out.Report.add(check, Warning, remedy, format, args...)
}

// wrong is an error, or with Force a warning.
func (c *checker) wrong(check, remedy, format string, args ...any) {
	if c.Force {
		c.warn(check, remedy, format+" (accepted because of --force)", args...)
		return
	}
	c.out.Report.add(check, Error, remedy+", or accept it with --force", format, args...)
}

// local checks what needs no vSphere.
func (c *checker) local() {
	if err := checkName(c.Spec.Name); err != nil {
		c.fail("name", err, "give another --name")
	} else {
		c.ok("name", "%s", c.Spec.Name)
	}
	if err := checkRange(c.Spec.BridgeRange); err != nil {
		c.fail("bridge range", err, "give --bridge-network-range a private network such as 172.16.0.0/16")
	}
	c.checkAddresses()
	c.checkISO("appliance ISO", c.Spec.ApplianceISO, "--appliance-iso")
	c.checkISO("bootstrap ISO", c.Spec.BootstrapISO, "--bootstrap-iso")
	c.checkSizes()
	c.checkLimits()
	set, err := certs.Prepare(c.Certs, time.Now())
	if err != nil {
		c.fail("certificates", err, "check --cert-path and --tls-cname")
		return
	}
	if err := set.Writable(); err != nil {
		c.fail("certificates", err, "give another folder with --cert-path, or make this one writable")
		return
	}
	c.out.Certs = set
	for _, w := range set.Warnings {
		c.warn("certificates", "renew it before that day: remove the file and create the VCH anew", "%s in %s", w, c.Certs.Dir)
	}
	c.ok("certificates", "%s", certSummary(c.Certs, set))
}

func certSummary(o certs.Options, s *certs.Set) string {
	switch {
	case o.NoTLS:
		return "none: --no-tls lets anybody on the network use and command the VCH"
	case len(s.Reused) > 0:
		return fmt.Sprintf("those in %s will be used, %d files made", o.Dir, len(s.NewFiles()))
	}
	return fmt.Sprintf("%d files will be made in %s", len(s.NewFiles()), o.Dir)
}

// checkTarget warns of an address that means the endpoint VM itself when used there.
func (c *checker) checkTarget() {
	if t := c.Session.Target; t.Loopback() {
		c.warn("target", "give --target a name or address that VMs on the public network can reach too",
			"the endpoint VM cannot reach vCenter at %s", t.URL.Host)
	}
}

// checkDatacenter decides where to look for everything else.
func (c *checker) checkDatacenter(ctx context.Context) bool {
	dcs, err := c.Session.Datacenters(ctx)
	if err != nil {
		c.fail("datacenter", err, "name one in --target host/datacenter")
		return false
	}
	if len(dcs) != 1 {
		var names []string
		for _, dc := range dcs {
			names = append(names, dc.InventoryPath)
		}
		c.fail("datacenter", fmt.Errorf("there are %d: %s", len(dcs), list(names)), "name one in --target host/datacenter")
		return false
	}
	c.finder = find.NewFinder(c.Session.Client(), true).SetDatacenter(dcs[0])
	folders, err := dcs[0].Folders(ctx)
	if err != nil {
		c.fail("datacenter", vsphere.Classify(err), "check the account's privileges on the datacenter")
		return false
	}
	c.out.Resources.Datacenter, c.out.Resources.Folder = dcs[0], folders.VmFolder
	c.ok("datacenter", "%s", dcs[0].InventoryPath)
	return true
}
