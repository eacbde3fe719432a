package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The test lab has ports of its own, so that it can run beside the one of `make up`.
const (
	vcenterAddr  = "127.0.0.1:18989"
	vcenterHost  = "vcenter.vic-lab.test:18989"
	registryAddr = "127.0.0.1:15000"
	registryHost = "registry.vic-lab.test:15000"
	dockerAddr   = "127.0.0.1:12376"
	adminAddr    = "127.0.0.1:12378"
	vcUser       = "administrator@vsphere.local"
	vcPassword   = "VMware1!"
	vchName      = "e2e"
)

// lab is the one lab of this test run.
type lab struct {
	build      string // folder of binaries, ISOs and images
	dir        string // the lab's state
	certs      string // the VCH's certificates
	thumbprint string
	before     string // inventory and datastores before the VCH was made
	created    time.Duration
}

var theLab lab

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	build := os.Getenv("VIC_E2E_BUILD")
	if build == "" {
		build = "../../build"
	}
	build, err := filepath.Abs(build)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := os.Stat(filepath.Join(build, "iso", "appliance.iso")); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v: run `make e2e`, which builds what these tests need\n", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "vic-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	theLab = lab{build: build, dir: filepath.Join(dir, "lab"), certs: filepath.Join(dir, "certs")}
	defer theLab.down(dir)
	if err := theLab.up(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		theLab.diagnose()
		return 1
	}
	code := m.Run()
	if code != 0 {
		theLab.diagnose()
	}
	return code
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "e2e %s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

func (l *lab) bin(name string) string { return filepath.Join(l.build, "bin", name) }

// up starts the lab and makes the VCH.
func (l *lab) up() error {
	progress("starting the lab")
	if _, err := command(l.bin("vic-lab"), "up", "--dir", l.dir, "--listen", vcenterAddr,
		"--registry", registryAddr, "--registry-root", filepath.Join(l.build, "registry")); err != nil {
		return err
	}
	tp, err := fingerprint(vcenterAddr)
	if err != nil {
		return err
	}
	l.thumbprint = tp
	if l.before, err = l.inventory(); err != nil {
		return err
	}
	progress("making the VCH")
	start := time.Now()
	if out, err := l.create(vchName); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	l.created = time.Since(start)
	progress("the VCH serves after %.1f s", l.created.Seconds())
	for _, f := range []string{dockerAddr + ":2376", adminAddr + ":2378"} {
		if _, err := command(l.bin("vic-lab"), "forward", "--dir", l.dir, "add", vchName, f); err != nil {
			return err
		}
	}
	return l.waitServing(time.Minute)
}

// create runs vic-machine create with this lab's resources; more options come last and win.
func (l *lab) create(name string, more ...string) (string, error) {
	args := []string{"create", "--target", vcenterHost, "--user", vcUser, "--password", vcPassword,
		"--thumbprint", l.thumbprint, "--compute-resource", "cluster1", "--image-store", "datastore1",
		"--bridge-network", "bridge", "--public-network", "public", "--name", name,
		"--tls-cname", "127.0.0.1", "--cert-path", l.certs, "--endpoint-memory", "1024",
		"--registry-mirror", "http://" + registryHost, "--insecure-registry", registryHost,
		"--appliance-iso", filepath.Join(l.build, "iso", "appliance.iso"),
		"--bootstrap-iso", filepath.Join(l.build, "iso", "bootstrap.iso"), "--timeout", "6m"}
	return command(l.bin("vic-machine"), override(args, more)...)
}

// override replaces the values of options in args that more names too.
func override(args, more []string) []string {
	out := append([]string{}, args...)
	for i := 0; i+1 < len(more); i += 2 {
		found := false
		for j := range out {
			if out[j] == more[i] && j+1 < len(out) {
				out[j+1], found = more[i+1], true
			}
		}
		if !found {
			out = append(out, more[i], more[i+1])
		}
	}
	return out
}

func (l *lab) waitServing(d time.Duration) error {
	end := time.Now().Add(d)
	for {
		r := dockerRun(context.Background(), nil, "version", "--format", "{{.Server.Version}}")
		if r.code == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the Docker API does not answer after %s: %s", d, r.stderr)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (l *lab) diagnose() {
	out, _ := command(l.bin("vic-lab"), "logs", "--dir", l.dir)
	lines := strings.Split(out, "\n")
	if len(lines) > 60 {
		lines = lines[len(lines)-60:]
	}
	fmt.Fprintln(os.Stderr, "--- last lines of the lab's log\n"+strings.Join(lines, "\n"))
	logs, _ := filepath.Glob(filepath.Join(l.dir, "datastores", "*", vchName, "*", "console.log"))
	more, _ := filepath.Glob(filepath.Join(l.dir, "datastores", "*", vchName, "console.log"))
	for _, f := range append(logs, more...) {
		b, _ := os.ReadFile(f)
		if len(b) > 6000 {
			b = b[len(b)-6000:]
		}
		fmt.Fprintf(os.Stderr, "--- end of %s\n%s\n", filepath.Base(filepath.Dir(f)), b)
	}
}

func (l *lab) down(dir string) {
	if os.Getenv("VIC_E2E_KEEP") != "" {
		progress("left running: %s", dir)
		return
	}
	progress("stopping the lab")
	if out, err := command(l.bin("vic-lab"), "down", "--dir", l.dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err, out)
	}
	os.RemoveAll(dir)
}

// inventory lists the VMs, vApps, folders and datastore files, one a line.
func (l *lab) inventory() (string, error) {
	var all strings.Builder
	for _, args := range [][]string{
		{"find", "/"},
		{"datastore.ls", "-ds", "datastore1", "-R"},
		{"datastore.ls", "-ds", "datastore2", "-R"},
	} {
		out, err := l.govc(args...)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%v\n%s", args, out)
	}
	return all.String(), nil
}

// govc runs govc against the lab.
func (l *lab) govc(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(l.build, "tools", "govc"), args...)
	cmd.Env = append(os.Environ(), "GOVC_URL=https://"+vcenterHost+"/sdk", "GOVC_USERNAME="+vcUser,
		"GOVC_PASSWORD="+vcPassword, "GOVC_INSECURE=1", "GOVC_DATACENTER=dc1", "GOVC_PERSIST_SESSION=false")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("govc %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// vic runs the vic CLI against the VCH's admin endpoint.
func (l *lab) vic(args ...string) (string, error) {
	return command(l.bin("vic"), append([]string{"--host", "tcp://" + adminAddr, "--cert-path", l.certs}, args...)...)
}

// command runs a program and returns what it printed; the error holds it too.
func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// result is one run of the docker CLI.
type result struct {
	stdout, stderr string
	code           int
}

// dockerCmd prepares the docker CLI with the VCH's certificates.
func dockerCmd(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, dockerPath(), args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=tcp://"+dockerAddr, "DOCKER_TLS_VERIFY=1",
		"DOCKER_CERT_PATH="+theLab.certs, "DOCKER_CONFIG="+filepath.Join(theLab.dir, "docker-config"))
	return cmd
}

// dockerPath prefers the CLI that make deps built.
func dockerPath() string {
	if p := theLab.bin("docker"); exists(p) {
		return p
	}
	return "docker"
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

func dockerRun(ctx context.Context, stdin []byte, args ...string) result {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := dockerCmd(ctx, args...)
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := result{stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		r.code, r.stderr = -1, r.stderr+err.Error()
	}
	return r
}

// docker runs the docker CLI and fails the test if it fails.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	r := dockerRun(t.Context(), nil, args...)
	if r.code != 0 {
		t.Fatalf("docker %s: exit %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// within calls f until it returns "" or the time is over; what it returned last is the failure.
func within(t *testing.T, d time.Duration, f func() string) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		msg := f()
		if msg == "" {
			return time.Since(start)
		}
		if time.Since(start) > d {
			t.Fatalf("not within %s: %s", d, msg)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// container starts a detached container that is removed at the end of the test.
func container(t *testing.T, args ...string) string {
	t.Helper()
	id := strings.TrimSpace(docker(t, append([]string{"run", "-d"}, args...)...))
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rm", "-f", id) })
	return id
}

func inspect(t *testing.T, id, format string) string {
	t.Helper()
	return strings.TrimSpace(docker(t, "inspect", "--format", format, id))
}

func free(addr string) bool {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	ln.Close()
	return true
}
