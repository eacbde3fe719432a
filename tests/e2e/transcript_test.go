package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// transcript runs commands and prints them with what they say.
type transcript struct {
	t        *testing.T
	endpoint harness.Endpoint
}

// machine runs vic-machine; the options that reach the lab are left out of what is printed.
func (tr *transcript) machine(verb string, args ...string) string {
	tr.t.Helper()
	all := append(append(strings.Fields(verb), theLab.Access()...), args...)
	if verb == "version" {
		all = []string{verb}
	}
	start := time.Now()
	out, err := harness.CommandWith([]string{"VIC_MACHINE_OPS_PASSWORD=" + harness.OpsPassword}, theLab.Bin("vic-machine"), all...)
	tr.print("vic-machine "+strings.TrimSpace(verb+" "+strings.Join(args, " ")), out, start)
	if err != nil {
		tr.t.Fatal(err)
	}
	return out
}

// docker runs the docker CLI against the transcript's VCH.
func (tr *transcript) docker(args ...string) string {
	tr.t.Helper()
	start := time.Now()
	r := theLab.DockerAt(tr.t.Context(), tr.endpoint, nil, args...)
	tr.print("docker "+strings.Join(args, " "), r.Stdout+r.Stderr, start)
	if r.Code != 0 {
		tr.t.Fatalf("exit code %d", r.Code)
	}
	return strings.TrimSpace(r.Stdout)
}

func (tr *transcript) print(command, out string, start time.Time) {
	tr.t.Logf("$ %s\n%s(%.1f s)", strings.ReplaceAll(command, harness.OpsPassword, "***"), out, time.Since(start).Seconds())
}

// want fails the test unless the text has all of these.
func (tr *transcript) want(text string, wants ...string) {
	tr.t.Helper()
	wantIn(tr.t, text, wants...)
}

// forward makes a port of the VCH reachable on this machine, over one of the lab's networks.
func (tr *transcript) forward(network, vch string, local, port string) {
	tr.t.Helper()
	if _, err := harness.Command(theLab.Bin("vic-lab"), "forward", "add", "--dir", theLab.Dir, "--network", network, vch, local+":"+port); err != nil {
		tr.t.Fatal(err)
	}
}

// accArgs are the options of create for the VCH "acc", which uses nearly all that there is.
func accArgs(t *testing.T, p *proxy, s *syslogServer, registryCA, certs string) []string {
	t.Helper()
	return []string{"--name", "acc", "--compute-resource", "cluster1", "--memory", "8192", "--cpu-shares", "high", "--containers", "20",
		"--endpoint-memory", "768", "--endpoint-cpu", "2", "--image-store", "datastore1",
		"--volume-store", "datastore1/acc-one:default", "--volume-store", "datastore2/stores/acc-two:second", "--volume-store", harness.NFSStore(),
		"--bridge-network", bridge(t, "acc"), "--bridge-network-range", "172.30.0.0/16", "--bridge-network-width", "24",
		"--public-network", "public", "--public-network-ip", "192.168.127.60/24", "--public-network-gateway", "192.168.127.1", "--dns-server", "192.168.127.1",
		"--client-network", "client", "--client-network-ip", "192.168.128.60/24", "--client-network-gateway", "10.60.0.0/16:192.168.128.1",
		"--management-network", "management", "--management-network-ip", "10.77.0.5/24", "--management-network-gateway", "10.61.0.0/16,10.62.0.0/16:10.77.0.1",
		"--container-network", "management:backend", "--container-network-gateway", "management:10.77.0.1/24",
		"--container-network-ip-range", "management:10.77.0.30-10.77.0.40", "--container-network-dns", "management:10.77.0.53",
		"--container-network-firewall", "management:open",
		"--container-network", "client:clients", "--container-network-firewall", "client:outbound",
		"--tls-cname", "127.0.0.1", "--organization", "Lab", "--cert-path", certs, "--container-name-convention", "{short}-{name}",
		"--ops-user", harness.OpsUser, "--ops-grant-perms",
		"--registry-mirror", "http://" + harness.RegistryHost, "--registry-ca", registryCA,
		"--http-proxy", p.url, "--https-proxy", p.url, "--no-proxy", "intern.example.com",
		"--syslog-address", s.udp, "--appliance-iso", filepath.Join(theLab.Build, "iso", "appliance.iso"),
		"--bootstrap-iso", filepath.Join(theLab.Build, "iso", "bootstrap.iso")}
}

// mayDiffer is what two inspects of the same VCH, made twice, may differ in: the IDs that vSphere and
// create gave, when it was made, and how its service came to be ready.
var mayDiffer = regexp.MustCompile(`(?m)^(?:ID: .*|Version: .*|  vicd: .*)$|(VirtualApp )resgroup-v?[0-9]+|(/VIC/)[0-9a-f-]{36}|^(State: +ready) .*$`)

func alike(s string) string { return mayDiffer.ReplaceAllString(s, "$1$2$3") }

// TestEveryVerb is the transcript of an administrator's work with one VCH that uses nearly every option:
// make it, look at it, change it, keep its options in a file, remove it with its volumes kept, make it again
// from the file, and remove it with all. configure of other things, upgrade and rollback are in
// TestConfigureWhileAContainerTalks and TestUpgradeAndRollbackWhileAContainerTalks, refusals in
// TestWaysToBeWrong.
func TestEveryVerb(t *testing.T) {
	apart(t)
	p, s := newProxy(t), newSyslogServer(t)
	ca, private := privateRegistry(t)
	dir := t.TempDir()
	tr := &transcript{t, harness.Endpoint{Addr: harness.Address("127.0.0.1", 476), Certs: filepath.Join(dir, "certs")}}
	t.Cleanup(func() {
		_, _ = harness.Command(theLab.Bin("vic-machine"), append([]string{"delete", "--name", "acc", "--force"}, theLab.Access()...)...)
	})
	tr.want(tr.machine("version"), "vic-machine version")
	args := accArgs(t, p, s, ca, tr.endpoint.Certs)
	tr.want(tr.machine("create", append(args, "--dry-run")...), "Nothing was made", "192.168.128.60/24")
	tr.machine("create", append(args, "--no-reach-check")...)
	tr.reach()
	tr.networks()
	tr.proxyAndSyslog(p, s, private)
	tr.uplink()
	tr.volumes()
	tr.looks(filepath.Join(dir, "bundle.tar.gz"))

	tr.machine("configure", "--name", "acc", "--syslog-address", s.tcp, "--memory", "9000", "--containers", "30") // vicd starts anew, and says so
	await(t, func() string { return s.wrong("tcp") })
	t.Logf("over TCP: %s", s.sample("tcp"))

	inspected := tr.machine("inspect", "--name", "acc")
	config := tr.machine("inspect config", "--name", "acc")
	tr.want(config, `memory = 9000`, s.tcp, `syslog-address`)
	if strings.Contains(config, harness.OpsPassword) {
		t.Error("inspect config prints a password")
	}
	tr.again(inspected, config, filepath.Join(dir, "acc.toml"))

	tr.machine("delete", "--name", "acc", "--force")
	// The second VCH found the folders of its volume stores there, so they are not its own; they are empty.
	for _, dir := range [][2]string{{"datastore1", "acc-one"}, {"datastore2", "stores/acc-two"}, {"datastore2", "stores"}} {
		if out, err := theLab.Govc("datastore.ls", "-ds", dir[0], dir[1]); err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("delete --force left %q in %s, %v", out, dir, err)
		}
		if _, err := theLab.Govc("datastore.rm", "-ds", dir[0], dir[1]); err != nil {
			t.Error(err)
		}
	}
	if left := named(t, "acc"); left != "" {
		t.Errorf("delete --force left behind:\n%s", left)
	}
	tr.want(tr.machine("delete", "--name", "acc"), "Nothing to delete")
}

// reach makes the endpoint reachable: its Docker API on the client network, its admin API on the public one.
func (tr *transcript) reach() {
	tr.t.Helper()
	tr.forward("client", "acc", tr.endpoint.Addr, "2376")
	tr.forward("public", "acc", harness.Address("127.0.0.1", 478), "2378")
	await(tr.t, func() string {
		if r := theLab.DockerAt(tr.t.Context(), tr.endpoint, nil, "version"); r.Code != 0 {
			return r.Stderr
		}
		return ""
	})
}

// networks sees that the endpoint has its static addresses, and that the Docker API is on the client network alone.
func (tr *transcript) networks() {
	tr.t.Helper()
	out := tr.machine("debug", "--name", "acc", "--cert-path", tr.endpoint.Certs, "--admin-host", harness.Address("127.0.0.1", 478),
		"--exec", "cat /proc/net/fib_trie /etc/resolv.conf")
	tr.want(out, "192.168.127.60", "192.168.128.60", "10.77.0.5", "172.30.0.1", "10.60.0.0", "10.62.0.0", "nameserver 192.168.127.1")
	public := harness.Address("127.0.0.1", 479)
	tr.forward("public", "acc", public, "2376")
	if r := theLab.DockerAt(tr.t.Context(), harness.Endpoint{Addr: public, Certs: tr.endpoint.Certs}, nil, "version"); r.Code == 0 {
		tr.t.Error("the Docker API is served on the public network")
	}
}

// proxyAndSyslog pulls over HTTP and over TLS, through the proxy, and sees vicd's log lines come in.
func (tr *transcript) proxyAndSyslog(p *proxy, s *syslogServer, private string) {
	tr.t.Helper()
	tr.docker("pull", "-q", "busybox")
	if !p.asked("GET http://" + harness.RegistryHost + "/v2/library/busybox/") {
		tr.t.Errorf("the pull over HTTP did not go through the proxy: %q", p.seen)
	}
	tr.docker("pull", "-q", private+"/library/busybox")
	if !p.asked("CONNECT " + private) {
		tr.t.Errorf("the pull over TLS did not go through the proxy: %q", p.seen)
	}
	await(tr.t, func() string { return s.wrong("udp") })
	tr.t.Logf("over UDP: %s", s.sample("udp"))
}

// uplink sees that containers get out, and are reached, through the public network alone: the endpoint is no
// way into the client network, where the lab's router listens on port 53.
func (tr *transcript) uplink() {
	tr.t.Helper()
	const probe = "for to in 192.168.127.1 192.168.128.1; do nc -w 3 $to 53 </dev/null >/dev/null 2>&1 && echo reached $to; done; nslookup registry.vic-lab.test"
	if out := tr.docker("run", "--rm", "busybox", "sh", "-c", probe); !strings.Contains(out, "reached 192.168.127.1") ||
		strings.Contains(out, "reached 192.168.128.1") ||
		!strings.Contains(out, "192.168.127.254") {
		tr.t.Errorf("from a container:\n%s", out)
	}
	id := tr.docker("run", "-d", "-p", "8080:80", "busybox", "sh", "-c", "echo served >/index.html; exec httpd -f -p 80 -h /")
	public, client := harness.Address("127.0.0.1", 490), harness.Address("127.0.0.1", 491)
	tr.forward("public", "acc", public, "8080")
	tr.forward("client", "acc", client, "8080")
	await(tr.t, func() string {
		if got, err := fetch("http://" + public + "/"); err != nil || got != "served\n" {
			return fmt.Sprintf("the published port says %q, %v", got, err)
		}
		return ""
	})
	if got, _ := fetch("http://" + client + "/"); strings.Contains(got, "served") {
		tr.t.Error("the published port is open on the client network too")
	}
	tr.docker("rm", "-f", id)
}

// stores are the volume stores by label, with the volume that the story makes in each.
func stores() map[string]string {
	return map[string]string{"default": "acc-first", "second": "acc-second", "shared": "acc-shared"}
}

func (tr *transcript) volumes() {
	tr.t.Helper()
	run := []string{"run", "--rm"}
	for label, name := range stores() {
		tr.docker("volume", "create", "--opt", "VolumeStore="+label, "--opt", "Capacity=64MB", name)
		run = append(run, "-v", name+":/"+label)
	}
	tr.docker(append(run, "busybox", "sh", "-c", "for f in default second shared; do echo kept > /$f/file; done")...)
	id := tr.docker("run", "-d", "--network", "backend", "--name", "there", "busybox", "sleep", "36000")
	ip := tr.docker("inspect", "--format", "{{.NetworkSettings.Networks.backend.IPAddress}}", id)
	if a := net.ParseIP(ip).To4(); a == nil || a[3] < 30 || a[3] > 40 || !strings.HasPrefix(ip, "10.77.0.") {
		tr.t.Errorf("on the container network the address is %s", ip)
	}
	vms, err := theLab.Govc("find", "/", "-type", "m", "-name", id[:12]+"-there")
	if err != nil || !strings.Contains(vms, "-there") {
		tr.t.Errorf("no VM is named by the convention: %s %v", vms, err)
	}
	tr.docker("rm", "-f", id)
	// This network has a DHCP server.
	tr.want(tr.docker("run", "--rm", "--network", "clients", "busybox", "ifconfig"), "inet addr:192.168.128.")
}

// looks are the verbs that change nothing.
func (tr *transcript) looks(bundle string) {
	tr.t.Helper()
	tr.want(tr.machine("ls"), "acc", harness.VCH, "192.168.128.60")
	tr.want(tr.machine("certificate show", "--name", "acc"), "127.0.0.1", "server-cert.pem")
	tr.want(tr.machine("update firewall", "--allow"), "2376/tcp")
	tr.machine("debug", "--name", "acc", "--cert-path", tr.endpoint.Certs, "--admin-host", harness.Address("127.0.0.1", 478), "--bundle", bundle)
	if st, err := os.Stat(bundle); err != nil || st.Size() < 1000 {
		tr.t.Errorf("bundle: %v, %v", st, err)
	}
}

// again removes the VCH, sees its volumes kept, and makes it again from the file of its options.
func (tr *transcript) again(inspected, config, file string) {
	tr.t.Helper()
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tr.t.Fatal(err)
	}
	tr.machine("delete", "--name", "acc")
	for ds, folder := range map[string]string{"datastore1": "acc-one/volumes/acc-first", "datastore2": "stores/acc-two/volumes/acc-second"} {
		if out, err := theLab.Govc("datastore.ls", "-ds", ds, folder); err != nil || !strings.Contains(out, ".vmdk") {
			tr.t.Errorf("delete kept no volume in %s: %s %v", folder, out, err)
		}
	}
	tr.machine("create", "--config", file, "--no-reach-check")
	tr.reach()
	if now := tr.machine("inspect", "--name", "acc"); alike(now) != alike(inspected) {
		tr.t.Errorf("inspect of the VCH that was made from the file differs:\n%s", difference(alike(inspected), alike(now)))
	}
	if now := tr.machine("inspect config", "--name", "acc"); now != config {
		tr.t.Errorf("inspect config of the VCH that was made from the file differs:\n%s", difference(config, now))
	}
	run := []string{"run", "--rm"}
	for label, name := range stores() {
		run = append(run, "-v", name+":/"+label)
	}
	out := tr.docker(append(run, "busybox", "sh", "-c", "cat /default/file /second/file /shared/file")...)
	if !slices.Equal(strings.Fields(out), []string{"kept", "kept", "kept"}) {
		tr.t.Errorf("the volumes hold %q", out)
	}
	theLab.DockerAt(context.Background(), tr.endpoint, nil, "volume", "rm", "acc-shared") // delete does not reach NFS
}
