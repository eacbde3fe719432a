package dockerapi_test

import (
	"strings"
	"testing"
)

func TestNetworksOfUsers(t *testing.T) {
	h := serve(t)
	if r := h.docker("network", "create", "--subnet", "10.7.0.0/24", "--gateway", "10.7.0.254", "--ip-range", "10.7.0.0/25", "--internal", "--label",
		"a=b", "back"); r.code != 0 || len(r.out) != 65 {
		t.Fatalf("%+v", r)
	}
	h.want(0, "10.7.0.0/24 10.7.0.254 10.7.0.0/25 true b bridge\n", "network", "inspect", "-f",
		"{{(index .IPAM.Config 0).Subnet}} {{(index .IPAM.Config 0).Gateway}} {{(index .IPAM.Config 0).IPRange}} {{.Internal}} {{.Labels.a}} {{.Driver}}", "back")
	h.docker("network", "create", "--ipv6", "--subnet", "fd00:1::/64", "six")
	h.want(0, "true fd00:1::/64\n", "network", "inspect", "-f", "{{.EnableIPv6}} {{(index .IPAM.Config 1).Subnet}}", "six")
	h.want(0, "back\nbridge\nnone\nsix\n", "network", "ls", "--format", "{{.Name}}")
	h.want(0, "back\nsix\n", "network", "ls", "--filter", "type=custom", "--format", "{{.Name}}")
	h.refused("network with name back already exists", "network", "create", "back")
	h.refused("operation is not permitted on predefined none network", "network", "create", "none")
	h.refused("bridge is a pre-defined network and cannot be removed", "network", "rm", "bridge")
	h.refused("none is a pre-defined network and cannot be removed", "network", "rm", "none")
	h.refused("network zzz not found", "network", "rm", "zzz")
	h.refused("Pool overlaps with other one on this address space", "network", "create", "--subnet", "10.7.0.0/16", "x")
	h.refused("plugin \"overlay\" not found", "network", "create", "-d", "overlay", "x")
	h.refused("--opt com.docker.network.driver.mtu", "network", "create", "-o", "com.docker.network.driver.mtu=9000", "x")
	h.docker("run", "-d", "--name", "c1", "--network", "back", "busybox", "sleep")
	h.refused(`error while removing network: network back has active endpoints (name:"c1" id:`, "network", "rm", "back")
	h.want(0, "Deleted Networks:\nsix\n\n", "network", "prune", "-f")
	h.docker("stop", "-t", "0", "c1")
	id := strings.TrimSpace(h.docker("network", "inspect", "-f", "{{.ID}}", "back").out)
	h.want(0, "back\n", "network", "rm", "back")
	if r := h.docker("start", "c1"); r.code != 1 || !strings.Contains(r.err, "failed to set up container networking: network "+id+" not found") {
		t.Errorf("start on a network that is gone: %+v", r)
	}
	h.want(0, "c1\n", "rm", "c1")
}

func TestPlacesOnNetworks(t *testing.T) {
	h := serve(t)
	h.docker("network", "create", "--subnet", "10.7.0.0/24", "front")
	h.docker("network", "create", "--subnet", "10.8.0.0/24", "back")
	r := h.docker("run", "-d", "--name", "c1", "--hostname", "h1", "--network", "name=front,ip=10.7.0.9,alias=www", "--network", "back", "busybox", "sleep")
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	id := strings.TrimSpace(r.out)
	net := func(network, field string) []string {
		return []string{"inspect", "-f", "{{.NetworkSettings.Networks." + network + "." + field + "}}", "c1"}
	}
	h.want(0, "10.7.0.9\n", net("front", "IPAddress")...)
	h.want(0, "10.7.0.1\n", net("front", "Gateway")...)
	h.want(0, "[www]\n", net("front", "Aliases")...)
	h.want(0, "[c1 www "+id[:12]+" h1]\n", net("front", "DNSNames")...)
	h.want(0, "10.8.0.2\n", net("back", "IPAddress")...)
	h.want(0, "10.7.0.9/24\n", "network", "inspect", "-f", "{{(index .Containers \""+id+"\").IPv4Address}}", "front")
	h.want(0, "", "network", "disconnect", "front", "c1")
	h.want(0, "map[back]\n", "inspect", "-f", "map[{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}]", "c1")
	if n := h.world.Tether(id).Network(); len(n.Networks) != 1 || n.Networks[0].Name != "back" || n.Networks[0].Gateway.String() != "10.8.0.1" {
		t.Errorf("the guest was told %+v", n)
	}
	h.want(0, "", "network", "connect", "--ip", "10.7.0.77", "--alias", "again", "front", "c1")
	h.want(0, "10.7.0.77\n", net("front", "IPAddress")...)
	h.refused("endpoint with name c1 already exists in network front", "network", "connect", "front", "c1")
	h.refused("network zzz not found", "network", "connect", "zzz", "c1")
	h.refused("user specified IP address is supported on user defined networks only", "create", "--ip", "172.16.0.9", "busybox")
	h.refused("network-scoped aliases are only supported for user-defined networks", "create", "--network-alias", "x", "busybox")
	h.refused("Address already in use", "run", "--rm", "--network", "front", "--ip", "10.7.0.77", "busybox", "true")
	h.refused("option --network host", "run", "--network", "host", "busybox", "true")
	h.refused("option --network container:", "run", "--network", "container:c1", "busybox", "true")
	if r := h.docker("create", "--network", "zzz", "busybox"); r.code == 0 || r.err != "Error response from daemon: network zzz not found\n" {
		t.Errorf("%+v", r)
	}
}

func TestNoNetwork(t *testing.T) {
	h := serve(t)
	id := strings.TrimSpace(h.docker("run", "-d", "--name", "c1", "--network", "none", "busybox", "sleep").out)
	h.want(0, "none\n", "inspect", "-f", "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}", "c1")
	if req, ok := h.world.Compute.Request(id); !ok || len(req.NICs) != 0 {
		t.Errorf("%+v", req.NICs)
	}
	h.docker("network", "create", "n1")
	h.refused("container cannot be connected to multiple networks with one of the networks in private (none) mode", "network", "connect", "n1", "c1")
}

func TestLinks(t *testing.T) {
	h := serve(t)
	h.docker("run", "-d", "--name", "db", "--expose", "5432", "-e", "SECRET=1", "busybox", "sleep")
	r := h.docker("run", "-d", "--name", "web", "--link", "db:store", "busybox", "sleep")
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	n := h.world.Tether(strings.TrimSpace(r.out)).Network()
	if len(n.Hosts) != 2 || n.Hosts[0].Names[0] != "store" || n.Hosts[0].Address.String() != "172.16.0.2" {
		t.Errorf("hosts %+v", n.Hosts)
	}
	env := h.docker("run", "--rm", "--name", "w2", "--link", "db", "busybox", "env").out
	for _, want := range []string{"DB_PORT=tcp://172.16.0.2:5432", "DB_PORT_5432_TCP_ADDR=172.16.0.2", "DB_NAME=/w2/db", "DB_ENV_SECRET=1"} {
		if !strings.Contains(env, want+"\n") {
			t.Errorf("%s is not in %s", want, env)
		}
	}
	h.docker("rm", "-f", "db")
	h.docker("stop", "-t", "0", "web")
	h.refused("Cannot link to a non running container: /db AS /web/store", "start", "web")
}

func TestPublishedPorts(t *testing.T) {
	h := serve(t)
	r := h.docker("run", "-d", "--name", "c1", "-p", "8080:80", "-p", "127.0.0.2:9000-9001:90/udp", "-p", "70", "--expose", "60", "busybox", "sleep")
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	id := strings.TrimSpace(r.out)
	h.want(0, "70/tcp -> 0.0.0.0:32768\n80/tcp -> 0.0.0.0:8080\n90/udp -> 127.0.0.2:9000\n", "port", "c1")
	h.want(0, "60/tcp, 0.0.0.0:32768->70/tcp, 0.0.0.0:8080->80/tcp, 127.0.0.2:9000->90/udp\n", "ps", "--format", "{{.Ports}}")
	h.want(0, "[map[HostIp:0.0.0.0 HostPort:8080]]\n", "inspect", "-f", "{{index .NetworkSettings.Ports \"80/tcp\"}}", "c1")
	h.want(0, id[:12]+"\n", "ps", "-q", "--filter", "publish=8080")
	before := h.docker("ps", "-aq").out
	h.refused("failed to set up container networking: driver failed programming external connectivity on endpoint c2 (", "run", "-d", "--name", "c2",
		"-p", "8080:80", "busybox", "sleep")
	h.refused("Bind for 0.0.0.0:8080 failed: port is already allocated", "create", "-p", "8080:80", "busybox")
	if after := h.docker("ps", "-aq").out; after != before {
		t.Errorf("the conflict left a container: %q, before %q", after, before)
	}
	if r := h.docker("create", "--name", "next", "--label", "com.docker.compose.replace=c1", "-p", "8080:80", "busybox", "sleep"); r.code != 0 {
		t.Errorf("compose cannot make the container that replaces another: %+v", r)
	}
	h.refused("port is already allocated", "start", "next")
	h.docker("stop", "-t", "0", "c1")
	h.want(0, "next\n", "start", "next")
	h.refused("port is already allocated", "start", "c1")
	h.docker("rm", "-f", "next")
	h.want(0, "c1\n", "start", "c1")
	h.want(0, "0.0.0.0:8080\n", "port", "c1", "80")
}

func TestPublishAllPorts(t *testing.T) {
	h := serve(t)
	h.docker("run", "-d", "--name", "c1", "-P", "--expose", "80", "--expose", "53/udp", "busybox", "sleep")
	h.want(0, "53/udp -> 0.0.0.0:32768\n80/tcp -> 0.0.0.0:32768\n", "port", "c1")
}
