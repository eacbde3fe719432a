package hubvm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/hardware"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Plan is a hub that is about to be made.
type Plan struct {
	Spec  Spec
	Res   vch.Resources // of the checks; Public is the hub's network
	Certs *certs.Set
}

// Made is a hub that serves.
type Made struct {
	VM       string // managed object id
	Address  string
	Kept     bool   // it took over the data disk of an earlier hub, with its users
	Password string // file with the first administrator's password; empty if the users are kept
	SSO      *SSO   // nil: vCenter's users do not sign in
	Took     time.Duration
}

// creator makes one hub. The fields below log say what there is to undo.
type creator struct {
	Plan
	record Record
	log    *progress.Log

	undoCerts  func()
	password   string
	files      []guest.File // for Single Sign-On
	registered bool         // the solution user may be there
	folder     bool         // it was made
	kept       bool
	vm         *object.VirtualMachine
	made       Made
}

// cleanupTime bounds the removal after a failure.
const cleanupTime = 3 * time.Minute

// Create makes the hub and waits until it serves. If a step fails, or ctx ends, all that was made is removed again; a data disk
// that was there before stays.
func Create(ctx context.Context, p Plan, log *progress.Log) (*Made, error) {
	s, r := p.Spec, p.Res
	c := &creator{Plan: p, log: log, undoCerts: func() {}, record: Record{
		Version: s.Version, Name: s.Name, ID: uuid.NewString(), Created: time.Now().UTC().Truncate(time.Second),
		Datacenter: r.Datacenter.Reference().Value, Datastore: r.Files.Datastore.Name(), Folder: s.Name, ISO: isoName(s.Version),
		Network: r.PublicName, Static: s.Static, DNS: s.DNS, CPUs: s.CPUs, MemoryMB: s.MemoryMB, DataGB: s.DataGB, Options: s.Options,
	}}
	if s.SSODomain != "" && r.Session.IsVC() {
		c.record.SSO = &SSO{Domain: s.SSODomain, User: solutionUser(c.record.ID)}
	}
	for _, step := range []struct {
		name, remedy string
		do           func(context.Context) error
	}{
		{"certificates", "check that the folder of --cert-path can be written", c.makeCerts},
		{"datastore folder", "check the account's privileges on the datastore, and its space", c.makeFolder},
		{"Single Sign-On", "give --target the name that vCenter's certificate is for, --sso-domain, and an account that administers Single Sign-On; or --no-sso",
			c.register},
		{"ISO image", "check the datastore's space and that its hosts can be reached over HTTPS", c.upload},
		{"VM", "look at the task in vSphere: its description tells more", c.makeVM},
		{"power on", "look at the task in vSphere: mostly the hosts lack memory", c.powerOn},
		{"hub", "give a longer --timeout if this machine is slow", c.wait},
	} {
		log.Step(step.name)
		err := context.Cause(ctx)
		if err == nil {
			err = step.do(ctx)
		}
		if err != nil {
			return nil, errors.Join(advice.Wrap(fmt.Errorf("%s: %w", step.name, err), "%s", step.remedy), c.cleanup(ctx))
		}
	}
	c.made.Took = log.Elapsed()
	return &c.made, nil
}

// isoName has the version in it.
func isoName(version string) string {
	return "hub-" + strings.Map(func(r rune) rune {
		if strings.ContainsRune("/\\:*?\"<>|[]% ", r) {
			return '_'
		}
		return r
	}, version) + ".iso"
}

func (c *creator) makeCerts(context.Context) (err error) {
	if c.undoCerts, err = c.Certs.Write(); err != nil {
		return err
	}
	if names := c.Certs.NewFiles(); len(names) > 0 {
		c.log.Printf("wrote the certificates: %s", strings.Join(names, " "))
	}
	return nil
}

// makeFolder makes the folder, or takes over the one that a deleted hub left.
func (c *creator) makeFolder(ctx context.Context) error {
	f := c.Res.Files
	err := f.MakeDir(ctx, c.record.Folder)
	switch {
	case errors.Is(err, errdef.ErrExists):
		if err := c.takeOver(ctx); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		c.folder = true
	}
	return c.record.writeMarker(ctx, f)
}

// takeOver looks at a folder that is there: it must be an earlier hub's, or empty.
func (c *creator) takeOver(ctx context.Context) error {
	f := c.Res.Files
	names, err := f.List(ctx, c.record.Folder)
	if err != nil {
		return err
	}
	old, err := readMarker(ctx, f, c.record.Folder)
	switch {
	case err != nil:
		return err
	case old == nil && len(names) > 0:
		return advice.Wrap(fmt.Errorf("%s is there and is no hub's: %w", f.Path(c.record.Folder), errdef.ErrExists), "give another --name")
	case old == nil:
		c.folder = true
		return nil
	}
	c.record.Data = old.Data
	if c.kept = slices.Contains(names, path.Base(c.record.dataDisk())); c.kept {
		c.log.Printf("the data disk of the hub of %s is taken over", old.Created.Format(time.DateOnly))
		c.record.DataGB = old.DataGB
	} else {
		c.record.Data = ""
	}
	switch {
	case old.SSO == nil:
	case c.record.SSO != nil && c.record.SSO.Domain == old.SSO.Domain:
		c.record.SSO.User = old.SSO.User // if a killed create left it, it gets a new certificate
	default:
		c.log.Printf("if the hub of %s was not deleted, its solution user %s@%s is left", old.Created.Format(time.DateOnly), old.SSO.User, old.SSO.Domain)
	}
	c.folder = !c.kept // what a killed create left is worth nothing
	return nil
}

func (c *creator) upload(ctx context.Context) error {
	var err error
	if c.record.Sum, err = sumOf(c.Spec.ISO); err != nil {
		return err
	}
	file, err := os.Open(c.Spec.ISO)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return c.Res.Files.Upload(ctx, c.log.Reader(file, c.record.ISO, info.Size()), info.Size(), path.Join(c.record.Folder, c.record.ISO))
}

// path is a file of the folder as vSphere writes it.
func (c *creator) path(elem ...string) string {
	return c.Res.Files.Path(path.Join(append([]string{c.record.Folder}, elem...)...))
}

func (c *creator) makeVM(ctx context.Context) error {
	record, err := c.record.json()
	if err != nil {
		return err
	}
	networks := []object.NetworkReference{c.Res.Public}
	v := hardware.VM{
		Name: c.Spec.Name, Annotation: "A hub of vSphere Integrated Containers; made by vic-machine, remove with vic-machine hub delete.",
		CPUs: c.Spec.CPUs, MemoryMB: c.Spec.MemoryMB, VMX: c.path(c.Spec.Name, c.Spec.Name+".vmx"), ISO: c.path(c.record.ISO),
		Disk: c.Res.Files.Path(c.record.dataDisk()), DiskGB: c.Spec.DataGB, Console: c.path(c.Spec.Name, config.ConsoleLog), Networks: networks,
		Extra: []types.BaseOptionValue{option(RecordKey, record)},
	}
	if c.kept {
		v.DiskGB = 0
	}
	spec, err := v.Spec(ctx)
	if err != nil {
		return err
	}
	task, err := c.Res.Folder.CreateVM(ctx, spec, c.Res.Pool, nil)
	res, err := session.Await(ctx, task, err)
	if err != nil {
		return err
	}
	ref, ok := res.(types.ManagedObjectReference)
	if !ok {
		return fmt.Errorf("the task's result is a %T: %w", res, errdef.ErrInternal)
	}
	c.vm = object.NewVirtualMachine(c.Res.Session.Client(), ref)
	c.log.Printf("made the VM %s: %d CPU, %d MiB, %d GiB data disk", ref.Value, c.Spec.CPUs, c.Spec.MemoryMB, c.record.DataGB)
	macs, err := hardware.MACs(ctx, c.vm, networks)
	if err != nil {
		return err
	}
	if c.password = c.Spec.Password; c.password == "" {
		c.password = rand.Text()
	}
	cfg, err := c.record.guestConfig(macs[0], c.Certs, c.password, c.files)
	if err != nil {
		return err
	}
	task, err = c.vm.Reconfigure(ctx, types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{option(keyConfig, cfg)}})
	return session.Wait(ctx, task, err)
}

func (c *creator) powerOn(ctx context.Context) error {
	task, err := c.vm.PowerOn(ctx)
	return session.Wait(ctx, task, err)
}

func (c *creator) wait(ctx context.Context) error {
	ready, err := vch.WaitServing(ctx, c.Res.Session, vch.Appliance{VM: c.vm, Port: Port, Iface: iface, DHCP: !c.record.Static.Address.IsValid(),
		Look: "look at the VM's console, " + c.path(c.Spec.Name, config.ConsoleLog)}, c.log)
	if err != nil {
		return err
	}
	c.made = Made{VM: ready.VM, Address: ready.Address.String(), Kept: c.kept, SSO: c.record.SSO}
	if c.kept || c.Spec.Password != "" {
		return nil
	}
	file := filepath.Join(c.Certs.Dir(), adminPassword)
	c.made.Password = file
	return os.WriteFile(file, []byte(c.password+"\n"), modePrivate)
}

// cleanup removes what was made.
func (c *creator) cleanup(ctx context.Context) error {
	c.log.Step("clean up")
	c.log.Printf("removing what was made")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var errs []error
	if c.vm != nil {
		errs = append(errs, destroy(ctx, c.vm, &c.record, c.Res.Files))
	}
	if c.registered {
		errs = append(errs, unregister(ctx, c.Res.Session, *c.record.SSO))
	}
	if errors.Join(errs...) == nil { // the folder has the record of the rest
		errs = append(errs, c.removeFiles(ctx))
	}
	c.undoCerts()
	if err := errors.Join(errs...); err != nil {
		return advice.Wrap(fmt.Errorf("not all of it could be removed: %w", err), "remove the rest with: vic-machine hub delete --name %s", c.Spec.Name)
	}
	return nil
}

func (c *creator) removeFiles(ctx context.Context) error {
	switch {
	case c.folder:
		return ignoreMissing(c.Res.Files.Delete(ctx, c.record.Folder))
	case c.kept:
		return removeAllBut(ctx, c.Res.Files, &c.record)
	}
	return nil
}
