package vch

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/BurntSushi/toml"
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
	stateDir    = "/var/lib/vic"
)

// vicdConfig is vicd.toml; conf/vicd.toml explains it.
type vicdConfig struct {
	Name   string `toml:"name"`
	Docker struct {
		Listen []string `toml:"listen"`
		TLSCA  string   `toml:"tls_ca"`
		Cert   string   `toml:"tls_cert"`
		Key    string   `toml:"tls_key"`
	} `toml:"docker"`
	Admin struct {
		Socket string `toml:"socket"`
		Listen string `toml:"listen"`
		TLSCA  string `toml:"tls_ca"`
	} `toml:"admin"`
	Link struct {
		Cert string `toml:"ca_cert"`
		Key  string `toml:"ca_key"`
	} `toml:"link"`
	Images struct {
		Root     string   `toml:"root"`
		Mirrors  []string `toml:"registry_mirrors"`
		Insecure []string `toml:"insecure_registries"`
	} `toml:"images"`
	Engine struct {
		Compute   string `toml:"compute"`
		Storage   string `toml:"storage"`
		Network   string `toml:"network"`
		CPUs      int    `toml:"default_cpus"`
		MemoryMB  int64  `toml:"default_memory_mb"`
		PluginDir string `toml:"plugin_dir"`
	} `toml:"engine"`
}

// vicd fills in vicd.toml.
func (p *Plan) vicd() ([]byte, error) {
	var c vicdConfig
	c.Name = p.Spec.Name
	c.Docker.Listen = []string{fmt.Sprintf("tcp://0.0.0.0:%d", p.Spec.DockerPort())}
	c.Admin.Socket = "/run/vic/admin.sock"
	if !p.Spec.NoTLS {
		c.Docker.Cert, c.Docker.Key = fileCert, fileKey
		c.Admin.Listen, c.Admin.TLSCA = fmt.Sprintf("tcp://0.0.0.0:%d", PortAdmin), fileAdminCA
		if !p.Spec.NoVerify {
			c.Docker.TLSCA = fileCA
		}
	}
	c.Link.Cert, c.Link.Key = fileLinkCA, fileLinkKey
	c.Images.Root = stateDir + "/images"
	c.Images.Mirrors = list(p.Spec.RegistryMirrors)
	c.Images.Insecure = list(p.Spec.InsecureRegistries)
	c.Engine.Compute, c.Engine.Storage, c.Engine.Network = "vsphere", "vsphere", "vsphere"
	c.Engine.CPUs, c.Engine.MemoryMB = 1, p.Spec.ContainerMemoryMB
	c.Engine.PluginDir = "/etc/vic/plugins.d"
	return encode(c)
}

// list makes an empty array of nil, which TOML cannot hold.
func list(s []string) []string { return append([]string{}, s...) }

// vsphereConfig is vsphere.toml; the driver's README explains it.
type vsphereConfig struct {
	VCenter struct {
		URL        string `toml:"url"`
		User       string `toml:"user"`
		Password   string `toml:"password"`
		Thumbprint string `toml:"thumbprint"`
	} `toml:"vcenter"`
	VCH struct {
		Name       string `toml:"name"`
		Datacenter string `toml:"datacenter"`
		Pool       string `toml:"pool"`
		PoolType   string `toml:"pool_type"`
		Folder     string `toml:"folder"`
		EndpointVM string `toml:"endpoint_vm"`
	} `toml:"vch"`
	Storage struct {
		ImageStore   string            `toml:"image_store"`
		LayerSizeGB  int64             `toml:"layer_size_gb"`
		VolumeStores map[string]string `toml:"volume_stores"`
	} `toml:"storage"`
	Compute struct {
		BootstrapISO string `toml:"bootstrap_iso"`
		NamePattern  string `toml:"name_pattern"`
		Datastore    string `toml:"datastore"`
	} `toml:"compute"`
	Network struct {
		Bridge bridgeConfig `toml:"bridge"`
	} `toml:"network"`
	Link struct {
		Listen  string `toml:"listen"`
		Address string `toml:"address"`
	} `toml:"link"`
}

type bridgeConfig struct {
	Portgroup string       `toml:"portgroup"`
	Subnet    netip.Prefix `toml:"subnet"`
	Gateway   netip.Addr   `toml:"gateway"`
	Interface string       `toml:"interface"`
	Uplink    string       `toml:"uplink"`
}

// vsphere fills in vsphere.toml for an endpoint VM.
func (p *Plan) vsphere(vm string) ([]byte, error) {
	t := p.Res.Session.Target
	var c vsphereConfig
	c.VCenter.URL = t.URL.String()
	c.VCenter.User, c.VCenter.Password, c.VCenter.Thumbprint = t.User, t.Password, t.Thumbprint
	c.VCH.Name = p.Spec.Name
	c.VCH.Datacenter = p.Record.Datacenter
	c.VCH.Pool, c.VCH.PoolType = p.Record.Pool, p.Record.PoolType
	c.VCH.Folder = p.Res.Folder.Reference().Value
	c.VCH.EndpointVM = vm
	c.Storage.ImageStore, c.Storage.LayerSizeGB = p.Record.ImageStore, p.Spec.LayerSizeGB
	c.Storage.VolumeStores = p.Record.VolumeStores
	c.Compute.BootstrapISO = p.path(bootstrapISO)
	c.Compute.NamePattern = "{name}-{short}"
	c.Compute.Datastore = p.Record.Datastore
	c.Network.Bridge = bridgeConfig{Portgroup: p.Record.Bridge, Subnet: p.Spec.BridgeRange.Masked(),
		Gateway: p.Spec.Gateway(), Interface: ifBridge, Uplink: ifPublic}
	c.Link.Listen = "[" + linkAddress + "%" + ifBridge + "]:2380"
	c.Link.Address = "[" + linkAddress + "]:2380"
	return encode(c)
}

func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	if err := toml.NewEncoder(&buf).Encode(v); err != nil {
		return nil, fmt.Errorf("write TOML: %w", err)
	}
	return buf.Bytes(), nil
}
