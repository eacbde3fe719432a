package dockerapi_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lines are what ls -q prints, sorted.
func lines(names ...string) string {
	slices.Sort(names)
	return strings.Join(names, "\n") + "\n"
}

func TestVolumes(t *testing.T) {
	h := serve(t)
	h.want(0, "db\n", "volume", "create", "--label", "a=b", "-o", "Capacity=2GB", "db")
	h.want(0, "db\n", "volume", "create", "-d", "local", "db") // again, by Docker's default driver
	h.want(0, "web\n", "volume", "create", "-d", "vsphere", "-o", "VolumeStore=share", "web")
	anonymous := strings.TrimSpace(h.docker("volume", "create").out)
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(anonymous) {
		t.Errorf("made up name %q", anonymous)
	}
	h.want(0, "vsphere local map[a:b] map[Capacity:2GB] 2048MB default\n", "volume", "inspect", "-f",
		"{{.Driver}} {{.Scope}} {{.Labels}} {{.Options}} {{.Status.Capacity}} {{.Status.VolumeStore}}", "db")
	h.want(0, "filer.example:/export/web\n", "volume", "inspect", "-f", "{{.Mountpoint}}", "web")
	h.docker("create", "--name", "c1", "-v", "db:/data:ro", "--mount",
		"type=volume,source=new,target=/new,volume-nocopy,volume-label=x=y,volume-opt=Capacity=512", "busybox", "true")
	for filter, want := range map[string]string{
		"name=^db$": "db\n", "label=a=b": "db\n", "dangling=true": lines(anonymous, "web"), "dangling=false": "db\nnew\n",
		"driver=vsphere": lines(anonymous, "db", "new", "web"), "driver=x": "",
	} {
		h.want(0, want, "volume", "ls", "-q", "--filter", filter)
	}
	h.want(0, "map[x:y] 512MB\n", "volume", "inspect", "-f", "{{.Labels}} {{.Status.Capacity}}", "new")
	h.want(0, "volume db /data vsphere ro false; volume new /new vsphere  true; \n", "inspect", "-f",
		`{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.Driver}} {{.Mode}} {{.RW}}; {{end}}`, "c1")
	for _, ref := range []string{"db", "/data"} {
		h.want(0, "c1\n", "ps", "-a", "--filter", "volume="+ref, "--format", "{{.Names}}")
	}
	h.want(0, "", "ps", "-aq", "--filter", "volume=web")
	h.refused("remove db: volume is in use - [", "volume", "rm", "db")
	h.refused("get none: no such volume", "volume", "rm", "none")
	h.want(0, "none\n", "volume", "rm", "-f", "none")
	if r := h.docker("volume", "prune", "-f"); r.code != 0 || !strings.Contains(r.out, anonymous) || strings.Contains(r.out, "web") {
		t.Errorf("prune: %+v", r)
	}
	if r := h.docker("volume", "prune", "-af", "--filter", "label!=a"); r.code != 0 || !strings.Contains(r.out, "web") || strings.Contains(r.out, "db") {
		t.Errorf("prune -a: %+v", r)
	}
	h.want(0, "c1\n", "rm", "-v", "c1")
	h.want(0, "db\nnew\n", "volume", "ls", "-q")
}

func TestVolumesOfImagesAndOtherContainers(t *testing.T) {
	h := serve(t)
	const show = `{{range .Mounts}}{{.Destination}} {{.RW}}; {{end}}`
	id := strings.TrimSpace(h.docker("create", "--name", "r1", "-v", "/more/", "redis").out)
	h.want(0, "/data true; /more true; \n", "inspect", "-f", show, id)
	h.docker("create", "--name", "r2", "--volumes-from", "r1:ro", "-v", "mine:/more", "redis")
	h.want(0, "/data false; /more true; \n", "inspect", "-f", show, "r2")
	if n := strings.Count(h.docker("volume", "ls", "-q").out, "\n"); n != 3 {
		t.Errorf("%d volumes, want two of r1 and mine", n)
	}
	h.want(0, "r1\n", "rm", "-v", "r1")
	if n := strings.Count(h.docker("volume", "ls", "-q").out, "\n"); n != 2 {
		t.Errorf("%d volumes, want the one that r2 has of r1, and mine", n)
	}
	h.want(0, "r2\n", "rm", "-v", "r2")
	h.want(0, "mine\n", "volume", "ls", "-q")
	h.docker("create", "--name", "r3", "-v", "data:/data", "redis")
	h.want(0, "data\nmine\n", "volume", "ls", "-q")
}

func TestWrongVolumesAreRefused(t *testing.T) {
	h := serve(t)
	for text, args := range map[string][]string{
		"bind mounts (host paths) are not possible":                  {"create", "-v", "/var/run/docker.sock:/var/run/docker.sock", "busybox"},
		"docker volume create":                                       {"create", "--mount", "type=bind,source=/a,target=/b", "busybox"},
		"invalid mode: bad":                                          {"create", "-v", "vol:/a:bad", "busybox"},
		"Duplicate mount point: /a":                                  {"create", "-v", "vol:/a", "-v", "wol:/a", "busybox"},
		"No such container: nobody":                                  {"create", "--volumes-from", "nobody", "busybox"},
		`error looking up volume plugin nfs: plugin "nfs" not found`: {"create", "--volume-driver", "nfs", "-v", "vol:/a", "busybox"},
		`create v: error looking up volume plugin flocker`:           {"volume", "create", "-d", "flocker", "v"},
		`capacity "lots": give a number of MB`:                       {"volume", "create", "-o", "Capacity=lots", "vol"},
		`volume store nowhere`:                                       {"volume", "create", "-o", "VolumeStore=nowhere", "vol"},
		`create a!: "a!" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`: {"volume", "create", "a!"},
	} {
		h.refused(text, args...)
	}
	h.want(0, "", "volume", "ls", "-q")
	h.want(0, "", "ps", "-aq")
}
