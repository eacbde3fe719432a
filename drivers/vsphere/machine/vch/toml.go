package vch

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/BurntSushi/toml"

	"github.com/openvic/vic/drivers/vsphere/config"
)

// The files of the endpoint.
const (
	vicdTOML    = "/etc/vic/vicd.toml"
	vsphereTOML = "/etc/vic/vsphere.toml"
	tlsDir      = "/etc/vic/tls/"
	fileCA      = tlsDir + "ca.pem"
	fileCert    = tlsDir + "server-cert.pem"
	fileKey     = tlsDir + "server-key.pem"
	fileAdminCA = tlsDir + "admin-ca.pem"
	fileLinkCA  = tlsDir + "link-ca.pem"
	fileLinkKey = tlsDir + "link-ca-key.pem"
	fileCRL     = tlsDir + "crl.pem"
	fileAdminCR = tlsDir + "admin-crl.pem"
	stateDir    = "/var/lib/vic"
)

// vicdConfig is vicd.toml; conf/vicd.toml explains it.
type vicdConfig struct {
	Name string `toml:"name"`
	TLS  struct {
		Cert string `toml:"cert"`
		Key  string `toml:"key"`
	} `toml:"tls"`
	Docker struct {
		Listen []string `toml:"listen"`
		Iface  string   `toml:"interface"`
		TLSCA  string   `toml:"tls_ca"`
		TLSCRL string   `toml:"tls_crl"`
	} `toml:"docker"`
	Admin struct {
		Socket string   `toml:"socket"`
		Listen string   `toml:"listen"`
		Ifaces []string `toml:"interfaces,omitempty"`
		TLSCA  string   `toml:"tls_ca"`
		TLSCRL string   `toml:"tls_crl"`
	} `toml:"admin"`
	Plugins struct {
		Dir string `toml:"dir"`
	} `toml:"plugins"`
	Roles struct {
		Compute string `toml:"compute"`
		Storage string `toml:"storage"`
		Network string `toml:"network"`
		Auth    string `toml:"auth"`
	} `toml:"roles"`
	Link struct {
		Cert string `toml:"ca_cert"`
		Key  string `toml:"ca_key"`
	} `toml:"link"`
	Images struct {
		Root     string   `toml:"root"`
		Mirrors  []string `toml:"registry_mirrors"`
		Insecure []string `toml:"insecure_registries"`
		CAs      []string `toml:"registry_ca,omitempty"`
		Allow    []string `toml:"allow_registries,omitempty"`
	} `toml:"images"`
	Engine struct {
		CPUs     int   `toml:"default_cpus"`
		MemoryMB int64 `toml:"default_memory_mb"`
		Max      int   `toml:"max_containers"`
	} `toml:"engine"`
}

// vicd fills in vicd.toml.
func (e *endpointConfig) vicd() ([]byte, error) {
	var c vicdConfig
	s := e.Settings
	c.Name = e.Name
	c.Docker.Listen = []string{fmt.Sprintf("tcp://0.0.0.0:%d", e.DockerPort)}
	// An API that lets everybody in is not for containers, which reach the other interfaces too.
	if i := e.clientInterface(); i != RolePublic || s.NoTLS || s.NoVerify {
		c.Docker.Iface = i
	}
	c.Admin.Socket = "/run/vic/admin.sock"
	if !s.NoTLS {
		c.TLS.Cert, c.TLS.Key = fileCert, fileKey
		c.Admin.Listen, c.Admin.TLSCA, c.Admin.TLSCRL = fmt.Sprintf("tcp://0.0.0.0:%d", PortAdmin), fileAdminCA, fileAdminCR
		c.Admin.Ifaces = e.adminInterfaces()
		if !s.NoVerify {
			c.Docker.TLSCA, c.Docker.TLSCRL = fileCA, fileCRL
		}
	}
	c.Link.Cert, c.Link.Key = fileLinkCA, fileLinkKey
	c.Images.Root = stateDir + "/images"
	c.Images.Mirrors = list(s.RegistryMirrors)
	c.Images.Insecure = list(s.InsecureRegistries)
	c.Images.Allow = s.AllowRegistries
	for _, f := range e.keep {
		if isRegistryCA(f) {
			c.Images.CAs = append(c.Images.CAs, f.Path)
		}
	}
	c.Roles.Compute, c.Roles.Storage, c.Roles.Network, c.Roles.Auth = "vsphere", "vsphere", "vsphere", "vsphere"
	c.Engine.CPUs, c.Engine.MemoryMB, c.Engine.Max = 1, s.ContainerMemoryMB, s.MaxContainers
	c.Plugins.Dir = "/etc/vic/plugins.d"
	return encode(c)
}

// list makes an empty array of nil, which TOML cannot hold.
func list(s []string) []string { return append([]string{}, s...) }

// vsphere fills in vsphere.toml, the driver's configuration.
func (e *endpointConfig) vsphere() ([]byte, error) {
	s := e.Settings
	c := config.Config{
		VCenter: config.VCenter{URL: e.url, User: e.login.User, Password: e.login.Password, Thumbprint: e.thumbprint},
		VCH: config.VCH{Name: e.Name, Datacenter: e.Datacenter, Pool: e.Pool, PoolType: e.PoolType,
			Folder: e.VMFolder, EndpointVM: e.vm},
		Storage: config.Storage{ImageStore: e.ImageStore, LayerSizeGB: s.LayerSizeGB,
			VolumeStores: e.VolumeStores, VolumeSizeMB: s.VolumeSizeMB},
		Compute: config.Compute{BootstrapISO: e.inFolder(e.BootstrapISO), NamePattern: s.NamePattern, Datastore: e.Datastore},
		Network: config.Network{Bridge: config.Bridge{Portgroup: e.Bridge, Subnet: s.BridgeSubnet(), Gateway: s.Gateway(),
			Interface: RoleBridge, Uplink: RolePublic}},
	}
	if e.VMGroup != "" {
		c.Compute.Cluster, c.Compute.VMGroup = e.Cluster, e.VMGroup
	}
	if s.BridgeWidth > 0 {
		c.Network.Pools, c.Network.SubnetBits = []netip.Prefix{s.BridgeRange.Masked()}, s.BridgeWidth
	}
	for _, n := range s.ContainerNetworks {
		c.Network.Container = append(c.Network.Container, config.ContainerNetwork{Name: n.Name, Portgroup: n.Portgroup, Subnet: n.Subnet,
			Gateway: n.Gateway, IPRanges: n.Ranges, DNS: n.DNS, Firewall: n.Firewall})
	}
	c.SetDefaults()
	return encode(c)
}

func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	if err := toml.NewEncoder(&buf).Encode(v); err != nil {
		return nil, fmt.Errorf("write TOML: %w", err)
	}
	return buf.Bytes(), nil
}
