package dockerapi_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/distribution/reference"
	"github.com/docker/distribution"
	"github.com/docker/docker/api/types/backend"
	"github.com/docker/docker/api/types/filters"
	imagetypes "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	dockerevents "github.com/docker/docker/daemon/events"
	"github.com/docker/docker/errdefs"
	dockerimage "github.com/docker/docker/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/dockerapi"
	"github.com/openvic/vic/core/engine"
	"github.com/openvic/vic/core/engine/enginetest"
	"github.com/openvic/vic/core/event"
)

const imageID = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// fakeImages holds one image under two names: busybox, and redis with a volume.
type fakeImages struct{}

func (fakeImages) Resolve(_ context.Context, ref string) (dockerapi.Image, error) {
	i := dockerapi.Image{Image: engine.Image{ID: imageID, Ref: ref, Layer: enginetest.Layer},
		Manifest: &ocispec.Descriptor{Digest: imageID, Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"}}}
	i.Config.Env = []string{"FROM_IMAGE=1"}
	i.Config.Cmd = []string{"sh"}
	switch ref {
	case "busybox", "busybox:latest", imageID:
		return i, nil
	case "redis":
		i.Config.Volumes = map[string]struct{}{"/data": {}}
		return i, nil
	}
	return i, errdefs.NotFound(errors.New("No such image: " + ref))
}

func (fakeImages) Fetch(_ context.Context, url string) (io.ReadCloser, error) {
	if url != "http://files.example.com/a.tar" {
		return nil, errdefs.Forbidden(errors.New("not from there"))
	}
	return io.NopCloser(strings.NewReader("a file")), nil
}

func (fakeImages) Commit(ctx context.Context, r dockerapi.CommitRequest) (string, error) {
	return imageID, r.Diff(ctx, io.Discard)
}

func (fakeImages) Images(context.Context, imagetypes.ListOptions) ([]*imagetypes.Summary, error) {
	return []*imagetypes.Summary{{ID: imageID, RepoTags: []string{"busybox:latest"}, RepoDigests: []string{}, Size: 1 << 20}}, nil
}
func (fakeImages) ImageInspect(_ context.Context, ref string, _ backend.ImageInspectOpts) (*imagetypes.InspectResponse, error) {
	if _, err := (fakeImages{}).Resolve(context.Background(), ref); err != nil {
		return nil, err
	}
	return &imagetypes.InspectResponse{ID: imageID, Os: "linux", Architecture: "amd64"}, nil
}
func (fakeImages) GetRepositories(context.Context, reference.Named, *registry.AuthConfig) ([]distribution.Repository, error) {
	return nil, nil
}
func (fakeImages) AuthenticateToRegistry(context.Context, *registry.AuthConfig) (string, string, error) {
	return "Login Succeeded", "", nil
}
func (fakeImages) ImageDelete(context.Context, string, imagetypes.RemoveOptions) ([]imagetypes.DeleteResponse, error) {
	return nil, nil
}
func (fakeImages) ImageHistory(context.Context, string, *ocispec.Platform) ([]*imagetypes.HistoryResponseItem, error) {
	return nil, nil
}
func (fakeImages) GetImage(context.Context, string, backend.GetImageOpts) (*dockerimage.Image, error) {
	return nil, errdefs.NotFound(errors.New("none"))
}
func (fakeImages) TagImage(context.Context, dockerimage.ID, reference.Named) error { return nil }
func (fakeImages) ImagesPrune(context.Context, filters.Args) (*imagetypes.PruneReport, error) {
	return &imagetypes.PruneReport{}, nil
}
func (fakeImages) LoadImage(context.Context, io.ReadCloser, *ocispec.Platform, io.Writer, bool) error {
	return nil
}
func (fakeImages) ImportImage(_ context.Context, _ reference.Named, _ *ocispec.Platform, msg string, layer io.Reader, _ []string) (dockerimage.ID, error) {
	b, err := io.ReadAll(layer)
	return dockerimage.ID("sha256:" + msg + ": " + string(b)), err
}
func (fakeImages) ExportImage(context.Context, []string, *ocispec.Platform, io.Writer) error {
	return nil
}
func (fakeImages) PullImage(_ context.Context, ref reference.Named, _ *ocispec.Platform, _ map[string][]string, _ *registry.AuthConfig, _ io.Writer) error {
	return errdefs.NotFound(fmt.Errorf("%s is not here", ref))
}
func (fakeImages) PushImage(context.Context, reference.Named, *ocispec.Platform, map[string][]string, *registry.AuthConfig, io.Writer) error {
	return nil
}
func (fakeImages) Search(context.Context, filters.Args, string, int, *registry.AuthConfig, map[string][]string) ([]registry.SearchResult, error) {
	return nil, nil
}

// host is a served API and a docker CLI for it.
type host struct {
	t     *testing.T
	world *enginetest.World
	hub   *event.Hub
	sock  string
	home  string
}

func serve(t *testing.T) *host {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("the docker CLI is not installed")
	}
	t.Parallel()
	dir, err := os.MkdirTemp("", "api") // short: a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := enginetest.New(t)
	e, hub, _ := w.Engine()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	h, err := dockerapi.New(ctx, dockerapi.Options{Engine: e, Images: fakeImages{}, Hub: hub, Events: dockerevents.New(), Name: "vch1", Version: "test", ID: "id"})
	if err != nil {
		t.Fatal(err)
	}
	sock := filepath.Join(dir, "s")
	ls, err := dockerapi.Listen([]string{"unix://" + sock}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(ls[0]) }()
	t.Cleanup(func() { srv.Close() })
	return &host{t: t, world: w, hub: hub, sock: sock, home: dir}
}

func (h *host) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	h.t.Cleanup(cancel)
	c := exec.CommandContext(ctx, "docker", args...)
	c.Env = []string{"DOCKER_HOST=unix://" + h.sock, "HOME=" + h.home, "PATH=" + os.Getenv("PATH")}
	return c
}

type result struct {
	out, err string
	code     int
}

func (h *host) docker(args ...string) result { return h.dockerIn("", args...) }

func (h *host) dockerIn(in string, args ...string) result {
	h.t.Helper()
	c := h.command(args...)
	var out, errOut bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(in), &out, &errOut
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("docker %v: %v", args, err)
	}
	return result{out.String(), errOut.String(), c.ProcessState.ExitCode()}
}

func (h *host) want(code int, out string, args ...string) result {
	h.t.Helper()
	r := h.docker(args...)
	if r.code != code || r.out != out {
		h.t.Errorf("docker %s: code %d, output %q, stderr %q; want code %d, output %q", strings.Join(args, " "), r.code, r.out, r.err, code, out)
	}
	return r
}

func (h *host) refused(text string, args ...string) {
	h.t.Helper()
	r := h.docker(args...)
	if r.code == 0 || !strings.Contains(r.err, text) {
		h.t.Errorf("docker %s: code %d, stderr %q; want an error with %q", strings.Join(args, " "), r.code, r.err, text)
	}
}

// eventually waits for a condition that comes with an event of the hub, which it looks at again at each.
func (h *host) eventually(what string, cond func() bool) {
	h.t.Helper()
	happened := make(chan struct{}, 1)
	defer h.hub.Subscribe(func(event.Event) {
		select {
		case happened <- struct{}{}:
		default:
		}
	})()
	late := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-happened:
		case <-late:
			h.t.Fatalf("not %s", what)
		}
	}
}

func TestRun(t *testing.T) {
	h := serve(t)
	h.want(0, "hello\n", "run", "--rm", "busybox", "echo", "hello")
	h.want(7, "", "run", "--rm", "busybox", "sh", "-c", "exit 7")
	if r := h.docker("run", "--rm", "busybox", "err", "oops"); r.out != "" || r.err != "oops\n" {
		t.Errorf("stderr: %+v", r)
	}
	if r := h.dockerIn("hi\n", "run", "-i", "--rm", "busybox", "cat"); r.out != "hi\n" || r.code != 0 {
		t.Errorf("stdin: %+v", r)
	}
	r := h.docker("run", "--rm", "-e", "A=b", "-h", "box", "busybox", "env")
	for _, v := range []string{"A=b\n", "FROM_IMAGE=1\n", "HOSTNAME=box\n", "PATH="} {
		if !strings.Contains(r.out, v) {
			t.Errorf("environment lacks %q: %q", v, r.out)
		}
	}
	if r := h.docker("run", "--rm", "busybox", "nosuch"); r.code != 127 || !strings.Contains(r.err, "executable file not found") {
		t.Errorf("missing program: %+v", r)
	}
	h.want(0, "", "ps", "-aq")
}

func TestRunDetachedAndItsLife(t *testing.T) {
	h := serve(t)
	r := h.docker("run", "-d", "--name", "web", "--label", "tier=front", "-m", "300m", "--cpus", "1.5", "busybox", "sleep")
	id := strings.TrimSpace(r.out)
	if len(id) != 64 {
		t.Fatalf("run -d: %+v", r)
	}
	h.want(0, "web \"sleep\" running\n", "ps", "--format", "{{.Names}} {{.Command}} {{.State}}", "--no-trunc", "--filter", "status=running")
	h.want(0, "172.16.0.2 172.16.0.1 true\n", "inspect", "-f",
		"{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Networks.bridge.Gateway}} {{.State.Running}}", "web")
	h.want(0, "web\n", "stop", "web")
	h.want(0, "143 exited\n", "inspect", "-f", "{{.State.ExitCode}} {{.State.Status}}", id[:12])
	h.want(0, "web\n", "start", "web")
	h.want(0, "web\n", "restart", "web")
	h.want(0, "", "rename", "web", "web2")
	h.want(0, "web2\n", "kill", "web2")
	h.want(0, "137\n", "wait", "web2")
	h.refused("is not running", "kill", "web2")
	h.want(0, "web2\n", "rm", "web2")
	h.refused("No such container: web2", "start", "web2")
}

func TestPsFilters(t *testing.T) {
	h := serve(t)
	h.docker("run", "-d", "--name", "up", "--label", "a=1", "busybox", "sleep")
	h.docker("run", "--name", "three", "busybox", "sh", "-c", "exit 3")
	h.docker("create", "--name", "fresh", "busybox", "true")
	for filter, want := range map[string]string{
		"": "fresh\nthree\nup\n", "status=exited": "three\n", "status=created": "fresh\n", "label=a": "up\n", "label=a=2": "",
		"name=^/?up$": "up\n", "name=r": "fresh\nthree\n", "exited=3": "three\n", "exited=0": "", "ancestor=busybox": "fresh\nthree\nup\n",
		"ancestor=nosuch": "", "before=three": "up\n", "since=three": "fresh\n", "network=bridge": "fresh\nthree\nup\n", "network=none": "",
		"health=none": "fresh\nthree\nup\n", "is-task=true": "", "is-task=false": "fresh\nthree\nup\n", "volume=/data": "",
	} {
		args := []string{"ps", "-a", "--format", "{{.Names}}"}
		if filter != "" {
			args = append(args, "--filter", filter)
		}
		h.want(0, want, args...)
	}
	h.want(0, "fresh\n", "ps", "-l", "--format", "{{.Names}}")
	h.refused("invalid filter", "ps", "--filter", "nosuch=1")
}

func TestLogs(t *testing.T) {
	h := serve(t)
	h.docker("run", "--name", "c1", "busybox", "count", "5", "1")
	h.want(0, "line 0\nline 1\nline 2\nline 3\nline 4\n", "logs", "c1")
	h.want(0, "line 3\nline 4\n", "logs", "--tail", "2", "-f", "c1")
	if r := h.docker("logs", "-t", "--tail", "1", "c1"); !strings.HasPrefix(r.out, "20") || !strings.HasSuffix(r.out, "Z line 4\n") {
		t.Errorf("timestamps: %q", r.out)
	}
	h.want(0, "", "logs", "--since", "2100-01-01T00:00:00Z", "c1")
	h.docker("run", "-d", "--name", "c2", "busybox", "count", "100", "5")
	if r := h.docker("logs", "-f", "c2"); strings.Count(r.out, "\n") != 100 {
		t.Errorf("follow: %d lines", strings.Count(r.out, "\n"))
	}
}

func TestExecAndAttach(t *testing.T) {
	h := serve(t)
	h.docker("run", "-d", "-i", "--name", "c1", "busybox", "cat")
	h.want(0, "hi\n", "exec", "c1", "echo", "hi")
	h.want(4, "", "exec", "c1", "sh", "-c", "exit 4")
	h.want(0, "", "exec", "-d", "c1", "sleep")
	if r := h.dockerIn("in\n", "exec", "-i", "c1", "cat"); r.out != "in\n" {
		t.Errorf("exec -i: %+v", r)
	}
	if r := h.docker("exec", "c1", "nosuch"); r.code != 127 {
		t.Errorf("exec of a missing program: %+v", r)
	}
	// Input that ends detaches a client, as at dockerd at once: it sees only what has come back by then.
	c := h.command("attach", "c1")
	in, _ := c.StdinPipe()
	out, _ := c.StdoutPipe()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	_, _ = io.WriteString(in, "typed\n")
	if line, err := lines.ReadString('\n'); err != nil || line != "typed\n" {
		t.Errorf("attach: %v, %q", err, line)
	}
	_, _ = io.WriteString(in, "exit\n")
	_ = in.Close()
	if rest, _ := io.ReadAll(lines); len(rest) > 0 {
		t.Errorf("attach, after its input: %q", rest)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("attach: %v", err)
	}
	h.want(0, "0\n", "wait", "c1")
	h.refused("is not running", "exec", "c1", "echo")
}

// A URL is fetched by the image service, which knows where the endpoint may be sent, and not by Docker's router.
func TestImportOfAURL(t *testing.T) {
	h := serve(t)
	r := h.docker("import", "http://files.example.com/a.tar", "imported:1")
	if !strings.Contains(r.out, "sha256:Imported from http://files.example.com/a.tar: a file") {
		t.Errorf("import: %+v", r)
	}
	h.refused("not from there", "import", "http://127.0.0.1:2378/", "imported:1")
}

func TestAttachSurvivesABrokenLink(t *testing.T) {
	h := serve(t)
	c := h.command("run", "--name", "c1", "busybox", "count", "80", "5")
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); n++ {
		if want := fmt.Sprintf("line %d", n); lines.Text() != want {
			t.Errorf("%q, want %q", lines.Text(), want)
		}
		if n == 10 || n == 30 || n == 50 {
			h.world.Tether(strings.TrimSpace(h.docker("ps", "-q", "--no-trunc").out)).Break()
		}
	}
	if err := c.Wait(); err != nil || n != 80 {
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestEvents(t *testing.T) {
	h := serve(t)
	h.docker("run", "--rm", "--name", "c1", "busybox", "true")
	// Docker's event log keeps an event before it publishes it: who asks in between is told of it twice.
	// The last one is there when the command ends.
	h.eventually("the container's five events, once each", func() bool {
		since, until := "2020-01-01T00:00:00Z", time.Now().Add(time.Second).UTC().Format(time.RFC3339)
		r := h.docker("events", "--since", since, "--until", until, "--filter", "container=c1", "--format", "{{.Action}}")
		return strings.Replace(r.out, "kill\n", "", 1) == "create\nattach\nstart\ndie\ndestroy\n"
	})
}

func TestOutsideChangesShow(t *testing.T) {
	h := serve(t)
	id := strings.TrimSpace(h.docker("run", "-d", "--name", "c1", "busybox", "sleep").out)
	h.world.Compute.PowerOff(id)
	h.eventually("exited", func() bool {
		return strings.HasPrefix(h.docker("ps", "-a", "--format", "{{.Status}}").out, "Exited (137)")
	})
	h.want(0, "c1\n", "start", "c1")
	h.world.Compute.Delete(id)
	h.eventually("gone", func() bool { return h.docker("ps", "-aq").out == "" })
}

func TestSystem(t *testing.T) {
	h := serve(t)
	if r := h.docker("version", "--format", "{{.Server.Version}} {{.Server.APIVersion}}"); r.out != "28.5.2 1.51\n" {
		t.Errorf("version: %+v", r)
	}
	if r := h.docker("info", "--format", "{{.Name}} {{.ServerVersion}} {{.Images}}"); r.out != "vch1 28.5.2 1\n" {
		t.Errorf("info: %+v", r)
	}
	h.want(0, "bridge bridge\nnone null\n", "network", "ls", "--format", "{{.Name}} {{.Driver}}")
	h.want(0, "172.16.0.0/16\n", "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "bridge")
	h.want(0, "busybox\n", "images", "--format", "{{.Repository}}")
	h.want(0, "", "volume", "ls", "-q")
}

func TestRefusals(t *testing.T) {
	h := serve(t)
	run := func(option string, args ...string) {
		t.Helper()
		h.refused("option "+option, append(append([]string{"create"}, args...), "busybox", "true")...)
	}
	run("-v /a:/b", "-v", "/a:/b")
	run("--mount type=bind,source=/a", "--mount", "type=bind,source=/a,target=/x")
	run("--mount volume-subpath", "--mount", "type=volume,source=v1,target=/x,volume-subpath=a")
	run("--network host", "--network", "host")
	run("--device", "--device", "/dev/null")
	run("--pid", "--pid", "host")
	run("--ipc host", "--ipc", "host")
	run("--log-driver syslog", "--log-driver", "syslog")
	run("--gpus", "--gpus", "all")
	for _, args := range [][]string{{"plugin", "install", "x"}, {"swarm", "init"}} {
		h.refused("is not supported by this version of the virtual container host", args...)
	}
}

func TestHarmlessOptionsPass(t *testing.T) {
	h := serve(t)
	r := h.docker("create", "--name", "c1", "--restart", "no", "--init", "--dns", "1.1.1.1", "--add-host", "a:1.2.3.4", "--read-only",
		"--stop-signal", "USR1", "--stop-timeout", "3", "--log-opt", "max-size=1m", "--network", "bridge", "--expose", "80", "--no-healthcheck", "--user",
		"1:1", "-w", "/w", "--group-add", "7", "--memory-swap", "128m", "-m", "128m", "busybox")
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	h.want(0, "[sh] /w 1:1\n", "inspect", "-f", "{{.Config.Cmd}} {{.Config.WorkingDir}} {{.Config.User}}", "c1")
}

func TestErrorsAreDockers(t *testing.T) {
	h := serve(t)
	h.docker("run", "-d", "--name", "c1", "busybox", "sleep")
	h.refused(`Conflict. The container name "/c1" is already in use by container`, "create", "--name", "c1", "busybox")
	h.refused("cannot remove container \"c1\": container is running: stop the container before removing or force remove", "rm", "c1")
	h.refused("Invalid container name (a/b), only", "create", "--name", "a/b", "busybox")
	h.refused("No such container: zzz", "logs", "zzz")
	h.refused("Minimum memory limit allowed is 6MB", "create", "-m", "4m", "busybox")
	h.refused("Unable to find image 'nosuch:latest' locally", "run", "nosuch")
	h.refused("network zzz not found", "network", "inspect", "zzz")
}

// terminal runs docker in a terminal of its own.
func (h *host) terminal(rows, cols uint16, args ...string) (*os.File, *exec.Cmd) {
	h.t.Helper()
	c := h.command(args...)
	f, err := pty.StartWithSize(c, &pty.Winsize{Rows: rows, Cols: cols})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { f.Close() })
	return f, c
}

func TestTerminal(t *testing.T) {
	h := serve(t)
	f, c := h.terminal(30, 100, "run", "-it", "--rm", "busybox", "size")
	out, _ := io.ReadAll(f) // ends with an error when the terminal is gone
	if err := c.Wait(); err != nil || !strings.Contains(string(out), "100x30") {
		t.Errorf("size: %v, %q", err, out)
	}
	f, c = h.terminal(30, 100, "run", "-it", "--name", "c1", "busybox", "cat")
	h.eventually("running", func() bool { return h.docker("ps", "-q").out != "" })
	_, _ = f.Write([]byte{16, 17}) // ctrl-p ctrl-q
	_, _ = io.ReadAll(f)
	_ = c.Wait()
	h.want(0, "c1\n", "ps", "--format", "{{.Names}}")
	f, c = h.terminal(30, 100, "attach", "c1")
	_, _ = f.Write([]byte("again\nexit\n"))
	out, _ = io.ReadAll(f)
	if err := c.Wait(); err != nil || !strings.Contains(string(out), "again") {
		t.Errorf("attach: %v, %q", err, out)
	}
}

func TestLifeOfAContainerOverTheCLI(t *testing.T) {
	h := serve(t)
	h.docker("run", "-d", "--name", "c1", "--restart", "unless-stopped", "-m", "100m", "busybox", "sleep")
	h.want(0, "unless-stopped 0 104857600 128 67108864\n", "inspect", "-f",
		"{{.HostConfig.RestartPolicy.Name}} {{.RestartCount}} {{.HostConfig.Memory}} {{.GraphDriver.Data.MemoryMB}} {{.HostConfig.ShmSize}}", "c1")
	h.want(0, "c1\n", "pause", "c1")
	h.refused("is already paused", "pause", "c1")
	h.refused("is paused, unpause the container before exec", "exec", "c1", "true")
	h.refused("cannot start a paused container, try unpause instead", "start", "c1")
	h.want(0, "true paused\n", "inspect", "-f", "{{.State.Paused}} {{.State.Status}}", "c1")
	h.want(0, "c1\n", "unpause", "c1")
	h.refused("is not paused", "unpause", "c1")
	if r := h.docker("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}",
		"c1"); r.out != "c1 100.00% 8MiB / 256MiB 1kB / 2kB 4.1kB / 8.19kB 1\n" {
		t.Errorf("stats: %+v", r)
	}
	h.want(0, "PID                 COMMAND\n42                  sleep\n", "top", "c1", "-o", "pid,comm")
	h.want(0, "c1\n", "update", "--restart", "on-failure:2", "--pids-limit", "7", "c1")
	h.want(0, "on-failure 2 7\n", "inspect", "-f", "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.HostConfig.PidsLimit}}", "c1")
	h.refused("stop the container first", "update", "-m", "1g", "c1")
	h.want(0, "c1\n", "stop", "-t", "1", "c1")
	h.refused("is not running", "top", "c1")
	h.refused("is not running", "pause", "c1")
	h.want(0, "c1\n", "update", "-m", "1g", "c1")
	h.want(0, "1073741824 1024\n", "inspect", "-f", "{{.HostConfig.Memory}} {{.GraphDriver.Data.MemoryMB}}", "c1")
	if r := h.docker("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}}", "c1"); r.code != 0 {
		t.Errorf("stats of a stopped one: %+v", r)
	}
}

func TestARestartingContainerIsSeen(t *testing.T) {
	h := serve(t)
	h.docker("run", "-d", "--name", "c1", "--restart", "on-failure:2", "busybox", "exit", "3")
	h.want(0, "3\n", "wait", "c1")
	h.eventually("given up", func() bool {
		return h.docker("ps", "-a", "--filter", "status=exited", "--filter", "exited=3", "-q").out != ""
	})
	h.want(0, "2\n", "inspect", "-f", "{{.RestartCount}}", "c1")
	h.want(0, "", "ps", "--filter", "status=restarting", "-q")
}
