package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// machine runs a vic-machine command for the VCH; program is another build of it, or empty.
func machine(t *testing.T, program, verb string, args ...string) (string, error) {
	t.Helper()
	if program == "" {
		program = theLab.Bin("vic-machine")
	}
	start := time.Now()
	all := append(append(strings.Fields(verb), theLab.Access()...), append([]string{"--name", harness.VCH}, args...)...)
	out, err := harness.Command(program, all...)
	progress("vic-machine %s: %.1f s", verb, time.Since(start).Seconds())
	return out, err
}

func mustMachine(t *testing.T, program, verb string, args ...string) string {
	t.Helper()
	out, err := machine(t, program, verb, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// talkers are two containers with one TCP connection between them: the client sends a numbered line
// five times a second, and prints it; the server keeps what it gets.
type talkers struct{ server, client string }

func startTalkers(t *testing.T) talkers {
	t.Helper()
	server := container(t, "busybox", "sh", "-c", "sleep 7200 | nc -l -p 9000 > /got; echo the connection has ended; sleep 36000")
	ip := inspect(t, server, "{{.NetworkSettings.Networks.bridge.IPAddress}}")
	client := container(t, "busybox", "sh", "-c",
		"sleep 1; i=0; while :; do i=$((i+1)); echo $i; echo $i >&2; usleep 200000; done | nc "+ip+" 9000")
	k := talkers{server, client}
	await(t, func() string {
		if k.received(t) < 5 {
			c, s := dockerRun(t.Context(), nil, "logs", client), dockerRun(t.Context(), nil, "logs", server)
			return fmt.Sprintf("the server gets nothing; client: %.300s, server: %.300s", c.Stdout+c.Stderr, s.Stdout+s.Stderr)
		}
		return ""
	})
	return k
}

// received is the last number that the server has.
func (k talkers) received(t *testing.T) int {
	t.Helper()
	r := dockerRun(t.Context(), nil, "exec", k.server, "tail", "-n", "1", "/got")
	n, err := strconv.Atoi(strings.TrimSpace(r.Stdout))
	if err != nil {
		return 0
	}
	return n
}

// check sees that the connection is the one of the beginning, that it still carries lines, and that no
// line was lost, neither on the connection nor in the log.
func (k talkers) check(t *testing.T, after string) {
	t.Helper()
	before := k.received(t)
	await(t, func() string {
		if now := k.received(t); now <= before {
			return fmt.Sprintf("after %s: no line comes any more after %d", after, before)
		}
		return ""
	})
	if got := docker(t, "exec", k.server, "cat", "/got"); everyLineOnce(completeLines(got)) != "" {
		t.Errorf("after %s: on the connection: %s", after, everyLineOnce(completeLines(got)))
	}
	r := dockerRun(t.Context(), nil, "logs", k.client)
	if why := everyLineOnce(completeLines(r.Stderr)); why != "" || !strings.HasPrefix(r.Stderr, "1\n") {
		t.Errorf("after %s: in the log: %s", after, why)
	}
	if log := docker(t, "logs", k.server); strings.Contains(log, "ended") {
		t.Errorf("after %s: the connection has ended", after)
	}
}

// serial is that of the certificate that the endpoint shows.
func serial(t *testing.T) string {
	t.Helper()
	c, err := tls.Dial("tcp", harness.DockerAddr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Text(16)
}

func TestConfigureWhileAContainerTalks(t *testing.T) {
	alone(t)
	k := startTalkers(t)
	out := &syncBuffer{}
	follow := theLab.DockerCmd(context.Background(), "logs", "-f", k.client)
	follow.Stderr = out
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- follow.Wait() }()
	defer func() { follow.Process.Kill(); <-ended }()

	mustMachine(t, "", "configure", "--memory", "16384")
	vapp, err := theLab.Govc("find", "-i", "/", "-type", "a", "-name", harness.VCH)
	if err != nil {
		t.Fatal(err)
	}
	if limit, err := theLab.Govc("object.collect", "-s", strings.TrimSpace(vapp), "config.memoryAllocation.limit"); err != nil ||
		strings.TrimSpace(limit) != "16384" {
		t.Errorf("the limit is %s, %v", limit, err)
	}
	mustMachine(t, "", "configure", "--ops-grant-perms")
	mustMachine(t, "", "configure", "--volume-store", "datastore1/e2e-more:more")
	k.check(t, "an added volume store")
	docker(t, "volume", "create", "--opt", "VolumeStore=more", "--name", "e2e-more")
	docker(t, "volume", "rm", "e2e-more")

	old := serial(t)
	mustMachine(t, "", "certificate renew", "--cert-path", theLab.Certs)
	if serial(t) == old {
		t.Error("the endpoint shows its old certificate")
	}
	k.check(t, "a renewed certificate")

	bob := filepath.Join(t.TempDir(), "bob")
	mustMachine(t, "", "certificate add-client", "--cert-path", theLab.Certs, "--client", "bob", "--out", bob)
	asBob := func() harness.Result {
		return dockerRun(t.Context(), nil, "--tlscacert", filepath.Join(bob, "ca.pem"), "--tlscert", filepath.Join(bob, "cert.pem"),
			"--tlskey", filepath.Join(bob, "key.pem"), "ps", "-q")
	}
	if r := asBob(); r.Code != 0 {
		t.Errorf("a new client is not let in: %+v", r)
	}
	mustMachine(t, "", "certificate revoke", "--cert-path", theLab.Certs, "--cert", filepath.Join(bob, "cert.pem"))
	if r := asBob(); r.Code == 0 {
		t.Error("a revoked client is let in")
	}
	k.check(t, "a revocation")

	ca, private := privateRegistry(t)
	if r := dockerRun(t.Context(), nil, "pull", private+"/library/busybox"); r.Code == 0 || !strings.Contains(r.Stderr, "certificate") {
		t.Errorf("a registry of an authority that is not known: %+v", r)
	}
	mustMachine(t, "", "configure", "--registry-ca", ca, "--insecure-registry", "other.example.com:5000", "--containers", "50")
	k.check(t, "a registry's authority")
	docker(t, "pull", private+"/library/busybox")
	docker(t, "rmi", private+"/library/busybox")
	if o := docker(t, "info", "--format", "{{json .RegistryConfig.IndexConfigs}}"); !strings.Contains(o, "other.example.com:5000") {
		t.Errorf("docker info shows %s", o)
	}
	mustMachine(t, "", "configure", "--allow-registry", "nothing.example.com")
	if r := dockerRun(t.Context(), nil, "pull", private+"/library/busybox"); r.Code == 0 || !strings.Contains(r.Stderr, "not allowed") {
		t.Errorf("a registry that is not on the list: %+v", r)
	}
	mustMachine(t, "", "configure", "--remove", "insecure-registry=other.example.com:5000", "--remove", "allow-registry=nothing.example.com",
		"--containers", "0", "--memory", "0")
	k.check(t, "the way back")
	select {
	case err := <-ended:
		ended <- err
		t.Errorf("docker logs -f has ended: %v", err)
	default:
	}
	last := k.received(t)
	await(t, func() string {
		if n := strings.Count(out.String(), "\n"); n < last {
			return fmt.Sprintf("docker logs -f has %d lines, %d were sent", n, last)
		}
		return ""
	})
	if why := everyLineOnce(completeLines(out.String())); why != "" {
		t.Errorf("docker logs -f: %s", why)
	}

	// What is on vicd's command line makes it start anew; containers do not notice.
	mustMachine(t, "", "debug", "--log-level", "debug")
	k.check(t, "a restart of vicd")
	mustMachine(t, "", "debug", "--log-level", "info")
	if o := mustMachine(t, "", "inspect config"); !strings.Contains(o, "e2e-more:more") || strings.Contains(o, "other.example.com") {
		t.Errorf("inspect config:\n%s", o)
	}
}

// vicdVersion is what the endpoint says of itself.
func vicdVersion(t *testing.T) string {
	t.Helper()
	out, err := theLab.Vic("version")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// version is a build of the product that calls itself something else.
type version struct {
	program, appliance string // vic-machine and the image
	err                error
}

// building builds a version in a folder while the story waits for its turn; the function waits for the end.
func building(name, dir string) func() version {
	built := make(chan version, 1)
	go func() {
		v := version{program: filepath.Join(dir, "vic-machine"), appliance: filepath.Join(dir, "iso", "appliance-"+name+".iso")}
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+name, "-o", dir+"/", "./bin/vicd", "./bin/vic-machine")
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			v.err = fmt.Errorf("%w: %s", err, out)
		} else {
			v.err = applianceISO("-version", name, "-out", filepath.Join(dir, "iso"), "-vicd", filepath.Join(dir, "vicd"))
		}
		built <- v
	}()
	return func() version { return <-built }
}

// applianceISO builds an appliance of the programs that were built already, but for what the arguments say.
func applianceISO(args ...string) error {
	_, err := harness.Command(filepath.Join(theLab.Build, "tools", "boot"),
		append([]string{"-only", "appliance", "-cache", filepath.Join(theLab.Build, "cache", "kernel"),
			"-tether", theLab.Bin("tether"), "-vic", theLab.Bin("vic"), "-driver", theLab.Bin("vic-driver-vsphere"), "-vicd", theLab.Bin("vicd")}, args...)...)
	return err
}

func TestUpgradeAndRollbackWhileAContainerTalks(t *testing.T) {
	next := building("e2e-next", t.TempDir())
	alone(t)
	k := startTalkers(t)
	before := vicdVersion(t)
	bootstrap := filepath.Join(theLab.Build, "iso", "bootstrap.iso")
	v := next()
	if v.err != nil {
		t.Fatal(v.err)
	}
	mustMachine(t, v.program, "upgrade", "--appliance-iso", v.appliance, "--bootstrap-iso", bootstrap)
	serving(t)
	if now := vicdVersion(t); !strings.Contains(now, "e2e-next") {
		t.Errorf("after the upgrade the version is %s", now)
	}
	k.check(t, "an upgrade")
	id := container(t, "busybox", "sleep", "36000") // boots the new image
	mustMachine(t, "", "rollback")
	serving(t)
	if now := vicdVersion(t); now != before {
		t.Errorf("after the rollback the version is %s, before it was %s", now, before)
	}
	k.check(t, "a rollback")
	docker(t, "stop", "-t", "0", id)
	docker(t, "start", id)

	// An image whose services do not start: it has no vicd.
	bad := filepath.Join(t.TempDir(), "appliance.iso")
	b, err := os.ReadFile(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := machine(t, v.program, "upgrade", "--appliance-iso", bad, "--bootstrap-iso", bootstrap, "--serve-timeout", "20s")
	if err == nil || !strings.Contains(out, "serves again") {
		t.Fatalf("an upgrade to a version that does not start: %v\n%s", err, out)
	}
	serving(t)
	k.check(t, "an upgrade that did not serve")
}
