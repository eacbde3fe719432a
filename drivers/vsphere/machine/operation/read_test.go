package operation

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/sdk/errdef"
)

// create makes Values of the options of create from pairs of names and values; a name that is there
// again is a further value.
func create(pairs ...string) option.Values {
	v := option.New(CreateOptions())
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], append(slices.Clone(v.StringSlice(pairs[i])), pairs[i+1])...)
	}
	return v
}

func TestOptionsBecomeSettings(t *testing.T) {
	in, err := ReadCreate(create("name", "vch1", "bridge-network", "bridge", "compute-resource", "cluster",
		"bridge-network-range", "10.100.3.4/16", "bridge-network-width", "24",
		"public-network", "public", "public-network-ip", "10.0.0.2/24", "public-network-gateway", "10.0.0.1/24", "dns-server", "10.0.0.53",
		"management-network", "mgmt", "management-network-ip", "10.1.0.2/24", "management-network-gateway", "10.8.0.0/16, 10.9.1.2/16:10.1.0.1",
		"container-network", "back:backend", "container-network", "plain", "container-network-gateway", "back:10.5.0.1/24",
		"container-network-ip-range", "back:10.5.0.10-20", "container-network-ip-range", "back:10.5.0.77/25", "container-network-dns", "back:10.5.0.2",
		"container-network-firewall", "back:Peers",
		"memory", "4096", "memory-reservation", "512", "memory-shares", "low", "cpu-shares", "2000", "containers", "9", "container-memory", "300",
		"default-volume-size", "10", "allow-registry", "*.example.com", "allow-registry", "10.0.0.0/8", "insecure-registry", "reg_1:5000",
		"registry-mirror", "https://mirror:5000", "no-proxy", "a,b", "syslog-address", "tcp://log:514", "debug", "1",
		"container-name-convention", "x-{name}-{id}", "ops-user", "ops@x", "ops-password", "pw", "password", "secret", "no-tlsverify", "true"),
		Local{Version: "7"})
	if err != nil {
		t.Fatal(err)
	}
	s := in.Spec
	if s.Name != "vch1" || s.Version != "7" || s.BridgeRange.String() != "10.100.0.0/16" || s.BridgeSubnet().String() != "10.100.0.0/24" ||
		s.Gateway().String() != "10.100.0.1" {
		t.Errorf("%+v", s)
	}
	if p := s.Static["public"]; p.Address.String() != "10.0.0.2/24" || p.Gateway.String() != "10.0.0.1" || len(p.Routes) != 0 || s.DNS[0].String() != "10.0.0.53" {
		t.Errorf("public %+v", p)
	}
	if m := s.Static["management"]; m.Gateway.IsValid() || len(m.Routes) != 2 || m.Routes[1].Destination.String() != "10.9.0.0/16" ||
		m.Routes[0].Via.String() != "10.1.0.1" {
		t.Errorf("management %+v", m)
	}
	if _, client := s.Static["client"]; client {
		t.Error("the client network was not given an address")
	}
	back := in.Containers[0]
	if len(in.Containers) != 2 || back.Name != "backend" || back.Network != "back" || back.Subnet.String() != "10.5.0.0/24" ||
		back.Gateway.String() != "10.5.0.1" ||
		!slices.Equal(back.Ranges, []string{"10.5.0.10-10.5.0.20", "10.5.0.0/25"}) || back.DNS[0].String() != "10.5.0.2" || back.Firewall != "peers" {
		t.Errorf("%+v", in.Containers)
	}
	if p := in.Containers[1]; p.Name != "plain" || p.Network != "plain" || p.Subnet.IsValid() || p.Firewall != "" {
		t.Errorf("%+v", p)
	}
	if s.Memory.Limit != 4096 || s.Memory.Shares != "low" || s.CPU.Shares != "2000" || s.MaxContainers != 9 || s.ContainerMemoryMB != 300 || s.VolumeSizeMB != 10 {
		t.Errorf("%+v", s.Settings)
	}
	if !slices.Equal(s.AllowRegistries, []string{"*.example.com", "10.0.0.0/8"}) || s.NamePattern != "x-{name}-{id}" || s.Syslog != "tcp://log:514" ||
		s.Debug != 1 || !s.NoVerify {
		t.Errorf("%+v", s.Settings)
	}
	if s.Ops.User != "ops@x" || s.Ops.Password != "pw" {
		t.Errorf("ops %+v", s.Ops)
	}
}

func TestWhatIsKeptHoldsNoSecretsAndNotTheTarget(t *testing.T) {
	in, err := ReadCreate(create("name", "vch1", "bridge-network", "b", "target", "vc", "user", "u", "password", "secret", "thumbprint", "AA",
		"ops-user", "ops", "ops-password", "secret", "force", "true", "dry-run", "true", "memory", "4096"), Local{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range in.Spec.Options {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"bridge-network", "memory", "name", "ops-user"}) {
		t.Errorf("kept: %v", names)
	}
}

func TestCertificatesAreNamedAfterTheVCHUnlessSaidOtherwise(t *testing.T) {
	in, err := ReadCreate(create("name", "vch1"), Local{})
	if err != nil || in.Certs.Dir != filepath.Join(".", "vch1") || !slices.Equal(in.Certs.Organizations, []string{"vch1"}) {
		t.Errorf("%+v, %v", in.Certs, err)
	}
	in, err = ReadCreate(create("name", "vch1", "organization", "ACME"), Local{Files: certs.Files{}})
	if err != nil || in.Certs.Dir != "" || !slices.Equal(in.Certs.Organizations, []string{"ACME"}) {
		t.Errorf("of the service: %+v, %v", in.Certs, err)
	}
}

// Each row is what somebody gave that cannot be, the option that the message must name, and a word of its reason.
func TestWrongOptionsAreNamedWithTheirValueAndARemedy(t *testing.T) {
	static := []string{"public-network", "public", "public-network-ip", "10.0.0.2/24", "public-network-gateway", "10.0.0.1", "dns-server", "10.0.0.53"}
	with := func(more ...string) []string { return append(slices.Clone(static), more...) }
	instead := func(name, value string) []string {
		out := slices.Clone(static)
		out[slices.Index(out, name)+1] = value
		return out
	}
	network := func(more ...string) []string { return append([]string{"container-network", "back:backend"}, more...) }
	for _, c := range []struct {
		name   string
		given  []string
		option string
		why    string
	}{
		{"a bridge range that is none", []string{"bridge-network-range", "172.16.0.0"}, "bridge-network-range", "not a network"},
		{"networks larger than the range", []string{"bridge-network-width", "8"}, "bridge-network-width", "172.16.0.0/16"},
		{"networks without addresses", []string{"bridge-network-width", "30"}, "bridge-network-width", "prefix length"},
		{"an address without its network", []string{"client-network-ip", "10.0.0.2/24"}, "client-network-ip", "--client-network"},
		{"an address without bits", instead("public-network-ip", "10.0.0.2"), "public-network-ip", "prefix length"},
		{"the network's own address", instead("public-network-ip", "10.0.0.0/24"), "public-network-ip", "prefix length"},
		{"the broadcast address", instead("public-network-ip", "10.0.0.255/24"), "public-network-ip", "broadcast"},
		{"a gateway elsewhere", instead("public-network-gateway", "10.0.1.1"), "public-network-gateway", "10.0.0.0/24"},
		{"the endpoint as its gateway", instead("public-network-gateway", "10.0.0.2"), "public-network-gateway", "own address"},
		{"a name server by name", instead("dns-server", "ns1"), "dns-server", "not an address"},
		{"nobody tells a name server", static[:6], "public-network-ip", "name server"},
		{"a gateway without an address", []string{"client-network-gateway", "10.0.0.1"}, "client-network-gateway", "--client-network-ip"},
		{"routes without networks", with("client-network", "c", "client-network-ip", "10.2.0.2/24", "client-network-gateway", "10.2.0.1"),
			"client-network-gateway", "networks behind"},
		{"a second default route", with("client-network", "c", "client-network-ip", "10.2.0.2/24", "client-network-gateway", "0.0.0.0/0:10.2.0.1"),
			"client-network-gateway", "second default route"},
		{"routes over a gateway elsewhere", with("client-network", "c", "client-network-ip", "10.2.0.2/24", "client-network-gateway",
			"10.9.0.0/16:10.3.0.1"), "client-network-gateway", "10.2.0.0/24"},
		{"routes to no network", with("client-network", "c", "client-network-ip", "10.2.0.2/24", "client-network-gateway", "here:10.2.0.1"),
			"client-network-gateway", "here"},
		{"a container network of Docker's name", []string{"container-network", "back:host"}, "container-network", "none of bridge"},
		{"a container network without a port group", []string{"container-network", ":back"}, "container-network", "port group"},
		{"a port group twice", network("container-network", "back:other"), "container-network", "twice"},
		{"a gateway of no container network", network("container-network-gateway", "front:10.5.0.1/24"), "container-network-gateway", "--container-network front"},
		{"a second gateway", network("container-network-gateway", "back:10.5.0.1/24", "container-network-gateway", "back:10.6.0.1/24"),
			"container-network-gateway", "10.5.0.1 already"},
		{"a gateway without bits", network("container-network-gateway", "back:10.5.0.1"), "container-network-gateway", "prefix length"},
		{"a network as its gateway", network("container-network-gateway", "back:10.5.0.0/24"), "container-network-gateway", "address of a network"},
		{"an IPv6 network, which the driver does not have", network("container-network-gateway", "back:fd00::1/64"), "container-network-gateway", "IPv4"},
		{"a network for one", network("container-network-gateway", "back:10.5.0.1/31"), "container-network-gateway", "/30"},
		{"a range that is none", network("container-network-gateway", "back:10.5.0.1/24", "container-network-ip-range", "back:many"),
			"container-network-ip-range", "first and a last"},
		{"a range backwards", network("container-network-gateway", "back:10.5.0.1/24", "container-network-ip-range", "back:10.5.0.9-3"),
			"container-network-ip-range", "first and a last"},
		{"a range elsewhere", network("container-network-gateway", "back:10.5.0.1/24", "container-network-ip-range", "back:10.6.0.3-9"),
			"container-network-ip-range", "10.5.0.0/24"},
		{"a range larger than the subnet", network("container-network-gateway", "back:10.5.0.1/24", "container-network-ip-range", "back:10.5.0.0/16"),
			"container-network-ip-range", "10.5.0.0/24"},
		{"a range of an unknown subnet", network("container-network-ip-range", "back:10.5.0.3-9"), "container-network-ip-range", "subnet is not known"},
		{"a container's name server by name", network("container-network-dns", "back:ns"), "container-network-dns", "not an address"},
		{"a firewall of another kind", network("container-network-firewall", "back:dmz"), "container-network-firewall", "closed, outbound, peers, published, open"},
		{"less than no memory", []string{"memory", "-1"}, "memory", "less than nothing"},
		{"more reserved than there is", []string{"cpu", "100", "cpu-reservation", "200"}, "cpu-reservation", "limit of 100"},
		{"shares of no size", []string{"memory-shares", "lots"}, "memory-shares", "not a share"},
		{"a volume that no disk holds", []string{"default-volume-size", "65011713"}, "default-volume-size", "size that a disk can have"},
		{"a mirror by name", []string{"registry-mirror", "mirror:5000"}, "registry-mirror", "not a URL"},
		{"a mirror with an account", []string{"registry-mirror", "http://u:hidden@mirror"}, "registry-mirror", "no account"},
		{"a proxy without a scheme", []string{"http-proxy", "proxy:3128"}, "http-proxy", "not a URL"},
		{"an insecure registry as a URL", []string{"insecure-registry", "http://reg"}, "insecure-registry", "host:port"},
		{"an insecure registry on no port", []string{"insecure-registry", "reg:99999"}, "insecure-registry", "host:port"},
		{"an allowed registry with a path", []string{"allow-registry", "reg/lib"}, "allow-registry", "*.domain"},
		{"a log server without a protocol", []string{"syslog-address", "log:514"}, "syslog-address", "udp://"},
		{"a log server without a port", []string{"syslog-address", "udp://log"}, "syslog-address", "udp://"},
		{"less than no debugging", []string{"debug", "-1"}, "debug", "less than nothing"},
		{"names that could be the same", []string{"container-name-convention", "x-{name}"}, "container-name-convention", "same name"},
		{"names of another token", []string{"container-name-convention", "{host}-{id}"}, "container-name-convention", "another token"},
		{"a certificate for a URL", []string{"tls-cname", "https://vch1"}, "tls-cname", "DNS name"},
		{"an operations user without a password", []string{"ops-user", "ops"}, "ops-user", "password"},
		{"a password of no operations user", []string{"ops-password", "pw"}, "ops-user", "no use"},
		{"no TLS and half of it", []string{"no-tls", "true", "no-tlsverify", "true"}, "no-tls", "exclude"},
		{"no TLS and a certificate", []string{"no-tls", "true", "tls-server-cert", "c", "tls-server-key", "k"}, "no-tls", "exclude"},
		{"a certificate without its key", []string{"tls-server-cert", "c"}, "tls-server-cert", "belong together"},
		{"an authority that nobody asks", []string{"tls-ca", "ca", "no-tlsverify", "true"}, "tls-ca", "no use"},
		{"an authority that is not there", []string{"registry-ca", "nosuch.pem"}, "registry-ca", "nosuch.pem"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadCreate(create(append([]string{"name", "vch1"}, c.given...)...), Local{})
			if !errors.Is(err, errdef.ErrInvalid) || advice.Of(err) == "" {
				t.Fatalf("%v; remedy %q", err, advice.Of(err))
			}
			said := err.Error() + " " + advice.Of(err)
			if !strings.Contains(err.Error(), "--"+c.option) || !strings.Contains(said, c.why) || strings.Contains(said, "hidden") {
				t.Errorf("want --%s and %q in %q", c.option, c.why, said)
			}
			if OutcomeOf(err) != Invalid {
				t.Errorf("outcome %s", OutcomeOf(err))
			}
		})
	}
}
