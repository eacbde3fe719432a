package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

// TestTheHubOfMakeUp starts the hub as `make up` does, signs in as the users that it prints, and stops it.
func TestTheHubOfMakeUp(t *testing.T) {
	beside(t)
	dir := t.TempDir()
	_, port, err := net.SplitHostPort(harness.NextAddress())
	must(t, err)
	script := func(verb string) string {
		t.Helper()
		cmd := exec.Command("../../contrib/dev/hub.sh", verb)
		cmd.Env = append(os.Environ(), "HUB_DIR="+dir, "HUB_PORT="+port, "BUILD="+theLab.Build)
		out, err := cmd.Output()
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "hub.log"))
			t.Fatalf("hub.sh %s: %v %s\n%s", verb, err, out, log)
		}
		return string(out)
	}
	t.Cleanup(func() { script("down") })
	said := script("up")
	export := regexp.MustCompile(`export VIC_HUB=(\S+) VIC_HUB_CA=(\S+)`).FindStringSubmatch(said)
	users := regexp.MustCompile(`(?m)^  (vic-\S+) (\S+)$`).FindAllStringSubmatch(said, -1)
	if export == nil || len(users) != 3 {
		t.Fatal(said)
	}
	ca, err := os.ReadFile(export[2])
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	t.Cleanup(client.CloseIdleConnections)
	for _, u := range users {
		req, err := http.NewRequestWithContext(t.Context(), "GET", export[1]+"/api/v2.0/users/current", nil)
		must(t, err)
		req.SetBasicAuth(u[1], u[2])
		res, err := client.Do(req)
		must(t, err)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s signs in: %s", u[1], res.Status)
		}
	}
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	must(t, err)
	again := script("up")
	if p, err := os.ReadFile(filepath.Join(dir, "pid")); err != nil || string(p) != string(pid) || again != said {
		t.Errorf("run again, it is another process or says something else: %s %v\n%s", p, err, again)
	}
	script("down")
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); err == nil {
		t.Error("the process is still there")
	}
}
