package vch

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

const keyRevision = guest.Prefix + guest.KeyRevision

// Editor changes a VCH that is there. The endpoint finds its changed configuration in guestinfo, so
// that vic-machine needs no way to it but vSphere's, and what it was told is what it boots with.
type Editor struct {
	sess  *session.Session
	log   *progress.Log
	ep    *endpointConfig
	vm    *object.VirtualMachine
	on    bool
	files session.Files
	// what there is now, to put it back if the endpoint does not take the new one
	config, record string
	given          string // the revision that the endpoint VM got last
}

// Open finds a VCH and reads its configuration; ErrNotFound, or ErrUnsupported if it was made by a
// version that did not record how.
func Open(ctx context.Context, s *session.Session, q Query, log *progress.Log) (*Editor, error) {
	e, err := findEndpoint(ctx, s, q)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, notFound(ctx, s, q)
	}
	var extra object.OptionValueList
	if e.VM.Config != nil {
		extra = e.VM.Config.ExtraConfig
	}
	ed := &Editor{sess: s, log: log, vm: object.NewVirtualMachine(s.Client(), e.VM.Self),
		on: e.VM.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn}
	ed.config, _ = extra.GetString(keyConfig)
	ed.record, _ = extra.GetString(RecordKey)
	if ed.ep, err = readEndpoint(e.Record, e.VM.Self.Value, ed.config); err != nil {
		return nil, err
	}
	ed.files, err = filesByName(ctx, s, e.Record.Datacenter, e.Record.Datastore)
	return ed, err
}

// Record is what is known of the VCH. What is changed in it takes effect with Apply.
func (e *Editor) Record() *Record { return e.ep.Record }

// ID is the managed object id of the endpoint VM.
func (e *Editor) ID() string { return e.vm.Reference().Value }

// Login is the account of the endpoint.
func (e *Editor) Login() Login { return e.ep.login }

// SetLogin gives the endpoint another account.
func (e *Editor) SetLogin(l Login) { e.ep.login = l }

// SetThumbprint makes the endpoint trust another certificate of vSphere.
func (e *Editor) SetThumbprint(t string) { e.ep.thumbprint = t }

// Apply puts the changes into effect and waits until the endpoint has taken them. If it does not, the
// old ones are put back. It says whether anything had changed.
func (e *Editor) Apply(ctx context.Context) (changed bool, err error) {
	config, err := e.ep.json()
	if err != nil {
		return false, err
	}
	record, err := e.ep.Record.json()
	if err != nil {
		return false, err
	}
	now, err := e.read(ctx)
	if err == nil {
		err = e.asRead(now)
	}
	if err != nil {
		return false, err
	}
	limits, err := e.limit(ctx)
	if err != nil {
		return limits, err
	}
	if config == e.config && record == e.record {
		return limits, nil
	}
	switch err := e.give(ctx, config, record, e.asRead); {
	case errors.Is(err, errOvertaken):
		e.log.Printf("somebody else has changed the VCH since; that change was made of this one")
		return true, nil
	case errors.Is(err, errOthers):
		return limits, err
	case err != nil:
		return true, errors.Join(err, e.restore(ctx))
	}
	if err := e.ep.Record.writeMarker(ctx, e.files); err != nil {
		return true, err
	}
	e.config, e.record = config, record
	return true, nil
}

// limit changes the limits of the vApp or pool if they differ; that is vSphere's alone.
func (e *Editor) limit(ctx context.Context) (bool, error) {
	ref, ok := e.ep.poolRef()
	if !ok {
		return false, nil
	}
	want := e.ep.Settings
	memory, cpu, err := allocations(ctx, e.sess, ref)
	if err != nil || (memory == want.Memory && cpu == want.CPU) {
		return false, err
	}
	res, err := want.resources()
	if err != nil {
		return false, err
	}
	short, cancel := session.Detached(ctx)
	defer cancel()
	if err := object.NewResourcePool(e.sess.Client(), ref).UpdateConfig(short, "", &res); err != nil {
		return false, advice.Wrap(fmt.Errorf("change the limits: %w", vsphere.Classify(err)),
			"check what the compute resource can still give, and the account's privilege VApp.ResourceConfig")
	}
	e.log.Printf("the limits are: %s", want.limits())
	return true, nil
}

// give writes the configuration, if what is there may be replaced, and waits for the endpoint to say that it has it.
func (e *Editor) give(ctx context.Context, config, record string, may func(contents) error) error {
	values := []types.BaseOptionValue{&types.OptionValue{Key: RecordKey, Value: record}}
	revision := ""
	if config != e.config {
		revision = strconv.FormatInt(time.Now().UnixNano(), 36)
		values = append(values, &types.OptionValue{Key: keyConfig, Value: config}, &types.OptionValue{Key: keyRevision, Value: revision})
	}
	e.given = revision
	if err := e.write(ctx, values, may); err != nil {
		return advice.Wrap(fmt.Errorf("change the endpoint VM: %w", err), "look at the task in vSphere: its description tells more")
	}
	if revision == "" {
		return nil
	}
	if !e.on {
		e.log.Printf("the endpoint VM is off: the change is in effect when it is powered on")
		return nil
	}
	e.log.Printf("the endpoint is told")
	w := &waiter{client: e.sess.Client(), vm: e.vm, log: e.log, port: e.ep.DockerPort, iface: e.ep.clientInterface(), revision: revision, look: e.whereToLook()}
	_, err := w.wait(ctx)
	return err
}

// whereToLook names what there is to look at of an endpoint that is there.
func (e *Editor) whereToLook() string {
	return fmt.Sprintf("look at %s of the VM %s, or collect all logs with: vic-machine debug --bundle", config.ConsoleLog, e.ep.Name)
}

// restore puts the old configuration back after the endpoint refused the new one.
func (e *Editor) restore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	e.log.Printf("putting the old configuration back")
	was := *e
	was.config = "" // whatever the endpoint has now
	err := was.give(ctx, e.config, e.record, e.asGiven)
	if errors.Is(err, errOthers) {
		e.log.Printf("not put back: %v", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("the old configuration could not be put back: %w", errors.Join(err, errdef.ErrUnavailable))
	}
	return nil
}
