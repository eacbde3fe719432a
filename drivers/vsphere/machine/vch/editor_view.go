package vch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// ConfigFiles are the endpoint's configuration files, by path. They hold secrets.
func (e *Editor) ConfigFiles() map[string]string {
	var c guest.Config
	if err := json.Unmarshal([]byte(e.config), &c); err != nil || c.Appliance == nil {
		return nil
	}
	out := map[string]string{}
	for _, f := range c.Appliance.Files {
		if strings.HasSuffix(f.Path, ".toml") {
			out[f.Path] = string(f.Data)
		}
	}
	return out
}

// Pool is the VCH's vApp or pool, if it was made.
func (e *Editor) Pool() (types.ManagedObjectReference, bool) { return e.ep.poolRef() }

// VMs are all VMs of the VCH, the endpoint among them.
func (e *Editor) VMs(ctx context.Context) ([]VM, error) {
	ref, ok := e.ep.poolRef()
	if !ok {
		return nil, nil
	}
	all, err := poolVMs(ctx, e.sess.Client(), ref)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(v VM) bool { return v.Ref == e.vm.Reference() }) {
		var m mo.VirtualMachine
		if err := property.DefaultCollector(e.sess.Client()).RetrieveOne(ctx, e.vm.Reference(), vmProperties, &m); err != nil {
			return nil, fmt.Errorf("read the endpoint VM: %w", vsphere.Classify(err))
		}
		all = append(all, vmOf(m))
	}
	return all, nil
}

// HomeOf is the folder of a VM, and the datastore that it is on.
func (e *Editor) HomeOf(ctx context.Context, v VM) (session.Files, string, error) {
	datastore, home := homeOf(v.Path)
	if home == "" {
		return session.Files{}, "", fmt.Errorf("VM %s has no folder: %w", v.Name, errdef.ErrNotFound)
	}
	f, err := filesByName(ctx, e.sess, e.ep.Datacenter, datastore)
	return f, home, err
}
