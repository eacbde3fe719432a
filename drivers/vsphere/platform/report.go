package platform

import (
	"context"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/session"
	sdk "github.com/openvic/vic/sdk/platform"
)

// Report tells how vCenter, the VCH's datastores and its VMs are.
func (p *Platform) Report(ctx context.Context, events int) (sdk.Report, error) {
	r := sdk.Report{About: p.session.Client().ServiceContent.About.FullName}
	var err error
	if r.Stores, err = p.stores(ctx); err != nil {
		return r, err
	}
	if events > 0 {
		r.Events, err = p.events(ctx, events)
	}
	return r, err
}

// uses says which datastores the VCH uses, and what for.
func (p *Platform) uses() map[string][]string {
	uses := map[string][]string{}
	add := func(datastore, what string) {
		if datastore != "" && !slices.Contains(uses[datastore], what) {
			uses[datastore] = append(uses[datastore], what)
		}
	}
	of := func(path string) string {
		var d object.DatastorePath
		d.FromString(path)
		return d.Datastore
	}
	add(of(p.cfg.Storage.ImageStore), "images")
	add(p.cfg.Compute.Datastore, "containers")
	labels := []string{}
	for label := range p.cfg.Storage.VolumeStores {
		labels = append(labels, label)
	}
	sort.Strings(labels)
	for _, label := range labels {
		if store := p.cfg.Storage.VolumeStores[label]; !strings.HasPrefix(store, "nfs://") {
			add(of(store), "volumes "+label)
		}
	}
	return uses
}

// stores reads the datastores that the VCH uses.
func (p *Platform) stores(ctx context.Context) ([]sdk.Store, error) {
	pc := property.DefaultCollector(p.session.Client())
	dc := types.ManagedObjectReference{Type: "Datacenter", Value: p.cfg.VCH.Datacenter}
	var m mo.Datacenter
	if err := pc.RetrieveOne(ctx, dc, []string{"datastore"}, &m); err != nil {
		return nil, session.Error("list the datastores", err)
	}
	var all []mo.Datastore
	if len(m.Datastore) > 0 {
		if err := pc.Retrieve(ctx, m.Datastore, []string{"name", "summary"}, &all); err != nil {
			return nil, session.Error("read the datastores", err)
		}
	}
	uses := p.uses()
	var out []sdk.Store
	for _, d := range all {
		if _, used := uses[d.Name]; !used {
			continue
		}
		s := sdk.Store{Name: d.Name, Uses: uses[d.Name], Capacity: d.Summary.Capacity, Free: d.Summary.FreeSpace}
		switch {
		case !d.Summary.Accessible:
			s.Problem = "no host can reach it"
		case d.Summary.MaintenanceMode != "" && d.Summary.MaintenanceMode != string(types.DatastoreSummaryMaintenanceModeStateNormal):
			s.Problem = "maintenance mode: " + d.Summary.MaintenanceMode
		}
		out = append(out, s)
		delete(uses, d.Name)
	}
	for name, what := range uses {
		out = append(out, sdk.Store{Name: name, Uses: what, Problem: "it is not there, or the VCH's account may not see it"})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// events reads what happened last to the VCH and its VMs.
func (p *Platform) events(ctx context.Context, n int) ([]sdk.Event, error) {
	pool := types.ManagedObjectReference{Type: p.cfg.VCH.PoolType, Value: p.cfg.VCH.Pool}
	m := event.NewManager(p.session.Client())
	c, err := m.CreateCollectorForEvents(ctx, types.EventFilterSpec{
		Entity: &types.EventFilterSpecByEntity{Entity: pool, Recursion: types.EventFilterSpecRecursionOptionAll}})
	if err != nil {
		return nil, session.Error("read the events", err)
	}
	defer func() { _ = c.Destroy(context.WithoutCancel(ctx)) }()
	if err := c.SetPageSize(ctx, int32(n)); err != nil {
		return nil, session.Error("read the events", err)
	}
	page, err := c.LatestPage(ctx)
	if err != nil {
		return nil, session.Error("read the events", err)
	}
	var out []sdk.Event
	for _, e := range page {
		out = append(out, convert(e))
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Time.After(out[j].Time) })
	return out[:min(n, len(out))], nil
}

func convert(e types.BaseEvent) sdk.Event {
	b := e.GetEvent()
	out := sdk.Event{Time: b.CreatedTime, Severity: sdk.Info, User: b.UserName, Text: strings.TrimSpace(b.FullFormattedMessage)}
	kind := reflect.TypeOf(e).Elem().Name()
	if x, ok := e.(*types.EventEx); ok {
		kind = x.EventTypeId
		switch x.Severity {
		case string(types.EventEventSeverityError):
			out.Severity = sdk.Error
		case string(types.EventEventSeverityWarning):
			out.Severity = sdk.Warning
		}
	} else if strings.Contains(kind, "Fail") || strings.Contains(kind, "Error") {
		out.Severity = sdk.Error
	}
	if out.Text == "" {
		out.Text = strings.TrimSuffix(kind, "Event")
	}
	switch {
	case b.Vm != nil:
		out.Subject = b.Vm.Name
	case b.Ds != nil:
		out.Subject = b.Ds.Name
	case b.Host != nil:
		out.Subject = b.Host.Name
	case b.ComputeResource != nil:
		out.Subject = b.ComputeResource.Name
	}
	return out
}
