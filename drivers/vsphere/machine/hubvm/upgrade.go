package hubvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/hardware"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Upgrade is what an upgrade brings.
type Upgrade struct {
	Version  string
	ISO      string        // local file
	Patience time.Duration // how long a version may take to serve before the other one comes back
}

// editor changes one hub that is there.
type editor struct {
	sess   *session.Session
	log    *progress.Log
	vm     *object.VirtualMachine
	record *Record
	files  session.Files
}

func open(ctx context.Context, s *session.Session, q Query, log *progress.Log) (*editor, error) {
	h, all, err := find(ctx, s, q)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, missing(q, all)
	}
	e := &editor{sess: s, log: log, record: h.Record, vm: object.NewVirtualMachine(s.Client(), types.ManagedObjectReference{Type: "VirtualMachine", Value: h.ID})}
	e.files, err = vch.FilesByName(ctx, s, h.Record.Datacenter, h.Record.Datastore)
	return e, err
}

// Run makes a hub boot another image. The hub is away while it boots; its data disk stays as it is, and clients whose push was
// interrupted go on with it. If the new version does not serve in time the old one comes back, which is an error all the same.
func (u Upgrade) Run(ctx context.Context, s *session.Session, q Query, log *progress.Log) error {
	e, err := open(ctx, s, q, log)
	if err != nil {
		return err
	}
	sum, err := sumOf(u.ISO)
	if err != nil {
		return err
	}
	if e.record.Version == u.Version && e.record.Sum == sum {
		return e.resume(ctx, u.Patience)
	}
	there, err := e.files.List(ctx, e.record.Folder)
	if err != nil {
		return err
	}
	to := Image{u.Version, freeName(there, u.Version), sum}
	if err := e.upload(ctx, u.ISO, to.ISO); err != nil {
		return advice.Wrap(err, "check the datastore's space and that its hosts can be reached over HTTPS; nothing was changed")
	}
	return e.change(ctx, to, e.record.image(), u.Patience)
}

// resume is for a hub that has the version: errdef.ErrExists, unless an upgrade was stopped half-way and left it off.
func (e *editor) resume(ctx context.Context, patience time.Duration) error {
	state, err := e.vm.PowerState(ctx)
	if err != nil {
		return vsphere.Classify(err)
	}
	if state == types.VirtualMachinePowerStatePoweredOff {
		return e.boot(ctx, e.record.image(), e.record.Previous, patience)
	}
	return fmt.Errorf("the hub %s has the version %s: %w", e.record.Name, e.record.Version, errdef.ErrExists)
}

// Rollback makes a hub boot the version from before its last upgrade, over the data of now; the version that is left can come back by
// another rollback. An older version refuses data that a newer one has changed in form; then the newer one comes back.
// errdef.ErrConflict if there was no upgrade.
func Rollback(ctx context.Context, s *session.Session, q Query, patience time.Duration, log *progress.Log) error {
	e, err := open(ctx, s, q, log)
	if err != nil {
		return err
	}
	if e.record.Previous == nil {
		return advice.Wrap(fmt.Errorf("it was not upgraded: %w", errdef.ErrConflict), "there is no older version to go back to")
	}
	return e.change(ctx, *e.record.Previous, e.record.image(), patience)
}

// change boots one image, and the one before if that does not serve.
func (e *editor) change(ctx context.Context, to, was Image, patience time.Duration) error {
	before := e.record.Previous
	err := e.boot(ctx, to, &was, patience)
	if err == nil {
		e.tidy(ctx)
		return nil
	}
	err = fmt.Errorf("version %s does not serve: %w", to.Version, err)
	e.log.Printf("%v; putting version %s back", err, was.Version)
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience+2*cleanupTime)
	defer cancel()
	if berr := e.boot(back, was, before, patience+cleanupTime); berr != nil {
		return errors.Join(err, advice.Wrap(fmt.Errorf("version %s could not be put back: %w", was.Version, berr), "look at the console of the VM, %s",
			e.path(e.record.Name, config.ConsoleLog)))
	}
	e.tidy(back)
	return advice.Wrap(fmt.Errorf("%w; version %s serves again", err, was.Version), "look at the console of the VM, %s",
		e.path(e.record.Name, config.ConsoleLog))
}

// boot boots an image.
func (e *editor) boot(ctx context.Context, image Image, previous *Image, patience time.Duration) error {
	e.record.Version, e.record.ISO, e.record.Sum, e.record.Previous = image.Version, image.ISO, image.Sum, previous
	return e.bootWith(ctx, patience, types.VirtualMachineConfigSpec{})
}

// bootWith switches the VM off, gives it the image of its record and what spec changes in one step, switches it on and waits until it
// serves.
func (e *editor) bootWith(ctx context.Context, patience time.Duration, spec types.VirtualMachineConfigSpec) error {
	e.log.Printf("shutting the hub down")
	if err := hardware.Shutdown(ctx, e.vm); err != nil {
		return err
	}
	cd, err := hardware.Boot(ctx, e.vm, e.path(e.record.ISO))
	if err != nil {
		return err
	}
	record, err := e.record.json()
	if err != nil {
		return err
	}
	spec.DeviceChange = append(spec.DeviceChange, cd)
	// What the guest of before reported must not be taken for the new one's word.
	spec.ExtraConfig = append(spec.ExtraConfig, option(RecordKey, record), option(guest.Prefix+guest.KeyStatus, ""), option(guest.Prefix+guest.KeyAddresses, ""))
	task, err := e.vm.Reconfigure(ctx, spec)
	if err := session.Wait(ctx, task, err); err != nil {
		return fmt.Errorf("change the VM: %w", err)
	}
	if err := e.record.writeMarker(ctx, e.files); err != nil {
		return err
	}
	task, err = e.vm.PowerOn(ctx)
	if err := session.Wait(ctx, task, err); err != nil {
		return fmt.Errorf("power on the VM: %w", err)
	}
	e.log.Printf("the VM is powered on, with version %s", e.record.Version)
	wait, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no success within %s: %w", patience, errdef.ErrUnavailable))
	defer cancel()
	_, err = vch.WaitServing(wait, e.sess, vch.Appliance{VM: e.vm, Port: Port, Iface: iface, DHCP: !e.record.Static.Address.IsValid(),
		Look: "look at the VM's console, " + e.path(e.record.Name, config.ConsoleLog)}, e.log)
	return err
}

// path is a file of the folder as vSphere writes it.
func (e *editor) path(elem ...string) string {
	return e.files.Path(path.Join(append([]string{e.record.Folder}, elem...)...))
}

func (e *editor) upload(ctx context.Context, local, name string) error {
	f, err := os.Open(local)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	e.log.Printf("uploading %s", name)
	return e.files.Upload(ctx, e.log.Reader(f, name, info.Size()), info.Size(), path.Join(e.record.Folder, name))
}

// freeName is an image's name that no file has: one that is there may be in use.
func freeName(there []string, version string) string {
	name := isoName(version)
	for n := 2; slices.Contains(there, name); n++ {
		name = isoName(fmt.Sprintf("%s.%d", version, n))
	}
	return name
}

// tidy removes the images that neither this version nor a rollback needs. What cannot be removed stays.
func (e *editor) tidy(ctx context.Context) {
	names, err := e.files.List(ctx, e.record.Folder)
	if err != nil {
		e.log.Printf("old images are left: %v", err)
		return
	}
	for _, n := range names {
		if !strings.HasPrefix(n, "hub-") || !strings.HasSuffix(n, ".iso") || n == e.record.ISO || e.record.Previous != nil && n == e.record.Previous.ISO {
			continue
		}
		if err := e.files.Delete(ctx, path.Join(e.record.Folder, n)); err != nil {
			e.log.Printf("an old image is left: %v", err)
		}
	}
}
