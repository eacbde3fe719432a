package vch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Conflicts lists what stands in the way of a VCH of this name at these resources, or what uses its
// bridge; the strings are for people. An empty name asks for the bridge alone. Only the parts of res that are set are looked at.
func Conflicts(ctx context.Context, s *session.Session, name string, res Resources) (names, bridge []string, err error) {
	all, err := endpoints(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range all {
		if res.Unfinished != nil && e.Record.ID == res.Unfinished.ID {
			continue
		}
		if e.Record.Name == name {
			names = append(names, fmt.Sprintf("a VCH %s (ID %s)", name, e.VM.Self.Value))
		}
		if res.Bridge != nil && e.Record.Bridge == res.Bridge.Reference().Value {
			bridge = append(bridge, e.Record.Name)
		}
	}
	if res.Unfinished != nil || name == "" {
		return names, bridge, nil // vApp, VM and folder are what goes
	}
	for _, f := range []func(context.Context, *session.Session, string, Resources) (string, error){poolConflict, vmConflict, folderConflict} {
		what, err := f(ctx, s, name, res)
		if err != nil {
			return nil, nil, err
		}
		if what != "" {
			names = append(names, what)
		}
	}
	return names, bridge, nil
}

func poolConflict(ctx context.Context, s *session.Session, name string, res Resources) (string, error) {
	if res.Pool == nil {
		return "", nil
	}
	children, err := poolChildren(ctx, s, res.Pool.Reference())
	if err != nil {
		return "", err
	}
	for _, c := range children {
		if strings.EqualFold(c.Name, name) {
			return "a " + poolWord(c.Self.Type) + " " + c.Name, nil
		}
	}
	return "", nil
}

// vmConflict looks in all folders: a VM elsewhere would not be in the way, but would be mistaken for
// the endpoint VM by everybody who looks for it by name.
func vmConflict(ctx context.Context, s *session.Session, name string, res Resources) (string, error) {
	if res.Datacenter == nil {
		return "", nil
	}
	vms, err := find.NewFinder(s.Client(), true).SetDatacenter(res.Datacenter).VirtualMachineList(ctx, name)
	var none *find.NotFoundError
	if errors.As(err, &none) || (err == nil && len(vms) == 0) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for VMs named %s: %w", name, vsphere.Classify(err))
	}
	return "a VM " + vms[0].InventoryPath, nil
}

func folderConflict(ctx context.Context, _ *session.Session, name string, res Resources) (string, error) {
	if res.Files.Datastore == nil {
		return "", nil
	}
	names, err := res.Files.List(ctx, name)
	if errors.Is(err, errdef.ErrNotFound) || err == nil && len(names) == 0 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return "a folder " + (&object.DatastorePath{Datastore: res.Files.Datastore.Name(), Path: name}).String(), nil
}
