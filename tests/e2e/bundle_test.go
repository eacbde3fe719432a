package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/openvic/vic/sdk/guest"
	"github.com/openvic/vic/tests/harness"
)

// environmentSecret is in the environment of a container while a bundle is made.
const environmentSecret = "s3cret-0f-a-c0ntainer"

// secrets are this lab's real ones: passwords, and every line of every private key, of the files that
// vic-machine wrote and of what the endpoint VM was told.
func secrets(t *testing.T) []string {
	t.Helper()
	all := []string{"PRIVATE KEY", harness.Password, harness.OpsPassword, environmentSecret}
	keys, err := filepath.Glob(filepath.Join(theLab.Certs, "*key*.pem"))
	if err != nil || len(keys) == 0 {
		t.Fatalf("no keys in %s, %v", theLab.Certs, err)
	}
	for _, k := range keys {
		b, err := os.ReadFile(k)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, keyLines(b)...)
	}
	n := len(all)
	for _, f := range endpointConfig(t).Appliance.Files {
		if bytes.Contains(f.Data, []byte("PRIVATE KEY")) {
			all = append(all, keyLines(f.Data)...)
		}
		var v struct {
			VCenter struct{ Password string }
		}
		if filepath.Base(f.Path) == "vsphere.toml" && (toml.Unmarshal(f.Data, &v) != nil || v.VCenter.Password != harness.OpsPassword) {
			t.Errorf("the endpoint's password is %q", v.VCenter.Password)
		}
	}
	if len(all) == n {
		t.Error("the endpoint has no keys")
	}
	return all
}

// keyLines are the lines of a PEM file that are no frame.
func keyLines(pem []byte) []string {
	var all []string
	for line := range strings.Lines(string(pem)) {
		if line = strings.TrimSpace(line); len(line) > 16 && !strings.HasPrefix(line, "-") {
			all = append(all, line)
		}
	}
	return all
}

// endpointConfig is what the endpoint VM finds in guestinfo.
func endpointConfig(t *testing.T) guest.Config {
	t.Helper()
	out, err := theLab.Govc("vm.info", "-json", "-e", harness.VCH)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		VirtualMachines []struct {
			Config struct {
				ExtraConfig []struct{ Key, Value string }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		t.Fatal(err)
	}
	var c guest.Config
	for _, v := range info.VirtualMachines {
		for _, e := range v.Config.ExtraConfig {
			if e.Key == guest.Prefix+guest.KeyConfig && json.Unmarshal([]byte(e.Value), &c) == nil && c.Appliance != nil {
				return c
			}
		}
	}
	t.Fatalf("no configuration of the endpoint in %.300s", out)
	return c
}

// readBundle returns the files of a bundle, without the name of its folder.
func readBundle(t *testing.T, b []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		files[name] = string(text)
	}
}

// noSecrets sees that no file of a bundle has any of the lab's secrets.
func noSecrets(t *testing.T, files map[string]string) {
	t.Helper()
	for _, s := range secrets(t) {
		for name, text := range files {
			if strings.Contains(text, s) {
				t.Errorf("%s holds %q", name, s)
			}
		}
	}
}

// checkBundle sees that a bundle of the admin site has what it should, and no secret.
func checkBundle(t *testing.T, b []byte) {
	t.Helper()
	files := readBundle(t, b)
	noSecrets(t, files)
	for _, name := range []string{"vicd.log", "plugins.json", "platform.json", "metrics.txt", "config/etc/vic/vicd.toml", "config/etc/vic/vsphere.toml"} {
		if files[name] == "" {
			t.Errorf("no %s", name)
		}
	}
}

func TestLogBundleHoldsNoSecret(t *testing.T) {
	beside(t)
	container(t, "-e", "PASSWORD="+environmentSecret, "busybox", "sleep", "36000")
	checkBundle(t, []byte(newBrowser(t, true).get("/bundle")))
}

// The bundle of vic-machine debug has the consoles of all VMs, and what vSphere says of them.
func TestDebugBundleHasConsolesAndNoSecret(t *testing.T) {
	beside(t)
	id := container(t, "-e", "PASSWORD="+environmentSecret, "--name", "bundled", "busybox", "sleep", "36000")
	file := filepath.Join(t.TempDir(), "logs.tar.gz")
	mustMachine(t, "", "debug", "--bundle", file, "--cert-path", theLab.Certs, "--admin-host", harness.AdminAddr)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := readBundle(t, b)
	noSecrets(t, files)
	for name, want := range map[string]string{
		"endpoint/console.log": "vicd is ready", "endpoint/vicd.log": "vicd is ready", "endpoint/plugins.json": "vsphere", "vch.json": harness.VCH,
		"endpoint/etc/vsphere.toml": harness.OpsUser, "vsphere/events.txt": "bundled-" + id[:12],
		"containers/bundled-" + id[:12] + "/console.log": "tether ",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s has no %q; it ends: %s", name, want, files[name][max(0, len(files[name])-500):])
		}
	}
}
