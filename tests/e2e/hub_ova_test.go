package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/openvic/vic/tests/harness"
)

// TestAHubIsDeployedFromTheOVA imports the OVA as an administrator of vSphere does, waits until the hub serves by its OVF properties alone,
// has vic-machine take it over, whereupon users of vCenter sign in, looks into it by SSH and deletes it; its data stays until that is forced.
func TestAHubIsDeployedFromTheOVA(t *testing.T) {
	beside(t)
	const name, host, password = "hub2", "hub2.vic-lab.test", "correct-horse-battery"
	before := named(t, name)
	ova := filepath.Join(t.TempDir(), "vic-hub.ova")
	build := exec.Command("go", "run", "./contrib/pack", "-version", "e2e", "-hub-ova", ova, "-hub-iso", filepath.Join(theLab.Build, "iso", "hub.iso"))
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	govc := func(args ...string) string {
		t.Helper()
		out, err := theLab.Govc(args...)
		if err != nil {
			t.Fatal(err, out)
		}
		return out
	}
	if spec := govc("import.spec", ova); !strings.Contains(spec, "hub.hostname") || !strings.Contains(spec, "hub.admin_password") {
		t.Errorf("%s", spec)
	}
	options := filepath.Join(t.TempDir(), "options.json")
	text, err := json.Marshal(map[string]any{"DiskProvisioning": "thin", "Name": name, "NetworkMapping": []map[string]string{{"Name": "public", "Network": "public"}},
		"PropertyMapping": []map[string]string{{"Key": "hub.hostname", "Value": host}, {"Key": "hub.admin_password", "Value": password}}})
	must(t, err)
	must(t, os.WriteFile(options, text, 0o600))
	govc("import.ova", "-ds", "datastore1", "-pool", "cluster1/Resources", "-options", options, ova)
	machine := func(verb string, more ...string) (string, error) {
		t.Helper()
		return harness.Command(theLab.Bin("vic-machine"), append(append([]string{"hub", verb, "--name", name}, theLab.Access()...), more...)...)
	}
	t.Cleanup(func() { _, _ = machine("delete", "--force") })
	govc("vm.change", "-vm", name, "-m", "768", "-c", "1")
	govc("vm.power", "-on", name)
	at := forwardTo(t, name, 443)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // until its authority is known
	var ca []byte
	await(t, func() string {
		if status, body, err := getPage(client, "https://"+at+"/readyz"); err != nil || status != http.StatusOK {
			return fmt.Sprint(status, err, body)
		}
		status, body, err := getPage(client, "https://"+at+"/api/v2.0/systeminfo/getcert")
		ca = []byte(body)
		return map[bool]string{false: fmt.Sprint(status, err)}[err == nil && status == http.StatusOK]
	})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client.CloseIdleConnections()
	client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: host}}}
	t.Cleanup(client.CloseIdleConnections)
	h := &hub{t: t, host: at, client: client, password: password}
	administers := func(user, password string) {
		t.Helper()
		await(t, func() string {
			status, body := h.api(user, password, "GET", "/cloud-admins", "")
			return map[bool]string{false: fmt.Sprint(status, body)}[status == http.StatusOK]
		})
	}
	administers("admin@local", password)
	manifest := pushSmall(t, h, "default-project/kept")
	for _, verb := range []string{"upgrade", "delete"} {
		more := map[string][]string{"upgrade": {"--hub-iso", filepath.Join(theLab.Build, "iso", "hub.iso")}}[verb]
		if out, err := machine(verb, more...); err == nil || !strings.Contains(out, "vic-machine hub adopt --name "+name) {
			t.Errorf("%s of a hub that is not adopted: %v %s", verb, err, out)
		}
	}

	if out, err := machine("adopt", "--timeout", harness.Patience.String(), "--serve-timeout", harness.Patience.String()); err != nil ||
		!strings.Contains(out, "serves at https://") {
		t.Fatal(err, out)
	}
	await(t, func() string {
		status, _, err := getPage(client, "https://"+at+"/readyz")
		return map[bool]string{false: fmt.Sprint(status, err)}[err == nil && status == http.StatusOK]
	})
	if status, body := h.registry("GET", "/v2/default-project/kept/manifests/1", nil); status != http.StatusOK || body != manifest {
		t.Errorf("what was pushed before: %d %s", status, body)
	}
	await(t, func() string { // the users' source came with adopt; its groups administer nothing that has administrators
		status, body := h.api(harness.User, harness.Password, "GET", "/users/current", "")
		return map[bool]string{false: fmt.Sprint(status, body)}[status == http.StatusOK]
	})
	if info, err := theLab.Govc("vm.info", "-json", name); err != nil || strings.Contains(info, `"value":"`+password) {
		t.Errorf("the OVF properties keep the password: %v", err)
	}
	seeInside(t, machine, name)

	if out, err := machine("delete"); err != nil || !strings.Contains(out, "disk-0.vmdk") {
		t.Errorf("%v %s", err, out)
	}
	if rest := govc("datastore.ls", "-ds", "datastore1", name); !strings.Contains(rest, "disk-0.vmdk") || strings.Contains(rest, ".iso") {
		t.Errorf("left behind:\n%s", rest)
	}
	if out, err := machine("delete", "--force"); err != nil || !strings.Contains(out, "is gone") {
		t.Errorf("%v %s", err, out)
	}
	if after := named(t, name); after != before {
		t.Errorf("left behind:\n%s\nbefore\n%s", after, before)
	}
}

// seeInside logs in to a hub's VM by SSH, and collects its logs.
func seeInside(t *testing.T, machine func(string, ...string) (string, error), name string) {
	t.Helper()
	mine, file := sshKey(t)
	out, err := machine("debug", "--enable-ssh", "--authorized-key", file, "--bundle", filepath.Join(t.TempDir(), "logs.tar.gz"))
	_, fingerprint, ok := strings.Cut(out, "the host key is ")
	if err != nil || !ok || !strings.Contains(out, "wrote ") {
		t.Fatal(err, out)
	}
	fingerprint, _, _ = strings.Cut(fingerprint, "\n")
	c, err := ssh.Dial("tcp", forwardTo(t, name, 22), &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(mine)}, Timeout: harness.Patience,
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			if got := ssh.FingerprintSHA256(k); got != strings.TrimSpace(fingerprint) {
				return fmt.Errorf("host key %s, want %s", got, fingerprint)
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	must(t, err)
	defer s.Close()
	if text, err := s.CombinedOutput("hostname; ls /var/lib/vic-hub"); err != nil || !strings.HasPrefix(string(text), name+"\n") || !strings.Contains(string(text), "hub.db") {
		t.Errorf("%v %s", err, text)
	}
	if out, err := machine("debug", "--disable-ssh"); err != nil {
		t.Error(err, out)
	}
	_ = c.Wait() // its end
}

// forwardTo makes a port of a VM's an address of this machine's.
func forwardTo(t *testing.T, vm string, port int) string {
	t.Helper()
	at := harness.NextAddress()
	if out, err := harness.Command(theLab.Bin("vic-lab"), "forward", "add", "--dir", theLab.Dir, vm, fmt.Sprintf("%s:%d", at, port)); err != nil {
		t.Fatal(err, out)
	}
	return at
}

// getPage gets a page.
func getPage(c *http.Client, url string) (int, string, error) {
	res, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}
