package hubvm

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	vsphere "github.com/openvic/vic/drivers/vsphere/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Hub is one as ls shows it.
type Hub struct {
	ID string `json:"vm"` // of its VM
	vch.ApplianceState
	Record *Record `json:"record"`
}

// Details are what inspect shows; no secrets.
type Details struct {
	Hub
	URL         string     `json:"url,omitempty"`
	Certificate certs.Info `json:"certificate"`
}

// List returns the hubs of a server, or of the datacenter that the session's target names, by name.
func List(ctx context.Context, s *session.Session) ([]Hub, error) {
	root := s.Client().ServiceContent.RootFolder
	if s.Target.Datacenter != "" {
		dcs, err := s.Datacenters(ctx)
		if err != nil {
			return nil, err
		}
		root = dcs[0].Reference()
	}
	v, err := view.NewManager(s.Client()).CreateContainerView(ctx, root, []string{"VirtualMachine"}, true)
	if err != nil {
		return nil, fmt.Errorf("list VMs: %w", vsphere.Classify(err))
	}
	defer func() { _ = v.Destroy(context.WithoutCancel(ctx)) }()
	var content []types.ObjectContent
	if err := v.Retrieve(ctx, []string{"VirtualMachine"}, []string{`config.extraConfig["` + RecordKey + `"]`}, &content); err != nil {
		return nil, fmt.Errorf("list VMs: %w", vsphere.Classify(err))
	}
	var out []Hub
	for _, o := range content {
		for _, p := range o.PropSet {
			r, err := parseRecord(textOf(p.Val))
			if err != nil {
				continue // somebody else's
			}
			h := Hub{ID: o.Obj.Value, Record: r}
			if h.ApplianceState, err = vch.StateOf(ctx, s, o.Obj, iface); err != nil {
				return nil, fmt.Errorf("hub %s: %w", r.Name, err)
			}
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b Hub) int { return strings.Compare(a.Record.Name+a.ID, b.Record.Name+b.ID) })
	return out, nil
}

// textOf is the text of a value of extraConfig.
func textOf(v any) string {
	var s string
	switch o := v.(type) {
	case types.OptionValue:
		s, _ = o.Value.(string)
	case *types.OptionValue:
		s, _ = o.Value.(string)
	}
	return s
}

// Query names one hub: by name, or by the managed object id of its VM.
type Query struct{ Name, ID string }

func (q Query) String() string {
	if q.ID != "" {
		return "with the ID " + q.ID
	}
	return q.Name
}

// find returns nil if there is no such hub; errdef.ErrConflict if there are several.
func find(ctx context.Context, s *session.Session, q Query) (*Hub, []Hub, error) {
	all, err := List(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	hits := slices.DeleteFunc(slices.Clone(all), func(h Hub) bool {
		return q.ID != "" && h.ID != q.ID || q.ID == "" && h.Record.Name != q.Name
	})
	switch len(hits) {
	case 0:
		return nil, all, notAdopted(ctx, s, q)
	case 1:
		return &hits[0], all, nil
	}
	var ids []string
	for _, h := range hits {
		ids = append(ids, h.ID)
	}
	return nil, all, advice.Wrap(fmt.Errorf("%d hubs are named %s: %w", len(hits), q.Name, errdef.ErrConflict),
		"choose one with --id: %s", strings.Join(ids, ", "))
}

// Inspect describes one hub; errdef.ErrNotFound names those that there are.
func Inspect(ctx context.Context, s *session.Session, q Query) (*Details, error) {
	h, all, err := find(ctx, s, q)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, missing(q, all)
	}
	d := &Details{Hub: *h}
	if h.Address != "" {
		d.URL = "https://" + h.Address
	}
	var m mo.VirtualMachine
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: h.ID}
	if err := property.DefaultCollector(s.Client()).RetrieveOne(ctx, ref, []string{"config.extraConfig"}, &m); err != nil {
		return nil, fmt.Errorf("read the VM: %w", vsphere.Classify(err))
	}
	if m.Config == nil {
		return d, nil
	}
	text, _ := object.OptionValueList(m.Config.ExtraConfig).GetString(keyConfig)
	var c guest.Config
	if json.Unmarshal([]byte(text), &c) != nil || c.Appliance == nil {
		return d, nil // made half
	}
	for _, f := range c.Appliance.Files {
		if f.Path == fileCert {
			if d.Certificate, err = certs.Describe(f.Data); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

func missing(q Query, all []Hub) error {
	others := ""
	for _, h := range all {
		others += " " + h.Record.Name
	}
	if others != "" {
		others = "; there are:" + others
	}
	return advice.Wrap(fmt.Errorf("there is no hub %s: %w%s", q, errdef.ErrNotFound, others), "give the --name or the --id of one that vic-machine hub ls shows")
}
