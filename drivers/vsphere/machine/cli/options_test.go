package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openvic/vic/drivers/vsphere/machine/simtest"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

// everything are options of every kind.
func everything() []string {
	return []string{
		"--public-network-ip", "10.0.0.2/24", "--public-network-gateway", "10.0.0.1", "--dns-server", "10.0.0.53", "--dns-server", "10.0.0.54",
		"--client-network", "client", "--client-network-ip", "10.1.0.2/24", "--client-network-gateway", "10.9.0.0/16:10.1.0.1",
		"--management-network", "management",
		"--container-network", "backend:back", "--container-network-gateway", "backend:192.168.5.1/24",
		"--container-network-ip-range", "backend:192.168.5.10-20", "--container-network-dns", "backend:192.168.5.1",
		"--container-network-firewall", "backend:open", "--container-network", "frontend:front",
		"--volume-store", "LocalDS_0/vols/a:default", "--volume-store", "LocalDS_0/vols/b:bulk", "--volume-store", "nfs://filer/export?vers=3:shared",
		"--default-volume-size", "2048", "--memory", "8192", "--memory-reservation", "0", "--memory-shares", "high", "--cpu", "4000", "--cpu-shares", "1234",
		"--containers", "7", "--container-memory", "512", "--endpoint-memory", "1024", "--endpoint-cpu", "2",
		"--syslog-address", "udp://10.0.0.9:514", "--debug", "1", "--container-name-convention", "vch1-{name}-{short}",
		"--http-proxy", "http://u:pr0xyword@proxy:3128", "--no-proxy", "localhost,10.0.0.0/8", "--insecure-registry", "reg:5000",
	}
}

func TestAVCHIsMadeAgainFromItsOwnOptions(t *testing.T) {
	s := simtest.New(t)
	inspect := func() map[string]any {
		r := run(t, append([]string{"inspect", "--format", "json", "--name", "vch1"}, access(s)...)...)
		if strings.Contains(r.out, "pr0xyword") || !strings.Contains(r.out, "proxy:3128") {
			t.Errorf("inspect shows the proxy's password, or no proxy: %s", r.out)
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(r.out), &m); err != nil {
			t.Fatalf("%+v %v", r, err)
		}
		for _, k := range []string{"id", "uuid", "created", "pool", "imageStore", "certificates"} {
			delete(m, k)
		}
		return m
	}
	s.Guest("vch1", "ready", "")
	if r := run(t, createArgs(t, s, everything()...)...); r.code != 0 || !strings.Contains(r.out, "DOCKER_HOST=192.0.2.8:2376") {
		t.Fatalf("create: %+v", r)
	}
	before := inspect()
	config := run(t, append([]string{"inspect", "config", "--name", "vch1"}, access(s)...)...)
	if config.code != 0 || strings.Contains(config.out, simtest.Password) {
		t.Fatalf("inspect config: %+v", config)
	}
	file := filepath.Join(t.TempDir(), "vch1.toml")
	if err := os.WriteFile(file, []byte(config.out), 0o600); err != nil {
		t.Fatal(err)
	}
	line := run(t, append([]string{"inspect", "config", "--format", "options", "--name", "vch1"}, access(s)...)...)
	for _, want := range []string{"--volume-store='nfs://filer/export?vers=3:shared'", "--cpu-shares=1234", "--name=vch1"} {
		if !strings.Contains(line.out, want) {
			t.Errorf("no %s in %s", want, line.out)
		}
	}
	if r := run(t, append([]string{"delete", "--name", "vch1"}, access(s)...)...); r.code != 0 {
		t.Fatalf("delete: %+v", r)
	}
	s.Guest("vch1", "ready", "")
	if r := run(t, append([]string{"create", "--config", file, "--timeout", "20s", "--no-reach-check"}, access(s)...)...); r.code != 0 {
		t.Fatalf("create from the file: %+v\n%s", r, config.out)
	}
	after := inspect()
	a, _ := json.MarshalIndent(before, "", " ")
	b, _ := json.MarshalIndent(after, "", " ")
	if string(a) != string(b) {
		t.Errorf("before\n%s\nafter\n%s", a, b)
	}
	again := run(t, append([]string{"inspect", "config", "--name", "vch1"}, access(s)...)...)
	if again.out != config.out {
		t.Errorf("before\n%s\nafter\n%s", config.out, again.out)
	}
}

func TestDryRunMakesNothingAndSaysWhatItWould(t *testing.T) {
	s := simtest.New(t)
	before := s.Inventory()
	r := run(t, createArgs(t, s, append(everything(), "--dry-run")...)...)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{"10.1.0.2/24", "VApp.Create", "Authorization", "[LocalDS_0] vols/a/volumes", "VirtualMachine.Config.AdvancedConfig",
		"Nothing was made", "appliance-v9.iso", "memory at most 8192 MiB"} {
		if want == "Authorization" {
			if strings.Contains(r.out, want) {
				t.Errorf("%s without --ops-grant-perms", want)
			}
			continue
		}
		if !strings.Contains(r.out, want) {
			t.Errorf("no %s in\n%s", want, r.out)
		}
	}
	r = run(t, createArgs(t, s, "--dry-run", "--output", "json")...)
	var o outcome
	if err := json.Unmarshal([]byte(r.out), &o); err != nil || r.code != 0 || o.Plan == nil || len(o.Plan.Objects) < 5 || len(o.Checks) < 10 {
		t.Errorf("%+v %v", r, err)
	}
	r = run(t, createArgs(t, s, "--bridge-network", "nosuch", "--output", "json")...)
	if err := json.Unmarshal([]byte(r.out), &o); err != nil || r.code != exitChecks || !strings.Contains(o.Error, "1 of the checks failed") {
		t.Errorf("%+v %v", r, err)
	}
	if after := s.Inventory(); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestOptionsThatCannotBeAreNamed(t *testing.T) {
	s := simtest.New(t)
	bad := filepath.Join(t.TempDir(), "bad.toml")
	write := func(text string) string {
		p := filepath.Join(t.TempDir(), "o.toml")
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--public-network-ip", "10.0.0.2"}, "--public-network-ip"},
		{[]string{"--public-network-ip", "10.0.0.0/24"}, "--public-network-ip"},
		{[]string{"--public-network-ip", "10.0.0.2/24"}, "--public-network-gateway"},
		{[]string{"--public-network-ip", "10.0.0.2/24", "--public-network-gateway", "10.1.0.1"}, "--public-network-gateway"},
		{[]string{"--public-network-ip", "10.0.0.2/24", "--public-network-gateway", "10.0.0.1"}, "--dns-server"},
		{[]string{"--public-network-gateway", "10.0.0.1"}, "--public-network-ip"},
		{[]string{"--public-network-ip", "10.0.0.255/24", "--public-network-gateway", "10.0.0.1"}, "broadcast address"},
		{[]string{"--public-network-ip", "10.0.0.2/24", "--public-network-gateway", "10.0.0.2"}, "own address"},
		{[]string{"--client-network", "client", "--client-network-ip", "10.0.0.2/24", "--client-network-gateway", "0.0.0.0/0:10.0.0.1"}, "second default route"},
		{[]string{"--container-network", "backend:default"}, "--container-network"},
		{[]string{"--container-network", "backend:a b"}, "--container-network"},
		{[]string{"--container-network", "backend:b", "--container-network-gateway", "backend:10.0.0.0/24"}, "not of a gateway"},
		{[]string{"--container-network", "backend:b", "--container-network-gateway", "backend:10.0.0.1/24", "--container-network-gateway",
			"backend:10.0.1.1/24"}, "already"},
		{[]string{"--insecure-registry", "http://registry:5000"}, "--insecure-registry"},
		{[]string{"--allow-registry", "registry/library"}, "--allow-registry"},
		{[]string{"--whitelist-registry", "registry/library"}, "--allow-registry"},
		{[]string{"--tls-cname", "https://vch1"}, "--tls-cname"},
		{[]string{"--debug", "-1"}, "--debug"},
		{[]string{"--default-volume-size", "99999999999"}, "--default-volume-size"},
		{[]string{"--client-network-ip", "10.0.0.2/24"}, "--client-network is not given"},
		{[]string{"--client-network", "client", "--client-network-ip", "10.0.0.2/24", "--client-network-gateway", "10.0.0.1"}, "networks behind"},
		{[]string{"--dns-server", "dns.example.com"}, "--dns-server"},
		{[]string{"--bridge-network-width", "31"}, "--bridge-network-width"},
		{[]string{"--container-network", "backend:bridge"}, "--container-network"},
		{[]string{"--container-network-dns", "backend:1.1.1.1"}, "no --container-network backend"},
		{[]string{"--container-network", "backend:b", "--container-network-ip-range", "backend:10.0.0.1-2"}, "subnet is not known"},
		{[]string{"--container-network", "backend:b", "--container-network-gateway", "backend:10.0.0.1/24", "--container-network-ip-range",
			"backend:10.0.1.1-2"}, "not in 10.0.0.0/24"},
		{[]string{"--container-network", "backend:b", "--container-network-firewall", "backend:shut"}, "closed, outbound"},
		{[]string{"--memory", "-1"}, "--memory"},
		{[]string{"--memory-shares", "much"}, "--memory-shares"},
		{[]string{"--cpu", "100", "--cpu-reservation", "200"}, "--cpu-reservation"},
		{[]string{"--syslog-address", "10.0.0.9:514"}, "--syslog-address"},
		{[]string{"--http-proxy", "proxy:3128"}, "--http-proxy"},
		{[]string{"--container-name-convention", "{name}"}, "{short} or {id}"},
		{[]string{"--ops-grant-perms"}, "--ops-user"},
		{[]string{"--ops-user", "ops@vsphere.local"}, "--ops-password"},
		{[]string{"--tls-server-cert", "c.pem"}, "--tls-server-key"},
		{[]string{"--no-tls", "--tls-ca", "c.pem"}, "--no-tls"},
		{[]string{"--output", "xml"}, "--output"},
		{[]string{"--config", bad}, "bad.toml"},
		{[]string{"--config", write("nosuch = 1")}, "nosuch"},
		{[]string{"--config", write(`password = "x"`)}, "password"},
		{[]string{"--config", write(`memory = "much"`)}, "memory"},
		{[]string{"--config", write(`memory = [1, 2]`)}, "memory"},
		{[]string{"--config", write(`[memory]`)}, "memory"},
	} {
		r := run(t, createArgs(t, s, c.args...)...)
		if r.code != exitUsage || !strings.Contains(r.err, c.want) || !strings.Contains(r.err, "  -> ") {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}

func TestTheCommandLineComesBeforeTheFile(t *testing.T) {
	s := simtest.New(t)
	file := filepath.Join(t.TempDir(), "o.toml")
	if err := os.WriteFile(file, []byte("memory = 4096\ncpu = 100\nvolume-store = [\"LocalDS_0/x:default\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Guest("vch1", "ready", "")
	if r := run(t, createArgs(t, s, "--config", file, "--memory", "8192")...); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	o, err := vch.Options(t.Context(), s.Session, vch.Query{Name: "vch1"})
	if err != nil || o["memory"][0] != "8192" || o["cpu"][0] != "100" || o["volume-store"][0] != "LocalDS_0/x:default" {
		t.Errorf("%v %v", o, err)
	}
}
