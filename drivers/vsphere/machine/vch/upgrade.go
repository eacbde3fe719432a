package vch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/hardware"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// keyPrevious is the extraConfig key that holds what the endpoint was before its last upgrade. The
// guest cannot read it.
const keyPrevious = "vic.vch.previous"

// previous is what a rollback puts back.
type previous struct {
	Record json.RawMessage `json:"record"`
	Config string          `json:"config"`
}

// Images are what an upgrade brings.
type Images struct {
	Version                    string
	ApplianceISO, BootstrapISO string // local files
	// Patience is how long the new version may take to serve before the old one comes back.
	Patience time.Duration
}

// Upgrade makes the endpoint boot another version. Containers go on; the Docker API is away while the
// endpoint boots. If the new version does not serve in time the old one is put back, which is an
// error all the same. ErrExists if the VCH has that version, and of it these images.
func (e *Editor) Upgrade(ctx context.Context, im Images) (*Ready, error) {
	old := e.ep.Record.Version
	sum, err := imagesSum(im.ApplianceISO, im.BootstrapISO)
	if err != nil {
		return nil, err
	}
	same := old == im.Version && (e.ep.Record.ImagesSum == "" || e.ep.Record.ImagesSum == sum)
	if same && !e.on {
		return e.powerOn(ctx, im.Patience) // an upgrade was stopped half-way
	}
	if same {
		return nil, fmt.Errorf("VCH %s has the version %s: %w", e.ep.Name, old, errdef.ErrExists)
	}
	before, err := e.previous(ctx)
	if err != nil {
		return nil, err
	}
	was, err := json.Marshal(previous{Record: json.RawMessage(e.record), Config: e.config})
	if err != nil {
		return nil, err
	}
	there, err := e.files.List(ctx, e.ep.Folder)
	if err != nil {
		return nil, err
	}
	r := e.ep.Record
	r.Version, r.ImagesSum = im.Version, sum
	r.ApplianceISO, r.BootstrapISO = freeName(there, "appliance", im.Version), freeName(there, "bootstrap", im.Version)
	for _, f := range []struct{ local, name string }{{im.ApplianceISO, r.ApplianceISO}, {im.BootstrapISO, r.BootstrapISO}} {
		if err := e.upload(ctx, f.local, f.name); err != nil {
			e.forget(ctx)
			return nil, advice.Wrap(err, "check the datastore's space and that its hosts can be reached over HTTPS; nothing was changed")
		}
	}
	now, err := e.read(ctx)
	if err == nil {
		err = e.asRead(now)
	}
	if err != nil {
		e.forget(ctx)
		return nil, err
	}
	ready, err := e.boot(ctx, string(was), im.Patience)
	if err == nil {
		e.tidy(ctx)
		return ready, nil
	}
	err = fmt.Errorf("version %s does not serve: %w", im.Version, err)
	e.log.Printf("%v; putting version %s back", err, old)
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), im.Patience+2*cleanupTime)
	defer cancel()
	if _, rerr := e.rollback(back, string(was), before, im.Patience+cleanupTime); rerr != nil {
		return nil, errors.Join(err, advice.Wrap(fmt.Errorf("version %s could not be put back: %w", old, rerr),
			"try again with: vic-machine rollback --name %s", e.ep.Name))
	}
	e.tidy(back)
	return nil, advice.Wrap(fmt.Errorf("%w; version %s serves again", err, old), "containers were not touched; vic-machine debug collects the logs")
}

// freeName is an image's name that no file has: one that is there may be in use, or wanted by a rollback.
func freeName(there []string, kind, version string) string {
	name := isoName(kind, version)
	for n := 2; slices.Contains(there, name); n++ {
		name = isoName(kind, fmt.Sprintf("%s.%d", version, n))
	}
	return name
}

// forget takes back what was changed in memory, and what was uploaded.
func (e *Editor) forget(ctx context.Context) {
	r, err := ParseRecord(e.record)
	if err != nil {
		return
	}
	*e.ep.Record = *r
	ctx, cancel := session.Detached(ctx)
	defer cancel()
	e.tidy(ctx)
}

// Rollback puts back the version from before the last upgrade, with the configuration of then; the
// version that is left can come back by another rollback. ErrConflict if there was no upgrade.
func (e *Editor) Rollback(ctx context.Context, patience time.Duration) (*Ready, error) {
	text, err := e.previous(ctx)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, advice.Wrap(fmt.Errorf("it was not upgraded: %w", errdef.ErrConflict), "there is no older version to go back to")
	}
	now, err := json.Marshal(previous{Record: json.RawMessage(e.record), Config: e.config})
	if err != nil {
		return nil, err
	}
	return e.rollback(ctx, text, string(now), patience)
}

// rollback boots what is in text and remembers next.
func (e *Editor) rollback(ctx context.Context, text, next string, patience time.Duration) (*Ready, error) {
	var p previous
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("what was remembered of the old version: %w: %w", errdef.ErrInvalid, err)
	}
	r, err := ParseRecord(string(p.Record))
	if err != nil {
		return nil, err
	}
	if e.ep, err = readEndpoint(r, e.vm.Reference().Value, p.Config); err != nil {
		return nil, err
	}
	return e.bootWith(ctx, p.Config, next, patience)
}

// previous reads what was remembered; empty if nothing was.
func (e *Editor) previous(ctx context.Context) (string, error) {
	extra, err := readExtra(ctx, e.sess, e.vm.Reference())
	if err != nil {
		return "", err
	}
	text, _ := extra.GetString(keyPrevious)
	return text, nil
}

// boot is bootWith for the configuration as the Editor has it.
func (e *Editor) boot(ctx context.Context, remember string, patience time.Duration) (*Ready, error) {
	config, err := e.ep.json()
	if err != nil {
		return nil, err
	}
	return e.bootWith(ctx, config, remember, patience)
}

// bootWith switches the endpoint VM off, gives it its ISO and its configuration in one step, switches
// it on and waits until it serves.
func (e *Editor) bootWith(ctx context.Context, config, remember string, patience time.Duration) (*Ready, error) {
	record, err := e.ep.Record.json()
	if err != nil {
		return nil, err
	}
	e.log.Printf("shutting the endpoint VM down; the containers go on")
	if err := hardware.Shutdown(ctx, e.vm); err != nil {
		return nil, err
	}
	cd, err := hardware.Boot(ctx, e.vm, e.ep.inFolder(e.ep.ApplianceISO))
	if err != nil {
		return nil, err
	}
	task, err := e.vm.Reconfigure(ctx, types.VirtualMachineConfigSpec{
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{cd},
		ExtraConfig: []types.BaseOptionValue{
			&types.OptionValue{Key: keyConfig, Value: config}, &types.OptionValue{Key: RecordKey, Value: record},
			&types.OptionValue{Key: keyPrevious, Value: remember},
			// What the guest of before reported must not be taken for the new one's word.
			&types.OptionValue{Key: keyStatus, Value: ""}, &types.OptionValue{Key: keyAddresses, Value: ""},
		},
	})
	if err := session.Wait(ctx, task, err); err != nil {
		return nil, fmt.Errorf("give the endpoint VM its image: %w", err)
	}
	e.config, e.record = config, record
	if err := e.ep.Record.writeMarker(ctx, e.files); err != nil {
		return nil, err
	}
	return e.powerOn(ctx, patience)
}

func (e *Editor) powerOn(ctx context.Context, patience time.Duration) (*Ready, error) {
	begun := time.Now()
	task, err := e.vm.PowerOn(ctx)
	if err := session.Wait(ctx, task, err); err != nil {
		return nil, fmt.Errorf("power on the endpoint VM: %w", err)
	}
	e.on = true
	e.log.Printf("the endpoint VM is powered on, with version %s", e.ep.Version)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no success within %s: %w", patience, errdef.ErrUnavailable))
	defer cancel()
	w := &waiter{client: e.sess.Client(), vm: e.vm, log: e.log, port: e.ep.DockerPort, iface: e.ep.clientInterface(), look: e.whereToLook()}
	ready, err := w.wait(ctx)
	if ready != nil {
		ready.Took = time.Since(begun)
	}
	return ready, err
}

func (e *Editor) upload(ctx context.Context, local, name string) error {
	f, err := os.Open(local)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	e.log.Printf("uploading %s", name)
	return e.files.Upload(ctx, e.log.Reader(f, name, fi.Size()), fi.Size(), path.Join(e.ep.Folder, name))
}

// tidy removes the images that no VM boots from and no rollback needs. What cannot be removed stays:
// the upgrade is done.
func (e *Editor) tidy(ctx context.Context) {
	keep, err := e.imagesInUse(ctx)
	if err != nil {
		e.log.Printf("old images are left: %v", err)
		return
	}
	names, err := e.files.List(ctx, e.ep.Folder)
	if err != nil {
		e.log.Printf("old images are left: %v", err)
		return
	}
	for _, n := range names {
		image := strings.HasSuffix(n, ".iso") && (strings.HasPrefix(n, "appliance-") || strings.HasPrefix(n, "bootstrap-"))
		if !image || slices.Contains(keep, n) {
			continue
		}
		if err := e.files.Delete(ctx, path.Join(e.ep.Folder, n)); err != nil {
			e.log.Printf("an old image is left: %v", err)
		}
	}
}

// imagesInUse are the images of this version, of the one before, and of all VMs.
func (e *Editor) imagesInUse(ctx context.Context) ([]string, error) {
	keep := []string{e.ep.ApplianceISO, e.ep.BootstrapISO}
	text, err := e.previous(ctx)
	if err != nil {
		return nil, err
	}
	if text != "" {
		var p previous
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			return nil, err
		}
		r, err := ParseRecord(string(p.Record))
		if err != nil {
			return nil, err
		}
		keep = append(keep, r.ApplianceISO, r.BootstrapISO)
	}
	ref, _ := e.ep.poolRef()
	vms, err := poolVMs(ctx, e.sess.Client(), ref)
	if err != nil {
		return nil, err
	}
	for _, v := range vms {
		devices, err := object.NewVirtualMachine(e.sess.Client(), v.Ref).Device(ctx)
		if err != nil {
			return nil, vsphere.Classify(err)
		}
		for _, d := range devices.SelectByType((*types.VirtualCdrom)(nil)) {
			if b, ok := d.GetVirtualDevice().Backing.(*types.VirtualCdromIsoBackingInfo); ok {
				keep = append(keep, path.Base(b.FileName))
			}
		}
	}
	return keep, nil
}
