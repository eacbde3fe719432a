package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

func TestPullAgainWritesNothing(t *testing.T) {
	alone(t)
	out := docker(t, "pull", "busybox")
	if !strings.Contains(out, "Downloaded newer image") && !strings.Contains(out, "up to date") {
		t.Fatalf("pull: %q", out)
	}
	before, err := theLab.Govc("datastore.ls", "-ds", "datastore1", "-R", "-l", harness.VCH+"/VIC")
	if err != nil {
		t.Fatal(err)
	}
	if out := docker(t, "pull", "busybox"); !strings.Contains(out, "Image is up to date") {
		t.Fatalf("second pull: %q", out)
	}
	after, err := theLab.Govc("datastore.ls", "-ds", "datastore1", "-R", "-l", harness.VCH+"/VIC")
	if err != nil {
		t.Fatal(err)
	}
	if before != after {
		t.Fatalf("the second pull wrote something:\n%s\n---\n%s", before, after)
	}
}

func TestPullOfEveryFormat(t *testing.T) {
	beside(t, harness.Own("busybox:zstd"))
	for _, ref := range []string{"busybox:schema2", "busybox:zstd", "multi"} {
		docker(t, "pull", ref)
		if got := docker(t, "run", "--rm", ref, "echo", "runs"); got != "runs\n" {
			t.Errorf("%s: %q", ref, got)
		}
	}
}

func TestImageInspectAndRemove(t *testing.T) {
	beside(t, harness.Own("busybox:zstd"))
	docker(t, "pull", "busybox:zstd")
	if got := docker(t, "images", "--format", "{{.Repository}}:{{.Tag}}"); !strings.Contains(got, "busybox:zstd\n") {
		t.Fatalf("images: %q", got)
	}
	if got := strings.TrimSpace(docker(t, "inspect", "--format", "{{.Os}}/{{.Architecture}}", "busybox:zstd")); got != "linux/amd64" {
		t.Fatalf("inspect: %q", got)
	}
	id := container(t, "busybox:zstd", "sleep", "36000")
	if r := dockerRun(t.Context(), nil, "rmi", "busybox:zstd"); r.Code == 0 {
		t.Fatalf("an image in use was removed: %q", r.Stdout)
	}
	docker(t, "rm", "-f", id)
	docker(t, "rmi", "busybox:zstd")
	if r := dockerRun(t.Context(), nil, "pull", harness.RegistryHost+"/no/such/image"); r.Code == 0 {
		t.Fatal("an image that is not there was pulled")
	}
}

func TestServersOnTheBridge(t *testing.T) {
	long(t)
	for _, image := range []string{"nginx", "redis", "postgres"} {
		start := time.Now()
		docker(t, "pull", "-q", image)
		progress("docker pull %s: %.1f s", image, time.Since(start).Seconds())
	}
	nginx := container(t, "nginx")
	redis := container(t, "redis")
	postgres := container(t, "-m", "512m", "postgres")
	ip := func(id string) string { return inspect(t, id, "{{.NetworkSettings.Networks.bridge.IPAddress}}") }
	client := container(t, "-m", "512m", "--entrypoint", "sleep", "postgres", "36000")
	redisClient := container(t, "--entrypoint", "sleep", "redis", "36000")
	web := container(t, "busybox", "sleep", "36000")
	for _, q := range []struct {
		from string
		args []string
		want string
	}{
		{web, []string{"wget", "-qO-", "http://" + ip(nginx) + "/"}, "Welcome to nginx!"},
		{redisClient, []string{"redis-cli", "-h", ip(redis), "PING"}, "PONG"},
		{client, []string{"psql", "-h", ip(postgres), "-U", "postgres", "-tAc", "select 6*7"}, "42"},
	} {
		took := await(t, func() string {
			r := dockerRun(t.Context(), nil, append([]string{"exec", q.from}, q.args...)...)
			if !strings.Contains(r.Stdout, q.want) {
				return fmt.Sprintf("%v: %+v", q.args, r)
			}
			return ""
		})
		progress("%v answered after %.1f s", q.args, took.Seconds())
	}
}

// chain returns the backing files of a VM's first disk, top first.
func chain(t *testing.T, vm string) []string {
	t.Helper()
	out, err := theLab.Govc("device.info", "-json", "-vm", vm, "disk-*")
	if err != nil {
		t.Fatal(err)
	}
	type backing struct {
		FileName string   `json:"fileName"`
		Parent   *backing `json:"parent"`
	}
	var info struct {
		Devices []struct {
			Backing backing `json:"backing"`
		} `json:"devices"`
	}
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		t.Fatal(err, out)
	}
	if len(info.Devices) == 0 {
		t.Fatalf("%s has no disk: %s", vm, out)
	}
	var files []string
	for b := &info.Devices[0].Backing; b != nil; b = b.Parent {
		files = append(files, b.FileName)
	}
	return files
}

// vmOf is the managed object reference of a container's VM, as govc takes it.
func vmOf(t *testing.T, id string) string {
	t.Helper()
	out, err := theLab.Govc("find", "-i", "/", "-type", "m", "-name", "*"+id[:12]+"*")
	if err != nil || strings.TrimSpace(out) == "" {
		t.Fatalf("no VM for %s: %v %s", id, err, out)
	}
	return strings.TrimSpace(strings.Split(out, "\n")[0])
}

func TestVSphereShowsTheContainerVM(t *testing.T) {
	beside(t)
	docker(t, "pull", "-q", "nginx")
	docker(t, "pull", "-q", "redis")
	nginx := container(t, "--name", "seen", "nginx")
	redis := container(t, "redis")
	vm := vmOf(t, nginx)
	await(t, func() string {
		out, err := theLab.Govc("vm.info", "-e", vm)
		for _, want := range []string{"guestinfo.vic.config", "guestinfo.vic.started", "poweredOn"} {
			if err != nil || !strings.Contains(out, want) {
				return fmt.Sprintf("no %s in %s %v", want, out, err)
			}
		}
		return ""
	})
	devices, err := theLab.Govc("device.info", "-vm", vm)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bootstrap", "VirtualVmxnet3", "ParaVirtualSCSI"} {
		if !strings.Contains(devices, want) {
			t.Errorf("no %s among the devices:\n%s", want, devices)
		}
	}
	if !regexp.MustCompile(`(?m)DVSwitch:|bridge`).MatchString(devices) {
		t.Errorf("the NIC is on no distributed port group:\n%s", devices)
	}
	found, err := theLab.Govc("find", "/", "-type", "a")
	if err != nil || !strings.Contains(found, "/"+harness.VCH) {
		t.Errorf("no vApp: %v %s", err, found)
	}
	layers := strings.Count(docker(t, "inspect", "--format", "{{range .RootFS.Layers}}{{println .}}{{end}}", "nginx"), "sha256:")
	nc := chain(t, vm)
	if len(nc) != layers+1 {
		t.Errorf("nginx has %d layers, the chain %d files, want %d: %v", layers, len(nc), layers+1, nc)
	}
	rc := chain(t, vmOf(t, redis))
	if nc[len(nc)-1] != rc[len(rc)-1] {
		t.Errorf("nginx and redis do not share their base: %v %v", nc, rc)
	}
}
