// Package installer holds what vic-machine writes against what the programs in the endpoint VM read. Its
// tests may import both sides, which may not import one another.
package installer

import (
	"path/filepath"
	"testing"

	core "github.com/openvic/vic/core/config"
	vsphere "github.com/openvic/vic/drivers/vsphere/config"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

const (
	vicdTOML    = "/etc/vic/vicd.toml"
	vsphereTOML = "/etc/vic/vsphere.toml"
)

// options are those of a create with more of them; a value "-" takes one away.
func options(t *testing.T, more map[string][]string) option.Values {
	t.Helper()
	v := option.New(operation.CreateOptions())
	for name, values := range map[string][]string{
		"name": {"vch1"}, "bridge-network": {"bridge"}, "public-network": {"public"}, "image-store": {"LocalDS_0"},
		"appliance-iso": {simtest.ISO(t, "appliance.iso")}, "bootstrap-iso": {simtest.ISO(t, "bootstrap.iso")},
		"tls-cname": {"vch1.example.com"}, "cert-path": {filepath.Join(t.TempDir(), "certs")},
	} {
		v.Set(name, values...)
	}
	for name, values := range more {
		if values[0] == "-" {
			values = nil
		}
		v.Set(name, values...)
	}
	return v
}

// made creates a VCH on a simulated vCenter.
func made(t *testing.T, s *simtest.Sim, v option.Values) {
	t.Helper()
	in, err := operation.ReadCreate(v, operation.Local{Version: "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	in.Session = s.Session
	if _, err := operation.Create(t.Context(), in, operation.CreateHow{}, nil); err != nil {
		t.Fatal(err)
	}
}

// files reads what the endpoint is given with the readers of vicd and of the driver, which are strict.
func files(t *testing.T, s *simtest.Sim) (core.Config, *vsphere.Config) {
	t.Helper()
	e, err := vch.Open(t.Context(), s.Session, vch.Query{Name: "vch1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := e.ConfigFiles()
	vicd, err := core.Parse(vicdTOML, text[vicdTOML])
	if err != nil {
		t.Errorf("vicd refuses what vic-machine writes: %v\n%s", err, text[vicdTOML])
	}
	driver, err := vsphere.Parse(text[vsphereTOML])
	if err != nil {
		t.Errorf("the driver refuses what vic-machine writes: %v\n%s", err, text[vsphereTOML])
	}
	return vicd, driver
}

func TestTheEndpointCanReadWhatVicMachineWrites(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string][]string
		check   func(*testing.T, core.Config, *vsphere.Config)
	}{
		"as few options as there can be": {nil, func(t *testing.T, v core.Config, d *vsphere.Config) {
			if v.Name != "vch1" || !v.HasEngine() || v.Roles["storage"][0] != "vsphere" || v.Roles["auth"][0] != "vsphere" || d.VCH.Name != "vch1" ||
				d.Network.Bridge.Subnet.String() != "172.16.0.0/16" {
				t.Errorf("%+v\n%+v", v, d)
			}
		}},
		"no TLS":         {map[string][]string{"no-tls": {"true"}, "tls-cname": {"-"}}, nil},
		"no client cert": {map[string][]string{"no-tlsverify": {"true"}}, nil},
		"networks": {map[string][]string{
			"bridge-network-range": {"10.100.0.0/16"}, "bridge-network-width": {"24"},
			"public-network-ip": {"10.0.0.2/24"}, "public-network-gateway": {"10.0.0.1"}, "dns-server": {"10.0.0.53"},
			"client-network": {"client"}, "management-network": {"management"},
			"container-network": {"backend:back", "frontend"}, "container-network-gateway": {"backend:10.5.0.1/24"},
			"container-network-ip-range": {"backend:10.5.0.10-20", "backend:10.5.0.128/25"}, "container-network-dns": {"backend:10.5.0.2"},
			"container-network-firewall": {"backend:peers"},
		}, func(t *testing.T, _ core.Config, d *vsphere.Config) {
			n := d.Network
			if n.SubnetBits != 24 || n.Pools[0].String() != "10.100.0.0/16" || n.Bridge.Gateway.String() != "10.100.0.1" || len(n.Container) != 2 {
				t.Fatalf("%+v", n)
			}
			if r := n.Container[0].Ranges(); len(r) != 2 || r[0].String() != "10.5.0.10-10.5.0.20" || r[1].String() != "10.5.0.128-10.5.0.255" {
				t.Errorf("ranges %v", r)
			}
			if n.Container[0].Firewall != "peers" || n.Container[1].Firewall != "published" || n.Container[1].Subnet.IsValid() {
				t.Errorf("%+v", n.Container)
			}
		}},
		"stores and limits": {map[string][]string{
			"volume-store": {"LocalDS_0/vols:default", "nfs://filer.example.com/export/a?vers=3&soft:shared"}, "default-volume-size": {"2048"},
			"memory": {"8192"}, "cpu": {"4000"}, "containers": {"7"}, "container-memory": {"512"}, "container-name-convention": {"c-{id}"},
		}, func(t *testing.T, v core.Config, d *vsphere.Config) {
			share, nfs, err := vsphere.ParseShare(d.Storage.VolumeStores["shared"])
			if !nfs || err != nil || share.Version != "3" || d.Storage.VolumeStores[vsphere.DefaultVolumeStore] != "[LocalDS_0] vols" {
				t.Errorf("%+v, %v", d.Storage, err)
			}
			if d.Storage.VolumeSizeMB != 2048 || d.Compute.NamePattern != "c-{id}" || v.Engine.MaxContainers != 7 || v.Engine.DefaultMemoryMB != 512 {
				t.Errorf("%+v\n%+v", v.Engine, d)
			}
		}},
		"registries and logs": {map[string][]string{
			"registry-mirror": {"http://mirror.example.com:5000"}, "insecure-registry": {"reg.example.com:5000"},
			"allow-registry": {"*.example.com"}, "syslog-address": {"udp://log.example.com:514"}, "debug": {"1"},
			"http-proxy": {"http://proxy.example.com:3128"},
		}, func(t *testing.T, v core.Config, _ *vsphere.Config) {
			if i := v.Images; len(i.RegistryMirrors) != 1 || len(i.InsecureRegistries) != 1 || i.AllowRegistries[0] != "*.example.com" {
				t.Errorf("%+v", i)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := simtest.New(t)
			s.Guest("vch1", "ready", "")
			made(t, s, options(t, c.options))
			v, d := files(t, s)
			if c.check != nil && !t.Failed() {
				c.check(t, v, d)
			}
		})
	}
}

func TestTheEndpointCanReadWhatConfigureWrites(t *testing.T) {
	s := simtest.New(t)
	s.Follow("vch1", func(string, string) string { return "ready" })
	made(t, s, options(t, nil))
	change := option.New(operation.ConfigureOptions())
	change.Set("container-network", "backend:back")
	change.Set("volume-store", "LocalDS_0/more:more")
	change.Set("containers", "3")
	if _, err := operation.Configure(t.Context(), s.Session, vch.Query{Name: "vch1"}, change, operation.Local{}, nil); err != nil {
		t.Fatal(err)
	}
	if v, d := files(t, s); v.Engine.MaxContainers != 3 || len(d.Network.Container) != 1 || d.Storage.VolumeStores["more"] == "" {
		t.Errorf("%+v\n%+v", v, d)
	}
}
