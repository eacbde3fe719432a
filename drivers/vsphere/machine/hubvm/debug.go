package hubvm

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/vmware/govmomi/object"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/sdk/guest/hubguest"
)

// Debugger looks into a hub that is there.
type Debugger struct {
	editor *editor
	// Details are those of Inspect.
	Details *Details
	guest   guest.Config
}

// OpenDebugger finds a hub and reads its configuration; errdef.ErrNotFound.
func OpenDebugger(ctx context.Context, s *session.Session, q Query, log *progress.Log) (*Debugger, error) {
	e, err := open(ctx, s, q, log)
	if err != nil {
		return nil, err
	}
	d := &Debugger{editor: e}
	if d.Details, err = Inspect(ctx, s, Query{ID: e.vm.Reference().Value}); err != nil {
		return nil, err
	}
	now, err := e.settings(ctx)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(now.config), &d.guest); err != nil || d.guest.Appliance == nil {
		return nil, fmt.Errorf("the configuration of the hub's VM cannot be read: %w", errdef.ErrInvalid)
	}
	return d, nil
}

// SSHHost is the hub's VM as one.
func (d *Debugger) SSHHost() vch.SSHHost {
	return vch.SSHHost{Name: d.Details.Record.Name, VM: d.editor.vm, Iface: iface, Program: hubguest.Program, What: "hub"}
}

// VM is the hub's.
func (d *Debugger) VM() *object.VirtualMachine { return d.editor.vm }

// Files are the datastore; Home is the folder there with the VM's own files.
func (d *Debugger) Files() session.Files { return d.editor.files }

// Home is the folder with the VM's own files.
func (d *Debugger) Home() string { return path.Join(d.editor.record.Folder, d.editor.record.Name) }

// ConfigFiles are the texts of the hub's configuration files by their paths, without keys, certificates and passwords.
func (d *Debugger) ConfigFiles() map[string]string {
	out := map[string]string{}
	for _, f := range d.guest.Appliance.Files {
		if strings.HasSuffix(f.Path, ".toml") {
			out[f.Path] = string(f.Data)
		}
	}
	return out
}

// Certificate is what the hub shows (PEM), and a name that it is for; empty if vSphere does not hold it.
func (d *Debugger) Certificate() (text []byte, name string) {
	for _, f := range d.guest.Appliance.Files {
		if f.Path == fileCert {
			text = f.Data
		}
	}
	if info, err := certs.Describe(text); err == nil && len(info.Names) > 0 {
		name = info.Names[0]
	}
	return text, name
}

// Secrets are texts of the configuration that nobody else must see.
func (d *Debugger) Secrets() []string {
	var out []string
	for _, f := range d.guest.Appliance.Files {
		if f.Path == filePassword {
			out = append(out, strings.TrimSpace(string(f.Data)))
		}
	}
	return out
}
