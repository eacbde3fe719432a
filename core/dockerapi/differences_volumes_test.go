package dockerapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/sdk/guest"
)

const (
	get  = http.MethodGet
	post = http.MethodPost
)

// volume makes a volume with options, as JSON.
func (c *client) volume(name, options string) {
	c.Helper()
	c.works(post, "/volumes/create", `{"Name":"`+name+`","DriverOpts":{`+options+`}}`)
}

func volumeDifferences() []difference {
	return []difference{
		{
			what: "`docker volume create db`",
			how:  "in the store labelled `default`, with the host's default capacity (1 GB)",
			check: func(c *client) {
				c.volume("db", "")
				c.shows("default", "Status.VolumeStore", "/volumes/db")
				c.shows("1024MB", "Status.Capacity", "/volumes/db")
			},
		},
		{
			what: "`--opt Capacity=20GB`",
			how:  "a number of MB, or one with the unit MB, GB or TB (of 1024). Volumes on NFS have no capacity",
			check: func(c *client) {
				for given, want := range map[string]string{"2048": "2048MB", "512MB": "512MB", "20GB": "20480MB", "1TB": "1048576MB"} {
					c.volume("v"+given, `"Capacity":"`+given+`"`)
					c.shows(want, "Status.Capacity", "/volumes/v"+given)
				}
				c.refused(http.StatusBadRequest, "give a number of MB, or one with a unit", post, "/volumes/create", `{"Name":"vol","DriverOpts":{"Capacity":"lots"}}`)
				c.volume("shared", `"VolumeStore":"share"`)
				c.shows("", "Status.Capacity", "/volumes/shared")
			},
		},
		{
			what: "`--opt VolumeStore=shared`",
			how:  "another store, by its label. Labels: `docker volume inspect -f '{{.Status}}'`, `vic-machine inspect`",
			check: func(c *client) {
				c.volume("vol", `"VolumeStore":"share"`)
				c.shows("share", "Status.VolumeStore", "/volumes/vol")
				c.refused(http.StatusNotFound, "nosuch", post, "/volumes/create", `{"Name":"new","DriverOpts":{"VolumeStore":"nosuch"}}`)
			},
		},
		{
			what: "`--driver`",
			how:  "`local` (Docker's default) and `vsphere` mean the same; volumes show `vsphere`",
			check: func(c *client) {
				for _, d := range []string{"local", "vsphere"} {
					c.works(post, "/volumes/create", `{"Name":"v`+d+`","Driver":"`+d+`"}`)
					c.shows("vsphere", "Driver", "/volumes/v"+d)
				}
				c.refused(http.StatusNotFound, `plugin "nfs" not found`, post, "/volumes/create", `{"Name":"vol","Driver":"nfs"}`)
			},
		},
		{
			what: "`-v name:/path[:ro]`, `--mount type=volume`, `--volumes-from`, `VOLUME`",
			how:  "as with Docker; `volume-opt=` takes the options above",
			check: func(c *client) {
				c.create("c1", `"Binds":["vol:/a:ro"],`+
					`"Mounts":[{"Type":"volume","Source":"new","Target":"/b","VolumeOptions":{"DriverConfig":{"Options":{"Capacity":"512"}}}}]`)
				c.shows("512MB", "Status.Capacity", "/volumes/new")
				id := c.create("c2", `"VolumesFrom":["c1"]`)
				if m := c.guest(id).Mounts; len(m) != 2 || m[0].Volume != "vol" || !m[0].ReadOnly || m[1].Volume != "new" || m[1].ReadOnly {
					c.Errorf("%+v", m)
				}
			},
		},
		{
			what: "image content",
			how:  "is copied into an empty volume when the container first starts (Docker: when it is created), unless `nocopy`",
			check: func(c *client) {
				for mode, want := range map[string]bool{"rw": true, "nocopy": false} {
					id := c.create("c"+mode, `"Binds":["vol`+mode+`:/a:`+mode+`"]`)
					if m := c.guest(id).Mounts; len(m) != 1 || m[0].Populate != want {
						c.Errorf("%s: %+v", mode, m)
					}
				}
			},
		},
		{
			what: "`docker start` of a second container with a volume",
			how: "refused with the name of the first while that one runs: one running container at a time can use a volume on a " +
				"datastore. Any number can use a volume on NFS",
			check: func(c *client) {
				c.volume("shared", `"VolumeStore":"share"`)
				for _, name := range []string{"first", "second"} {
					c.create(name, `"Binds":["db:/db"]`)
					c.create(name+"-nfs", `"Binds":["shared:/s"]`)
					c.start(name + "-nfs")
				}
				c.start("first")
				c.refused(http.StatusConflict, `volume "db" is in use by container first`, post, "/containers/second/start", "")
				c.works(post, "/containers/first/kill", "")
				c.start("second")
			},
		},
		{
			what: "many volumes",
			how:  "a container VM takes 15 disks: its root file system and 14 volumes on datastores",
			check: func(c *client) {
				binds := func(n int) string {
					var all []string
					for i := range n {
						all = append(all, fmt.Sprintf(`"v%d:/v%d"`, n*100+i, i))
					}
					return `"Binds":[` + strings.Join(all, ",") + `]`
				}
				c.create("most", binds(guest.MaxDisks-1))
				c.refused(http.StatusBadRequest, "the container needs 16 disks, 15 of them volumes; a container VM takes 15",
					post, "/containers/create", createBody(binds(guest.MaxDisks)))
			},
		},
		{
			what: "`docker rm -v`, `docker run --rm`, `docker volume prune`",
			how: "as with Docker. `SpaceReclaimed` of prune is what the volumes took on their datastore; volumes on NFS do not " +
				"count",
			check: func(c *client) {
				c.create("c1", `"Binds":["/anonymous","kept:/kept"]`)
				c.works(http.MethodDelete, "/containers/c1?v=1", "")
				if all, err := c.api.engine.Volumes.List(c.Context()); err != nil || len(all) != 1 || all[0].Name != "kept" {
					c.Errorf("%+v, %v", all, err)
				}
				c.volume("nfs", `"VolumeStore":"share"`)
				v, err := c.api.engine.Volumes.Get(c.Context(), "kept")
				if got := c.works(post, "/volumes/prune?filters="+`{"all":{"true":true}}`, "").body; err != nil || v.Used <= 0 || got["SpaceReclaimed"] != float64(v.Used) {
					c.Errorf("%+v; the volume took %d, %v", got, v.Used, err)
				}
			},
		},
		{
			what: "`vic volume grow NAME SIZE`",
			how: "for the administrator: enlarges a volume and its file system while no running container has it. Volumes cannot " +
				"shrink",
			check: func(c *client) {
				c.create("c1", `"Binds":["db:/db"]`)
				if v, err := c.api.engine.Volumes.Grow(c.Context(), "db", 2<<30); err != nil || v.Capacity != 2<<30 {
					c.Errorf("%+v, %v", v, err)
				}
				if _, err := c.api.engine.Volumes.Grow(c.Context(), "db", 1<<30); err == nil {
					c.Error("it was made smaller")
				}
				c.start("c1")
				var e *engine.Error
				if _, err := c.api.engine.Volumes.Grow(c.Context(), "db", 3<<30); !errors.As(err, &e) || !strings.Contains(e.Text, "it grows when that is stopped") {
					c.Error(err)
				}
			},
		},
	}
}
