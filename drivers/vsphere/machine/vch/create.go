package vch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
	"golang.org/x/sync/errgroup"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Create makes the VCH that p describes and waits until it serves. If a step fails, or ctx ends,
// all that was made is removed again, unless Spec.Debug asks to keep it.
func Create(ctx context.Context, p *Plan, log *progress.Log) (*Ready, error) {
	return newCreator(p, log).run(ctx)
}

// creator makes one VCH. The fields below hook say what there is to undo.
type creator struct {
	*Plan
	log  *progress.Log
	hook func(step string) error // tests make steps fail with it

	undoCerts  func()
	hubRequest []byte // for the hub's certificate, PEM
	folder     bool
	pool       *object.VirtualApp // on ESXi only its ResourcePool counts
	vm         *object.VirtualMachine
	ready      *Ready
}

func newCreator(p *Plan, log *progress.Log) *creator {
	return &creator{Plan: p, log: log, hook: func(string) error { return nil }, undoCerts: func() {}}
}

// step is one part of the work; remedy says what to do if it fails and the error does not.
type step struct {
	name   string
	remedy string
	do     func(context.Context) error
}

// stepEndpoint waits for the endpoint to serve: the one step that is expected to take time.
const stepEndpoint = "endpoint"

func (c *creator) steps() []step {
	return []step{
		{"what was left", "remove it with: vic-machine delete --name " + c.Spec.Name, c.removeUnfinished},
		{"certificates", "check that the folder of --cert-path can be written", c.makeCerts},
		{"hub", "check --hub, --hub-ca and --hub-token", c.registerAtHub},
		{"datastore folder", "check the account's privileges on the datastore, and its space", c.makeFolder},
		{poolWord(c.Record.PoolType), "check the account's privileges on the compute resource", c.makePool},
		{"permissions", "check the account's privileges Authorization.ModifyRoles and Authorization.ModifyPermissions", c.grant},
		{"image store", "check the account's privileges on the datastore", c.makeStore},
		{"volume stores", "check the account's privileges on the datastore", c.makeVolumeStores},
		{"ISO images", "check the datastore's space and that its hosts can be reached over HTTPS", c.upload},
		{"endpoint VM", "look at the task in vSphere: its description tells more", c.makeVM},
		{"VM group", "check the account's privilege Host.Inventory.EditCluster on the cluster", c.makeGroup},
		{"configuration", "look at the task in vSphere: its description tells more", c.configure},
		{"power on", "look at the task in vSphere: mostly the hosts lack memory, or DRS found no place", c.powerOn},
		{stepEndpoint, "give a longer --timeout if this machine is slow, or run again with --debug 1 to keep the endpoint VM, and look at its console", c.waitReady},
		{"hub connection", "check that the hub still runs", c.connectHub},
	}
}

func (c *creator) run(ctx context.Context) (*Ready, error) {
	for _, s := range c.steps() {
		c.log.Step(s.name)
		if err := c.runStep(ctx, s); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			if ctx.Err() == nil || s.name == stepEndpoint { // else it is not the step that was wrong
				err = advice.Wrap(err, "%s", s.remedy)
			}
			return nil, errors.Join(err, c.cleanup(ctx))
		}
	}
	c.ready.Took = c.log.Elapsed()
	return c.ready, nil
}

func (c *creator) runStep(ctx context.Context, s step) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := s.do(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return cause // what the call says of the end of its context is noise
	}
	if err != nil {
		return err
	}
	return c.hook(s.name)
}

// cleanupTime bounds the removal after a failure.
const cleanupTime = 3 * time.Minute

func (c *creator) cleanup(ctx context.Context) error {
	if c.Spec.Debug > 0 {
		c.log.Printf("left as it is, because of --debug; remove it with: vic-machine delete --name %s", c.Spec.Name)
		return nil
	}
	c.log.Step("clean up")
	c.log.Printf("removing what was made")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	r := c.remover()
	r.grants(ctx, &c.Record)
	if c.pool != nil {
		vms, err := poolVMs(ctx, c.Res.Session.Client(), c.pool.Reference())
		r.keep(err)
		c.showConsole(ctx, vms)
		r.vms(ctx, vms, c.Record.Folder)
		r.group(ctx, &c.Record)
		r.pool(ctx, c.pool.Reference())
	}
	if c.folder {
		r.volumeDirs(ctx, &c.Record)
		r.storeDirs(ctx, c.Res.Files, c.Record.StoreDirs)
		r.dir(ctx, c.Res.Files, c.Record.Folder)
	}
	c.undoCerts()
	r.keep(c.forgetAtHub(ctx))
	if err := r.err(); err != nil {
		return advice.Wrap(fmt.Errorf("not all of it could be removed: %w", err),
			"remove the rest with: vic-machine delete --name %s", c.Spec.Name)
	}
	return nil
}

func (c *creator) remover() *remover {
	return &remover{sess: c.Res.Session, log: c.log, datacenter: c.Record.Datacenter}
}

func (c *creator) makeCerts(context.Context) (err error) {
	c.undoCerts, err = c.Certs.Write()
	if names := c.Certs.NewFiles(); err == nil && len(names) > 0 {
		c.log.Printf("wrote the certificates: %s", strings.Join(names, " "))
	}
	return err
}

// makeFolder makes the VCH's folder; from here on a delete by name finds the VCH.
func (c *creator) makeFolder(ctx context.Context) error {
	err := c.Res.Files.MakeDir(ctx, c.Record.Folder)
	if errors.Is(err, errdef.ErrExists) { // empty: a create was killed before it could write the marker
		if empty, lerr := c.Res.Files.IsEmpty(ctx, c.Record.Folder); lerr == nil && empty {
			err = nil
		}
	}
	if err != nil {
		if errors.Is(err, errdef.ErrExists) {
			err = advice.Wrap(err, "give another --name, or remove what is left of the old VCH with: vic-machine delete --name %s", c.Spec.Name)
		}
		return err
	}
	c.folder = true
	c.Record.Unfinished = true
	return c.Record.writeMarker(ctx, c.Res.Files)
}

func (c *creator) makePool(ctx context.Context) error {
	short, cancel := session.Detached(ctx)
	defer cancel()
	res, err := c.Spec.resources()
	if err != nil {
		return err
	}
	if c.Record.PoolType == config.PoolResourcePool {
		pool, err := c.Res.Pool.Create(short, c.Spec.Name, res)
		if err != nil {
			return err
		}
		c.pool = &object.VirtualApp{ResourcePool: pool}
	} else {
		app, err := c.Res.Pool.CreateVApp(short, c.Spec.Name, res, c.vappSpec(), c.Res.Folder)
		if err != nil {
			return err
		}
		c.pool = app
	}
	c.Record.Pool = c.pool.Reference().Value
	c.log.Printf("made the %s %s", poolWord(c.Record.PoolType), c.Spec.Name)
	return c.Record.writeMarker(ctx, c.Res.Files)
}

func (c *creator) vappSpec() types.VAppConfigSpec {
	return types.VAppConfigSpec{
		Annotation: c.Record.annotation(),
		VmConfigSpec: types.VmConfigSpec{Product: []types.VAppProductSpec{{
			ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: types.ArrayUpdateOperationAdd},
			Info:            &types.VAppProductInfo{Name: "vSphere Integrated Containers", Version: c.Spec.Version},
		}}},
	}
}

// makeStore makes the folders of the image store and remembers those outside the VCH's folder.
func (c *creator) makeStore(ctx context.Context) error {
	dirs := c.storeDirs()
	fresh, err := missing(ctx, c.Res.Files, dirs)
	if err != nil {
		return err
	}
	for _, d := range fresh {
		if d != c.Record.Folder && !strings.HasPrefix(d, c.Record.Folder+"/") {
			c.Record.StoreDirs = append(c.Record.StoreDirs, d)
		}
	}
	if err := c.Record.writeMarker(ctx, c.Res.Files); err != nil {
		return err
	}
	return makeAll(ctx, c.Res.Files, dirs)
}

func (c *creator) upload(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, f := range []struct{ local, name string }{
		{c.Spec.ApplianceISO, c.Record.ApplianceISO}, {c.Spec.BootstrapISO, c.Record.BootstrapISO},
	} {
		g.Go(func() error {
			start := time.Now()
			size, err := c.uploadFile(ctx, f.local, f.name)
			if err == nil {
				c.log.Printf("uploaded %s, %.1f MiB in %.1f s", f.name, float64(size)/(1<<20), time.Since(start).Seconds())
			}
			return err
		})
	}
	g.Go(func() (err error) {
		c.Record.ImagesSum, err = imagesSum(c.Spec.ApplianceISO, c.Spec.BootstrapISO)
		return err
	})
	return g.Wait()
}

// imagesSum is the sha256 of local files, one after the other.
func imagesSum(files ...string) (string, error) {
	sum := sha256.New()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(sum, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (c *creator) uploadFile(ctx context.Context, local, name string) (int64, error) {
	f, err := os.Open(local)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), c.Res.Files.Upload(ctx, c.log.Reader(f, name, fi.Size()), fi.Size(), c.file(name))
}

func (c *creator) makeVM(ctx context.Context) error {
	spec, err := c.vmSpec(ctx)
	if err != nil {
		return err
	}
	var task *object.Task
	if c.Record.PoolType == config.PoolResourcePool {
		task, err = c.Res.Folder.CreateVM(ctx, spec, c.pool.ResourcePool, nil)
	} else {
		task, err = c.pool.CreateChildVM(ctx, spec, nil)
	}
	res, err := session.Await(ctx, task, err)
	if err != nil {
		return err
	}
	ref, ok := res.(types.ManagedObjectReference)
	if !ok {
		return fmt.Errorf("the task's result is a %T: %w", res, errdef.ErrInternal)
	}
	c.vm = object.NewVirtualMachine(c.Res.Session.Client(), ref)
	c.log.Printf("made the endpoint VM %s: %d CPU, %d MiB, %d GiB state disk", ref.Value, c.Spec.EndpointCPU, c.Spec.EndpointMemoryMB, c.Spec.StateGB)
	return nil
}

// configure gives the endpoint VM its configuration, which needs to know what vSphere chose when it
// made the VM: its id and its MAC addresses.
func (c *creator) configure(ctx context.Context) error {
	macs, err := c.nicMACs(ctx, c.vm)
	if err != nil {
		return err
	}
	cfg, err := c.endpoint(c.vm.Reference().Value, macs).json()
	if err != nil {
		return err
	}
	record, err := c.Record.finished().json()
	if err != nil {
		return err
	}
	task, err := c.vm.Reconfigure(ctx, types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{
		&types.OptionValue{Key: keyConfig, Value: cfg},
		&types.OptionValue{Key: RecordKey, Value: record},
	}})
	return session.Wait(ctx, task, err)
}

func (c *creator) powerOn(ctx context.Context) error {
	task, err := c.vm.PowerOn(ctx)
	if err := session.Wait(ctx, task, err); err != nil {
		return err
	}
	c.log.Printf("the endpoint VM is powered on")
	return nil
}

func (c *creator) waitReady(ctx context.Context) (err error) {
	w := &waiter{client: c.Res.Session.Client(), vm: c.vm, log: c.log, port: c.Record.DockerPort, iface: c.Record.clientInterface(), asks: c.Record.asks(),
		look: c.whereToLook()}
	if c.ready, err = w.wait(ctx); err != nil {
		return err
	}
	c.Record.Unfinished = false
	return c.Record.writeMarker(ctx, c.Res.Files)
}

// whereToLook names what there is to look at after a create that failed.
func (c *creator) whereToLook() string {
	if c.Spec.Debug > 0 {
		return "look at the endpoint's console, " + c.path(c.Spec.Name, config.ConsoleLog)
	}
	return "the last lines of the endpoint's console are above; --debug 1 keeps the endpoint VM to look at"
}

// showConsole prints the end of the endpoint's console if it was powered on, before it is removed.
func (c *creator) showConsole(ctx context.Context, vms []VM) {
	const lines, limit = 15, 4 << 20
	if c.vm == nil || len(vms) == 0 {
		return
	}
	r := c.remover()
	r.powerOff(ctx, vms)
	b, err := c.Res.Files.Get(ctx, c.file(c.Spec.Name, config.ConsoleLog), limit)
	if err != nil || len(b) == 0 {
		return
	}
	text := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(b), "\r", "")), "\n")
	if len(text) > lines {
		text = text[len(text)-lines:]
	}
	c.log.Printf("the last lines of the endpoint's console:")
	for _, l := range text {
		c.log.Printf("  | %s", l)
	}
}
