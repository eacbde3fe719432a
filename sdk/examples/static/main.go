// Command vic-driver-static is the worked example of sdk/README.md: a network driver that hands out
// the addresses of one subnet on one port group and remembers them in a file.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/openvic/vic/sdk/device"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/serve"
)

// Config is the plugin's own configuration.
type Config struct {
	Portgroup string       `toml:"portgroup"`
	Subnet    netip.Prefix `toml:"subnet"`
	Gateway   netip.Addr   `toml:"gateway"`
	Leases    string       `toml:"leases"`
}

const example = `# The port group's managed object id.
portgroup = "dvportgroup-12"
# The addresses to hand out, and the one that is the router's.
subnet = "10.20.0.0/24"
gateway = "10.20.0.1"
# Where they are remembered.
leases = "/var/lib/vic/static-leases.json"
`

func main() {
	serve.Main(serve.Plugin[Config]{
		Name: "static", Version: "1.0.0", Example: example,
		Components: []kind.Component{network.Plugin().Component("static", device.CapMakesNIC+device.KindPortgroup)},
		Defaults:   Config{Leases: "/var/lib/vic/static-leases.json"},
		Configure: func(_ context.Context, c Config) (serve.Instance, error) {
			d, err := newDriver(c)
			return serve.Instance{Drivers: []kind.Driver{network.Plugin().Serve(d)}}, err
		},
	})
}

// driver implements network.Driver; sdk/network says what each method promises.
type driver struct {
	config Config
	mu     sync.Mutex
	leases map[string]netip.Addr // container to address
}

func newDriver(c Config) (*driver, error) {
	if c.Portgroup == "" || !c.Subnet.IsValid() || !c.Subnet.Contains(c.Gateway) {
		return nil, fmt.Errorf("portgroup, and a gateway inside subnet, are needed: %w", errdef.ErrInvalid)
	}
	d := &driver{config: c, leases: map[string]netip.Addr{}}
	data, err := os.ReadFile(c.Leases)
	if os.IsNotExist(err) {
		return d, nil
	}
	if err != nil {
		return nil, fmt.Errorf("leases: %w", err)
	}
	return d, json.Unmarshal(data, &d.leases)
}

// network is the one that containers join when they name none: it is called bridge.
func (d *driver) network() network.Network {
	return network.Network{ID: "static", Name: network.DefaultName, Driver: network.DriverBridge, Subnet: d.config.Subnet, Gateway: d.config.Gateway, Given: true}
}

func (d *driver) List(context.Context) ([]network.Network, error) {
	return []network.Network{d.network()}, nil
}

func (d *driver) Get(_ context.Context, id string) (network.Network, error) {
	if id != "static" {
		return network.Network{}, fmt.Errorf("network %s: %w", id, errdef.ErrNotFound)
	}
	return d.network(), nil
}

func (d *driver) Join(ctx context.Context, req network.JoinRequest) (network.Endpoint, error) {
	n, err := d.Get(ctx, req.Network)
	if err != nil {
		return network.Endpoint{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	addr, ok := d.leases[req.Container]
	if !ok {
		if addr, err = d.choose(req.Address); err != nil {
			return network.Endpoint{}, err
		}
		d.leases[req.Container] = addr
		if err := d.save(); err != nil {
			delete(d.leases, req.Container)
			return network.Endpoint{}, err
		}
	}
	return network.Endpoint{
		Network: n.ID, Container: req.Container, Gateway: n.Gateway,
		NIC:       device.NIC{Kind: device.KindPortgroup, Locator: d.config.Portgroup, MAC: mac(req.MAC, addr)},
		Addresses: []netip.Prefix{netip.PrefixFrom(addr, n.Subnet.Bits())},
	}, nil
}

func (d *driver) Leave(_ context.Context, req network.LeaveRequest) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.leases, req.Container)
	return d.save()
}

// The networks of this driver are what its configuration says, and it publishes no ports.

func (d *driver) Create(context.Context, network.CreateRequest) (network.Network, error) {
	return network.Network{}, fmt.Errorf("create a network: %w", errdef.ErrUnsupported)
}

func (d *driver) Remove(context.Context, string) error {
	return fmt.Errorf("remove the static network: %w", errdef.ErrDenied)
}

func (d *driver) Publish(context.Context, network.PublishRequest) ([]network.Port, error) {
	return nil, fmt.Errorf("publish ports: %w", errdef.ErrUnsupported)
}

func (d *driver) Unpublish(context.Context, network.UnpublishRequest) error { return nil }

// choose returns the wanted address if it is free, or the lowest free one.
func (d *driver) choose(wanted netip.Addr) (netip.Addr, error) {
	taken := map[netip.Addr]bool{d.config.Gateway: true}
	for _, a := range d.leases {
		taken[a] = true
	}
	first := d.config.Subnet.Masked().Addr()
	switch {
	case !wanted.IsValid():
	case !d.config.Subnet.Contains(wanted) || wanted == first:
		return wanted, fmt.Errorf("address %s is not one of %s: %w", wanted, d.config.Subnet, errdef.ErrInvalid)
	case taken[wanted]:
		return wanted, network.AddressTaken(wanted)
	default:
		return wanted, nil
	}
	// The last address of a subnet is for broadcasts: there must be one more after ours.
	for a := first.Next(); d.config.Subnet.Contains(a.Next()); a = a.Next() {
		if !taken[a] {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no address of %s is free: %w", d.config.Subnet, errdef.ErrExhausted)
}

// save returns when the leases are on the disk, the old ones or the new: the VM may be reset at any
// moment, and an address must not be given twice.
func (d *driver) save() error {
	data, err := json.Marshal(d.leases)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(d.config.Leases+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), d.config.Leases); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(d.config.Leases))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// mac is the wanted one, or one that the address decides, so that Join is the same each time.
func mac(wanted string, a netip.Addr) string {
	if wanted != "" {
		return wanted
	}
	b := a.As4()
	return fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}
