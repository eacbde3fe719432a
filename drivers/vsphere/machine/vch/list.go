package vch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/guest"
)

// Entry is a VCH as ls shows it.
type Entry struct {
	ID      string     `json:"id"`   // of the endpoint VM
	Path    string     `json:"path"` // of the compute resource
	Name    string     `json:"name"`
	Version string     `json:"version"`
	State   string     `json:"state"` // "ready", "starting", "failed", "powered off"
	Message string     `json:"message,omitempty"`
	Address netip.Addr `json:"address,omitzero"`
	Expires time.Time  `json:"certificateExpires,omitzero"` // the endpoint's own
	Record  *Record    `json:"-"`
}

// List returns the VCHs of a server, or of one datacenter, sorted by path and name.
func List(ctx context.Context, s *session.Session) ([]Entry, error) {
	all, err := endpoints(ctx, s)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, e := range all {
		entry, err := entryOf(ctx, s, e)
		if err != nil {
			return nil, err
		}
		out = append(out, entry)
	}
	slices.SortFunc(out, func(a, b Entry) int { return strings.Compare(a.Path+"\x00"+a.Name, b.Path+"\x00"+b.Name) })
	return out, nil
}

func entryOf(ctx context.Context, s *session.Session, e endpoint) (Entry, error) {
	snap, err := snapshotOf(e.VM, e.Record.clientInterface())
	if err != nil {
		return Entry{}, fmt.Errorf("VCH %s: %w", e.Record.Name, err)
	}
	entry := Entry{ID: e.VM.Self.Value, Name: e.Record.Name, Version: e.Record.Version, Record: e.Record}
	entry.State, entry.Message = stateOf(snap)
	entry.Expires = expiryOf(e)
	if snap.power == types.VirtualMachinePowerStatePoweredOn {
		entry.Address = snap.address
	}
	if entry.Path, err = parentPath(ctx, s, e.Record); err != nil {
		entry.Path = "?" // the pool around the VCH is hidden from this account, or gone
	}
	return entry, nil
}

// expiryOf is when the endpoint's certificate expires; zero without TLS.
func expiryOf(e endpoint) time.Time {
	if e.VM.Config == nil {
		return time.Time{}
	}
	text, _ := object.OptionValueList(e.VM.Config.ExtraConfig).GetString(keyConfig)
	var c guest.Config
	if err := json.Unmarshal([]byte(text), &c); err != nil || c.Appliance == nil {
		return time.Time{}
	}
	for _, f := range c.Appliance.Files {
		if f.Path == fileCert {
			i, _ := certs.Describe(f.Data) // else it is unknown
			return i.NotAfter
		}
	}
	return time.Time{}
}

// stateOf is the state in a word. What a guest wrote before it was switched off does not count.
func stateOf(s snapshot) (state, message string) {
	switch s.power {
	case types.VirtualMachinePowerStatePoweredOn:
		if s.status.State == "" {
			return "starting", ""
		}
		return s.status.State, s.status.Message
	case types.VirtualMachinePowerStateSuspended:
		return "suspended", ""
	}
	return "powered off", ""
}
