package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// applianceWithStatic builds an appliance that holds the example of sdk/README.md and uses it for
// the VCH's network, on a port group.
func applianceWithStatic(t *testing.T, portgroup string) string {
	t.Helper()
	dir := t.TempDir()
	plugins, out := filepath.Join(dir, "plugins"), filepath.Join(dir, "iso")
	const path = "/usr/lib/vic/plugins/vic-driver-static"
	if _, err := harness.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(plugins, path), "../../sdk/examples/static"); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join(plugins, path))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	for name, text := range map[string]string{
		"etc/vic/plugins.d/static.toml": fmt.Sprintf("name = \"static\"\npath = %q\nsha256 = %q\nconfig = \"/etc/vic/static.toml\"\n", path,
			hex.EncodeToString(sum[:])),
		"etc/vic/static.toml":        fmt.Sprintf("portgroup = %q\nsubnet = \"10.20.0.0/24\"\ngateway = \"10.20.0.1\"\n", portgroup),
		"etc/vic/vicd.d/static.toml": "[roles]\nnetwork = \"static\"\n",
	} {
		file := filepath.Join(plugins, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := applianceISO("-version", "with-static", "-out", out, "-plugins", plugins); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(out, "appliance-with-static.iso")
}

// portgroupID is the managed object id of one of the lab's port groups.
func portgroupID(t *testing.T, name string) string {
	t.Helper()
	out, err := theLab.Govc("find", "-i", "/", "-type", "n", "-name", name)
	if err != nil {
		t.Fatal(err)
	}
	_, id, ok := strings.Cut(strings.TrimSpace(out), ":")
	if !ok {
		t.Fatalf("port group %s: %q", name, out)
	}
	return id
}

// TestAPluginOfAnotherAuthorServesAVCH goes the way of sdk/README.md to its end: a VCH whose appliance
// holds one more plugin connects its containers by it, also after a reset of the endpoint VM.
func TestAPluginOfAnotherAuthorServesAVCH(t *testing.T) {
	apart(t)
	try, certs := another(t, "plugged", "--appliance-iso", applianceWithStatic(t, portgroupID(t, "management")))
	ok := func(args ...string) string {
		t.Helper()
		r := try(nil, args...)
		if r.Code != 0 {
			t.Fatalf("docker %v: %+v", args, r)
		}
		return strings.TrimSpace(r.Stdout)
	}
	admin := harness.NextAddress()
	if _, err := harness.Command(theLab.Bin("vic-lab"), "forward", "add", "--dir", theLab.Dir, "plugged", admin+":2378"); err != nil {
		t.Fatal(err)
	}
	vic := func(args ...string) (string, error) {
		return harness.Command(theLab.Bin("vic"), append([]string{"--host", "tcp://" + admin, "--cert-path", certs}, args...)...)
	}
	pluginIsUp := func() {
		t.Helper()
		out, err := vic("plugin", "ls")
		if err != nil || !regexp.MustCompile(`(?m)^static +network .* up .* healthy`).MatchString(out) {
			t.Errorf("vic plugin ls: %v\n%s", err, out)
		}
	}

	pluginIsUp()
	first := ok("run", "-d", "busybox", "sleep", "36000")
	if ip := ok("exec", first, "ip", "-4", "-o", "addr"); !strings.Contains(ip, "10.20.0.2/24") {
		t.Errorf("the first container has\n%s", ip)
	}
	if out := ok("run", "--rm", "busybox", "ping", "-c", "1", "-W", "5", "10.20.0.2"); !strings.Contains(out, "1 packets received") {
		t.Errorf("the second container reaches the first: %s", out)
	}
	if r := try(nil, "network", "create", "more"); r.Code == 0 || !strings.Contains(r.Stderr, "create a network") {
		t.Errorf("a network that the plugin does not make: %+v", r)
	}

	resetVM(t, "plugged", vic)
	progress("serves %.1f s after it has booted again", await(t, func() string {
		if r := try(nil, "ps"); r.Code != 0 {
			return r.Stderr
		}
		return ""
	}).Seconds())
	pluginIsUp()
	ok("exec", first, "true")
	if ip := ok("inspect", "--format", "{{.NetworkSettings.Networks.bridge.IPAddress}}", first); ip != "10.20.0.2" {
		t.Errorf("after the reset the first container has %q", ip)
	}
	// The leases of before are there: that of the first, and not that of the second, which had gone.
	if ip := ok("run", "--rm", "busybox", "ip", "-4", "-o", "addr"); !strings.Contains(ip, "10.20.0.3/24") {
		t.Errorf("after the reset a new container has\n%s", ip)
	}
}
