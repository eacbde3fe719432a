package vch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"

	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
)

// Neighbours are the other VCHs of the vCenter: what is theirs alone is not to be another's too.
type Neighbours []*Record

// FindNeighbours returns all VCHs but the one of this name.
func FindNeighbours(ctx context.Context, s *session.Session, name string) (Neighbours, error) {
	all, err := endpoints(ctx, s)
	if err != nil {
		return nil, err
	}
	var out Neighbours
	for _, e := range all {
		if e.Record.Name != name {
			out = append(out, e.Record)
		}
	}
	return out, nil
}

// Bridge is ErrConflict if a network is the bridge of one of them.
func (n Neighbours) Bridge(network object.NetworkReference) error {
	for _, r := range n {
		if r.Bridge == network.Reference().Value {
			return fmt.Errorf("it is the bridge of the VCH %s, whose containers alone may be there: %w", r.Name, errdef.ErrConflict)
		}
	}
	return nil
}

// Uses is ErrConflict if one of them uses a network for anything but its bridge.
func (n Neighbours) Uses(network object.NetworkReference) error {
	id := network.Reference().Value
	for _, r := range n {
		nic := slices.ContainsFunc(r.NICs, func(c NIC) bool { return c.Network == id && c.Interface != RoleBridge })
		if nic || slices.ContainsFunc(r.Settings.ContainerNetworks, func(c ContainerNetwork) bool { return c.Portgroup == id }) {
			return fmt.Errorf("the VCH %s uses it too, and a bridge is for the containers of one VCH alone: %w", r.Name, errdef.ErrConflict)
		}
	}
	return nil
}

// Folder is ErrConflict if a folder is in what goes with one of them.
func (n Neighbours) Folder(f session.Files, dir string) error {
	for _, r := range n {
		if f.Datacenter == nil || r.Datacenter != f.Datacenter.Reference().Value {
			continue
		}
		own := (&object.DatastorePath{Datastore: r.Datastore, Path: r.Folder}).String()
		for _, theirs := range []string{own, r.ImageStore} {
			if strings.HasPrefix(f.Path(dir)+"/", theirs+"/") {
				return fmt.Errorf("%s is a folder of the VCH %s, and would go with it: %w", theirs, r.Name, errdef.ErrConflict)
			}
		}
	}
	return nil
}
