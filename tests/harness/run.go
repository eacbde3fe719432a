package harness

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

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

// WaitServing waits until the Docker API answers.
func (l *Lab) WaitServing() error {
	took, msg := Await(func() string {
		if r := l.Docker(context.Background(), nil, "version", "--format", "{{.Server.Version}}"); r.Code != 0 {
			return r.Stderr
		}
		return ""
	})
	if msg != "" {
		return fmt.Errorf("the Docker API does not answer after %s: %s", took, msg)
	}
	return nil
}

// Diagnose prints the ends of the logs to stderr.
func (l *Lab) Diagnose() {
	out, _ := Command(l.Bin("vic-lab"), "logs", "--dir", l.Dir)
	lines := strings.Split(out, "\n")
	if len(lines) > 60 {
		lines = lines[len(lines)-60:]
	}
	fmt.Fprintln(os.Stderr, "--- last lines of the lab's log\n"+strings.Join(lines, "\n"))
	logs, _ := filepath.Glob(filepath.Join(l.Dir, "datastores", "*", VCH, "*", "console.log"))
	more, _ := filepath.Glob(filepath.Join(l.Dir, "datastores", "*", VCH, "console.log"))
	for _, f := range append(logs, more...) {
		b, _ := os.ReadFile(f)
		if len(b) > 6000 {
			b = b[len(b)-6000:]
		}
		fmt.Fprintf(os.Stderr, "--- end of %s\n%s\n", filepath.Base(filepath.Dir(f)), b)
	}
}

// Consoles is what the VM of a container wrote last, and what its endpoint said of it: at most so many
// lines of each. The ID is a container's first twelve digits.
func (l *Lab) Consoles(id string, lines int) string {
	var out strings.Builder
	own, _ := filepath.Glob(filepath.Join(l.Dir, "datastores", "*", "*"+id, "console.log"))
	endpoint, _ := filepath.Glob(filepath.Join(l.Dir, "datastores", "*", VCH, "*", "console.log"))
	for _, f := range append(own, endpoint...) {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		var last []string
		for line := range strings.Lines(string(b)) {
			if slices.Contains(own, f) || strings.Contains(line, id) {
				last = append(last, line)
			}
		}
		fmt.Fprintf(&out, "--- %s\n%s", filepath.Base(filepath.Dir(f)), strings.Join(last[max(0, len(last)-lines):], ""))
	}
	return out.String()
}

// Down stops the lab and removes its folder.
func (l *Lab) Down() {
	if os.Getenv("VIC_E2E_KEEP") != "" {
		Progress("left running: %s", l.root)
		return
	}
	Progress("stopping the lab")
	if out, err := Command(l.Bin("vic-lab"), "down", "--dir", l.Dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err, out)
	}
	os.RemoveAll(l.root)
}

// Until are the options of vic-lab up for a lab that ends with this process, however that ends.
func Until() []string {
	if os.Getenv("VIC_E2E_KEEP") != "" {
		return nil
	}
	return []string{"--until", strconv.Itoa(os.Getpid())}
}

// downOnSignal takes the lab and its folder away when the tests are interrupted, and ends the process then.
// The function that it returns ends the watch.
func (l *Lab) downOnSignal() func() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-c:
			Progress("%s: ending", s)
			l.Down()
			os.Exit(130)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(c)
		close(done)
	}
}

// Inventory lists the VMs, vApps, folders and datastore files, one a line.
func (l *Lab) Inventory() (string, error) {
	var all strings.Builder
	for _, args := range [][]string{
		{"find", "/"},
		{"datastore.ls", "-ds", "datastore1", "-R"},
		{"datastore.ls", "-ds", "datastore2", "-R"},
	} {
		out, err := l.Govc(args...)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%v\n%s", args, out)
	}
	return all.String(), nil
}

// Govc runs govc against the lab.
func (l *Lab) Govc(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(l.Build, "tools", "govc"), args...)
	cmd.Env = append(os.Environ(), "GOVC_URL=https://"+VCenterHost+"/sdk", "GOVC_USERNAME="+User,
		"GOVC_PASSWORD="+Password, "GOVC_INSECURE=1", "GOVC_DATACENTER=dc1", "GOVC_PERSIST_SESSION=false")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("govc %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// Vic runs the vic CLI against the VCH's admin endpoint.
func (l *Lab) Vic(args ...string) (string, error) {
	return Command(l.Bin("vic"), append([]string{"--host", "tcp://" + AdminAddr, "--cert-path", l.Certs}, args...)...)
}

// Command runs a program and returns what it printed; the error holds it too.
func Command(name string, args ...string) (string, error) { return CommandWith(nil, name, args...) }

// CommandWith is Command with more of an environment.
func CommandWith(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Result is one run of the docker CLI.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// DockerCmd prepares the docker CLI with the VCH's certificates.
func (l *Lab) DockerCmd(ctx context.Context, args ...string) *exec.Cmd {
	return l.dockerCmd(ctx, Endpoint{DockerAddr, l.Certs}, args...)
}

// Endpoint is the Docker API of a VCH, and the folder of its certificates.
type Endpoint struct{ Addr, Certs string }

func (l *Lab) dockerCmd(ctx context.Context, e Endpoint, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, l.dockerPath(), args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=tcp://"+e.Addr, "DOCKER_TLS_VERIFY=1",
		"DOCKER_CERT_PATH="+e.Certs, "DOCKER_CONFIG="+filepath.Join(l.Dir, "docker-config"))
	return cmd
}

// dockerPath prefers the CLI that make deps built.
func (l *Lab) dockerPath() string {
	if p := l.Bin("docker"); exists(p) {
		return p
	}
	return "docker"
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// Docker runs the docker CLI, for Patience at most; Code is -1 if it could not be run.
func (l *Lab) Docker(ctx context.Context, stdin []byte, args ...string) Result {
	return l.DockerAt(ctx, Endpoint{DockerAddr, l.Certs}, stdin, args...)
}

// DockerAt is Docker for another VCH.
func (l *Lab) DockerAt(ctx context.Context, e Endpoint, stdin []byte, args ...string) Result {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	cmd := l.dockerCmd(ctx, e, args...)
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		r.Code, r.Stderr = -1, r.Stderr+err.Error()
	}
	return r
}

// fingerprint is the SHA-1 thumbprint of the certificate at addr, as vSphere shows it.
func fingerprint(addr string) (string, error) {
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return "", err
	}
	defer c.Close()
	sum := sha1.Sum(c.ConnectionState().PeerCertificates[0].Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"), nil
}
