package vch

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Two who change a VCH at the same time must not undo one another's work: what is written says what it was
// made of, and vSphere refuses it if that is not there any more.

// errOvertaken is the end of a wait for a configuration that another one has followed. That one was made of
// it, so both are in effect.
var errOvertaken = errors.New("another change came after this one")

// contents are what an endpoint VM holds for its endpoint.
type contents struct{ config, record, revision, version string }

// read returns what is there now, and the version of the VM that it belongs to.
func (e *Editor) read(ctx context.Context) (contents, error) {
	var m mo.VirtualMachine
	if err := property.DefaultCollector(e.sess.Client()).RetrieveOne(ctx, e.vm.Reference(), []string{"config.extraConfig", "config.changeVersion"},
		&m); err != nil {
		return contents{}, fmt.Errorf("read the endpoint VM: %w", vsphere.Classify(err))
	}
	var t contents
	if m.Config != nil {
		extra := object.OptionValueList(m.Config.ExtraConfig)
		t.version = m.Config.ChangeVersion
		t.config, _ = extra.GetString(keyConfig)
		t.record, _ = extra.GetString(RecordKey)
		t.revision, _ = extra.GetString(keyRevision)
	}
	return t, nil
}

// write changes the endpoint VM, unless what is may does not accept is there now. The VM itself may
// change meanwhile, when images are pulled: then it looks again.
func (e *Editor) write(ctx context.Context, values []types.BaseOptionValue, may func(contents) error) error {
	const tries = 10
	for try := 1; ; try++ {
		now, err := e.read(ctx)
		if err != nil {
			return err
		}
		if err := may(now); err != nil {
			return err
		}
		task, err := e.vm.Reconfigure(ctx, types.VirtualMachineConfigSpec{ChangeVersion: now.version, ExtraConfig: values})
		if err = session.Wait(ctx, task, err); err == nil || try == tries || !fault.Is(err, &types.ConcurrentAccess{}) {
			return err
		}
	}
}

// errOthers says that what is there is not what was expected.
var errOthers = fmt.Errorf("somebody else has changed the VCH at the same time: %w", errdef.ErrConflict)

// asRead accepts what Open has read.
func (e *Editor) asRead(now contents) error {
	if now.config == e.config && now.record == e.record {
		return nil
	}
	return advice.Wrap(errOthers, "run the command again")
}

// asGiven accepts what the last change wrote, or would have replaced.
func (e *Editor) asGiven(now contents) error {
	if now.revision == e.given {
		return nil
	}
	return e.asRead(now)
}
