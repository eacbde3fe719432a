// Package config is the vSphere driver's configuration file: the structs, the defaults and what
// makes a file wrong. vic-machine writes the file; README.md beside the driver explains it.
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/vmware/govmomi/object"

	"github.com/openvic/vic/sdk/errdef"
)

// Config is the whole file.
type Config struct {
	VCenter VCenter `toml:"vcenter"`
	VCH     VCH     `toml:"vch"`
	Storage Storage `toml:"storage"`
	Compute Compute `toml:"compute"`
	Network Network `toml:"network"`
	Link    Link    `toml:"link"`
}

// VCenter is where the API is and who we are there.
type VCenter struct {
	URL        string `toml:"url"`
	User       string `toml:"user"`
	Password   string `toml:"password"`
	Thumbprint string `toml:"thumbprint"` // of the server's certificate; empty: verify with the system's authorities
}

// VCH names the objects that belong to the virtual container host, by managed object id.
type VCH struct {
	Name       string `toml:"name"`
	Datacenter string `toml:"datacenter"`
	Pool       string `toml:"pool"`
	PoolType   string `toml:"pool_type"`
	Folder     string `toml:"folder"`
	EndpointVM string `toml:"endpoint_vm"`
}

// Names in vSphere that the driver and its installer share.
const (
	ConsoleLog = "console.log" // in a VM's folder: what its guest prints
	VolumesDir = "volumes"     // in a volume store: the folder that holds a folder for each volume
)

// The kinds of pool that hold a VCH's VMs: vCenter has vApps, a single ESXi host has not.
const (
	PoolVApp         = "VirtualApp"
	PoolResourcePool = "ResourcePool"
)

// Storage says where layers and volumes are kept.
type Storage struct {
	ImageStore  string `toml:"image_store"`
	LayerSizeGB int64  `toml:"layer_size_gb"`
	// VolumeStores are the places of volumes, by the label that users name: a datastore folder
	// "[ds] folder", or a share "nfs://host/path?vers=4.1". The one that is named "default" is taken
	// if the user names none.
	VolumeStores map[string]string `toml:"volume_stores,omitempty"`
	// VolumeSizeMB is the capacity of volumes whose maker asks for none; 0 means 1024.
	VolumeSizeMB int64 `toml:"volume_size_mb"`
}

// DefaultVolumeStore is the label of the store that is taken if the user names none.
const DefaultVolumeStore = "default"

// Compute says how container VMs are made.
type Compute struct {
	BootstrapISO string `toml:"bootstrap_iso"`
	NamePattern  string `toml:"name_pattern"`
	Datastore    string `toml:"datastore"`
	// VMGroup is the DRS VM group of Cluster (a managed object id) that the VCH's VMs are put into; empty:
	// none.
	Cluster string `toml:"cluster,omitempty"`
	VMGroup string `toml:"vm_group,omitempty"`
}

// Network holds the networks that the administrator gave, and the addresses for those that users make.
type Network struct {
	Bridge Bridge `toml:"bridge"`
	// Pools are where docker network create takes subnets of SubnetBits from.
	Pools      []netip.Prefix     `toml:"pools"`
	SubnetBits int                `toml:"subnet_bits"`
	Container  []ContainerNetwork `toml:"container,omitempty"`
}

// Bridge is the VCH's private network.
type Bridge struct {
	Portgroup string       `toml:"portgroup"`
	Subnet    netip.Prefix `toml:"subnet"`
	Gateway   netip.Addr   `toml:"gateway"`
	Interface string       `toml:"interface"`
	Uplink    string       `toml:"uplink"`
}

// Link says where tethers dial in.
type Link struct {
	Listen  string `toml:"listen"`
	Address string `toml:"address"`
}

// LinkAddress is the address of the endpoint VM on the bridge that tethers dial. It is link-local, so
// that it is the same in every VCH and no address of a container network can clash with it.
func LinkAddress() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: 1}) }

// The TCP ports that an endpoint VM serves on, each when it does: SSH while an administrator debugs it, the Docker API
// without and with TLS, the administrators' API, and the link.
const (
	PortSSH       = 22
	PortDocker    = 2375
	PortDockerTLS = 2376
	PortAdmin     = 2378
	linkPort      = 2380
)

// OwnPort says whether a TCP port is one of those. No container may have it published, though nobody listens there now:
// who connects to it must reach the endpoint, or nobody.
func OwnPort(port uint16) bool {
	switch port {
	case PortSSH, PortDocker, PortDockerTLS, PortAdmin, linkPort:
		return true
	}
	return false
}

func linkEndpoint(iface string) string {
	return netip.AddrPortFrom(LinkAddress().WithZone(iface), linkPort).String()
}

// Parse decodes text strictly, fills in defaults and validates.
func Parse(text string) (*Config, error) {
	c := &Config{}
	md, err := toml.Decode(text, c)
	if err != nil {
		return nil, fmt.Errorf("vsphere configuration: %w: %w", errdef.ErrInvalid, err)
	}
	if u := md.Undecoded(); len(u) > 0 {
		return nil, fmt.Errorf("vsphere configuration: unknown key %q: %w", u[0].String(), errdef.ErrInvalid)
	}
	c.SetDefaults()
	return c, c.Validate()
}

// SetDefaults fills in what may be left out.
func (c *Config) SetDefaults() {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.VCH.PoolType, PoolVApp)
	def(&c.Compute.NamePattern, "{name}-{short}")
	def(&c.Network.Bridge.Interface, "bridge")
	def(&c.Network.Bridge.Uplink, "public")
	def(&c.Link.Listen, linkEndpoint(c.Network.Bridge.Interface))
	def(&c.Link.Address, linkEndpoint(""))
	if c.Storage.LayerSizeGB == 0 {
		c.Storage.LayerSizeGB = 8
	}
	if c.Storage.VolumeSizeMB == 0 {
		c.Storage.VolumeSizeMB = 1024
	}
	c.Network.setDefaults()
	if b := &c.Network.Bridge; !b.Gateway.IsValid() && b.Subnet.IsValid() {
		b.Gateway = b.Subnet.Masked().Addr().Next()
	}
}

// Validate returns all that is wrong, each with the key's name.
func (c *Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("vsphere configuration: %s: %s: %w", key, fmt.Sprintf(format, args...), errdef.ErrInvalid))
	}
	for _, k := range []struct{ key, value string }{
		{"vcenter.url", c.VCenter.URL}, {"vcenter.user", c.VCenter.User}, {"vch.name", c.VCH.Name},
		{"vch.datacenter", c.VCH.Datacenter}, {"vch.pool", c.VCH.Pool}, {"vch.endpoint_vm", c.VCH.EndpointVM},
		{"storage.image_store", c.Storage.ImageStore}, {"compute.bootstrap_iso", c.Compute.BootstrapISO},
		{"compute.datastore", c.Compute.Datastore}, {"network.bridge.portgroup", c.Network.Bridge.Portgroup},
	} {
		if k.value == "" {
			bad(k.key, "is missing")
		}
	}
	if u, err := url.Parse(c.VCenter.URL); err != nil || (c.VCenter.URL != "" && u.Host == "") {
		bad("vcenter.url", "%q is not a URL like https://vcenter.example.com/sdk", c.VCenter.URL)
	}
	switch c.VCH.PoolType {
	case PoolVApp:
	case PoolResourcePool:
		if c.VCH.Folder == "" {
			bad("vch.folder", "is missing; a resource pool needs it")
		}
	default:
		bad("vch.pool_type", "%q is neither %s nor %s", c.VCH.PoolType, PoolVApp, PoolResourcePool)
	}
	if (c.Compute.VMGroup == "") != (c.Compute.Cluster == "") {
		bad("compute.vm_group", "a group is one of a cluster: give vm_group and cluster, or neither")
	}
	c.validatePaths(bad)
	c.validateVolumes(bad)
	c.validateBridge(bad)
	c.Network.validate(bad)
	return errors.Join(errs...)
}

func (c *Config) validatePaths(bad func(string, string, ...any)) {
	for _, k := range []struct{ key, value string }{
		{"storage.image_store", c.Storage.ImageStore}, {"compute.bootstrap_iso", c.Compute.BootstrapISO},
	} {
		var p object.DatastorePath
		if k.value != "" && (!p.FromString(k.value) || p.Path == "") {
			bad(k.key, "%q is not a path like \"[datastore1] folder/file\"", k.value)
		}
	}
	if n := c.Storage.LayerSizeGB; n < 1 || n > 62<<10 {
		bad("storage.layer_size_gb", "%d is not between 1 and 63488", n)
	}
	if !strings.Contains(c.Compute.NamePattern, "{short}") && !strings.Contains(c.Compute.NamePattern, "{id}") {
		bad("compute.name_pattern", "%q holds neither {short} nor {id}", c.Compute.NamePattern)
	}
}

func (c *Config) validateBridge(bad func(string, string, ...any)) {
	b := c.Network.Bridge
	switch {
	case !b.Subnet.IsValid():
		bad("network.bridge.subnet", "is missing or not like 172.16.0.0/16")
	case !b.Subnet.Addr().Is4() || b.Subnet.Bits() > 30:
		bad("network.bridge.subnet", "%s is not an IPv4 subnet of /30 or larger", b.Subnet)
	case !b.Subnet.Contains(b.Gateway):
		bad("network.bridge.gateway", "%s is not in %s", b.Gateway, b.Subnet)
	}
}
