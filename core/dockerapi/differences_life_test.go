package dockerapi_test

import (
	"net/http"

	"github.com/openvic/vic/sdk/compute"
)

// lifeDifferences are about what a VM's size and disk mean for a container, and about what is left.
func lifeDifferences() []difference {
	vm := func(c *client, name, cpus, memory string) {
		c.Helper()
		c.shows(cpus, "GraphDriver.Data.CPUs", "/containers/"+name+"/json")
		c.shows(memory, "GraphDriver.Data.MemoryMB", "/containers/"+name+"/json")
	}
	return []difference{
		{
			what: "`--memory`",
			how: "rounded up to 4 MB, and to 128 MB at least; without it the host's default. `docker inspect` shows what was " +
				"asked for in `HostConfig` and the VM's size in `GraphDriver.Data`",
			check: func(c *client) {
				c.create("c1", `"Memory":52428800`)
				vm(c, "c1", "1", "128")
				c.create("c2", `"Memory":314572801`) // 300 MB and a byte
				vm(c, "c2", "1", "304")
				c.create("c3", "")
				vm(c, "c3", "1", "256")
				c.shows("5.24288e+07", "HostConfig.Memory", "/containers/c1/json")
			},
		},
		{
			what: "`--cpus`, `--cpuset-cpus`",
			how: "rounded up to whole processors; a set counts as the number of processors in it. Inside the VM, 1.5 processors " +
				"are 1.5 of 2",
			check: func(c *client) {
				id := c.create("c1", `"NanoCpus":1500000000`)
				vm(c, "c1", "2", "256")
				if l := c.guest(id).Limits; l.NanoCPUs != 1500000000 {
					c.Errorf("%+v", l)
				}
				c.create("c2", `"CpusetCpus":"0,3-4"`)
				vm(c, "c2", "3", "256")
			},
		},
		{
			what: "`docker start` without room",
			how: "503 with the numbers, before vSphere has to swap; Total Memory in `docker info` is what all containers together " +
				"may use",
			check: func(c *client) {
				c.api.world.Compute.Room = compute.Capacity{MemoryMB: 512, CPUs: 4}
				c.create("web", `"Memory":536870912`)
				c.create("more", "")
				c.start("web")
				c.refused(http.StatusServiceUnavailable,
					"no room for container more: its VM needs 256 MB of memory, 0 MB are free of the 512 MB that the virtual container host may use",
					post, "/containers/more/start", "")
				c.shows("5.36870912e+08", "MemTotal", "/info")
			},
		},
		{
			what: "`docker logs`",
			how:  "reads the container's own disk, running or not; with `--log-driver none` there is nothing to read",
			check: func(c *client) {
				c.create("c1", `"LogConfig":{"Type":"none"}`)
				c.refused(http.StatusNotImplemented, "configured logging driver does not support reading", get, "/containers/c1/logs?stdout=1", "")
				c.create("c2", "")
				c.works(get, "/containers/c2/logs?stdout=1", "")
			},
		},
		{
			what: "`docker inspect`",
			how: "`State.Pid` is the process ID in the container's VM. Fields that name files on dockerd's host (`LogPath`, " +
				"`HostsPath`) are empty",
			check: func(c *client) {
				c.create("c1", "")
				for _, path := range []string{"LogPath", "HostsPath", "ResolvConfPath", "HostnamePath"} {
					c.shows("", path, "/containers/c1/json")
				}
			},
		},
		{
			what: "`docker container prune`",
			how:  "`SpaceReclaimed` is what the containers' disks took on their datastore",
			check: func(c *client) {
				id := c.create("c1", "")
				c.api.world.Storage.PutFile(id, "rootfs/file", make([]byte, 4096))
				if got := c.works(post, "/containers/prune", "").body["SpaceReclaimed"]; got != float64(4096) {
					c.Errorf("%v", got)
				}
			},
		},
		{
			what: "`docker rm --link`",
			how:  "refused: a link cannot be removed alone",
			check: func(c *client) {
				c.create("c1", "")
				c.refused(http.StatusNotImplemented, "docker rm --link is not supported", http.MethodDelete, "/containers/c1?link=1", "")
			},
		},
		{
			what: "`docker search`",
			how:  "refused: it is a service of Docker Hub, not of registries",
			check: func(c *client) {
				c.refused(http.StatusNotImplemented, "search", get, "/images/search?term=x", "")
			},
		},
	}
}
