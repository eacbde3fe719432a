package config

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/errdef"
)

// example returns the first toml block of the driver's README.
func example(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```toml\n")
	text, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("README.md has no toml example")
	}
	return text
}

func TestExampleInReadmeLoads(t *testing.T) {
	c, err := Parse(example(t))
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Network.Container[0].Ranges(); len(r) != 2 || r[0].String() != "10.5.0.10-10.5.0.99" || r[1].String() != "10.5.0.128-10.5.0.255" {
		t.Errorf("ranges %v", r)
	}
	if c.VCH.PoolType != PoolVApp || c.Network.Bridge.Gateway.String() != "172.16.0.1" {
		t.Errorf("got %+v", c)
	}
}

func TestWrongFilesAreRefusedByKey(t *testing.T) {
	for _, tc := range []struct{ name, old, new, want string }{
		{"unknown key", "[compute]", "[compute]\ncolour = 1", "compute.colour"},
		{"no url", `url = "https://vcenter.example.com/sdk"`, "", "vcenter.url"},
		{"bad image store", `image_store = "[datastore1]`, `image_store = "datastore1`, "storage.image_store"},
		{"volume store", `"[datastore1] vch1-volumes"`, `"vch1-volumes"`, "storage.volume_stores.default"},
		{"NFS store without a path", `nfs://filer.example.com/export/vch1`, `nfs://filer.example.com`, "storage.volume_stores.shared"},
		{"NFS version", `vers=4.1"`, `vers=2"`, "storage.volume_stores.shared"},
		{"name of a volume store", "shared =", `"a b" =`, "storage.volume_stores"},
		{"volume size", "volume_size_mb = 1024", "volume_size_mb = -1", "storage.volume_size_mb"},
		{"name without id", "{name}-{short}", "{name}", "compute.name_pattern"},
		{"pool type", "VirtualApp", "Cluster", "vch.pool_type"},
		{"gateway elsewhere", `gateway = "172.16.0.1"`, `gateway = "10.0.0.1"`, "network.bridge.gateway"},
		{"IPv6 pool", `pools = ["172.16.0.0/12"]`, `pools = ["fd00::/8"]`, "network.pools"},
		{"subnets too large", "subnet_bits = 20", "subnet_bits = 7", "network.subnet_bits"},
		{"a container network with Docker's name", `name = "web"`, `name = "bridge"`, "network.container.name"},
		{"a container network on nothing", `portgroup = "dvportgroup-35"`, "", "network.container.portgroup"},
		{"a range outside", "10.5.0.10-10.5.0.99", "10.5.0.10-10.5.1.99", "network.container.ip_ranges"},
		{"a range without a subnet", `subnet = "10.5.0.0/24"`, "", "network.container.subnet"},
		{"a container network's gateway elsewhere", `gateway = "10.5.0.1"`, `gateway = "10.6.0.1"`, "network.container.gateway"},
		{"a firewall of another kind", `firewall = "published"`, `firewall = "leaky"`, "network.container.firewall"},
		{"subnet too small", "172.16.0.0/16", "172.16.0.0/31", "network.bridge.subnet"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(example(t), tc.old, tc.new, 1)
			_, err := Parse(text)
			if !errors.Is(err, errdef.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a complaint about %s", err, tc.want)
			}
		})
	}
}
