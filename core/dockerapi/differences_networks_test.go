package dockerapi_test

import (
	"net/http"
	"slices"
	"strings"
)

// network makes a network and returns its ID.
func (c *client) network(name, more string) string {
	c.Helper()
	id, _ := c.works(post, "/networks/create", `{"Name":"`+name+`"`+more+`}`).body["Id"].(string)
	return id
}

func networkDifferences() []difference {
	return []difference{
		{
			what: "`docker network create`",
			how: "driver `bridge`, with `--subnet --gateway --ip-range --internal --ipv6 --label`. Without `--subnet` it takes " +
				"the next free subnet of the VCH's pools (`[network] pools`, by default /20 networks of 172.16.0.0/12). Other " +
				"drivers and `--opt` are refused by name",
			check: func(c *client) {
				c.network("n1", "")
				c.network("n2", `,"IPAM":{"Config":[{"Subnet":"10.9.0.0/16","Gateway":"10.9.0.9","IPRange":"10.9.7.0/24"}]},"Internal":true`)
				c.shows("true", "Internal", "/networks/n2")
				c.refused(http.StatusNotFound, `plugin "macvlan" not found`, post, "/networks/create", `{"Name":"n3","Driver":"macvlan"}`)
				c.refused(http.StatusNotImplemented, "option --opt com.x is not supported", post, "/networks/create", `{"Name":"n3","Options":{"com.x":"y"}}`)
			},
		},
		{
			what: "`docker network ls`",
			how:  "there is no network `host`; container networks are of driver `external`",
			check: func(c *client) {
				c.shows("external", "Driver", "/networks/lan")
				c.shows("bridge", "Driver", "/networks/bridge")
				c.refused(http.StatusNotFound, "network host not found", get, "/networks/host", "")
			},
		},
		{
			what: "`docker network rm`, `prune`",
			how: "removes a network that no running container is on, as with Docker. A stopped container keeps its addresses as " +
				"long as the network exists; afterwards it cannot start (`failed to set up container networking`) until `docker " +
				"network disconnect` takes it off the network",
			check: func(c *client) {
				c.network("back", "")
				c.create("c1", `"NetworkMode":"back"`)
				c.start("c1")
				c.refused(http.StatusForbidden, "has active endpoints", http.MethodDelete, "/networks/back", "")
				c.works(post, "/containers/c1/kill", "")
				c.works(http.MethodDelete, "/networks/back", "")
				c.refused(http.StatusNotFound, "failed to set up container networking", post, "/containers/c1/start", "")
				c.works(post, "/networks/back/disconnect", `{"Container":"c1"}`)
				c.start("c1")
			},
		},
		{
			what: "`docker network connect`, `disconnect`",
			how: "also on running containers: a vNIC is hot-plugged. A VM has up to 10. The interfaces that stay keep their " +
				"names",
			check: func(c *client) {
				c.network("back", "")
				id := c.create("c1", "")
				c.start("c1")
				nics := func(want int) {
					c.Helper()
					if r, _ := c.api.world.Compute.Request(id); len(r.NICs) != want {
						c.Errorf("%d NICs, want %d", len(r.NICs), want)
					}
				}
				nics(1)
				c.works(post, "/networks/back/connect", `{"Container":"c1"}`)
				nics(2)
				c.works(post, "/networks/back/disconnect", `{"Container":"c1"}`)
				nics(1)
			},
		},
		{
			what: "container networks",
			how: "port groups that the administrator mapped (`vic-machine create --container-network`) appear as networks of " +
				"driver `external`. Containers have an address of their own there, from a range or from DHCP, and the guest " +
				"enforces the trust that was configured: `closed`, `outbound`, `published`, `peers` or `open`",
			check: func(c *client) {
				id := c.create("c1", `"NetworkMode":"lan"`)
				if n := c.guest(id).Networks; len(n) != 1 || !strings.HasPrefix(n[0].Addresses[0].String(), "10.5.0.") {
					c.Errorf("%+v", n)
				}
				c.refused(http.StatusForbidden, "lan is a pre-defined network and cannot be removed", http.MethodDelete, "/networks/lan", "")
			},
		},
		{
			what: "`--network none`",
			how: "the container sees `lo` alone. Its VM has a NIC for the link to the endpoint VM, in a namespace that the " +
				"container does not see",
			check: func(c *client) {
				id := c.create("c1", `"NetworkMode":"none"`)
				if n := c.guest(id).Networks; len(n) != 0 {
					c.Errorf("%+v", n)
				}
				c.refused(http.StatusForbidden, "private (none) mode", post, "/networks/bridge/connect", `{"Container":"c1"}`)
			},
		},
		{
			what: "names",
			how: "on networks that users make: container name, aliases, short ID, host name, links, and reverse lookup. The " +
				"endpoint VM answers at the network's gateway, for members of a common network; `/etc/resolv.conf` names that " +
				"gateway, not 127.0.0.11. On the default bridge only the names of `--link` exist. The gateway asks the servers of " +
				"`--dns` on behalf of the container",
			check: func(c *client) {
				back := c.network("back", "")
				id := c.create("c1", `"NetworkMode":"back","Dns":["9.9.9.9"]`)
				r, _ := c.api.world.Network.Joined(back, id)
				if g := c.guest(id); !slices.Equal(r.Names, []string{"c1", id[:12]}) || g.DNS.Servers[0] != g.Networks[0].Gateway || r.DNS[0].String() != "9.9.9.9" {
					c.Errorf("%+v, %+v", r, g.DNS)
				}
				id = c.create("c2", "")
				if r, _ := c.api.world.Network.Joined("bridge", id); len(r.Names) != 0 {
					c.Errorf("%+v", r)
				}
			},
		},
		{
			what: "`--network NAME`",
			how:  "`docker create` already fails if the network does not exist (Docker: `docker start`)",
			check: func(c *client) {
				c.refused(http.StatusBadRequest, "network nosuch not found", post, "/containers/create", createBody(`"NetworkMode":"nosuch"`))
			},
		},
		{
			what: "`-p`, `-P`",
			how: "published on the endpoint VM's IPv4 addresses on the public network, TCP and UDP. `-p 127.0.0.1:...` is refused: " +
				"nobody could reach the endpoint VM's loopback. The endpoint VM keeps TCP 22, 2375, 2376, 2378 and 2380 for " +
				"itself. If a port is taken, `docker create` already fails, so that no VM is made in vain. Ports are bound at start, and stay the same when the endpoint VM restarts. docker compose may " +
				"still create a container that will replace another",
			check: func(c *client) {
				const port = `"PortBindings":{"80/tcp":[{"HostPort":"8080"}]}`
				id := c.create("c1", port)
				if p := c.api.world.Network.Published(id); len(p) != 0 {
					c.Errorf("bound before the start: %+v", p)
				}
				c.start("c1")
				if p := c.api.world.Network.Published(id); len(p) != 1 || p[0].HostPort != 8080 {
					c.Errorf("%+v", p)
				}
				c.refused(http.StatusConflict, "Bind for 0.0.0.0:8080 failed: port is already allocated", post, "/containers/create", createBody(port))
				c.works(post, "/containers/create", `{"Image":"busybox","Labels":{"com.docker.compose.replace":"c1"},"HostConfig":{`+port+`}}`)
			},
		},
		{
			what: "`-p` on a container network",
			how: "opens the port in the guest. Clients reach the container at its own address, so the host port cannot differ from " +
				"the container's",
			check: func(c *client) {
				c.create("c1", `"NetworkMode":"lan","PortBindings":{"80/tcp":[{"HostPort":"80"}]}`)
				c.start("c1")
				p, _ := c.works(get, "/containers/c1/json", "").body["NetworkSettings"].(map[string]any)["Ports"].(map[string]any)["80/tcp"].([]any)
				if len(p) != 1 || !strings.HasPrefix(p[0].(map[string]any)["HostIp"].(string), "10.5.0.") {
					c.Errorf("%+v", p)
				}
			},
		},
		{
			what: "`--add-host NAME:host-gateway`",
			how: "the endpoint VM, at the gateway of the first network; refused on a container network, which has a gateway of its " +
				"own",
			check: func(c *client) {
				id := c.create("c1", `"ExtraHosts":["me:host-gateway"]`)
				if h := c.guest(id).Hosts; len(h) == 0 || h[0].Address.String() != "172.16.0.1" || h[0].Names[0] != "me" {
					c.Errorf("%+v", h)
				}
				c.refused(http.StatusNotImplemented, "option --add-host with host-gateway on a container network is not supported", post, "/containers/create",
					createBody(`"NetworkMode":"lan","ExtraHosts":["me:host-gateway"]`))
			},
		},
	}
}
