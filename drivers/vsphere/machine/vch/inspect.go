package vch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/guest"
)

// Details are what inspect shows. They hold no secrets.
type Details struct {
	Entry
	UUID         string                `json:"uuid"`
	Created      time.Time             `json:"created"`
	Endpoint     string                `json:"endpoint,omitempty"` // DOCKER_HOST, host:port
	Admin        string                `json:"admin,omitempty"`
	TLS          bool                  `json:"tls"`
	TLSVerify    bool                  `json:"tlsVerify"`
	Services     map[string]string     `json:"services,omitempty"`
	Pool         string                `json:"pool"`
	PoolType     string                `json:"poolType"`
	Bridge       string                `json:"bridgeNetwork"`
	Public       string                `json:"publicNetwork"`
	ImageStore   string                `json:"imageStore"`
	VolumeStores map[string]string     `json:"volumeStores,omitempty"` // by label
	Folder       string                `json:"folder"`
	NICs         []NIC                 `json:"nics,omitempty"`
	Addresses    map[string]string     `json:"addresses,omitempty"` // by interface, as the endpoint reports them
	Settings     Settings              `json:"settings"`
	OpsUser      string                `json:"operationsUser,omitempty"`
	Hub          *HubRecord            `json:"hub,omitempty"`
	Containers   int                   `json:"containers"`
	Running      int                   `json:"running"`
	Certificates map[string]certs.Info `json:"certificates,omitempty"` // by file name
}

// Inspect describes one VCH; ErrNotFound if there is none.
func Inspect(ctx context.Context, s *session.Session, q Query) (*Details, error) {
	e, err := findEndpoint(ctx, s, q)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, notFound(ctx, s, q)
	}
	entry, err := entryOf(ctx, s, *e)
	if err != nil {
		return nil, err
	}
	snap, err := snapshotOf(e.VM, e.Record.clientInterface())
	if err != nil {
		return nil, err
	}
	r := e.Record
	d := &Details{
		Entry: entry, UUID: r.ID, Created: r.Created, TLS: r.TLS, Pool: r.Pool, PoolType: r.PoolType,
		Bridge: r.BridgeName, Public: r.PublicName, ImageStore: r.ImageStore, VolumeStores: r.VolumeStores, NICs: r.NICs, Settings: r.Settings, Hub: r.Hub,
		Folder: (&object.DatastorePath{Datastore: r.Datastore, Path: r.Folder}).String(),
	}
	d.Settings.HTTPProxy, d.Settings.HTTPSProxy = redacted(r.Settings.HTTPProxy), redacted(r.Settings.HTTPSProxy)
	if snap.power == types.VirtualMachinePowerStatePoweredOn {
		d.Services = snap.status.Services
		d.Addresses = map[string]string{}
		for _, n := range r.NICs {
			if a := addressOf(snap.addresses, n.Interface); a.IsValid() {
				d.Addresses[n.Interface] = a.String()
			}
		}
	}
	if entry.Address.IsValid() {
		d.Endpoint = netip.AddrPortFrom(entry.Address, uint16(r.DockerPort)).String()
		if r.TLS {
			d.Admin = netip.AddrPortFrom(entry.Address, PortAdmin).String()
		}
	}
	if err := d.readConfig(*e); err != nil {
		return nil, err
	}
	if ref, ok := r.poolRef(); ok { // somebody may have changed them in vSphere
		if d.Settings.Memory, d.Settings.CPU, err = allocations(ctx, s, ref); err != nil {
			return nil, err
		}
	}
	return d, d.countContainers(ctx, s, r)
}

// redacted is a URL without its password.
func redacted(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	return u.Redacted()
}

func notFound(ctx context.Context, s *session.Session, q Query) error {
	return advice.Wrap(fmt.Errorf("there is no VCH %s: %w%s", q, errdef.ErrNotFound, Others(ctx, s)),
		"give the --name or the --id of one that vic-machine ls shows")
}

// Others names the VCHs that there are, as help for who mistyped a name.
func Others(ctx context.Context, s *session.Session) string {
	all, err := List(ctx, s)
	if err != nil || len(all) == 0 {
		return ""
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name)
	}
	return "; there are: " + strings.Join(names, ", ")
}

// readConfig finds the certificates in the endpoint's configuration. An endpoint that was made half
// has none.
func (d *Details) readConfig(e endpoint) error {
	if e.VM.Config == nil {
		return nil
	}
	s, _ := object.OptionValueList(e.VM.Config.ExtraConfig).GetString(keyConfig)
	if s == "" {
		return nil
	}
	var c guest.Config
	if err := json.Unmarshal([]byte(s), &c); err != nil {
		return fmt.Errorf("configuration of the endpoint VM: %w: %w", errdef.ErrInvalid, err)
	}
	if c.Appliance == nil {
		return nil
	}
	d.Certificates = map[string]certs.Info{}
	for _, f := range c.Appliance.Files {
		if i, err := certs.Describe(f.Data); err == nil {
			d.Certificates[path.Base(f.Path)] = i
		}
	}
	if ep, err := readEndpoint(e.Record, e.VM.Self.Value, s); err == nil {
		d.OpsUser = ep.login.User
	}
	d.TLSVerify = slices.ContainsFunc(c.Appliance.Files, func(f guest.File) bool {
		return f.Path == vicdTOML && strings.Contains(string(f.Data), fmt.Sprintf("tls_ca = %q", fileCA))
	})
	return nil
}

func (d *Details) countContainers(ctx context.Context, s *session.Session, r *Record) error {
	ref, ok := r.poolRef()
	if !ok {
		return nil
	}
	vms, err := poolVMs(ctx, s.Client(), ref)
	if err != nil {
		return err
	}
	for _, v := range vms {
		if v.Record != nil || v.Foreign {
			continue
		}
		d.Containers++
		if v.On {
			d.Running++
		}
	}
	return nil
}
